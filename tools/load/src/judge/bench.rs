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

/// What runs out of time is told of no later than this after its deadline.
const GRACE: Duration = Duration::from_secs(1);
/// The phases by the beginning of the names of their assertions.
const PHASES: [&str; 3] = ["below.", "overload.", "recovery."];
/// What the generator may have caused where it had no connection left for what was due.
const OF_CONNECTIONS: [&str; 8] = [
    "below.success",
    "overload.refuses",
    "overload.answers",
    "overload.goodput",
    "overload.p99",
    "overload.quiet",
    "recovery.p99",
    "recovery.success",
];
/// Without these it was not tested at all.
const NEEDED: [&str; 3] = ["below.success", "overload.refuses", "recovery.p99"];

/// Decides, from what it is told.
#[derive(Clone, Debug)]
pub struct Judge {
    terms: Terms,
    assertions: Vec<Assertion>,
    phases: Vec<Phase>,
    known: Known,
    recovery: Recovery,
    quiet: Option<Quiet>,
    deadline: Duration,
    elapsed: Duration,
    /// All that was due before has come to its end.
    done_until: Duration,
    /// In which phases the generator had no connection left, in words.
    held_up: [Option<String>; 3],
    ended: Ended,
    looked: Looked,
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
    /// Asks for these terms; of tenants too where they are of different weights. What is not answered
    /// within `deadline` never is.
    #[must_use]
    pub fn new(terms: Terms, tenants: Tenancy, deadline: Duration) -> Self {
        Self {
            terms,
            assertions: verdicts::all(&terms, tenants == Tenancy::Weighted),
            phases: vec![Phase::default(); 3],
            known: Known::default(),
            recovery: Recovery::default(),
            quiet: None,
            deadline,
            elapsed: Duration::ZERO,
            done_until: Duration::ZERO,
            held_up: [None, None, None],
            ended: Ended::No,
            looked: Looked::Fully,
        }
    }

    /// What was asserted, in the order of the phases, and how it stands.
    #[must_use]
    pub fn assertions(&self) -> &[Assertion] {
        &self.assertions
    }

    /// A second of the run.
    pub fn see(&mut self, snapshot: &Snapshot) {
        self.elapsed = snapshot.elapsed;
        if snapshot.second.in_flight + snapshot.second.waiting == 0 {
            self.done_until = snapshot.elapsed;
        }
        for (phase, summary) in self.phases.iter_mut().zip(&snapshot.stages) {
            *phase = Phase::of_summary(summary);
        }
        self.see_recovery(&snapshot.second);
        self.decide();
    }

    /// The target's own numbers.
    pub fn read(&mut self, when: When, vitals: Vitals) {
        self.known.read(when, vitals);
        if when != When::After {
            self.decide();
        }
    }

    /// The target's own numbers could not be read; its process may be gone.
    pub fn not_read(&mut self, process: Process) {
        self.known.unread = true;
        self.known.ended |= process == Process::Ended;
        self.decide();
    }

    /// The load has ended; this is all that became of it. The quietest tenants are those that are told,
    /// and for each phase in which the generator had no connection left for what was due, why.
    pub fn load_ended(&mut self, run: &Run, quiet: Option<Quiet>, held_up: [Option<String>; 3]) {
        self.phases = Phase::of_run(run);
        self.phases.resize(3, Phase::default());
        // Whoever looked once a second may have missed one.
        self.recovery = Recovery::default();
        for second in &run.seconds {
            self.see_recovery(second);
        }
        self.quiet = quiet;
        self.held_up = held_up;
        self.elapsed = run.took;
        // What a run that was stopped has left undone counts nowhere: where there is any, nobody knows
        // what would have come of that phase.
        let undone = run.stages.iter().position(|stage| stage.due > stage.tally.counts.total());
        let begins = undone.map_or(run.took, |phase| self.begins(phase));
        self.done_until = if run.cancelled { begins.min(run.took) } else { Duration::MAX };
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

    /// Nothing more is seen: what is open is decided, as far as was looked for what is left.
    pub fn end(&mut self, looked: Looked) {
        self.ended = Ended::All;
        self.looked = looked;
        self.decide();
    }

    /// What is to be said; `None` while something is open.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        if self.ended != Ended::All {
            return None;
        }
        let any = |state| self.assertions.iter().any(|assertion| assertion.state == state);
        let untested = self.assertions.iter().any(|assertion| {
            assertion.state == State::NotChecked && NEEDED.contains(&assertion.name.as_str())
        });
        Some(if any(State::Broken) {
            Verdict::Broken
        } else if any(State::Open) || any(State::NotJudged) || untested {
            Verdict::NotJudged
        } else {
            Verdict::Held
        })
    }

    fn see_recovery(&mut self, second: &Second) {
        let within = (self.begins(2), self.begins(3));
        // Of a second that began before it is not known what is of which phase.
        if second.ends >= within.0 + Duration::from_secs(1) {
            self.recovery.see(second, within, verdicts::back_ms(&self.phases[0]));
        }
    }

    fn begins(&self, phase: usize) -> Duration {
        self.terms.lengths()[..phase].iter().sum()
    }

    /// How far a phase is: over once all that was due in it has come to its end.
    fn progress(&self, phase: usize) -> Progress {
        let waited_for = self.elapsed.saturating_sub(self.deadline + GRACE);
        let ended = self.done_until.max(if self.ended == Ended::No { waited_for } else { Duration::ZERO });
        if ended >= self.begins(phase + 1) {
            Progress::Over
        } else if self.elapsed < self.begins(phase) {
            Progress::Ahead
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
            found.push(("overload.goodput", verdicts::goodput(&second, &self.terms, over)));
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
            let third = &self.phases[2];
            found.push(("recovery.p99", verdicts::recovered(&self.recovery, [&first, third], last)));
            found.push(("recovery.success", verdicts::stays(&self.recovery, third, last)));
        }
        if self.ended == Ended::All {
            let last = if self.looked == Looked::Partly { Progress::Running } else { last };
            found.extend(self.residue(last));
        }
        for (name, (state, seen)) in &mut found {
            self.withhold(name, state, seen);
        }
        for (name, (state, seen)) in found {
            if let Some(assertion) = self.assertions.iter_mut().find(|assertion| assertion.name == name) {
                (assertion.state, assertion.seen) = (state, seen);
            }
        }
    }

    /// What is broken in a phase in which the generator had no connection left may be its own doing.
    fn withhold(&self, name: &str, state: &mut State, seen: &mut String) {
        let phase = PHASES.iter().position(|phase| name.starts_with(phase));
        let Some(why) = phase.and_then(|phase| self.held_up[phase].as_ref()) else { return };
        if *state == State::Broken && OF_CONNECTIONS.contains(&name) {
            *state = State::NotJudged;
            seen.push_str("; ");
            seen.push_str(why);
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

/// How far it was looked for what is left at the target after the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    /// Until nothing was left, or the time for it was over.
    Fully,
    /// Not at all, or somebody stopped it.
    Partly,
}

/// Whether the target's process is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Process {
    /// It is, as far as is known.
    There,
    /// It is not.
    Ended,
}

/// For whom the load is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenancy {
    /// Nobody in particular, or tenants of one weight.
    Alike,
    /// Tenants of different weights.
    Weighted,
}
