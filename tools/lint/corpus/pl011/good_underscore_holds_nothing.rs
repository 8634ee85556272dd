//! `_` holds nothing: the permit is gone at the end of the statement.
pub async fn turn(gate: &Semaphore) {
    let _ = gate.acquire().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}
