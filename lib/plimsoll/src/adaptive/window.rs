//! What a run of samples says, in a few sums.

use super::algorithm::Sample;
use crate::Outcome;
use crate::clock::Instant;

/// How many times the error of a number of failures (its root) it has to be above what is expected.
const FAILURES_ERROR: f64 = 2.5;

/// Sums over the samples since it was emptied.
///
/// Latencies are averaged as logarithms: what is wanted is by which factor they have risen, a few
/// that take a hundred times as long as the rest must not decide it, and the error of the average is
/// then known from the same sums.
#[derive(Clone, Debug)]
pub(super) struct Window {
    began: Option<Instant>,
    last: Instant,
    successes: u64,
    failures: u64,
    logs: f64,
    squares: f64,
    seconds: f64,
    in_flight: f64,
    peak: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Window {
    pub(super) const EMPTY: Self = Self {
        began: None,
        last: Instant::from_nanos(0),
        successes: 0,
        failures: 0,
        logs: 0.0,
        squares: 0.0,
        seconds: 0.0,
        in_flight: 0.0,
        peak: 0,
    };

    pub(super) fn add(&mut self, sample: &Sample) {
        self.began.get_or_insert(sample.now);
        self.last = self.last.max(sample.now);
        self.peak = self.peak.max(sample.in_flight);
        self.in_flight += sample.in_flight as f64;
        if sample.outcome == Outcome::Failure {
            self.failures += 1;
            return;
        }
        let (seconds, log) = (sample.seconds(), sample.seconds().ln());
        self.successes += 1;
        self.seconds += seconds;
        self.logs += log;
        self.squares += log * log;
    }

    /// Adds what another has seen after it.
    pub(super) fn append(&mut self, later: &Self) {
        self.began = self.began.or(later.began);
        self.last = self.last.max(later.last);
        self.successes += later.successes;
        self.failures += later.failures;
        self.logs += later.logs;
        self.squares += later.squares;
        self.seconds += later.seconds;
        self.in_flight += later.in_flight;
        self.peak = self.peak.max(later.peak);
    }

    pub(super) const fn count(&self) -> u64 {
        self.successes + self.failures
    }

    /// The average of the logarithms of the latencies in seconds.
    pub(super) fn log_mean(&self) -> f64 {
        self.logs / (self.successes as f64).max(1.0)
    }

    /// How much the logarithms vary.
    pub(super) fn variance(&self) -> f64 {
        let mean = self.log_mean();
        (self.squares / (self.successes as f64).max(1.0) - mean * mean).max(0.0)
    }

    /// The error of the average, were it one of many such windows, of which they say how much the
    /// logarithms vary at least.
    pub(super) fn error(&self, variance: f64) -> f64 {
        (self.variance().max(variance) / (self.successes as f64 - 1.0).max(1.0)).sqrt()
    }

    pub(super) fn latency_mean(&self) -> f64 {
        self.seconds / (self.successes as f64).max(1.0)
    }

    /// How much was in flight, on average, when work was admitted.
    pub(super) fn in_flight(&self) -> f64 {
        (self.in_flight / (self.count() as f64).max(1.0)).max(1.0)
    }

    pub(super) const fn peak(&self) -> u64 {
        self.peak
    }

    pub(super) fn failure_ratio(&self) -> f64 {
        self.failures as f64 / (self.count() as f64).max(1.0)
    }

    /// More than this share fail, for all that is known: a failure or two among a few say nothing.
    pub(super) fn fails_more_than(&self, share: f64) -> bool {
        let expected = share * self.count() as f64;
        self.failures as f64 > expected + FAILURES_ERROR * expected.sqrt()
    }

    /// How long it spans, in seconds.
    pub(super) fn span(&self) -> f64 {
        self.began.map_or(0.0, |began| self.last.since(began).as_secs_f64())
    }

    /// How many successes were in flight, by Little's law: as many more than on average as were at most.
    pub(super) fn served(&self) -> f64 {
        let span = self.span();
        if span > 0.0 { self.seconds / span * (self.peak as f64 / self.in_flight()).max(1.0) } else { 0.0 }
    }
}
