//! The exact window: when each admission was, as a pure state machine.
//!
//! # Invariants
//! - The times ascend, and all are in the window that ended when it was last looked at: there are
//!   never more of them than the highest limit of that time.

use std::collections::VecDeque;

/// With room for more than this, an empty log gives its memory back.
const ROOM_KEPT: usize = 64;

#[derive(Debug)]
pub(super) struct Log(VecDeque<u64>);

impl Log {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// How many there were in the window of `period` that ends now.
    pub(super) fn used(&mut self, period: u64, now: u64) -> u64 {
        let over = self.0.partition_point(|at| at.saturating_add(period) <= now);
        self.0.drain(..over);
        if self.0.is_empty() && self.0.capacity() > ROOM_KEPT {
            self.0 = VecDeque::new();
        }
        self.0.len() as u64
    }

    /// One more, now; when that is said to be. A clock that steps back gives nobody anything.
    pub(super) fn add(&mut self, now: u64) -> u64 {
        let at = self.0.back().map_or(now, |last| now.max(*last));
        self.0.push_back(at);
        at
    }

    /// When one more can be admitted after `ahead` others, who come as soon as they can.
    pub(super) fn ready(&self, limit: u64, period: u64, ahead: u64, now: u64) -> u64 {
        let (rounds, ahead) = (ahead / limit, ahead % limit);
        // The one that has to leave the window first.
        let first = match (self.0.len() as u64 + ahead).checked_sub(limit) {
            Some(place) => self.0[place as usize].saturating_add(period),
            None => now,
        };
        first.max(now).saturating_add(rounds.saturating_mul(period))
    }

    /// Takes one back that was [said](Self::add) to be `at` and was never used.
    pub(super) fn remove(&mut self, at: u64) {
        let place = self.0.partition_point(|other| *other < at);
        if self.0.get(place) == Some(&at) {
            self.0.remove(place);
        }
    }
}
