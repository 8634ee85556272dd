//! Three seconds, for all of it.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().connect_timeout(Duration::from_secs(1)).timeout(Duration::from_secs(3)).build()
}
