//! As large as the client likes.
pub async fn create(request: Request<Body>) -> Result<Response<Body>, Error> {
    let body = hyper::body::to_bytes(request.into_body()).await?; //~ PL016 high
    store(&body).await
}
