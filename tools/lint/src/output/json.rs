use serde_json::{Value, json};

use super::summary::{Counts, Outcome, Summary};
use crate::baseline::Entry;
use crate::finding::{Finding, Instead};
use crate::verdict::{Site, Standing};

/// Raised when a field changes its meaning or goes; a new field does not raise it.
const VERSION: u32 = 1;

/// What a run found, as one JSON object.
pub fn json(outcome: &Outcome) -> Value {
    let verdict = &outcome.verdict;
    let summary = Summary::of(&verdict.sites);
    let rules = summary.rules.iter().map(|(rule, counts)| {
        let mut row = counted(counts);
        row["rule"] = rule.code().into();
        row["name"] = rule.name().into();
        row
    });
    json!({
        "version": VERSION,
        "tool": { "name": "plimsoll lint", "version": env!("CARGO_PKG_VERSION") },
        "files": outcome.files,
        "functions": outcome.functions,
        "seconds": outcome.took.as_secs_f64(),
        "failing": outcome.failing,
        "summary": { "all": counted(&summary.all), "rules": rules.collect::<Vec<_>>() },
        "sites": verdict.sites.iter().map(|site| self::site(outcome, site)).collect::<Vec<_>>(),
        "allowed": verdict.allowed.iter().map(|finding| self::finding(outcome, finding)).collect::<Vec<_>>(),
        "stale": verdict.stale.iter().map(entry).collect::<Vec<_>>(),
        "not_judged": outcome.failures.iter().map(|failure| json!({
            "path": outcome.path(&failure.path), "why": failure.problem.to_string(),
        })).collect::<Vec<_>>(),
    })
}

fn counted(counts: &Counts) -> Value {
    let Counts { high, medium, low, tests, known } = *counts;
    json!({ "high": high, "medium": medium, "low": low, "tests": tests, "known": known })
}

fn site(outcome: &Outcome, site: &Site) -> Value {
    let mut value = finding(outcome, &site.finding);
    value["fingerprint"] = site.fingerprint.to_string().into();
    value["level"] = site.level.to_string().into();
    value["new"] = site.is_new().into();
    if let Standing::Known { justification } = &site.standing {
        value["justification"] = justification.as_str().into();
    }
    value
}

fn finding(outcome: &Outcome, finding: &Finding) -> Value {
    let suggestions = finding.suggestions.iter().map(|suggestion| {
        let with = match suggestion.with {
            Instead::Plimsoll => "plimsoll",
            Instead::Tokio => "tokio",
        };
        json!({ "with": with, "code": suggestion.code })
    });
    let mut value = json!({
        "rule": finding.rule.code(),
        "name": finding.rule.name(),
        "rank": finding.rank.to_string(),
        "path": outcome.path(&finding.path),
        "line": finding.start.line,
        "column": finding.start.column,
        "end_line": finding.end.line,
        "end_column": finding.end.column,
        "function": finding.function,
        "what": finding.what,
        "message": finding.message,
        "facts": finding.facts,
        "source": finding.source.to_string(),
        "place": finding.place.to_string(),
        "suggestions": suggestions.collect::<Vec<_>>(),
    });
    if let Some(reason) = &finding.allowed {
        value["allowed"] = reason.as_str().into();
    }
    value
}

fn entry(entry: &Entry) -> Value {
    json!({
        "rule": entry.rule, "path": entry.path, "function": entry.function, "what": entry.what,
        "fingerprint": entry.fingerprint, "justification": entry.justification,
    })
}
