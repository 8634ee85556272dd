//! Not a semaphore.
pub fn counter() -> Counter {
    Counter::new(0)
}
