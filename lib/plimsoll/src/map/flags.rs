//! What the lanes of a map have to know without a lock.

use crate::sync::{AtomicU64, Ordering};

/// Another lane could find an item. Written under the source's lock.
const MORE: u64 = 1;
/// No other lane is to start, for now. Written under the core's lock.
const FULL: u64 = 2;
/// The map has ended. Written under the core's lock.
const STOPPED: u64 = 4;

/// Three bits in one word, so that their changes have one order: whoever reports more items and
/// then sees no room for a lane is seen by the lane that leaves after that, which stays.
pub(super) struct Flags(AtomicU64);

impl Flags {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(MORE))
    }

    /// Says whether another lane could find an item.
    #[inline]
    pub(super) fn set_more(&self, more: bool) {
        if (self.0.load(Ordering::Relaxed) & MORE != 0) != more {
            if more {
                self.0.fetch_or(MORE, Ordering::AcqRel);
            } else {
                self.0.fetch_and(!MORE, Ordering::AcqRel);
            }
        }
    }

    pub(super) fn close(&self) {
        self.0.fetch_or(FULL, Ordering::AcqRel);
    }

    /// Makes room for a lane, and says whether one could find an item.
    pub(super) fn open(&self) -> bool {
        self.0.fetch_and(!FULL, Ordering::AcqRel) & MORE != 0
    }

    pub(super) fn stop(&self) {
        self.0.fetch_or(STOPPED, Ordering::AcqRel);
    }

    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STOPPED != 0
    }

    /// Whether a lane could start and would find an item.
    #[inline]
    pub(super) fn want_a_lane(&self) -> bool {
        self.0.load(Ordering::Acquire) == MORE
    }
}
