//! What it gets is bounded before.
pub async fn work(jobs: Vec<Job>, limit: &Semaphore) {
    stream::iter(jobs)
        .for_each_concurrent(None, |job| async move { //~? PL006
            let _permit = limit.acquire().await.unwrap();
            job.run().await;
        })
        .await;
}
