//! A time-out for connecting says nothing of the answer.
pub fn client() -> reqwest::Client {
    reqwest::ClientBuilder::new() //~ PL015
        .connect_timeout(Duration::from_secs(3))
        .build()
        .expect("a client")
}
