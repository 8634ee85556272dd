//! What is joined are workers of a fixed number.
const WORKERS: usize = 4;

pub async fn run(queue: Queue) {
    let workers = (0..WORKERS).map(|_| work(queue.clone()));
    join_all(workers).await;
}
