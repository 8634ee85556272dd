//! Dropped by name.
use std::sync::Mutex;

pub async fn next(queue: &Mutex<VecDeque<Job>>) {
    let mut guard = queue.lock().unwrap();
    let job = guard.pop_front();
    drop(guard);
    if let Some(job) = job {
        job.run().await;
    }
}
