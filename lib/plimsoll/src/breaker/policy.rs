//! When a breaker opens, for how long, and what closes it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Invalid, Name};

const DURATION: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// When a breaker opens, for how long, and what closes it again.
///
/// It is checked where it is used: by [`Breaker::new`](super::Breaker::new) and
/// [`Builder::build`](super::Builder::build).
///
/// ```
/// use std::time::Duration;
/// use plimsoll::breaker::Policy;
/// // Open at 50 % failures, or when 90 % take 2 s or longer, of at least 20 calls in 10 s; stay
/// // open 5 s, then 10, 20, 40, and 60 s from then on; close after 3 good probes.
/// let policy = Policy::ratio(0.5)
///     .calls_min(20)
///     .window(Duration::from_secs(10))
///     .slow_call(Duration::from_secs(2), 0.9)
///     .open_for(Duration::from_secs(5))
///     .open_for_max(Duration::from_secs(60))
///     .probes_max(3);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[must_use = "a policy does nothing until a breaker is built with it"]
pub struct Policy {
    failures: Failures,
    calls_min: u32,
    window: Duration,
    open_for: Duration,
    open_for_max: Option<Duration>,
    probes_max: u32,
    slow: Option<Slow>,
}

/// Which failures open it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Failures {
    /// This share of the calls in the window.
    Ratio(f64),
    /// So many in a row.
    Consecutive(u32),
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Slow {
    from: Duration,
    ratio: f64,
}

/// How the calls in the window went, and how many failed since the last that did not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
    pub(super) run: u64,
}

impl Policy {
    /// Opens when this share of the calls in the window failed: above 0, at most 1.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::ratio(0.5).calls_min(4))?;
    /// for outcome in [Outcome::Failure, Outcome::Success, Outcome::Success, Outcome::Failure] {
    ///     assert_eq!(bank.state(), State::Closed);
    ///     bank.try_acquire()?.finish(outcome);
    /// }
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn ratio(failure_ratio: f64) -> Self {
        Self::opening_at(Failures::Ratio(failure_ratio))
    }

    /// Opens when this many calls in a row failed: 1 to 1,000,000.
    ///
    /// However far apart: no time ends a row, only a call that succeeds, also if it was slow. Calls that
    /// say nothing neither end nor extend it. Many calls at once end in any order, so that one success
    /// among a thousand failures ends the row: take [`ratio`](Self::ratio) for what is called often, and
    /// this for what is called seldom. The number of calls and the window are not looked at, but for
    /// [slow calls](Self::slow_call).
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// let breaker = Breaker::new(Policy::consecutive(2))?;
    /// for outcome in [Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure] {
    ///     assert_eq!(breaker.state(), State::Closed);
    ///     breaker.try_acquire().expect("closed").finish(outcome);
    /// }
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub const fn consecutive(failures: u32) -> Self {
        Self::opening_at(Failures::Consecutive(failures))
    }

    const fn opening_at(failures: Failures) -> Self {
        Self {
            failures,
            calls_min: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
            open_for_max: None,
            probes_max: 3,
            slow: None,
        }
    }

