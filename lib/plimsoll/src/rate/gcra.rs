//! The generic cell rate algorithm, as pure arithmetic.
//!
//! A bucket is one number, the *theoretical arrival time*: when it will be full again. Each token
//! moves it one interval into the future; it may not be further ahead of now than the burst.
//!
//! # Invariants
//! - Time is counted in *units* of a nanosecond or slightly more (less than two), so that the
//!   interval between tokens is a whole number of them: 3 per second is 333,333,333 units of
//!   1.000000001 ns. Units are `nanos - nanos * skew / 2^64`; the rounding of `skew` makes an error
//!   below one nanosecond over all the time that there is, so that no rate drifts.
//! - Nanoseconds are below [`NOW_MAX`], an interval times a burst is at most 2^58 (`Quota::check`),
//!   and arrival times are at most [`ARRIVAL_MAX`], so that no sum here overflows.

use std::time::Duration;

use super::quota::{Kind, Quota};
use crate::clock::Instant;

/// The end of time for a limiter, nine years of uptime: later is taken as this.
const NOW_MAX: u64 = 1 << 58;
/// Arrival times are stored in 60 bits.
pub(super) const ARRIVAL_MAX: u64 = (1 << 60) - 1;

/// A quota, prepared for deciding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gcra {
    /// Units that a token costs.
    pub(super) interval: u64,
    /// How much longer a unit is than a nanosecond, as a share of the unit, in 2^-64.
    pub(super) skew: u64,
    /// The same as a share of the nanosecond, in 2^-64.
    pub(super) stretch: u64,
    /// The most tokens at once; 0 admits nothing, `u64::MAX` admits everything.
    pub(super) burst: u64,
}

impl Gcra {
    /// `quota`, which was [checked](Quota::check). With no rate of its own (none, unlimited) it
    /// keeps the scale of `before`, so that what was spent there goes on draining.
    pub(super) fn new(quota: Quota, before: Option<Self>) -> Self {
        let scale = before.unwrap_or(Self { interval: 1, skew: 0, stretch: 0, burst: 0 });
        let Kind::Rate { tokens, period, burst } = quota.0 else {
            return Self { burst: quota.burst_max(), ..scale };
        };
        let (tokens, period) = (u128::from(tokens), period.as_nanos());
        let interval = period / tokens;
        // What whole nanoseconds per token leave over in a period; less than half of it.
        let over = period - interval * tokens;
        Self {
            interval: interval as u64,
            skew: (over << 64).div_ceil(period) as u64,
            stretch: ((over << 64) / (interval * tokens)) as u64,
            burst,
        }
    }

    pub(super) const fn admits_everything(&self) -> bool {
        self.burst == u64::MAX
    }

    /// What `tokens`, which are not more than the burst, cost.
    pub(super) const fn cost(&self, tokens: u64) -> u64 {
        self.interval * tokens
    }

    /// How far ahead of now an arrival time may be.
    pub(super) const fn tolerance(&self) -> u64 {
        if self.admits_everything() { 0 } else { self.interval * self.burst }
    }

    /// The time in units. It never goes back while the clock does not.
    pub(super) const fn units(&self, now: Instant) -> u64 {
        let nanos = now.as_nanos();
        let nanos = if nanos > NOW_MAX { NOW_MAX } else { nanos };
        nanos - share(nanos, self.skew)
    }

    /// The first instant whose [`units`](Self::units) are at least `units`.
    pub(super) fn instant(&self, units: u64) -> Instant {
        let at_least = |nanos: u64| nanos - share(nanos, self.skew) >= units;
        if self.skew == 0 {
            return Instant::from_nanos(units);
        }
        // Off by a few at the most: two roundings of less than one each way.
        let mut nanos = units + share(units, self.stretch);
        while nanos > 0 && at_least(nanos - 1) {
            nanos -= 1;
        }
        while !at_least(nanos) {
            nanos += 1;
        }
        Instant::from_nanos(nanos)
    }

    /// A length of time in units, rounded up.
    pub(super) fn span(&self, length: Duration) -> u64 {
        self.units(Instant::default().after(length))
    }

    /// How long `units` are.
    pub(super) fn length(&self, units: u64) -> Duration {
        self.instant(units) - Instant::default()
    }

    /// Takes `tokens` out of a bucket that will be full again at `arrival`, for a caller that is due
    /// since `from` (which is `now`, unless it waited).
    ///
    /// The arrival time afterwards; or else the units at which it will be possible.
    #[inline]
    pub(super) const fn take(&self, arrival: u64, from: u64, now: u64, tokens: u64) -> Result<u64, u64> {
        let begin = if arrival > from { arrival } else { from };
        let end = begin + self.cost(tokens);
        let limit = now + self.tolerance();
        if end <= limit { Ok(end) } else { Err(end - self.tolerance()) }
    }

    /// How many tokens of the burst are spent, a part of one counting as one.
    pub(super) const fn spent(&self, arrival: u64, now: u64) -> u64 {
        arrival.saturating_sub(now).div_ceil(self.interval)
    }

    /// What of a charge of `tokens`, which moved the arrival time to `end`, can be given back at
    /// `now` without admitting more than if it had never been made.
    ///
    /// Time that passed with the bucket full is lost to whoever was admitted since; what of the
    /// charge lies ahead of now cannot have been.
    pub(super) const fn refund(&self, end: u64, now: u64, tokens: u64) -> u64 {
        let ahead = end.saturating_sub(now);
        // The charge may be of a quota that eight changes ago looked like this one.
        let cost = self.interval.saturating_mul(tokens);
        if ahead < cost { ahead } else { cost }
    }

