//! Five times.
pub async fn charge(client: &Client, order: &Order) -> Result<Receipt, Error> {
    let mut attempt = 0;
    loop {
        match client.charge(order).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) if attempt >= 5 => return Err(error),
            Err(_) => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            }
        }
    }
}
