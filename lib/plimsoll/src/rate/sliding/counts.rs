//! The approximate window: two counts, as a pure state machine.
//!
//! # Invariants
//! - `before` holds what was admitted in the period that ended at `start`, `current` what was since.
//! - Neither ever exceeds the limit of its time, so that a window, which lies over the two, holds
//!   fewer than twice the limit.

#[derive(Debug)]
pub(super) struct Counts {
    start: u64,
    before: u64,
    current: u64,
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self { start: 0, before: 0, current: 0 }
    }

    /// About how many there were in the window of `period` that ends now, rounded up.
    pub(super) fn used(&mut self, period: u64, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.start);
        if elapsed >= period {
            let adjoins = elapsed < period.saturating_mul(2);
            self.before = if adjoins { self.current } else { 0 };
            self.current = 0;
            self.start = if adjoins { self.start + period } else { now };
        }
        let left = period.saturating_sub(now.saturating_sub(self.start));
        let inside = (u128::from(self.before) * u128::from(left)).div_ceil(u128::from(period));
        self.current.saturating_add(inside as u64)
    }

    /// One more, now; what is needed to take it back.
    pub(super) const fn add(&mut self, now: u64) -> u64 {
        self.current += 1;
        if now > self.start { now } else { self.start }
    }

    /// When one more can be admitted after `ahead` others, who come as soon as they can.
    pub(super) fn ready(&self, limit: u64, period: u64, ahead: u64, now: u64) -> u64 {
        let Self { mut start, mut before, mut current } = *self;
        let mut ahead = ahead;
        loop {
            // The last one has room only when the period before has left the window altogether, and
            // then this period is over.
            let served = limit.saturating_sub(current).saturating_sub(u64::from(before > 0));
            if ahead < served {
                break;
            }
            ahead -= served;
            (before, current) = (current + served, 0);
            start = start.saturating_add(period);
            // From here on all periods are alike: over those that do not reach this one.
            let (each, rounds) = if limit == 1 { (1, 2) } else { (limit - 1, 1) };
            if before == limit - 1 {
                start = start.saturating_add((ahead / each).saturating_mul(period.saturating_mul(rounds)));
                ahead %= each;
            }
        }
        let room = u128::from(limit - 1 - current - ahead) * u128::from(period);
        let stays = room.checked_div(u128::from(before)).unwrap_or(u128::MAX).min(u128::from(period));
        (start.saturating_add(period - stays as u64)).max(now)
    }

    /// Takes one back that was never used.
    pub(super) const fn remove(&mut self, at: u64) {
        if at >= self.start {
            self.current = self.current.saturating_sub(1);
        } else {
            self.before = self.before.saturating_sub(1);
        }
    }
}
