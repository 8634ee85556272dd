//! The permit is taken inside the task: as many wait as there are, each with its item in memory.
pub async fn crawl(urls: Vec<String>, limit: Arc<Semaphore>) {
    for url in urls {
        let limit = limit.clone();
        tokio::spawn(async move { //~ PL001 medium
            let _permit = limit.acquire().await.unwrap();
            fetch(&url).await;
        });
    }
}
