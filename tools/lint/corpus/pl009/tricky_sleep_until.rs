//! Until a moment, which is also a sleep.
pub fn schedule(job: Job, runner: Arc<Runner>) {
    tokio::spawn(async move { //~ PL009
        tokio::time::sleep_until(job.due).await;
        runner.run(job).await;
    });
}
