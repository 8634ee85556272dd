//! The async block under the guard is made, not awaited: it holds no guard.
use std::sync::Mutex;

pub fn plan(jobs: &Mutex<Vec<Job>>) -> Vec<BoxFuture<'static, ()>> {
    let jobs = jobs.lock().unwrap();
    jobs.iter().cloned().map(|job| async move { job.run().await }.boxed()).collect()
}
