//! Sleeping to keep a rate, with the permit in hand.
pub async fn crawl(url: Url, limit: Arc<Semaphore>) -> Result<Page, Error> {
    let permit = limit.acquire_owned().await?;
    let page = fetch(&url).await?;
    sleep(Duration::from_secs(1)).await; //~ PL011
    drop(permit);
    Ok(page)
}
