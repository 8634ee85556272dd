//! While it sleeps before the next try it holds a place that others could use.
pub async fn call(limit: &Semaphore, client: &Client, request: Request) -> Result<Response, Error> {
    let _permit = limit.acquire().await?;
    for attempt in 0..3u32 {
        match client.send(&request).await {
            Ok(response) => return Ok(response),
            Err(_) => tokio::time::sleep(PAUSE * attempt).await, //~ PL011
        }
    }
    Err(Error::GaveUp)
}