    /// Judges only when the window holds at least this many calls: 1 to 1,000,000. Default 20.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::ratio(0.5).calls_min(3))?;
    /// for expected in [State::Closed, State::Closed, State::Open] {
    ///     bank.try_acquire()?.finish(Outcome::Failure);
    ///     assert_eq!(bank.state(), expected);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn calls_min(mut self, calls: u32) -> Self {
        self.calls_min = calls;
        self
    }

    /// How far back calls count, in steps of a tenth: 1 ms to a day. Default 10 s.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::ratio(0.5).calls_min(2).window(Duration::from_secs(1)))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// tokio::time::advance(Duration::from_secs(2)).await;
    /// bank.try_acquire()?.finish(Outcome::Failure); // the first no longer counts
    /// assert_eq!(bank.state(), State::Closed);
    /// # Ok(()) }
    /// ```
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How long it stays open before it lets probes through: 1 ms to a day. Default 5 s.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy}};
    /// let bank = Breaker::new(Policy::consecutive(1).open_for(Duration::from_secs(30)))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// assert!(bank.try_acquire().is_err());
    /// tokio::time::advance(Duration::from_secs(31)).await;
    /// assert!(bank.try_acquire().is_ok()); // a probe
    /// # Ok(()) }
    /// ```
    pub const fn open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// Doubles the time it stays open each time that a probe fails, up to this: at least
    /// [`open_for`](Self::open_for), at most a day. By default it stays the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy}};
    /// let second = Duration::from_secs(1);
    /// let bank = Breaker::new(Policy::consecutive(1).open_for(10 * second).open_for_max(60 * second))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// tokio::time::advance(11 * second).await;
    /// bank.try_acquire()?.finish(Outcome::Failure); // the probe fails: twice as long now
    /// tokio::time::advance(11 * second).await;
    /// assert!(bank.try_acquire().is_err());
    /// tokio::time::advance(10 * second).await;
    /// assert!(bank.try_acquire().is_ok());
    /// # Ok(()) }
    /// ```
    pub const fn open_for_max(mut self, open_for_max: Duration) -> Self {
        self.open_for_max = Some(open_for_max);
        self
    }

    /// How many probes a half-open breaker lets through; when all succeed it closes: 1 to 10,000.
    /// Default 3.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy}};
    /// let bank = Breaker::new(Policy::consecutive(1).open_for(Duration::from_secs(5)).probes_max(2))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// tokio::time::advance(Duration::from_secs(6)).await;
    /// let probes = (bank.try_acquire()?, bank.try_acquire()?);
    /// assert!(bank.try_acquire().is_err()); // a third
    /// # drop(probes);
    /// # Ok(()) }
    /// ```
    pub const fn probes_max(mut self, probes: u32) -> Self {
        self.probes_max = probes;
        self
    }

    /// Counts a call that took `from` or longer as slow (1 ms to a day), and opens when this share
    /// of the calls was slow (above 0, at most 1). A slow probe counts as failed. Off by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::ratio(0.5).calls_min(1).slow_call(Duration::from_millis(200), 0.5))?;
    /// let call = bank.try_acquire()?;
    /// tokio::time::advance(Duration::from_millis(250)).await;
    /// call.finish(Outcome::Success);
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok(()) }
    /// ```
    pub const fn slow_call(mut self, from: Duration, ratio: f64) -> Self {
        self.slow = Some(Slow { from, ratio });
        self
    }

    pub(super) fn check(&self, name: Name) -> Result<(), Invalid> {
        match self.failures {
            Failures::Ratio(ratio) => check_ratio(name, "ratio", ratio)?,
            Failures::Consecutive(1..=1_000_000) => {}
            Failures::Consecutive(failures) => {
                return Err(Invalid::new(name, "consecutive", failures, "1 to 1,000,000"));
            }
        }
        if !(1..=1_000_000).contains(&self.calls_min) {
            return Err(Invalid::new(name, "calls_min", self.calls_min, "1 to 1,000,000"));
        }
        check_duration(name, "window", self.window)?;
        check_duration(name, "open_for", self.open_for)?;
        if let Some(max) = self.open_for_max {
            check_duration(name, "open_for_max", max)?;
            if max < self.open_for {
                let value = format_args!("{max:?}");
                return Err(Invalid::new(name, "open_for_max", value, "at least open_for"));
            }
        }
        if !(1..=10_000).contains(&self.probes_max) {
            return Err(Invalid::new(name, "probes_max", self.probes_max, "1 to 10,000"));
        }
        if let Some(slow) = self.slow {
            check_duration(name, "slow_call from", slow.from)?;
            check_ratio(name, "slow_call ratio", slow.ratio)?;
        }
        Ok(())
    }

    pub(super) const fn window_span(&self) -> Duration {
        self.window
    }

    pub(super) const fn probes(&self) -> u32 {
        self.probes_max
    }

    pub(super) const fn times_calls(&self) -> bool {
        self.slow.is_some()
    }

    pub(super) const fn counts_runs(&self) -> bool {
        matches!(self.failures, Failures::Consecutive(_))
    }

    /// From when on a call is slow, if slow calls count.
    pub(crate) fn slow_from(&self) -> Option<Duration> {
        self.slow.map(|slow| slow.from)
    }

    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow.is_some_and(|slow| took >= slow.from)
    }

    /// Whether calls that went like this open a closed breaker.
    pub(super) fn trips(&self, totals: Totals) -> bool {
        let Totals { calls, failures, slow, run } = totals;
        // A quotient is rounded once, as the constant was: 3 of 30 is 0.1, where 0.1 * 30 is not 3.
        let share = |part: u64| part as f64 / calls as f64;
        let enough = calls >= u64::from(self.calls_min);
        let failed = match self.failures {
            Failures::Ratio(ratio) => enough && share(failures) >= ratio,
            Failures::Consecutive(failures) => run >= u64::from(failures),
        };
        failed || self.slow.is_some_and(|limit| enough && share(slow) >= limit.ratio)
    }

    /// How long it stays open after probes failed `reopened` times in a row.
    pub(super) fn open_time(&self, reopened: u32) -> Duration {
        let max = self.open_for_max.unwrap_or(self.open_for);
        let factor = 1u32.checked_shl(reopened).unwrap_or(u32::MAX);
        self.open_for.saturating_mul(factor).min(max)
    }
}

fn check_ratio(name: Name, field: &'static str, ratio: f64) -> Result<(), Invalid> {
    if ratio > 0.0 && ratio <= 1.0 {
        return Ok(());
    }
    Err(Invalid::new(name, field, ratio, "above 0, at most 1"))
}

fn check_duration(name: Name, field: &'static str, value: Duration) -> Result<(), Invalid> {
    if DURATION.contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(name, field, format_args!("{value:?}"), "1 ms to a day"))
}
