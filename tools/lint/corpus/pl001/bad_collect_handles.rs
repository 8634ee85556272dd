//! The handles are all awaited: nothing is lost, but all run at once.
pub async fn fetch_pages(urls: Vec<Url>, client: reqwest::Client) -> Vec<Page> {
    let mut handles = Vec::new();
    for url in urls {
        let client = client.clone();
        handles.push(tokio::spawn(async move { fetch(&client, url).await })); //~ PL001 medium
    }
    let mut pages = Vec::with_capacity(handles.len());
    for handle in handles {
        if let Ok(page) = handle.await {
            pages.push(page);
        }
    }
    pages
}
