//! The same as a `while`.
pub async fn drain(mut queue: Receiver<Job>) {
    let mut running = JoinSet::new();
    while let Some(job) = queue.recv().await {
        while running.len() >= 16 {
            running.join_next().await;
        }
        running.spawn(job.run());
    }
    while running.join_next().await.is_some() {}
}
