//! What a load looks like over time.

use std::time::Duration;

use super::Schedule;
use super::segment::{Flow, Segment};
use crate::Error;

/// The highest rate that can be asked for, in requests a second.
const RATE_MAX: f64 = 1_000_000.0;
/// The longest profile.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The most stages of a profile, and the most steps of one.
const STAGES_MAX: usize = 1_000;
/// The most requests at one instant.
const BURST_MAX: u32 = 100_000;

/// The load of one stage. Rates are requests a second.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Shape {
    /// The same rate all the time; over hours, a soak.
    Steady {
        /// Requests a second.
        rate: f64,
    },
    /// A rate that changes evenly from the first moment to the last.
    Ramp {
        /// The rate at the beginning.
        from: f64,
        /// The rate at the end.
        to: f64,
    },
    /// Steady pieces of equal length, the first at `from`, the last at `to`.
    Step {
        /// The rate of the first step.
        from: f64,
        /// The rate of the last step.
        to: f64,
        /// How many there are: 2 to 1,000.
        steps: u32,
    },
    /// A steady rate that for a while is so many times as high.
    Spike {
        /// The rate before and after.
        base: f64,
        /// How many times as high it is in between.
        times: f64,
        /// When it begins.
        begins: Duration,
        /// How long it lasts.
        lasts: Duration,
    },
    /// So many requests at the same instant, the first at once, and nothing in between.
    Burst {
        /// How many: 1 to 100,000.
        size: u32,
        /// From one instant to the next: at least a millisecond.
        every: Duration,
    },
}

/// A part of a profile whose results stand by themselves.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Stage {
    /// What the report calls it.
    pub name: String,
    /// Its load.
    #[serde(flatten)]
    pub shape: Shape,
    /// How long it is.
    pub length: Duration,
}

/// How the arrivals of a rate are spread.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// One after the other at even distances: the gentlest load of its rate.
    Constant,
    /// As independent callers come: at random, some close together. What real traffic looks like,
    /// and what queueing theory speaks of.
    #[default]
    Poisson,
}

/// Rates over time: stages, one after the other.
///
/// ```
/// use std::time::Duration;
/// use plimsoll_load::profile::{Arrivals, Profile, Shape, Stage};
/// let spike = Shape::Spike {
///     base: 100.0, times: 10.0, begins: Duration::from_secs(10), lasts: Duration::from_secs(5),
/// };
/// let stage = Stage { name: "spike".into(), shape: spike, length: Duration::from_secs(30) };
/// let profile = Profile::new(vec![stage], Arrivals::Constant)?;
/// assert_eq!(profile.rate_at(Duration::from_secs(12)), 1_000.0);
/// assert_eq!(profile.expected(Duration::from_secs(30)), 25.0 * 100.0 + 5.0 * 1_000.0);
/// # Ok::<(), plimsoll_load::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    stages: Vec<Stage>,
    arrivals: Arrivals,
    segments: Vec<Segment>,
}

impl Profile {
    /// A profile of these stages.
    ///
    /// # Errors
    /// A rate that is not 0 to 1,000,000 a second, no stage or more than 1,000, a length of zero or
    /// of more than 24 hours in all, a spike that does not lie within its stage, bursts of none or
    /// more than 100,000 or less than a millisecond apart, or no request at all.
    pub fn new(stages: Vec<Stage>, arrivals: Arrivals) -> Result<Self, Error> {
        if stages.is_empty() || stages.len() > STAGES_MAX {
            return Err(Error::invalid("stages", stages.len(), "1 to 1,000"));
        }
        let mut segments: Vec<Segment> = Vec::with_capacity(stages.len());
        let mut ends = Duration::ZERO;
        for (number, stage) in stages.iter().enumerate() {
            let begins = ends;
            ends = ends.saturating_add(stage.length);
            if stage.length.is_zero() || ends > LENGTH_MAX {
                let field = format!("length of stage {}", stage.name);
                let value = format!("{:?}", stage.length);
                return Err(Error::invalid(field, value, "more than 0, all stages together at most 24 h"));
            }
            for (at, length, flow) in stage.pieces()? {
                let level = segments.last().map_or(0.0, Segment::level_end);
                let begins = begins.as_secs_f64() + at;
                segments.push(Segment { stage: number, begins, length, level, flow });
            }
        }
        let profile = Self { stages, arrivals, segments };
        match profile.expected(ends) {
            count if count < 1.0 => {
                Err(Error::invalid("rate", count, "one that makes at least one request in the whole length"))
            }
            _ => Ok(profile),
        }
    }

