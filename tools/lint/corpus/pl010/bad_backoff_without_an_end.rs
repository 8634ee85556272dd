//! Ever longer pauses, and no end.
pub async fn fetch(http: &reqwest::Client, url: &Url) -> Bytes {
    let mut pause = Duration::from_millis(100);
    loop {
        if let Ok(response) = http.get(url.clone()).send().await { //~ PL010
            if let Ok(body) = response.bytes().await { //~? PL016
                return body;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}
