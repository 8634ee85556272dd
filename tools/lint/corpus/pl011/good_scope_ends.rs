//! The block ends before it sleeps.
pub async fn call(limit: &Semaphore, client: &Client, request: Request) -> Result<Response, Error> {
    for attempt in 0..3u32 {
        let result = {
            let _permit = limit.acquire().await?;
            client.send(&request).await
        };
        if result.is_ok() {
            return result;
        }
        tokio::time::sleep(PAUSE * attempt).await;
    }
    Err(Error::GaveUp)
}
