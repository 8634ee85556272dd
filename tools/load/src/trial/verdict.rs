//! What is to be said of a run, and why.

use crate::judge::{Assertion, State, Verdict};
use crate::report::Generator;
use crate::run::Run;
use crate::vitals::Source;

/// What is broken here the generator cannot have caused by being late, or by sending too little.
const OF_THE_TARGET: [&str; 6] = [
    "overload.retry_after",
    "overload.alive",
    "overload.memory",
    "recovery.memory",
    "recovery.descriptors",
    "recovery.tasks",
];

/// What is broken here a generator that is late by milliseconds may have caused.
const OF_TIME: [&str; 3] = ["overload.p99", "overload.quiet", "recovery.p99"];
/// A thread that is busy for more of a second has nothing left.
const BUSY_RATIO_MAX: f64 = 0.9;
/// A generator that misses the time of more than this share does not test what it says.
const RATE_ERROR_MAX: f64 = 0.01;

/// Whether a run was ended before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    No,
    Yes,
}

/// How well the generator did its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// It kept up.
    Done,
    /// It was late by milliseconds, or near its limit: all was offered, and times may be its own.
    Late,
    /// It sent less than was due, or much later, or had no processor time or connections left.
    Missed,
}

impl Part {
    /// Of its own account of a run.
    pub(super) fn of(generator: &Generator, run: &Run) -> Self {
        let busy = generator.busiest_ratio > BUSY_RATIO_MAX;
        let denied = run.generator.connections_denied > 0;
        match generator.was_the_limit {
            true if busy || denied || generator.rate_error_ratio > RATE_ERROR_MAX => Self::Missed,
            true => Self::Late,
            false => Self::Done,
        }
    }
}

/// What is to be said: of what was judged, or of figures alone.
pub(super) fn verdict(
    judged: Option<Verdict>,
    assertions: &[Assertion],
    part: Part,
    stopped: Stopped,
) -> Verdict {
    let broken = || assertions.iter().filter(|assertion| assertion.state == State::Broken);
    let is_of = |names: &'static [&str]| move |found: &Assertion| names.contains(&found.name.as_str());
    match (judged, part) {
        (Some(Verdict::Broken), _) if broken().any(is_of(&OF_THE_TARGET)) => Verdict::Broken,
        (_, Part::Missed) => Verdict::NotJudged,
        (Some(Verdict::Broken), Part::Late) if broken().all(is_of(&OF_TIME)) => Verdict::NotJudged,
        // Times count from when a request was due: what holds although it was sent late holds.
        (Some(verdict), _) => verdict,
        (None, _) if stopped == Stopped::Yes => Verdict::NotJudged,
        (None, _) => Verdict::Measured,
    }
}

/// Why, a sentence each.
pub(super) fn because(
    verdict: Verdict,
    assertions: &[Assertion],
    generator: &Generator,
    stopped: Stopped,
) -> Vec<String> {
    let mut because = Vec::new();
    if verdict == Verdict::NotJudged && generator.was_the_limit {
        let seen = generator.seen.first().map_or("", String::as_str);
        because.push(format!("The generator was the limit: {seen}."));
    }
    let told = |assertion: &&Assertion| matches!(assertion.state, State::Broken | State::NotJudged);
    let words = |assertion: &Assertion| format!("{}: {}", assertion.asks, assertion.seen);
    because.extend(assertions.iter().filter(told).map(words));
    let open = assertions.iter().filter(|assertion| assertion.state == State::Open).count();
    if open > 0 {
        because.push(format!("It was stopped: {open} of {} assertions are open.", assertions.len()));
    } else if assertions.is_empty() && stopped == Stopped::Yes {
        because.push("It was stopped before its end.".to_owned());
    }
    if verdict == Verdict::NotJudged && because.is_empty() {
        because.push("Too little was sent to say anything: make it longer with --minutes.".to_owned());
    }
    because
}

/// What could not be checked, and why.
pub(super) fn not_checked(
    assertions: &[Assertion],
    source: Option<&Source>,
    failure: Option<String>,
) -> Vec<String> {
    let names = assertions.iter().filter(|assertion| assertion.state == State::NotChecked);
    let mut lines: Vec<String> =
        names.map(|assertion| format!("{}: {}", assertion.name, assertion.seen)).collect();
    if source.is_none() && !lines.is_empty() {
        lines.push("Give --metrics URL, its Prometheus page, or --pid N, its process on this machine, to have that checked.".to_owned());
    }
    lines.extend(failure.map(|why| format!("Not every reading succeeded; the last that did not: {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict, when an assertion of this name stands so.
    fn told(name: &str, state: State, part: Part) -> Verdict {
        let assertion = Assertion { name: name.to_owned(), asks: String::new(), state, seen: String::new() };
        let judged = match state {
            State::Held | State::NotChecked => Verdict::Held,
            State::Broken => Verdict::Broken,
            State::Open | State::NotJudged => Verdict::NotJudged,
        };
        verdict(Some(judged), &[assertion], part, Stopped::No)
    }

    #[test]
    fn what_a_generator_at_its_limit_may_have_caused_could_not_be_judged() {
        assert_eq!(told("below.success", State::Held, Part::Done), Verdict::Held);
        assert_eq!(told("below.success", State::Held, Part::Missed), Verdict::NotJudged);
        assert_eq!(told("below.success", State::Broken, Part::Done), Verdict::Broken);
        assert_eq!(told("below.success", State::Broken, Part::Missed), Verdict::NotJudged);
        assert_eq!(told("overload.alive", State::Broken, Part::Missed), Verdict::Broken);
        assert_eq!(told("overload.answers", State::NotJudged, Part::Done), Verdict::NotJudged);
    }

    #[test]
    fn a_generator_that_is_late_by_milliseconds_casts_doubt_on_broken_times_alone() {
        assert_eq!(told("overload.p99", State::Held, Part::Late), Verdict::Held);
        assert_eq!(told("overload.p99", State::Broken, Part::Late), Verdict::NotJudged);
        assert_eq!(told("overload.refuses", State::Broken, Part::Late), Verdict::Broken);
    }

    #[test]
    fn figures_alone_are_measured_if_nobody_stopped_them_and_the_generator_kept_up() {
        let of = |part, stopped| verdict(None, &[], part, stopped);
        assert_eq!(of(Part::Done, Stopped::No), Verdict::Measured);
        assert_eq!(of(Part::Done, Stopped::Yes), Verdict::NotJudged);
        assert_eq!(of(Part::Missed, Stopped::No), Verdict::NotJudged);
        let generator = Generator::default();
        assert_eq!(
            because(Verdict::NotJudged, &[], &generator, Stopped::Yes),
            ["It was stopped before its end."]
        );
    }
}
