//! What finds a limit: a state machine that is told how work went.

use std::fmt;
use std::time::Duration;

use crate::clock::Instant;
use crate::{Invalid, Name, Outcome};

/// How one piece of admitted work went.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{Outcome, adaptive::Sample, clock};
/// let sample = Sample::new(clock::now(), Duration::from_millis(12), 7);
/// assert_eq!((sample.latency.as_millis(), sample.in_flight, sample.outcome), (12, 7, Outcome::Success));
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// When it ended. Samples may come a little out of order: an earlier instant than the last one
    /// is taken as no time at all.
    pub now: Instant,
    /// How long it took, from admission to its end; waiting for admission is not part of it.
    pub latency: Duration,
    /// How much was in flight when it was admitted, itself included.
    pub in_flight: u64,
    /// How it ended. A [`Failure`](Outcome::Failure) is what the peers call a drop: a time-out, or a
    /// refusal by the other side.
    pub outcome: Outcome,
}

impl Sample {
    /// Work that succeeded.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::Outcome;
    /// use plimsoll::adaptive::Sample;
    /// use plimsoll::clock;
    /// let sample = Sample::new(clock::now(), Duration::from_millis(12), 7);
    /// assert_eq!(sample.outcome, Outcome::Success);
    /// ```
    #[must_use]
    pub const fn new(now: Instant, latency: Duration, in_flight: u64) -> Self {
        Self { now, latency, in_flight, outcome: Outcome::Success }
    }

    /// The same, with another outcome.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, adaptive::Sample, clock};
    /// let sample = Sample::new(clock::now(), Duration::from_millis(12), 7);
    /// let timed_out = sample.with_outcome(Outcome::Failure);
    /// assert_eq!((timed_out.outcome, timed_out.latency), (Outcome::Failure, sample.latency));
    /// ```
    #[must_use]
    pub const fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// In seconds; never zero, so that it can be divided by.
    pub(super) fn seconds(&self) -> f64 {
        self.latency.as_secs_f64().max(1e-9)
    }
}

/// Finds a limit: a pure state machine that is told how each piece of work went, and answers with
/// the limit from then on.
///
/// [`Aimd`](super::Aimd), [`Vegas`](super::Vegas), [`Gradient2`](super::Gradient2) and
/// [`Knee`](super::Knee) are such; so is [`Windowed`](super::Windowed) over any of them. The
/// [`Adaptive`](super::Adaptive) limiter keeps the limit, holds it within its range and enforces its
/// whole part.
///
/// ```
/// use plimsoll::adaptive::{Adaptive, Algorithm, Sample};
///
/// /// Trusts what it was told.
/// #[derive(Debug)]
/// struct Fixed;
///
/// impl Algorithm for Fixed {
///     fn update(&mut self, limit: f64, _sample: &Sample) -> f64 {
///         limit
///     }
/// }
/// let adaptive = Adaptive::builder("algorithm-doc").algorithm(Fixed).initial(7).build()?;
/// assert_eq!(adaptive.limit(), 7);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
pub trait Algorithm: fmt::Debug + Send + 'static {
    /// The limit from now on, given the one in force.
    ///
    /// The limiter calls it under a lock that nobody waits for (who finds it taken lets the sample
    /// go): it should be short, and must not block. What is not a number changes nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Aimd, Algorithm, Sample}, clock};
    /// let mut aimd = Aimd::new();
    /// let in_flight = |calls| Sample::new(clock::now(), Duration::from_millis(5), calls);
    /// assert_eq!(aimd.update(20.0, &in_flight(20)), 21.0);
    /// assert_eq!(aimd.update(20.0, &in_flight(3)), 20.0); // the caller is the limit
    /// ```
    fn update(&mut self, limit: f64, sample: &Sample) -> f64;

    /// What it takes for the latency without a queue, if it knows.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{adaptive::{Aimd, Algorithm, Sample, Vegas}, clock};
    /// let mut vegas = Vegas::new();
    /// vegas.update(20.0, &Sample::new(clock::now(), Duration::from_millis(5), 20));
    /// assert_eq!(vegas.latency_base(), Some(Duration::from_millis(5)));
    /// assert_eq!(Aimd::new().latency_base(), None); // it looks at failures alone
    /// ```
    fn latency_base(&self) -> Option<Duration> {
        None
    }

    /// Checks its settings, for a limiter of that name.
    ///
    /// # Errors
    /// When one of them is out of its range.
    ///
    /// ```
    /// use plimsoll::{Name, adaptive::{Aimd, Algorithm}};
    /// assert!(Aimd::new().check(Name::UNNAMED).is_ok());
    /// assert_eq!(Aimd::new().backoff(1.5).check(Name::UNNAMED).unwrap_err().field(), "backoff");
    /// ```
    fn check(&self, name: Name) -> Result<(), Invalid> {
        let _ = name;
        Ok(())
    }
}

/// Refuses a setting that is not in a range.
pub(super) fn check_range(
    name: Name,
    field: &'static str,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    allowed: &'static str,
) -> Result<(), Invalid> {
    if range.contains(&value) { Ok(()) } else { Err(Invalid::new(name, field, value, allowed)) }
}
