//! TCP Vegas, for calls.

use std::time::Duration;

use super::algorithm::{Algorithm, Sample, check_range};
use crate::{Invalid, Name, Outcome};

/// Keeps a few calls queued at the other side: TCP Vegas (Brakmo and Peterson 1995), with the
/// settings and the scale of Netflix's concurrency-limits.
///
/// What is queued is estimated as `limit × (1 − shortest latency / latency)`. Below `3 log₁₀ limit`
/// the limit grows, above `6 log₁₀ limit` it shrinks. The shortest latency is forgotten every 15 to
/// 30 times the limit samples, and taken from whatever comes next.
///
/// It trusts single samples, and the shortest of them: where latencies vary by themselves it takes
/// the variation for a queue.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::adaptive::{Algorithm, Sample, Vegas};
/// use plimsoll::clock;
///
/// let mut vegas = Vegas::new();
/// let sample = |millis| Sample::new(clock::now(), Duration::from_millis(millis), 20);
/// vegas.update(20.0, &sample(10)); // the shortest so far
/// assert!(vegas.update(20.0, &sample(10)) > 20.0);
/// assert!(vegas.update(20.0, &sample(40)) < 20.0); // 15 of 20 must be queued
/// ```
#[derive(Clone, Debug)]
pub struct Vegas {
    smoothing: f64,
    probe_multiplier: f64,
    shortest: Option<f64>,
    since_probe: u64,
    jitter: f64,
    random: fastrand::Rng,
}

impl Vegas {
    /// With the settings of Netflix's: no smoothing, a probe every 30 times the limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Sample, Vegas}, clock};
    /// let mut vegas = Vegas::new();
    /// let steady = Sample::new(clock::now(), Duration::from_millis(10), 20);
    /// assert_eq!(vegas.update(20.0, &steady), 20.0); // the shortest so far, to compare with
    /// assert_eq!(vegas.update(20.0, &steady), 26.0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            smoothing: 1.0,
            probe_multiplier: 30.0,
            shortest: None,
            since_probe: 0,
            jitter: 1.0,
            random: fastrand::Rng::with_seed(30),
        }
    }

    /// Which share of a change is made at once: above 0, at most 1. Default 1.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Sample, Vegas}, clock};
    /// let mut vegas = Vegas::new().smoothing(0.5);
    /// let steady = Sample::new(clock::now(), Duration::from_millis(10), 20);
    /// vegas.update(20.0, &steady);
    /// assert_eq!(vegas.update(20.0, &steady), 23.0); // half of the way to 26
    /// ```
    #[must_use]
    pub const fn smoothing(mut self, share: f64) -> Self {
        self.smoothing = share;
        self
    }

    /// After how many samples, in multiples of the limit, the shortest latency is forgotten; between
    /// a half and all of that, by chance: 1 to 1,000,000. Default 30.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Sample, Vegas}, clock};
    /// let mut vegas = Vegas::new().probe_multiplier(1.0);
    /// let took = |millis| Sample::new(clock::now(), Duration::from_millis(millis), 2);
    /// vegas.update(2.0, &took(5));
    /// vegas.update(2.0, &took(10)); // the second sample at a limit of two: 5 ms are forgotten
    /// assert_eq!(vegas.latency_base(), Some(Duration::from_millis(10)));
    /// ```
    #[must_use]
    pub const fn probe_multiplier(mut self, times: f64) -> Self {
        self.probe_multiplier = times;
        self
    }

    fn wanted(limit: f64, queued: f64, sample: &Sample) -> f64 {
        let scale = limit.log10().floor().max(1.0);
        if sample.outcome == Outcome::Failure {
            limit - scale
        } else if (sample.in_flight as f64) * 2.0 < limit {
            limit
        } else if queued <= scale {
            limit + 6.0 * scale
        } else if queued < 3.0 * scale {
            limit + scale
        } else if queued > 6.0 * scale {
            limit - scale
        } else {
            limit
        }
    }
}

impl Default for Vegas {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Vegas {
    fn update(&mut self, limit: f64, sample: &Sample) -> f64 {
        if sample.outcome == Outcome::Ignored {
            return limit;
        }
        let latency = sample.seconds();
        self.since_probe += 1;
        if self.since_probe as f64 >= self.jitter * self.probe_multiplier * limit {
            self.jitter = 0.5 + self.random.f64() / 2.0;
            self.since_probe = 0;
            self.shortest = Some(latency);
            return limit;
        }
        let Some(shortest) = self.shortest.filter(|shortest| latency >= *shortest) else {
            self.shortest = Some(latency);
            return limit;
        };
        let queued = (limit * (1.0 - shortest / latency)).ceil();
        let wanted = Self::wanted(limit, queued, sample).max(1.0);
        (1.0 - self.smoothing) * limit + self.smoothing * wanted
    }

    fn latency_base(&self) -> Option<Duration> {
        self.shortest.map(Duration::from_secs_f64)
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        check_range(name, "smoothing", self.smoothing, 0.001..=1.0, "0.001 to 1")?;
        check_range(name, "probe_multiplier", self.probe_multiplier, 1.0..=1e6, "1 to 1,000,000")
    }
}
