//! The judge: told what is seen, second by second, it decides what had to hold.
//!
//! # Invariants
//! - It knows neither the network nor the clock: the same evidence gives the same verdict.
//! - Nothing that could not be checked is held.

use std::time::Duration;

use super::assertion::{Assertion, State, Verdict};
use super::evidence::{Known, Phase, Recovery, When};
use super::terms::Terms;
use super::verdicts::{self, Found, Progress, Quiet};
use crate::run::{Run, Second, Snapshot};
use crate::vitals::Vitals;

/// Answers to what was due at the end of a phase are waited for so long before it is judged.
const GRACE: Duration = Duration::from_secs(1);
/// In the last phase it is looked at for at least so long.
const LOOK: Duration = Duration::from_secs(3);

/// Decides, from what it is told.
#[derive(Clone, Debug)]
pub struct Judge {
    terms: Terms,
    assertions: Vec<Assertion>,
    phases: Vec<Phase>,
    known: Known,
    recovery: Recovery,
    quiet: Option<Quiet>,
    elapsed: Duration,
    ended: Ended,
}

/// How far the whole run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The load goes on.
    No,
    /// It has ended, and what is left of it at the target is looked at.
    Load,
    /// Nothing more is seen.
    All,
}

/// What the run should do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Go on.
    GoOn,
    /// End: what was to be seen has been seen.
    Enough,
}

impl Judge {
    /// Asks for these terms; of tenants too where they are of different weights.
    #[must_use]
    pub fn new(terms: Terms, tenants: Tenancy) -> Self {
        Self {
            terms,
            assertions: verdicts::all(&terms, tenants == Tenancy::Weighted),
            phases: vec![Phase::default(); 3],
            known: Known::default(),
            recovery: Recovery::default(),
            quiet: None,
            elapsed: Duration::ZERO,
            ended: Ended::No,
        }
    }

    /// What was asserted, in the order of the phases, and how it stands.
    #[must_use]
    pub fn assertions(&self) -> &[Assertion] {
        &self.assertions
    }

    /// A second of the run.
    pub fn see(&mut self, snapshot: &Snapshot) -> Then {
        self.elapsed = snapshot.elapsed;
        for (phase, summary) in self.phases.iter_mut().zip(&snapshot.stages) {
            *phase = Phase::of_summary(summary);
        }
        self.see_recovery(&snapshot.second);
        self.decide();
        let begins = self.begins(2);
        if self.recovery.back_after.is_some() && self.elapsed >= begins + LOOK {
            Then::Enough
        } else {
            Then::GoOn
        }
    }

    /// The target's own numbers.
    pub fn read(&mut self, when: When, vitals: Vitals) {
        self.known.read(when, vitals);
        if when != When::After {
            self.decide();
        }
    }

    /// The load has ended; this is all that became of it. The quietest tenants are those that are told.
    pub fn load_ended(&mut self, run: &Run, quiet: Option<Quiet>) {
        self.phases = Phase::of_run(run);
        self.phases.resize(3, Phase::default());
        // Whoever looked once a second may have missed one.
        self.recovery = Recovery::default();
        for second in &run.seconds {
            self.see_recovery(second);
        }
        self.quiet = quiet;
        self.elapsed = run.took;
        self.ended = Ended::Load;
        self.decide();
    }

    /// What is left at the target so long after the load; enough when nothing is, or when the time for
    /// it is over.
    pub fn settle(&mut self, vitals: Option<Vitals>, since: Duration) -> Then {
        let clean = vitals.is_some_and(|vitals| {
            self.known.read(When::After, vitals);
            self.residue(Progress::Over).iter().all(|(_, (state, _))| *state != State::Broken)
        });
        if clean || since >= verdicts::settle_time(&self.terms) { Then::Enough } else { Then::GoOn }
    }

    /// Nothing more is seen: what is open is decided.
    pub fn end(&mut self) {
        self.ended = Ended::All;
        self.decide();
    }

