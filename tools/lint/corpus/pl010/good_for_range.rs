//! The loop counts.
pub async fn fetch(client: &Client, url: &Url) -> Result<Bytes, Error> {
    let mut last = Error::NotTried;
    for attempt in 0..4u32 {
        match client.get(url).await {
            Ok(body) => return Ok(body),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE * 2u32.pow(attempt)).await;
    }
    Err(last)
}
