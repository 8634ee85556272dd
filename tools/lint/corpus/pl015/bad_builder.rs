//! A builder that sets everything else.
pub fn client(settings: &Settings) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder() //~ PL015
        .user_agent("billing/1.0")
        .pool_max_idle_per_host(8)
        .build()
}
