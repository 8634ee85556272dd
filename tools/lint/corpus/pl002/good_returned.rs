//! The caller gets the handle.
pub fn spawn_reporter(metrics: Metrics) -> JoinHandle<()> {
    tokio::spawn(async move { metrics.report_forever().await })
}
