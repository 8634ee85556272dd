//! A bound that is none.
pub async fn proxy(request: axum::extract::Request) -> Result<Response, StatusCode> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| StatusCode::BAD_REQUEST)?; //~ PL016 high
    forward(parts, bytes).await
}
