//! What happened, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_store::JobEnd;

/// Counters of a running system.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) finished: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) crashed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}

impl Metrics {
    /// A claim ended so, and durably.
    pub(crate) fn ended(&self, end: &JobEnd) {
        let counter = match end {
            JobEnd::Done { .. } => &self.finished,
            JobEnd::Retry { .. } => &self.retried,
            JobEnd::Dead { .. } => &self.failed,
            JobEnd::Lost { .. } => &self.lost,
            JobEnd::Poisoned { .. } => &self.crashed,
            JobEnd::Released => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
