//! A limit as large as what it should limit.
pub async fn fetch_all(urls: Vec<Url>, client: &Client) -> Vec<Page> {
    let count = urls.len();
    stream::iter(urls).map(|url| client.fetch(url)).buffer_unordered(count).collect().await //~ PL006 medium
}
