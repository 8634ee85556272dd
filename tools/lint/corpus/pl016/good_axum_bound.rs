//! A number.
pub async fn proxy(request: axum::extract::Request) -> Result<Response, StatusCode> {
    let bytes = axum::body::to_bytes(request.into_body(), 64 * 1024).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    forward(bytes).await
}
