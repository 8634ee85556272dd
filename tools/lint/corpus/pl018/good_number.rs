//! Sixteen.
pub fn limit() -> Semaphore {
    Semaphore::new(16)
}