    /// The arrival time at `now` of a bucket in which as many tokens are spent as in one of `before`
    /// that would be full again at `arrival`.
    pub(super) fn convert(&self, before: &Self, arrival: u64, now: Instant) -> u64 {
        let spent = u128::from(arrival.saturating_sub(before.units(now)));
        let spent = (spent * u128::from(self.interval)).div_ceil(u128::from(before.interval));
        let room = u128::from(ARRIVAL_MAX - self.units(now));
        self.units(now) + spent.min(room) as u64
    }
}

/// `part / 2^64` of `whole`, rounded down.
const fn share(whole: u64, part: u64) -> u64 {
    ((whole as u128 * part as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gcra(period: Duration, tokens: u64, burst: u64) -> Gcra {
        let quota = Quota::per(period, tokens).burst(burst);
        quota.check(crate::Name::UNNAMED).unwrap();
        Gcra::new(quota, None)
    }

    #[test]
    fn rates_that_are_no_whole_number_of_nanoseconds_do_not_drift_in_nine_years() {
        let years = 9 * 365 * 86_400;
        for per_second in [1, 3, 7, 11, 999, 1_000, 999_983, 1_000_000, 123_456_789, 1_000_000_000] {
            let gcra = gcra(Duration::from_secs(1), per_second, 1);
            let tokens = u128::from(per_second) * years;
            // When that many tokens have been earned, to the nanosecond.
            let earned = gcra.instant((tokens * u128::from(gcra.interval)) as u64);
            let error = i128::from(earned.as_nanos()) - (years * 1_000_000_000) as i128;
            assert!((-1..=2).contains(&error), "{per_second} a second is off by {error} ns in nine years");
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_the_first_that_has_its_units(period in 1..=1u64 << 58, tokens in 1..u64::MAX, nanos in 0..=NOW_MAX) {
            let gcra = gcra(Duration::from_nanos(period), 1 + tokens % period, 1);
            let units = gcra.units(Instant::from_nanos(nanos));
            let first = gcra.instant(units);
            prop_assert!(first.as_nanos() <= nanos);
            prop_assert!(gcra.units(first) == units);
            prop_assert!(first.as_nanos() == 0 || gcra.units(Instant::from_nanos(first.as_nanos() - 1)) < units);
        }

        #[test]
        fn the_wait_that_is_told_is_exact(tokens in 1..2_000_000u64, burst in 1..50u64, start in 0..NOW_MAX / 2, steps in proptest::collection::vec((1..50u64, 0..3_000_000_000u64), 1..60)) {
            let gcra = gcra(Duration::from_secs(1), tokens, burst);
            let (mut now, mut arrival) = (start, 0);
            for (many, pause) in steps {
                let many = 1 + many % burst;
                let units = gcra.units(Instant::from_nanos(now));
                match gcra.take(arrival, units, units, many) {
                    Ok(end) => arrival = end,
                    Err(ready) => {
                        let ready = gcra.instant(ready).as_nanos();
                        let early = gcra.units(Instant::from_nanos(ready - 1));
                        prop_assert!(gcra.take(arrival, early, early, many).is_err());
                        let units = gcra.units(Instant::from_nanos(ready));
                        arrival = gcra.take(arrival, units, units, many).unwrap();
                        now = ready;
                    }
                }
                now += pause;
            }
        }

        #[test]
        fn giving_back_never_admits_more_than_if_it_had_not_been_taken(interval in 1..50u64, burst in 1..8u64, steps in proptest::collection::vec((0..60u64, 1..4u64, any::<bool>()), 1..40), wait in 0..200u64) {
            let gcra = Gcra { interval, skew: 0, stretch: 0, burst };
            // Two buckets see the same admissions, but for the first of them, which is taken back.
            let (mut now, mut with) = (1_000, 0);
            let first = gcra.take(with, now, now, 1).unwrap();
            let mut without = with;
            with = first;
            for (pause, many, _) in steps {
                now += pause;
                if many <= burst && let Ok(end) = gcra.take(with, now, now, many) {
                    with = end;
                    without = gcra.take(without, now, now, many).unwrap();
                }
            }
            now += wait;
            with -= gcra.refund(first, now, 1);
            prop_assert!(with.max(now) >= without.max(now));
        }
    }

    #[test]
    fn congestion_limiter_a_clock_that_steps_back_does_not_panic() {
        let gcra = gcra(Duration::from_secs(1), 3, 2);
        let late = gcra.units(Instant::from_nanos(u64::MAX));
        let arrival = gcra.take(0, late, late, 2).unwrap();
        assert!(gcra.take(arrival, 0, 0, 1).is_err());
        assert_eq!(gcra.refund(arrival, 0, 2), gcra.cost(2));
        assert!(gcra.spent(arrival, 0) >= 2);
        assert!(gcra.convert(&gcra, arrival, Instant::from_nanos(0)) <= ARRIVAL_MAX);
    }

    #[test]
    fn the_extremes_of_a_quota_do_not_overflow() {
        let nine_years = Duration::from_nanos(1 << 58);
        for gcra in [
            gcra(nine_years, 1, 1),
            gcra(nine_years, 1 << 58, 1 << 58),
            gcra(Duration::from_nanos(1), 1, 1 << 58),
            gcra(Duration::from_nanos(3), 2, 1 << 58),
        ] {
            let end = gcra.units(Instant::from_nanos(u64::MAX));
            let arrival = gcra.take(0, end, end, gcra.burst).unwrap();
            assert!(arrival <= ARRIVAL_MAX);
            assert!(gcra.take(arrival, end, end, 1).is_err());
            let _ = gcra.instant(ARRIVAL_MAX);
        }
    }
}
