//! What cannot get better is not tried again, the rest pays from a budget.
pub async fn send(client: &Client, batch: Batch, budget: &RetryBudget) -> Result<Ack, Error> {
    loop {
        match client.send(&batch).await {
            Ok(ack) => return Ok(ack),
            Err(error) if !budget.withdraw() => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
