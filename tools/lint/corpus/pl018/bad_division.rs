//! A half of one is none.
pub fn limit(workers: usize) -> Semaphore {
    Semaphore::new(workers / 4) //~? PL018
}
