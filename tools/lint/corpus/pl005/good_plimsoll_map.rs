//! The bound is an argument.
pub async fn fetch_all(urls: Vec<Url>) -> Result<Vec<Bytes>, Error> {
    plimsoll::map(urls, 64, fetch).await
}
