//! The first error ends it; before that all run.
pub async fn fetch_all(client: &Client, urls: Vec<Url>) -> Result<Vec<Bytes>, Error> {
    futures::future::try_join_all(urls.into_iter().map(|url| fetch(client, url))).await //~ PL005 medium
}
