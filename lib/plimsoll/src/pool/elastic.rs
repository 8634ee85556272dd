//! How many workers there should be; pure.
//!
//! # Invariants
//! - Never fewer than `min`, never more than `max`.
//! - A change needs the share of busy workers to have been at its threshold for a whole dwell
//!   without a break, counted from the last change at the earliest: so two changes, opposite ones
//!   above all, are a dwell apart, and a load that swings faster than that changes nothing.
//! - A step leaves the share between the thresholds: doubling from at least 80 % leaves at least
//!   40 %, halving from at most 20 % leaves at most 40 %.

use std::mem::replace;
use std::time::Duration;

use crate::clock::Instant;

/// From which share of busy workers on the pool grows, and up to which it shrinks, in percent.
const GROW_AT: usize = 80;
const SHRINK_AT: usize = 20;

/// Grows and shrinks a number of workers by how many are busy, with hysteresis.
#[derive(Debug)]
pub(super) struct Elastic {
    min: usize,
    max: usize,
    dwell: Duration,
    side: Side,
    /// Since when it is on that side.
    since: Instant,
    /// Whether somebody is going to decide: a load that crosses a threshold with every job must not
    /// wake them each time.
    is_watched: bool,
}

/// On which side of the thresholds the share of busy workers is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    High,
    Low,
    /// Between the two, or where there is nothing left to grow or shrink.
    Fine,
}

impl Elastic {
    pub(super) const fn new(min: usize, max: usize, dwell: Duration) -> Self {
        Self { min, max, dwell, side: Side::Fine, since: Instant::from_nanos(0), is_watched: false }
    }

    pub(super) const fn min(&self) -> usize {
        self.min
    }

    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// To be told of every change of `busy` and `workers`; reads the clock only when a threshold
    /// was crossed. Returns whether somebody has to [decide](Self::decide) later who does not know it.
    pub(super) fn observe(&mut self, busy: usize, workers: usize, now: impl FnOnce() -> Instant) -> bool {
        let side = self.side_of(busy, workers);
        if side == self.side {
            return false;
        }
        self.side = side;
        if side == Side::Fine {
            return false;
        }
        self.since = now();
        !replace(&mut self.is_watched, true)
    }

    /// When to decide next, which is then to be done; `None` while the number of workers is fine.
    pub(super) fn decide_at(&self) -> Option<Instant> {
        if self.side == Side::Fine { None } else { Some(self.since + self.dwell) }
    }

    /// The new number of workers, if it is to change now; the next change is a dwell away then.
    pub(super) fn decide(&mut self, now: Instant, busy: usize, workers: usize) -> Option<usize> {
        self.observe(busy, workers, || now);
        let is_time = self.decide_at().is_some_and(|at| at <= now);
        let wanted = match self.side {
            Side::High if is_time => Some(workers.saturating_mul(2)),
            Side::Low if is_time => Some(workers.div_ceil(2)),
            _ => None,
        };
        let wanted = wanted.map(|wanted| wanted.clamp(self.min, self.max));
        if let Some(wanted) = wanted {
            self.changed(now, busy, wanted);
        }
        self.is_watched = self.decide_at().is_some();
        wanted
    }

    /// The number of workers was changed, here or by hand.
    pub(super) fn changed(&mut self, now: Instant, busy: usize, workers: usize) {
        self.side = self.side_of(busy, workers);
        self.since = now;
    }

    fn side_of(&self, busy: usize, workers: usize) -> Side {
        let share = busy.saturating_mul(100);
        if workers < self.max && share >= workers * GROW_AT {
            Side::High
        } else if workers > self.min && share <= workers * SHRINK_AT {
            Side::Low
        } else {
            Side::Fine
        }
    }
}
