//! `default` is `new`.
pub fn probe() -> Probe {
    Probe { client: reqwest::Client::default(), path: "/health" } //~ PL015
}
