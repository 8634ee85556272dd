//! hyper 1's way of the same.
use http_body_util::BodyExt;

pub async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let body = request.into_body().collect().await?.to_bytes(); //~ PL016 high
    Ok(answer(parse(&body)?))
}
