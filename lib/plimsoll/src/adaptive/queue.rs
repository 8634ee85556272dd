//! How much of what is in flight is queued.

use super::window::Window;

/// Between these many roots of what is served, the queue is left alone.
///
/// The root is how far the number that a service of independent calls works on strays by itself: it is
/// the square-root staffing rule (Halfin and Whitt 1981).
const ALLOWED: (f64, f64) = (0.7, 1.6);

/// A number in flight, and the latency that goes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) in_flight: f64,
    pub(super) log_mean: f64,
    pub(super) error: f64,
    /// In seconds.
    pub(super) mean: f64,
}

impl Level {
    pub(super) fn of(window: &Window, variance: f64) -> Self {
        Self {
            in_flight: window.in_flight(),
            log_mean: window.log_mean(),
            error: window.error(variance),
            mean: window.latency_mean(),
        }
    }

    /// The base, if it is not above what was seen, give or take twice its error.
    pub(super) fn lowest(&self, base: f64) -> f64 {
        base.min(self.log_mean + 2.0 * self.error)
    }
}

/// How much is queued at the other side, of what is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) likely: f64,
    /// What it is for certain, as far as the error of the average goes.
    pub(super) at_least: f64,
    pub(super) allowed: f64,
    /// What should be in flight.
    pub(super) target: f64,
}

impl Queue {
    /// With the latency that there is without a queue: its logarithm, and its plain average in seconds.
    pub(super) fn estimate(level: Level, base: f64, base_mean: f64) -> Self {
        let Level { in_flight, log_mean, error, mean } = level;
        let inflation = (log_mean - base).max(0.0);
        let busy = in_flight * (-inflation).exp();
        // A queue adds as much to short calls as to long ones, which moves the average of the logarithms
        // by more than its share: the plain average, though less certain, is nearer the mark.
        let by_mean = in_flight * (base_mean / mean).min(1.0);
        let allowed = busy.max(1.0).sqrt();
        Self {
            likely: in_flight - busy,
            at_least: in_flight * (1.0 - (-(inflation - 2.0 * error).max(0.0)).exp()),
            allowed,
            target: (by_mean.max(busy) + allowed).min((0.95 * in_flight).max(busy + allowed)),
        }
    }
}

impl Queue {
    /// Nothing stands against more.
    pub(super) fn is_short(&self) -> bool {
        self.likely < ALLOWED.0 * self.allowed
    }

    /// It is more than should be, for all that is known.
    pub(super) fn is_long(&self) -> bool {
        self.at_least > ALLOWED.1 * self.allowed
    }

    /// It is no more than it should be, most likely.
    pub(super) fn is_fair(&self) -> bool {
        self.likely <= ALLOWED.1 * self.allowed
    }
}
