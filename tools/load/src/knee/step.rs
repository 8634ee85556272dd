//! One step of the ramp: what was offered, and what became of it.

use serde::{Deserialize, Serialize};

/// Goodput below this share of what was offered is lagging behind it.
pub(super) const FOLLOWS_RATIO: f64 = 0.95;
/// So many requests must be missing besides: a few are always under way when a window ends.
const LAG_MIN: f64 = 8.0;
/// More refusals than this share are the target's own limit.
const REFUSED_RATIO: f64 = 0.01;
/// More failures than this share are the target falling over.
const FAILED_RATIO: f64 = 0.01;

/// A step to take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// Requests a second.
    pub rate: f64,
    /// For so long.
    pub seconds: f64,
    /// Whether it is measured; one that is not lets the target recover.
    pub measured: Measured,
}

/// What a step is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// To find where it bends.
    Coarsely,
    /// To know it well.
    Finely,
    /// To let it recover.
    Not,
}

/// What became of a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests a second that were due in the same windows: at random, not just as many as were meant.
    pub offered: f64,
    /// Successes a second in each window of the step.
    pub goodput: Vec<f64>,
    /// The share that was refused.
    pub refused_ratio: f64,
    /// The share that failed, or was never answered.
    pub failed_ratio: f64,
    /// Whether the generator, not the target, was the limit.
    pub generator_limited: bool,
    /// Whether it was for want of connections, of which the generator had as many as it may.
    #[serde(default)]
    pub lacks_connections: bool,
    /// Mean time of what succeeded, in milliseconds.
    pub mean_ms: f64,
    /// The time within which 99 of 100 of them were.
    pub p99_ms: f64,
}

/// Why a step is beyond the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bend {
    /// The target refuses: its own limit.
    Refuses,
    /// Requests fail or are not answered.
    Fails,
    /// Successes do not keep up with what is offered.
    Lags,
    /// The answers take longer than allowed.
    Slow,
}

impl Outcome {
    /// Successes a second over the step.
    #[must_use]
    pub fn goodput_mean(&self) -> f64 {
        if self.goodput.is_empty() {
            return 0.0;
        }
        self.goodput.iter().sum::<f64>() / self.goodput.len() as f64
    }

    fn lags(&self) -> bool {
        let missing = (self.offered - self.goodput_mean()) * self.goodput.len() as f64;
        missing > LAG_MIN && self.goodput_mean() < FOLLOWS_RATIO * self.offered
    }

    /// Why it is beyond the bound, if it is.
    #[must_use]
    pub fn bend(&self, p99_ms_max: f64) -> Option<Bend> {
        if self.refused_ratio > REFUSED_RATIO {
            Some(Bend::Refuses)
        } else if self.failed_ratio > FAILED_RATIO {
            Some(Bend::Fails)
        } else if self.lags() {
            Some(Bend::Lags)
        } else if self.p99_ms > p99_ms_max {
            Some(Bend::Slow)
        } else {
            None
        }
    }
}

impl Bend {
    /// In the third person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refuses => "refuses the rest",
            Self::Fails => "fails or does not answer the rest",
            Self::Lags => "falls behind",
            Self::Slow => "is slower than allowed",
        }
    }
}
