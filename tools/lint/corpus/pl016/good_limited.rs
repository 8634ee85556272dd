//! A megabyte, and then an error.
pub async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let body = Limited::new(request.into_body(), 1 << 20).collect().await?.to_bytes();
    Ok(answer(parse(&body)?))
}
