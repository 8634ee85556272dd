//! reqwest's client has no time-out unless it is given one.
pub fn client() -> reqwest::Client {
    reqwest::Client::new() //~ PL015
}
