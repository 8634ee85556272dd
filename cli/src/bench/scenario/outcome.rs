//! What a scenario has come to: its marks, its figures, a verdict.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::house::{Closed, Held};
use super::Scenario;
use crate::stage::number::hundredths;

/// How much memory may come on top of what the server has at rest, whatever it is sent: caches of the
/// store, windows of messages, connections.
const MEMORY_MIB: f64 = 64.0;
/// Sockets beside those of the senders and of the deliveries.
const SOCKETS_SPARE: u64 = 64;

/// One mark.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::bench) struct Mark {
    name: &'static str,
    reached: f64,
    wanted: Wanted,
}

/// What a mark asks for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::bench) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
    Within(f64, f64),
}

impl Wanted {
    fn passes(self, reached: f64) -> bool {
        match self {
            Self::AtMost(most) => reached <= most,
            Self::AtLeast(least) => reached >= least,
            Self::Within(least, most) => (least..=most).contains(&reached),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {}", hundredths(most)),
            Self::AtLeast(least) => format!("at least {}", hundredths(least)),
            Self::Within(least, most) => format!("{} to {}", hundredths(least), hundredths(most)),
        }
    }
}

/// What a scenario has come to.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Outcome {
    scenario: Scenario,
    headline: String,
    marks: Vec<Mark>,
    figures: Map<String, Value>,
}

impl Outcome {
    /// Nothing yet.
    pub(super) fn new(scenario: Scenario) -> Self {
        Self { scenario, headline: String::new(), marks: Vec::new(), figures: Map::new() }
    }

    /// What it says in a few words, beside what the peer's table says.
    pub(super) fn headline(&mut self, text: String) {
        self.headline = text;
    }

    /// Adds a figure.
    pub(super) fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), hundredths(value).into());
    }

    /// Adds a mark.
    pub(super) fn mark(&mut self, name: &'static str, reached: f64, wanted: Wanted) {
        self.marks.push(Mark { name, reached, wanted });
    }

    /// The marks of the books: nothing lost, nothing forged or accepted twice.
    pub(super) fn mark_books(&mut self, closed: &Closed) {
        self.mark("lost", closed.lost as f64, Wanted::AtMost(0.0));
        self.mark("faults", closed.faults as f64, Wanted::AtMost(0.0));
        self.figure("accepted", closed.accepted as f64);
        self.figure("deliveries", closed.due as f64);
        self.figure("duplicates", closed.duplicates as f64);
    }

    /// The marks of flatness: memory on top of the rest, and sockets beside `sockets` that may be
    /// open, one for each sender and each delivery at once, and one idle at each destination.
    pub(super) fn mark_held(&mut self, held: Held, sockets: u64) {
        self.mark("memory_mib_on_top", held.memory() as f64 / 1_048_576.0, Wanted::AtMost(MEMORY_MIB));
        self.mark("sockets_on_top", held.sockets() as f64, Wanted::AtMost((sockets + SOCKETS_SPARE) as f64));
    }

    /// Whether every mark was passed; without any, nothing was shown.
    pub(in crate::bench) fn passed(&self) -> bool {
        !self.marks.is_empty() && self.marks.iter().all(|mark| mark.wanted.passes(mark.reached))
    }

    /// As one JSON object.
    pub(in crate::bench) fn json(&self) -> Value {
        let mark = |mark: &Mark| {
            let Mark { name, reached, wanted } = mark;
            let told = json!({
                "reached": hundredths(*reached),
                "wanted": wanted.text(),
                "passed": wanted.passes(*reached),
            });
            ((*name).to_owned(), told)
        };
        json!({
            "scenario": self.scenario.name(),
            "passed": self.passed(),
            "headline": self.headline,
            "svix": self.scenario.svix(),
            "marks": self.marks.iter().map(mark).collect::<Map<_, _>>(),
            "figures": self.figures,
        })
    }

    /// As lines for a person.
    pub(in crate::bench) fn text(&self) -> String {
        let mut text = String::new();
        let verdict = if self.passed() { "passed" } else { "MISSED" };
        let _ = writeln!(text, "{}: {verdict}", self.scenario.name());
        let _ = writeln!(text, "  {}", self.headline);
        for Mark { name, reached, wanted } in &self.marks {
            let verdict = if wanted.passes(*reached) { "ok" } else { "MISSED" };
            let (reached, wanted) = (hundredths(*reached), wanted.text());
            let _ = writeln!(text, "  {name:<28}{reached:>12}   {wanted:<22}{verdict}");
        }
        for (name, value) in &self.figures {
            let _ = writeln!(text, "  {name:<28}{value:>12}");
        }
        let _ = writeln!(text, "  Svix, as published below: {}", self.scenario.svix());
        text
    }
}

/// All outcomes beside what the peer did.
pub(in crate::bench) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let width = outcomes.iter().map(|outcome| outcome.scenario.name().len()).max().unwrap_or(0);
    for outcome in outcomes {
        let verdict = if outcome.passed() { "passed" } else { "MISSED" };
        let name = outcome.scenario.name();
        let _ = writeln!(text, "{name:<width$}  {verdict}  {}", outcome.headline);
        let _ = writeln!(text, "{:<width$}  Svix    {}", "", outcome.scenario.svix());
    }
    text.push_str(
        "\nSvix: its open-source server, on another machine of 2 cores with its driver, receiver, Postgres and\n\
         Redis beside it, where the ceiling was 61,000 to 69,000 requests a second.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(reached: f64) -> Outcome {
        let mut outcome = Outcome::new(Scenario::RateLimit);
        outcome.mark("deliveries_per_second", reached, Wanted::Within(19.0, 21.0));
        outcome.mark_books(&Closed::default());
        outcome
    }

    #[test]
    fn one_missed_mark_is_a_miss() {
        assert!(outcome(19.0).passed() && outcome(21.0).passed());
        assert!(!outcome(21.01).passed());
        let mut lost = outcome(20.0);
        lost.mark_books(&Closed { lost: 1, ..Closed::default() });
        assert!(!lost.passed());
        assert!(!Outcome::new(Scenario::Drip).passed(), "nothing was shown");
    }

    #[test]
    fn the_json_names_each_mark_and_whether_it_was_passed() {
        let json = outcome(30.0).json();
        assert_eq!((&json["scenario"], &json["passed"]), (&"rate-limit".into(), &false.into()));
        assert_eq!(json["marks"]["deliveries_per_second"]["wanted"], "19 to 21");
        assert_eq!(json["marks"]["lost"]["passed"], true);
    }

    #[test]
    fn a_table_has_both_sides_of_each_row() {
        let text = table(&[outcome(20.0), outcome(30.0)]);
        assert!(text.contains("rate-limit  passed") && text.contains("rate-limit  MISSED"), "{text}");
        assert_eq!(text.matches("all delivered in 0.34 s").count(), 2, "{text}");
    }
}
