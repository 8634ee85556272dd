//! A number of workers that stands in the source.
const WORKERS: usize = 8;

pub async fn run(queue: async_channel::Receiver<Job>) {
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let queue = queue.clone();
        workers.spawn(async move {
            while let Ok(job) = queue.recv().await {
                job.run().await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
}
