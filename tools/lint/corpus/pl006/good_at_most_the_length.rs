//! No more than there are, and no more than sixteen.
pub async fn fetch_all(urls: Vec<Url>, client: &Client) -> Vec<Page> {
    let at_once = urls.len().min(16);
    stream::iter(urls).map(|url| client.fetch(url)).buffer_unordered(at_once).collect().await
}
