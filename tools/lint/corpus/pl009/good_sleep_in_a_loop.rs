//! One loop that sleeps between its rounds is no task for each thing.
pub fn start_refresh(keys: Keys) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(300)).await;
            if let Err(error) = keys.refresh().await {
                tracing::warn!(%error, "keys were not refreshed");
            }
        }
    })
}
