use std::fmt::Write as _;

use super::summary::Outcome;
use crate::finding::{Instead, Rank};
use crate::level::Level;
use crate::verdict::Site;

/// What is new, as commands that GitHub shows beside the lines of a pull request.
pub fn github(outcome: &Outcome) -> String {
    let mut out = String::new();
    for site in outcome.told().filter(|site| site.is_new()) {
        command(&mut out, outcome, site);
    }
    for entry in &outcome.verdict.stale {
        let text = format!("{} {} is found no more: drop it from the baseline", entry.rule, entry.what);
        let path = outcome.path(&entry.path);
        let _ = writeln!(
            out,
            "::notice title={}::{}",
            property("stale in the baseline"),
            data(&format!("{path}: {text}"))
        );
    }
    out
}

fn command(out: &mut String, outcome: &Outcome, site: &Site) {
    let finding = &site.finding;
    let word = match (site.level, finding.rank) {
        (Level::Deny, Rank::High) => "error",
        (_, Rank::High | Rank::Medium) => "warning",
        (_, Rank::Low) => "notice",
    };
    let path = property(&outcome.path(&finding.path));
    let title = property(&format!("{} {}", finding.rule.code(), finding.rule));
    let _ = write!(out, "::{word} file={path},line={},endLine={}", finding.start.line, finding.end.line);
    // Columns are shown only where the site is on one line.
    if finding.start.line == finding.end.line {
        let _ = write!(out, ",col={},endColumn={}", finding.start.column, finding.end.column);
    }
    let mut message = finding.message.clone();
    for suggestion in finding.suggestions.iter().filter(|suggestion| suggestion.with == Instead::Tokio) {
        let _ = write!(message, "\n\n{}", suggestion.code.trim_end());
    }
    let _ = writeln!(out, ",title={title}::{}", data(&message));
}

/// The text of a command: a line break would end it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command: a comma or a colon would end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_or_a_property_is_escaped() {
        assert_eq!(property("a,b:c%\r\nd"), "a%2Cb%3Ac%25%0D%0Ad");
        assert_eq!(data("100%: a,b\n::error::"), "100%25: a,b%0A::error::");
    }
}
