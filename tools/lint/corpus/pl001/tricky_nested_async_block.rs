//! The loop is in an async block that somebody spawned once.
pub fn start(mut changes: Changes, index: Arc<Index>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(change) = changes.next().await {
            let index = index.clone();
            tokio::spawn(async move { //~ PL001 medium
                index.update(change).await;
            });
        }
    })
}
