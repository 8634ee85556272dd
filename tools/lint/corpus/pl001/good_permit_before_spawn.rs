//! The loop waits for a permit before it starts anything.
pub async fn import(rows: Vec<Row>, limit: Arc<Semaphore>, store: Store) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for row in rows {
        let permit = limit.clone().acquire_owned().await?;
        let store = store.clone();
        tasks.spawn(async move {
            let result = store.write(row).await;
            drop(permit);
            result
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