    /// What is to be said; `None` while something is open.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        if self.ended != Ended::All {
            return None;
        }
        let any = |state| self.assertions.iter().any(|assertion| assertion.state == state);
        Some(if any(State::Broken) {
            Verdict::Broken
        } else if any(State::Open) {
            Verdict::NotJudged
        } else {
            Verdict::Held
        })
    }

    fn see_recovery(&mut self, second: &Second) {
        if second.stage == 2 && second.ends > self.begins(2) {
            self.recovery.see(second, self.begins(2), verdicts::back_ms(&self.phases[0]));
        }
    }

    fn begins(&self, phase: usize) -> Duration {
        self.terms.lengths()[..phase].iter().sum()
    }

    /// How far a phase is.
    fn progress(&self, phase: usize) -> Progress {
        if self.ended != Ended::No {
            // A run that was stopped in a phase has not shown what would have come of it.
            let reached =
                self.elapsed > self.begins(phase + 1) || phase == 2 && self.recovery.back_after.is_some();
            let full = self.elapsed + GRACE >= self.begins(phase + 1);
            return if reached || full { Progress::Over } else { Progress::Running };
        }
        if self.elapsed < self.begins(phase) {
            Progress::Ahead
        } else if self.elapsed >= self.begins(phase + 1) + GRACE {
            Progress::Over
        } else {
            Progress::Running
        }
    }

    fn decide(&mut self) {
        let (below, over, last) = (self.progress(0), self.progress(1), self.progress(2));
        let [first, second] = [self.phases[0], self.phases[1]];
        let whole = if self.ended == Ended::No { Progress::Running } else { last };
        let mut found: Vec<(&str, Found)> = Vec::new();
        if below != Progress::Ahead {
            found.push(("below.success", verdicts::success(&first, below)));
        }
        if over != Progress::Ahead {
            found.push(("overload.refuses", verdicts::refuses(&second, over)));
            found.push(("overload.retry_after", verdicts::retry_after(&second, over)));
            found.push(("overload.answers", verdicts::answers(&second, over)));
            found.push(("overload.p99", verdicts::p99(&second, &self.terms, over)));
            found.push(("overload.memory", verdicts::memory(&self.known, &self.terms, over)));
        }
        found.push(("overload.alive", verdicts::alive(&self.phases, &self.known, whole)));
        if let Some(quiet) = &self.quiet
            && over == Progress::Over
        {
            found.push(("overload.quiet", verdicts::quiet(quiet, &self.terms)));
        }
        if last != Progress::Ahead {
            found.push(("recovery.p99", verdicts::recovered(&self.recovery, &first, &self.terms, last)));
        }
        if self.ended == Ended::All {
            found.extend(self.residue(last));
        }
        for (name, (state, seen)) in found {
            if let Some(assertion) = self.assertions.iter_mut().find(|assertion| assertion.name == name) {
                (assertion.state, assertion.seen) = (state, seen);
            }
        }
    }

    fn residue(&self, progress: Progress) -> Vec<(&'static str, Found)> {
        let both = |number: fn(&Vitals) -> Option<f64>| {
            (self.known.before.as_ref().and_then(number), self.known.after.as_ref().and_then(number))
        };
        let (before, after) = both(|vitals| vitals.descriptors);
        let (tasks_before, tasks_after) = both(|vitals| vitals.tasks);
        vec![
            ("recovery.memory", verdicts::memory_left(&self.known, progress)),
            (
                "recovery.descriptors",
                verdicts::left(before, after, "the number of its descriptors", progress),
            ),
            (
                "recovery.tasks",
                verdicts::left(tasks_before, tasks_after, "the number of its tasks", progress),
            ),
        ]
    }
}

/// For whom the load is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenancy {
    /// Nobody in particular, or tenants of one weight.
    Alike,
    /// Tenants of different weights.
    Weighted,
}
