//! What a person, and what CI, reads at the end.

use std::time::Duration;

use crate::counts::Counts;

/// How a step ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Passed(Counts),
    /// With what it counted before it ended.
    Failed(Counts),
    /// It could not run here, and why.
    Skipped(String),
    /// A step before it failed.
    NotRun,
}

/// A line of the summary.
pub(crate) struct Line {
    pub(crate) step: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

impl Outcome {
    /// One word for it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "ok",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "SKIPPED",
            Self::NotRun => "not run",
        }
    }

    /// What stands beside the word.
    pub(crate) fn remark(&self) -> String {
        match self {
            Self::Passed(counts) | Self::Failed(counts) if *counts == Counts::default() => String::new(),
            Self::Passed(Counts { passed, ignored: 0, .. }) => format!("{passed} tests"),
            Self::Passed(Counts { passed, ignored, .. }) => format!("{passed} tests, {ignored} ignored"),
            Self::Failed(Counts { passed, failed, .. }) => {
                format!("{failed} of {} tests failed", passed + failed)
            }
            Self::Skipped(why) => why.clone(),
            Self::NotRun => "a step before it failed".to_owned(),
        }
    }
}

/// The table, and in its last line the sum: a step that counts tests counts as many as it ran, any
/// other step counts as one.
pub(crate) fn summary(lines: &[Line]) -> String {
    let mut text = String::new();
    let (mut passed, mut failed, mut skipped, mut total) = (0, 0, 0, Duration::ZERO);
    for Line { step, outcome, took } in lines {
        text.push_str(&format!("  {step:<9}{:<9}{:>10}   {}", outcome.word(), time(*took), outcome.remark()));
        text.truncate(text.trim_end().len());
        text.push('\n');
        total += *took;
        match outcome {
            Outcome::Passed(counts) => passed += counts.passed.max(1),
            Outcome::Failed(counts) => {
                passed += counts.passed;
                failed += counts.failed.max(1);
            }
            Outcome::Skipped(_) | Outcome::NotRun => skipped += 1,
        }
    }
    text.push_str(&format!("  total             {:>10}\n\n", time(total)));
    text.push_str(&format!("{passed} passed, {failed} failed"));
    if skipped > 0 {
        text.push_str(&format!(", {skipped} skipped"));
    }
    text
}

/// A time as a person reads it.
pub(crate) fn time(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: Outcome) -> Line {
        Line { step: "step", outcome, took: Duration::from_secs(31) }
    }

    fn last(lines: &[Line]) -> String {
        summary(lines).lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_step_counts_its_tests_and_without_tests_as_one() {
        let tests = Outcome::Passed(Counts { passed: 40, failed: 0, ignored: 2 });
        let lines = [line(Outcome::Passed(Counts::default())), line(tests)];
        assert_eq!(last(&lines), "41 passed, 0 failed");
        assert!(summary(&lines).contains("1 min 02 s"));
    }

    #[test]
    fn a_failed_step_is_never_counted_as_none() {
        let broken = line(Outcome::Failed(Counts { passed: 3, failed: 0, ignored: 0 }));
        assert_eq!(last(&[broken, line(Outcome::NotRun)]), "3 passed, 1 failed, 1 skipped");
    }
}
