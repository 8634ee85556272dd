//! The owner keeps it, and ends it.
pub struct Refresher {
    task: JoinHandle<()>,
}

impl Refresher {
    pub fn start(cache: Arc<Cache>) -> Self {
        let task = tokio::spawn(async move { cache.refresh_forever().await });
        Self { task }
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
