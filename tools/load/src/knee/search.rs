//! Which step comes next: doubled until it bends, then in small steps around the bend.

use super::estimate::{Finding, NoBound, find};
use super::step::{Bend, Measured, Outcome, Step};

/// The steps around the bend, as shares of the last rate that was taken well.
const FINE: [f64; 9] = [0.5, 0.7, 0.85, 1.0, 1.2, 1.45, 1.7, 2.0, 2.4];
/// A search that has not ended by then does not end.
const STEPS_MAX: usize = 60;
/// So many steps that bent before the generator was the limit show where it bends.
const BENT_WELL: usize = 3;
/// While it recovers the target gets this share of what it took well.
const REST: f64 = 0.2;

/// What is searched for, and where.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Requests a second of the first step.
    pub from: f64,
    /// No step offers more.
    pub to: f64,
    /// How long a step takes.
    pub step_seconds: f64,
    /// Slower answers than this are beyond the bound, however many there are.
    pub p99_ms: f64,
}

/// What to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// This step.
    Step(Step),
    /// Nothing: this was found.
    Found(Box<Finding>),
}

/// The search; pure: told what became of each step, it says the next.
#[derive(Clone, Debug)]
pub struct Search {
    settings: Settings,
    stage: Stage,
    taken: Vec<(Measured, Outcome)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    /// Doubling; the rate that was last taken well.
    Climb {
        rate: f64,
        well: Option<f64>,
    },
    /// Recovering before the steps around this rate.
    Rest {
        well: f64,
    },
    /// The steps around this rate, from this one on.
    Fine {
        well: f64,
        step: usize,
    },
    Done,
}

impl Search {
    /// From the beginning.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, stage: Stage::Climb { rate: settings.from, well: None }, taken: Vec::new() }
    }

    /// The outcomes so far, those of rests left out.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.taken.iter().map(|(_, outcome)| outcome)
    }

    /// The step that is to be taken now.
    #[must_use]
    pub fn next(&self) -> Next {
        let step = |rate: f64, measured| {
            Next::Step(Step {
                // A step of which no request is due shows nothing.
                rate: rate.max(1.0 / self.settings.step_seconds).min(self.settings.to),
                seconds: self.settings.step_seconds,
                measured,
            })
        };
        match self.stage {
            Stage::Climb { rate, .. } => step(rate, Measured::Coarsely),
            Stage::Rest { well } => step((well * REST).max(1.0), Measured::Not),
            Stage::Fine { well, step: number } => step(well * FINE[number], Measured::Finely),
            Stage::Done => Next::Found(Box::new(self.finding())),
        }
    }

    /// What became of the step.
    pub fn record(&mut self, outcome: Outcome) {
        let limited = outcome.generator_limited;
        let bend = outcome.bend(self.settings.p99_ms);
        let measured = match self.stage {
            Stage::Climb { .. } => Measured::Coarsely,
            Stage::Fine { .. } => Measured::Finely,
            Stage::Rest { .. } | Stage::Done => Measured::Not,
        };
        let at_most = matches!(self.next(), Next::Step(step) if step.rate >= self.settings.to);
        if measured != Measured::Not {
            self.taken.push((measured, outcome));
        }
        // With the generator as the limit what is measured from here on is the generator.
        let ended = limited || self.taken.len() >= STEPS_MAX;
        self.stage = if ended { Stage::Done } else { self.after(bend, at_most) };
    }

    fn after(&self, bend: Option<Bend>, at_most: bool) -> Stage {
        match self.stage {
            Stage::Climb { rate, well } => match (bend, well) {
                (None, _) if at_most => Stage::Done,
                (None, _) => Stage::Climb { rate: rate * 2.0, well: Some(rate) },
                (Some(_), Some(well)) => Stage::Rest { well },
                // The first step is too much already: look below, while there is a below.
                (Some(_), None) if rate > 1.0 => Stage::Climb { rate: (rate / 8.0).max(0.5), well: None },
                (Some(_), None) => Stage::Done,
            },
            Stage::Rest { well } => Stage::Fine { well, step: 0 },
            Stage::Fine { well, step } if step + 1 < FINE.len() && !at_most => {
                Stage::Fine { well, step: step + 1 }
            }
            // The last of them was taken well: what bent before was an accident, climb on.
            Stage::Fine { well, step } if bend.is_none() && !at_most => {
                let rate = well * FINE[step];
                Stage::Climb { rate: rate * 1.5, well: Some(rate) }
            }
            Stage::Fine { .. } | Stage::Done => Stage::Done,
        }
    }

    fn finding(&self) -> Finding {
        let fine: Vec<Outcome> = self.of(Measured::Finely);
        let outcomes = if fine.is_empty() { self.of(Measured::Coarsely) } else { fine };
        let finding = find(&outcomes, self.settings.p99_ms);
        let Some((_, last)) = self.taken.last().filter(|(_, last)| last.generator_limited) else {
            return finding;
        };
        let bends =
            |outcome: &Outcome| !outcome.generator_limited && outcome.bend(self.settings.p99_ms).is_some();
        let bent = self.taken.iter().filter(|(_, outcome)| bends(outcome)).count();
        // Where it had bent well before, what is offered beyond that matters little.
        if bent >= BENT_WELL && finding.bound.is_ok() {
            return finding;
        }
        let at = last.offered;
        Finding::none(if last.lacks_connections {
            NoBound::Connections { at }
        } else {
            NoBound::Generator { at }
        })
    }

    /// The outcomes of a kind, but for those in which the generator was the limit.
    fn of(&self, kind: Measured) -> Vec<Outcome> {
        let of_kind =
            self.taken.iter().filter(|(measured, outcome)| *measured == kind && !outcome.generator_limited);
        of_kind.map(|(_, outcome)| outcome.clone()).collect()
    }
}
