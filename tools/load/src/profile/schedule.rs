//! The arrivals of a profile, one after the other.

use std::time::Duration;

use super::Arrivals;
use super::segment::Segment;

/// One request that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The stage that it belongs to.
    pub stage: usize,
}

/// The arrivals of one worker, in order of time.
#[derive(Clone, Debug)]
pub struct Schedule {
    segments: Vec<Segment>,
    current: usize,
    // The level of the next arrival, in units of the whole profile.
    level: f64,
    workers: f64,
    random: Option<fastrand::Rng>,
}

impl Schedule {
    pub(super) fn new(
        segments: Vec<Segment>,
        arrivals: Arrivals,
        (worker, workers): (usize, usize),
        seed: u64,
    ) -> Self {
        let mut schedule =
            Self { segments, current: 0, level: worker as f64, workers: workers as f64, random: None };
        if arrivals == Arrivals::Poisson {
            // Far apart: neighbouring seeds of one generator must not look alike.
            let seed = seed.wrapping_add((worker as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            schedule.random = Some(fastrand::Rng::with_seed(seed));
            schedule.level = schedule.gap();
        }
        schedule
    }

    /// From one level to the next: a process of a `workers`-th of the rate is one in which each unit
    /// counts so many times.
    fn gap(&mut self) -> f64 {
        match &mut self.random {
            None => self.workers,
            // 1 - x is never 0, whose logarithm is no number.
            Some(random) => -(1.0 - random.f64()).ln() * self.workers,
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let mut segment = self.segments.get(self.current)?;
        // Pieces without arrivals end at the level where they begin, and are passed over.
        while self.level >= segment.level_end() {
            self.current += 1;
            segment = self.segments.get(self.current)?;
        }
        let at = Duration::from_secs_f64(segment.reaches(self.level));
        let stage = segment.stage;
        self.level += self.gap();
        Some(Arrival { at, stage })
    }
}