    /// A profile of one steady stage with evenly spread arrivals.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn steady(rate: f64, length: Duration) -> Result<Self, Error> {
        let stage = Stage { name: "steady".into(), shape: Shape::Steady { rate }, length };
        Self::new(vec![stage], Arrivals::Constant)
    }

    /// The stages, in order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// How arrivals are spread.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        self.arrivals
    }

    /// How long all stages take.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.length).sum()
    }

    /// Which stage is at work then; the last one after the end.
    #[must_use]
    pub fn stage_at(&self, at: Duration) -> usize {
        self.segment_at(at).stage
    }

    /// The rate at that moment, in requests a second; of bursts, on average; 0 after the end.
    #[must_use]
    pub fn rate_at(&self, at: Duration) -> f64 {
        let segment = self.segment_at(at);
        let seconds = at.as_secs_f64() - segment.begins;
        if seconds < segment.length { segment.rate(seconds) } else { 0.0 }
    }

    /// The highest rate there is.
    #[must_use]
    pub fn rate_max(&self) -> f64 {
        self.segments
            .iter()
            .flat_map(|segment| [segment.rate(0.0), segment.rate(segment.length)])
            .fold(0.0, f64::max)
    }

    /// How many requests are due before that moment: the integral of the rate.
    #[must_use]
    pub fn expected(&self, until: Duration) -> f64 {
        let segment = self.segment_at(until);
        segment.level + segment.within(until.as_secs_f64() - segment.begins)
    }

    /// The arrivals that fall to one of so many workers. Those of all workers together are the
    /// profile's, in whatever order they run.
    ///
    /// # Panics
    /// If `worker` is not less than `workers`.
    #[must_use]
    pub fn schedule(&self, worker: usize, workers: usize, seed: u64) -> Schedule {
        assert!(worker < workers, "worker {worker} of {workers}");
        Schedule::new(self.segments.clone(), self.arrivals, (worker, workers), seed)
    }

    fn segment_at(&self, at: Duration) -> &Segment {
        let at = at.as_secs_f64();
        let after = self.segments.partition_point(|segment| segment.begins <= at);
        &self.segments[after.max(1) - 1]
    }
}

impl Stage {
    /// Its pieces: when each begins within the stage and how long it is, in seconds, and its flow.
    fn pieces(&self) -> Result<Vec<(f64, f64, Flow)>, Error> {
        let length = self.length.as_secs_f64();
        let field = |what: &str| format!("{what} of stage {}", self.name);
        let rate = |what: &str, rate: f64| {
            if (0.0..=RATE_MAX).contains(&rate) {
                return Ok(rate);
            }
            Err(Error::invalid(field(what), rate, "0 to 1,000,000 requests a second"))
        };
        let steady = |rate| Flow::Line { from: rate, to: rate };
        Ok(match self.shape {
            Shape::Steady { rate: at } => vec![(0.0, length, steady(rate("rate", at)?))],
            Shape::Ramp { from, to } => {
                vec![(0.0, length, Flow::Line { from: rate("from", from)?, to: rate("to", to)? })]
            }
            Shape::Step { from, to, steps } => {
                let (from, to) = (rate("from", from)?, rate("to", to)?);
                if !(2..=STAGES_MAX as u32).contains(&steps) {
                    return Err(Error::invalid(field("steps"), steps, "2 to 1,000"));
                }
                let each = length / f64::from(steps);
                let rise = (to - from) / f64::from(steps - 1);
                let step = |number: u32| {
                    let number = f64::from(number);
                    (number * each, each, steady(from + number * rise))
                };
                (0..steps).map(step).collect()
            }
            Shape::Spike { base, times, begins, lasts } => {
                let (base, high) = (rate("base", base)?, rate("base times its factor", base * times)?);
                if begins.saturating_add(lasts) > self.length {
                    let value = format!("{begins:?} to {:?}", begins.saturating_add(lasts));
                    let allowed = format!("within the stage's {:?}", self.length);
                    return Err(Error::invalid(field("spike"), value, allowed));
                }
                let (begins, lasts) = (begins.as_secs_f64(), lasts.as_secs_f64());
                let rest = length - begins - lasts;
                let pieces = [(0.0, begins, base), (begins, lasts, high), (begins + lasts, rest, base)];
                let pieces = pieces.into_iter().filter(|(_, length, _)| *length > 0.0);
                pieces.map(|(at, length, rate)| (at, length, steady(rate))).collect()
            }
            Shape::Burst { size, every } => {
                if !(1..=BURST_MAX).contains(&size) {
                    return Err(Error::invalid(field("size"), size, "1 to 100,000 requests at once"));
                }
                if every < Duration::from_millis(1) {
                    return Err(Error::invalid(field("every"), format!("{every:?}"), "1 ms or more"));
                }
                let every = every.as_secs_f64();
                vec![(0.0, length, Flow::Bursts { size: f64::from(size), every })]
            }
        })
    }
}
