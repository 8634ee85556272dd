//! One task for its life, at intervals.
pub fn start(cache: Arc<Cache>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(60));
        loop {
            ticks.tick().await;
            cache.sweep();
        }
    })
}
