//! Additive increase, multiplicative decrease.

use std::time::Duration;

use super::algorithm::{Algorithm, Sample, check_range};
use crate::{Invalid, Name, Outcome};

/// One more after a success, a tenth less after a failure: additive increase, multiplicative
/// decrease (Chiu and Jain 1989, the way TCP Reno uses it), as in Netflix's concurrency-limits.
///
/// It learns from failures alone, and so it fills whatever queue the other side has until something
/// times out. Use it where the other side refuses what is too much, at once and by itself.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::Outcome;
/// use plimsoll::adaptive::{Aimd, Algorithm, Sample};
/// use plimsoll::clock;
///
/// let mut aimd = Aimd::new().backoff(0.5);
/// let sample = Sample::new(clock::now(), Duration::from_millis(5), 20);
/// assert_eq!(aimd.update(20.0, &sample), 21.0);
/// assert_eq!(aimd.update(20.0, &sample.with_outcome(Outcome::Failure)), 10.0);
/// ```
#[derive(Clone, Debug)]
pub struct Aimd {
    backoff: f64,
    timeout: Duration,
}

impl Aimd {
    /// With the settings of Netflix's: a decrease to 0.9, and 5 s count as a failure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, adaptive::{Aimd, Algorithm, Sample}, clock};
    /// let sample = Sample::new(clock::now(), Duration::from_millis(5), 20);
    /// assert_eq!(Aimd::new().update(20.0, &sample.with_outcome(Outcome::Failure)), 18.0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { backoff: 0.9, timeout: Duration::from_secs(5) }
    }

    /// What a failure multiplies the limit by: 0.1 to 0.99. Default 0.9.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, adaptive::{Aimd, Algorithm, Sample}, clock};
    /// let failed = Sample::new(clock::now(), Duration::from_millis(5), 20).with_outcome(Outcome::Failure);
    /// assert_eq!(Aimd::new().backoff(0.5).update(20.0, &failed), 10.0);
    /// ```
    #[must_use]
    pub const fn backoff(mut self, ratio: f64) -> Self {
        self.backoff = ratio;
        self
    }

    /// A success that took longer than this counts as a failure: above zero. Default 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Aimd, Algorithm, Sample}, clock};
    /// let mut aimd = Aimd::new().timeout(Duration::from_millis(100));
    /// let took = |millis| Sample::new(clock::now(), Duration::from_millis(millis), 20);
    /// assert_eq!((aimd.update(20.0, &took(100)), aimd.update(20.0, &took(101))), (21.0, 18.0));
    /// ```
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for Aimd {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Aimd {
    fn update(&mut self, limit: f64, sample: &Sample) -> f64 {
        if sample.outcome == Outcome::Ignored {
            return limit;
        }
        if sample.outcome == Outcome::Failure || sample.latency > self.timeout {
            return (limit * self.backoff).floor().min(limit - 1.0).max(1.0);
        }
        // While the caller is the limit, a success says nothing about a higher one.
        if sample.in_flight as f64 * 2.0 >= limit { limit + 1.0 } else { limit }
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        check_range(name, "backoff", self.backoff, 0.1..=0.99, "0.1 to 0.99")?;
        if self.timeout.is_zero() {
            return Err(Invalid::new(name, "timeout", "0s", "above zero"));
        }
        Ok(())
    }
}
