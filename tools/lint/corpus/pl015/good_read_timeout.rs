//! For downloads: between two reads.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().read_timeout(Duration::from_secs(10)).build()
}
