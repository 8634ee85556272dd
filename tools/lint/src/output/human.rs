use std::fmt::Write as _;

use super::excerpt::excerpt;
use super::plain;
use super::style::Style;
use super::summary::{Counts, Outcome, Summary};
use crate::finding::{Instead, Rank};
use crate::rule::Rule;
use crate::verdict::{Site, Standing, Tests};

/// How much is shown to a person.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// With colours or without.
    pub style: Style,
    /// So many sites, the weightiest first.
    pub sites_max: usize,
}

/// What a run found, for a person: the sites, the weightiest first, and then a table.
///
/// `text` gives the sources of a path, for the excerpts; without them there are none.
pub fn human(outcome: &Outcome, show: Show, text: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    // What is known was looked at before: what is new is what the reader came for.
    let (new, known): (Vec<&Site>, Vec<&Site>) = outcome.told().partition(|site| site.is_new());
    let told = if new.is_empty() { &known } else { &new };
    for site in told.iter().take(show.sites_max) {
        one(&mut out, outcome, site, show.style, text);
    }
    let left = told.len().saturating_sub(show.sites_max);
    if left > 0 {
        let _ = writeln!(
            out,
            "… and {left} more, of the same weight or less: --show {} shows them all\n",
            told.len()
        );
    }
    failures(&mut out, outcome);
    stale(&mut out, outcome);
    table(&mut out, outcome, show.style);
    ending(&mut out, outcome, show.style);
    out
}

fn one(
    out: &mut String,
    outcome: &Outcome,
    site: &Site,
    style: Style,
    text: &dyn Fn(&str) -> Option<String>,
) {
    let finding = &site.finding;
    let rank = style.rank(finding.rank, &finding.rank.to_string());
    let rule = style.bold(&format!("{} {}", finding.rule.code(), finding.rule));
    let known = if site.is_new() { "" } else { ", in the baseline" };
    let _ = writeln!(out, "{rank} {rule}{known}: {}", plain(&finding.message));
    let place = format!("{}:{}", outcome.path(&finding.path), finding.start);
    let function =
        if finding.function.is_empty() { String::new() } else { format!(" in {}", finding.function) };
    let _ = writeln!(out, "  {} {}", style.dim("-->"), plain(&format!("{place}{function}")));
    if let Some(shown) = text(&finding.path).and_then(|text| excerpt(finding, &text, style)) {
        out.push_str(&shown);
    }
    if !finding.facts.is_empty() {
        let _ = writeln!(out, "  {} {}", style.dim("why"), plain(&finding.facts.join("; ")));
    }
    for suggestion in &finding.suggestions {
        let with = match suggestion.with {
            Instead::Plimsoll => "instead, with plimsoll",
            Instead::Tokio => "instead, without",
        };
        let _ = writeln!(out, "  {}", style.dim(with));
        for line in plain(suggestion.code.trim_end()).lines() {
            let _ = writeln!(out, "      {line}");
        }
    }
    if let Standing::Known { justification } = &site.standing {
        let why = if justification.is_empty() { "nobody has said why it may stay" } else { justification };
        let _ = writeln!(out, "  {} {}", style.dim("known"), plain(why));
    }
    out.push('\n');
}

fn failures(out: &mut String, outcome: &Outcome) {
    const SHOWN: usize = 10;
    for failure in outcome.failures.iter().take(SHOWN) {
        let _ = writeln!(out, "not judged: {}", plain(&format!("{}{failure}", outcome.prefix)));
    }
    if outcome.failures.len() > SHOWN {
        let _ = writeln!(
            out,
            "not judged: {} more files; --format json lists them",
            outcome.failures.len() - SHOWN
        );
    }
    if !outcome.failures.is_empty() {
        out.push('\n');
    }
}

fn stale(out: &mut String, outcome: &Outcome) {
    for entry in &outcome.verdict.stale {
        let place = format!("{} {}: {}", entry.rule, outcome.path(&entry.path), entry.what);
        let _ = writeln!(out, "stale in the baseline: {} ({})", plain(&place), plain(&entry.fingerprint));
    }
    if !outcome.verdict.stale.is_empty() {
        out.push_str("  found no more: --write-baseline drops them\n\n");
    }
}

fn table(out: &mut String, outcome: &Outcome, style: Style) {
    let summary = Summary::of(&outcome.verdict.sites);
    if summary.rules.is_empty() {
        return;
    }
    let head = format!("{:<28}{:>6}{:>8}{:>6}{:>8}{:>8}", "rule", "high", "medium", "low", "tests", "known");
    let _ = writeln!(out, "{}", style.dim(&head));
    let row = |name: &str, counts: &Counts| {
        let cell = |number: usize, width: usize| match number {
            0 => format!("{:>width$}", "·"),
            _ => format!("{number:>width$}"),
        };
        let Counts { high, medium, low, tests, known } = *counts;
        let high_cell = if high > 0 { style.rank(Rank::High, &cell(high, 6)) } else { cell(high, 6) };
        let rest = [cell(medium, 8), cell(low, 6), cell(tests, 8), cell(known, 8)].concat();
        format!("{name:<28}{high_cell}{rest}")
    };
    let mut rules: Vec<(&Rule, &Counts)> = summary.rules.iter().collect();
    rules.sort_by_key(|(rule, counts)| (std::cmp::Reverse((counts.high, counts.medium, counts.low)), **rule));
    for (rule, counts) in rules {
        let _ = writeln!(out, "{}", row(&format!("{} {rule}", rule.code()), counts));
    }
    if summary.rules.len() > 1 {
        let _ = writeln!(out, "{}", row("in all", &summary.all));
    }
    out.push('\n');
}

fn ending(out: &mut String, outcome: &Outcome, style: Style) {
    let all = Summary::of(&outcome.verdict.sites).all;
    let files = if outcome.files == 1 { "1 file".into() } else { format!("{} files", outcome.files) };
    let took = outcome.took.as_secs_f64();
    let verdict = match (all.outside_tests(), outcome.failing) {
        (0, 0) => "nothing found".to_owned(),
        (found, 0) => format!("{found} found, none that fails"),
        (found, failing) => {
            format!("{found} found, {failing} that {}", if failing == 1 { "fails" } else { "fail" })
        }
    };
    let _ =
        write!(out, "{} in {files} and {} functions, {took:.2} s", style.bold(&verdict), outcome.functions);
    if !outcome.verdict.allowed.is_empty() {
        let _ = write!(out, "; {} allowed beside the code", outcome.verdict.allowed.len());
    }
    if all.tests > 0 && outcome.tests == Tests::Apart {
        let _ = write!(out, "; {} in tests, which --tests shows", all.tests);
    }
    out.push('\n');
    if let Some(site) = outcome.told().find(|site| site.is_new()) {
        let code = site.finding.rule.code();
        let _ = writeln!(
            out,
            "What a rule means: plimsoll lint --explain {code}. To keep a site, say why beside it: \
             // plimsoll: allow({code}) WHY"
        );
    }
}
