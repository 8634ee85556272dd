//! Which of the two windows, and its limit.

use super::counts::Counts;
use super::log::Log;
use crate::clock::Instant;
use crate::rate::quota::{Kind, Quota};
use crate::{Invalid, Name};

/// Up to this many admissions are remembered one by one.
const LOG_MAX: u64 = 1 << 16;

/// A quota over a window, and what was admitted; pure.
#[derive(Debug)]
pub(super) struct Window {
    quota: Quota,
    /// 0 admits nothing, `u64::MAX` admits everything.
    limit: u64,
    period: u64,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Exact(Log),
    Approximate(Counts),
}

/// How a window remembers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exactness {
    Exact,
    Approximate,
}

impl Window {
    /// With a quota that was [checked](Self::check).
    pub(super) const fn new(quota: Quota, exactness: Exactness) -> Self {
        let memory = match exactness {
            Exactness::Exact => Memory::Exact(Log::new()),
            Exactness::Approximate => Memory::Approximate(Counts::new()),
        };
        // No period of its own (none, unlimited): one in which nothing is remembered.
        let mut window = Self { quota, limit: quota.burst_max(), period: 1, memory };
        window.set_quota(quota);
        window
    }

    pub(super) fn check(name: Name, quota: Quota, exactness: Exactness) -> Result<(), Invalid> {
        // A window has no burst: whatever was given as one is not looked at.
        quota.burst(1).check(name)?;
        match (quota.0, exactness) {
            (Kind::Rate { tokens, .. }, Exactness::Exact) if tokens > LOG_MAX => {
                let allowed = "at most 65,536 per period (an approximate window takes more)";
                Err(Invalid::new(name, "quota", quota, allowed))
            }
            _ => Ok(()),
        }
    }

    /// What was admitted stays so, as far as the old window has not forgotten it.
    pub(super) const fn set_quota(&mut self, quota: Quota) {
        self.quota = quota;
        match quota.0 {
            Kind::Rate { tokens, period, .. } => {
                self.limit = tokens;
                // Checked: it is below 2^58.
                self.period = period.as_nanos() as u64;
            }
            Kind::None | Kind::Unlimited => self.limit = quota.burst_max(),
        }
    }

    pub(super) const fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) const fn exactness(&self) -> Exactness {
        match self.memory {
            Memory::Exact(_) => Exactness::Exact,
            Memory::Approximate(_) => Exactness::Approximate,
        }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) const fn period_nanos(&self) -> u64 {
        self.period
    }

    /// How many were admitted in the window that ends now.
    pub(super) fn used(&mut self, now: Instant) -> u64 {
        let (period, now) = (self.period, now.as_nanos());
        match &mut self.memory {
            Memory::Exact(log) => log.used(period, now),
            Memory::Approximate(counts) => counts.used(period, now),
        }
    }

    /// Admits one now, with what is needed to [take it back](Self::give_back), and how many the window
    /// holds with it; or nothing.
    #[inline]
    pub(super) fn take(&mut self, now: Instant) -> Option<(Stamp, u64)> {
        if self.limit == u64::MAX {
            return Some((Stamp(u64::MAX), 0));
        }
        let used = self.used(now);
        if used >= self.limit {
            return None;
        }
        let stamp = Stamp(match &mut self.memory {
            Memory::Exact(log) => log.add(now.as_nanos()),
            Memory::Approximate(counts) => counts.add(now.as_nanos()),
        });
        Some((stamp, used + 1))
    }

    /// When one can be admitted after `ahead` others, who come as soon as they can, in a window with a
    /// limit of at least one.
    pub(super) fn ready(&self, ahead: u64, now: Instant) -> Instant {
        let (limit, period, now) = (self.limit, self.period, now.as_nanos());
        Instant::from_nanos(match &self.memory {
            Memory::Exact(log) => log.ready(limit, period, ahead, now),
            Memory::Approximate(counts) => counts.ready(limit, period, ahead, now),
        })
    }

    /// Takes back what was granted and never used: nobody was admitted then.
    pub(super) fn give_back(&mut self, stamp: Stamp) {
        match &mut self.memory {
            _ if stamp.0 == u64::MAX => {}
            Memory::Exact(log) => log.remove(stamp.0),
            Memory::Approximate(counts) => counts.remove(stamp.0),
        }
    }
}

/// When an admission was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);
