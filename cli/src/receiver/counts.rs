//! The counters of a run.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The counters of a run, as the control port shows them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Requests with a good signature, where each is verified; else those that were not verified too.
    pub(crate) received: u64,
    /// Different (event, endpoint) pairs that healthy endpoints took.
    pub(crate) healthy: u64,
    /// Different (event, endpoint) pairs that slow endpoints took.
    pub(crate) slow: u64,
    /// Repeats to healthy and slow endpoints: what a receiver has to drop by the id.
    pub(crate) duplicates: u64,
    /// Repeats to endpoints that fail or hang: they asked for them.
    pub(crate) retries: u64,
    /// Requests whose signature is missing, stale or wrong.
    pub(crate) bad_signatures: u64,
    /// Well-signed requests that do not belong where they arrived.
    pub(crate) strangers: u64,
    /// Arrivals of an event under another id than before: it was accepted twice.
    pub(crate) accepted_twice: u64,
    /// Requests that are answered like a delivery and entered nowhere.
    pub(crate) not_counted: u64,
    /// Signatures that were verified.
    pub(crate) verified: u64,
    /// When the last of the healthy and slow ones came, in
    /// [`machine_micros`](super::machine_micros); 0 while none has.
    pub(crate) last_at: u64,
}

/// The same while they count.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) received: AtomicU64,
    pub(super) healthy: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) bad_signatures: AtomicU64,
    pub(super) strangers: AtomicU64,
    pub(super) accepted_twice: AtomicU64,
    pub(super) not_counted: AtomicU64,
    pub(super) verified: AtomicU64,
    pub(super) last_at: AtomicU64,
}

impl Counts {
    pub(super) fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            received: read(&self.received),
            healthy: read(&self.healthy),
            slow: read(&self.slow),
            duplicates: read(&self.duplicates),
            retries: read(&self.retries),
            bad_signatures: read(&self.bad_signatures),
            strangers: read(&self.strangers),
            accepted_twice: read(&self.accepted_twice),
            not_counted: read(&self.not_counted),
            verified: read(&self.verified),
            last_at: read(&self.last_at),
        }
    }
}

/// Counts one, and returns how many there were before.
pub(super) fn add(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::Relaxed)
}
