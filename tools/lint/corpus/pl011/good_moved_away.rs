//! The task got the permit; this one sleeps without it.
pub async fn feed(jobs: Vec<Job>, limit: Arc<Semaphore>, group: &mut JoinSet<()>) {
    for job in jobs {
        let permit = limit.clone().acquire_owned().await.unwrap();
        group.spawn(async move {
            job.run().await;
            drop(permit);
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
