//! Tries until it works; while the other side is down, all callers do.
pub async fn charge(client: &Client, order: &Order) -> Receipt {
    loop {
        match client.charge(order).await { //~ PL010
            Ok(receipt) => return receipt,
            Err(error) => {
                tracing::warn!(%error, "charge failed, trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
