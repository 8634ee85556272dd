//! The runtimes that both sides of a pair run on.

use tokio::runtime::{Builder, Runtime};

/// One thread: what an operation costs by itself.
pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime on this thread needs nothing")
}

/// Two threads: what it costs when tasks move between them.
pub(crate) fn two_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().expect("two threads can be started")
}
