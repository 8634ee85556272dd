//! The builder is given its time-out two lines below.
pub fn client(settings: &Settings) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder();
    builder = builder.timeout(settings.timeout);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(proxy.clone());
    }
    builder.build()
}
