//! A crate that counts.
pub async fn fetch(client: &Client, url: &Url) -> Result<Bytes, Error> {
    (|| client.get(url)).retry(ExponentialBuilder::default().with_max_times(4)).await
}
