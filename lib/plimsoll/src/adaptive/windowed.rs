//! One sample for each window of time.

use std::time::Duration;

use super::algorithm::{Algorithm, Sample};
use crate::clock::Instant;
use crate::{Invalid, Name, Outcome};

/// Fewer samples than this are not passed on.
const SAMPLES_MIN: u32 = 10;

/// Passes on one sample for each window of time: the average latency, the most in flight, a failure
/// if there was one. As `WindowedLimit` of Netflix's concurrency-limits.
///
/// [`Knee`](super::Knee) needs none, it keeps windows of its own.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::adaptive::{Adaptive, Gradient2, Windowed};
/// let gradient = Windowed::new(Gradient2::new(), Duration::from_millis(500));
/// let adaptive = Adaptive::builder("windowed-doc").algorithm(gradient).build()?;
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windowed<A> {
    inner: A,
    span: Duration,
    began: Option<Instant>,
    count: u32,
    latencies: f64,
    in_flight: u64,
    failed: Outcome,
}

impl<A: Algorithm> Windowed<A> {
    /// Over windows of that length: 1 ms to an hour. Netflix's default is a second.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Aimd, Algorithm, Sample, Windowed}, clock};
    /// let mut windowed = Windowed::new(Aimd::new(), Duration::from_millis(100));
    /// let began = clock::now();
    /// let limit = (0..=10).fold(20.0, |limit, step| {
    ///     let now = began.after(Duration::from_millis(10 * step));
    ///     windowed.update(limit, &Sample::new(now, Duration::from_millis(5), 20))
    /// });
    /// assert_eq!(limit, 21.0); // eleven samples, one step
    /// ```
    #[must_use]
    pub const fn new(inner: A, span: Duration) -> Self {
        Self { inner, span, began: None, count: 0, latencies: 0.0, in_flight: 0, failed: Outcome::Success }
    }
}

impl<A: Algorithm> Algorithm for Windowed<A> {
    fn update(&mut self, limit: f64, sample: &Sample) -> f64 {
        if sample.outcome == Outcome::Ignored {
            return limit;
        }
        let began = *self.began.get_or_insert(sample.now);
        self.count = self.count.saturating_add(1);
        self.latencies += sample.seconds();
        self.in_flight = self.in_flight.max(sample.in_flight);
        if sample.outcome == Outcome::Failure {
            self.failed = Outcome::Failure;
        }
        if sample.now.since(began) < self.span {
            return limit;
        }
        let whole = Sample {
            latency: Duration::try_from_secs_f64(self.latencies / f64::from(self.count))
                .unwrap_or(sample.latency),
            in_flight: self.in_flight,
            outcome: self.failed,
            now: sample.now,
        };
        let enough = self.count >= SAMPLES_MIN;
        self.began = Some(sample.now);
        (self.count, self.latencies, self.in_flight, self.failed) = (0, 0.0, 0, Outcome::Success);
        if enough { self.inner.update(limit, &whole) } else { limit }
    }

    fn latency_base(&self) -> Option<Duration> {
        self.inner.latency_base()
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        if !(Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(&self.span) {
            return Err(Invalid::new(name, "span", format_args!("{:?}", self.span), "1 ms to an hour"));
        }
        self.inner.check(name)
    }
}
