//! Bounded by permits, though every future is made at once: what runs is bounded.
pub async fn fetch_all(urls: Vec<Url>, limit: &Semaphore) -> Vec<Page> {
    join_all(urls.into_iter().map(|url| async move { //~? PL005
        let _permit = limit.acquire().await.unwrap();
        fetch(url).await
    }))
    .await
}
