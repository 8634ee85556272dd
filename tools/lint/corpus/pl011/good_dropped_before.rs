//! Given back before it sleeps.
pub async fn crawl(url: Url, limit: Arc<Semaphore>) -> Result<Page, Error> {
    let permit = limit.acquire_owned().await?;
    let page = fetch(&url).await?;
    drop(permit);
    sleep(Duration::from_secs(1)).await;
    Ok(page)
}
