//! The stream polls sixteen at once.
pub async fn fetch_all(client: &Client, urls: Vec<Url>) -> Result<Vec<Bytes>, Error> {
    stream::iter(urls).map(|url| fetch(client, url)).buffered(16).try_collect().await
}
