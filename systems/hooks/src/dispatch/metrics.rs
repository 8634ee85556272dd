//! What is counted of deliveries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_store::AttemptState;

use super::job::{Report, Then};

/// Upper bounds of the latency buckets, in milliseconds.
pub(crate) const BUCKETS_MS: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 15_000, 60_000];

/// A histogram with fixed buckets; the last counts what is above all of them.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    sum_ms: AtomicU64,
}

impl Histogram {
    fn observe(&self, ms: u64) {
        let at = BUCKETS_MS.partition_point(|bound| *bound < ms);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Count per bucket, and the sum in milliseconds.
    pub(crate) fn read(&self) -> ([u64; BUCKETS_MS.len() + 1], u64) {
        let counts = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        (counts, self.sum_ms.load(Ordering::Relaxed))
    }
}

/// Counters since the process began.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) attempts: Histogram,
    /// From the acceptance of a message to the success of a first try.
    pub(crate) deliveries: Histogram,
}

impl Metrics {
    pub(crate) fn attempted(&self, report: &Report, since_accepted_ms: i64, first: bool) {
        let counter = match report.then {
            Then::End(AttemptState::Succeeded) => &self.succeeded,
            Then::End(AttemptState::Exhausted) => &self.exhausted,
            Then::End(AttemptState::Failed | AttemptState::Faulted | AttemptState::Retrying) => &self.failed,
            Then::RetryIn(_) => &self.retried,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.attempts.observe(millis(report.took));
        if first && report.then == Then::End(AttemptState::Succeeded) {
            let since = u64::try_from(since_accepted_ms).unwrap_or(0);
            self.deliveries.observe(since + millis(report.took));
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
