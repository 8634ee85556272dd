//! The caller sleeps, nobody else.
pub async fn debounce(changes: &mut Changes) -> Vec<Change> {
    let first = changes.next().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.into_iter().chain(changes.drain()).collect()
}
