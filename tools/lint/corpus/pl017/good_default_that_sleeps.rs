//! The default waits.
pub async fn pump(mut inbox: Receiver<Job>) {
    loop {
        futures::select! {
            job = inbox.next() => run(job).await,
            default => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
