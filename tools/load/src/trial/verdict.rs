//! What is to be said of a run, and why.

use crate::judge::{Assertion, State, Verdict};
use crate::report::Generator;
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

/// Whether a run was ended before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    No,
    Yes,
}

/// What is to be said: of what was judged, or of figures alone.
pub(super) fn verdict(
    judged: Option<Verdict>,
    assertions: &[Assertion],
    generator: &Generator,
    stopped: Stopped,
) -> Verdict {
    let of_the_target = assertions.iter().any(|assertion| {
        assertion.state == State::Broken && OF_THE_TARGET.contains(&assertion.name.as_str())
    });
    match judged {
        Some(Verdict::Broken) if of_the_target => Verdict::Broken,
        _ if generator.was_the_limit => Verdict::NotJudged,
        Some(verdict) => verdict,
        None if stopped == Stopped::Yes => Verdict::NotJudged,
        None => Verdict::Measured,
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
    fn told(name: &str, state: State, was_the_limit: bool) -> Verdict {
        let assertion = Assertion { name: name.to_owned(), asks: String::new(), state, seen: String::new() };
        let judged = match state {
            State::Held | State::NotChecked => Verdict::Held,
            State::Broken => Verdict::Broken,
            State::Open | State::NotJudged => Verdict::NotJudged,
        };
        let generator = Generator { was_the_limit, ..Generator::default() };
        verdict(Some(judged), &[assertion], &generator, Stopped::No)
    }

    #[test]
    fn what_a_generator_at_its_limit_may_have_caused_could_not_be_judged() {
        assert_eq!(told("below.success", State::Held, false), Verdict::Held);
        assert_eq!(told("below.success", State::Held, true), Verdict::NotJudged);
        assert_eq!(told("below.success", State::Broken, false), Verdict::Broken);
        assert_eq!(told("below.success", State::Broken, true), Verdict::NotJudged);
        assert_eq!(told("overload.alive", State::Broken, true), Verdict::Broken);
        assert_eq!(told("overload.answers", State::NotJudged, false), Verdict::NotJudged);
    }

    #[test]
    fn figures_alone_are_measured_if_nobody_stopped_them_and_the_generator_kept_up() {
        let of = |was_the_limit, stopped| {
            verdict(None, &[], &Generator { was_the_limit, ..Generator::default() }, stopped)
        };
        assert_eq!(of(false, Stopped::No), Verdict::Measured);
        assert_eq!(of(false, Stopped::Yes), Verdict::NotJudged);
        assert_eq!(of(true, Stopped::No), Verdict::NotJudged);
        let generator = Generator::default();
        assert_eq!(
            because(Verdict::NotJudged, &[], &generator, Stopped::Yes),
            ["It was stopped before its end."]
        );
    }
}
