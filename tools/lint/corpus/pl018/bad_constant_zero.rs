//! Zero by a name.
const AT_ONCE: usize = 0;

pub fn limit() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(AT_ONCE)) //~ PL018
}
