//! Netflix's second gradient.

use std::time::Duration;

use super::algorithm::{Algorithm, Sample, check_range};
use crate::{Invalid, Name, Outcome};

/// Follows the ratio of the latency in the long run to the latency now: Gradient2 of Netflix's
/// concurrency-limits, unchanged.
///
/// `limit × ratio + 4`, where the ratio is the average latency over some 600 samples by the latency
/// now, between a half and 1, smoothed by 0.2. Give it a [`Windowed`](super::Windowed) latency, as
/// its authors do.
///
/// Failures do not lower it. Under an overload that lasts, the average follows the latency and the
/// limit climbs without end ([pull request 134](https://github.com/Netflix/concurrency-limits/pull/134)):
/// set a maximum.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::adaptive::{Algorithm, Gradient2, Sample};
/// use plimsoll::clock;
///
/// let mut gradient = Gradient2::new();
/// let sample = |millis| Sample::new(clock::now(), Duration::from_millis(millis), 20);
/// assert!(gradient.update(20.0, &sample(10)) > 20.0);
/// assert!(gradient.update(20.0, &sample(40)) < 20.8); // grows less: the latency has risen
/// ```
#[derive(Clone, Debug)]
pub struct Gradient2 {
    smoothing: f64,
    queue: f64,
    long_window: u32,
    long: f64,
    seen: u32,
}

/// The first samples of the long average are averaged evenly.
const WARM_UP: u32 = 10;

impl Gradient2 {
    /// With the settings of Netflix's.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Gradient2, Sample}, clock};
    /// let steady = Sample::new(clock::now(), Duration::from_millis(10), 20);
    /// assert!((Gradient2::new().update(20.0, &steady) - 20.8).abs() < 1e-9); // a fifth of 4 more
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { smoothing: 0.2, queue: 4.0, long_window: 600, long: 0.0, seen: 0 }
    }

    /// Which share of a change is made at once: above 0, at most 1. Default 0.2.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Gradient2, Sample}, clock};
    /// let steady = Sample::new(clock::now(), Duration::from_millis(10), 20);
    /// assert!((Gradient2::new().smoothing(1.0).update(20.0, &steady) - 24.0).abs() < 1e-9); // all at once
    /// ```
    #[must_use]
    pub const fn smoothing(mut self, share: f64) -> Self {
        self.smoothing = share;
        self
    }

    /// How many calls it lets queue: 0 to 1,000,000. Default 4.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Algorithm, Gradient2, Sample}, clock};
    /// let steady = Sample::new(clock::now(), Duration::from_millis(10), 20);
    /// assert!((Gradient2::new().queue(10.0).update(20.0, &steady) - 22.0).abs() < 1e-9); // a fifth of 10 more
    /// ```
    #[must_use]
    pub const fn queue(mut self, calls: f64) -> Self {
        self.queue = calls;
        self
    }

    /// How many samples the long average spans: 1 to 1,000,000. Default 600.
    ///
    /// ```
    /// use plimsoll::{Name, adaptive::{Algorithm, Gradient2}};
    /// assert!(Gradient2::new().long_window(100).check(Name::UNNAMED).is_ok());
    /// assert_eq!(Gradient2::new().long_window(0).check(Name::UNNAMED).unwrap_err().field(), "long_window");
    /// ```
    #[must_use]
    pub const fn long_window(mut self, samples: u32) -> Self {
        self.long_window = samples;
        self
    }

    fn add(&mut self, latency: f64) {
        if self.seen < WARM_UP {
            self.seen += 1;
            self.long += (latency - self.long) / f64::from(self.seen);
        } else {
            self.long += (latency - self.long) * 2.0 / (f64::from(self.long_window) + 1.0);
        }
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Gradient2 {
    fn update(&mut self, limit: f64, sample: &Sample) -> f64 {
        if sample.outcome == Outcome::Ignored {
            return limit;
        }
        let latency = sample.seconds();
        self.add(latency);
        let ratio = self.long / latency;
        // The latency has come down after a long overload: help the average to come down too.
        if ratio > 2.0 {
            self.long *= 0.9;
        }
        if (sample.in_flight as f64) < limit / 2.0 {
            return limit;
        }
        let wanted = limit * ratio.clamp(0.5, 1.0) + self.queue;
        limit * (1.0 - self.smoothing) + wanted * self.smoothing
    }

    fn latency_base(&self) -> Option<Duration> {
        (self.seen > 0).then(|| Duration::from_secs_f64(self.long))
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        check_range(name, "smoothing", self.smoothing, 0.001..=1.0, "0.001 to 1")?;
        check_range(name, "queue", self.queue, 0.0..=1e6, "0 to 1,000,000")?;
        check_range(name, "long_window", f64::from(self.long_window), 1.0..=1e6, "1 to 1,000,000")
    }
}
