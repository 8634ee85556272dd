//! It counts, and only logs the count.
pub async fn send(client: &Client, batch: Batch) -> Ack {
    let mut attempts = 0;
    loop {
        match client.send(&batch).await { //~ PL010
            Ok(ack) => return ack,
            Err(error) => {
                attempts += 1;
                tracing::warn!(attempts, %error, "send failed");
                tokio::time::sleep(Duration::from_millis(100) * attempts).await;
            }
        }
    }
}
