//! Zero by a name.
const AT_ONCE: usize = 0;

pub struct Limits {
    uploads: tokio::sync::Semaphore,
}

impl Limits {
    pub fn new() -> Self {
        Self { uploads: tokio::sync::Semaphore::new(AT_ONCE) } //~ PL018
    }
}
