//! One blocking task at a time, awaited where it is started.
pub async fn compress(files: Vec<File>, store: Store) -> Result<(), JoinError> {
    for file in files {
        let store = store.clone();
        tokio::task::spawn_blocking(move || store.compress(file)).await?;
    }
    Ok(())
}
