use serde_json::{Value, json};

use super::summary::Outcome;
use crate::finding::{Finding, Rank};
use crate::fingerprint::Fingerprint;
use crate::handbook;
use crate::level::Level;
use crate::rule::Rule;
use crate::verdict::{Site, Standing};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a run found, as a log of SARIF 2.1.0.
pub fn sarif(outcome: &Outcome) -> Value {
    let known = outcome.told().map(|site| result(outcome, site));
    let allowed = outcome.verdict.allowed.iter().filter(|finding| !finding.in_tests());
    let allowed = allowed.map(|finding| suppressed(outcome, finding));
    let failures = outcome.failures.iter().map(|failure| {
        json!({
            "level": "warning",
            "message": { "text": failure.problem.to_string() },
            "locations": [{ "physicalLocation": { "artifactLocation": artifact(&outcome.path(&failure.path)) } }],
        })
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plimsoll lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": Rule::ALL.iter().map(|rule| descriptor(*rule)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": failures.collect::<Vec<_>>(),
            }],
            "results": known.chain(allowed).collect::<Vec<_>>(),
        }],
    })
}

fn descriptor(rule: Rule) -> Value {
    json!({
        "id": rule.code(),
        "name": rule.name(),
        "shortDescription": { "text": rule.title() },
        "fullDescription": { "text": rule.why() },
        "help": { "text": rule.page(), "markdown": rule.page() },
        "helpUri": handbook::address(rule),
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["concurrency", "reliability"] },
    })
}

fn result(outcome: &Outcome, site: &Site) -> Value {
    let mut value = bare(outcome, &site.finding, site.level);
    value["partialFingerprints"] = json!({ "plimsollLint/v1": site.fingerprint.to_string() });
    value["baselineState"] = if site.is_new() { "new" } else { "unchanged" }.into();
    if let Standing::Known { justification } = &site.standing {
        let mut suppression = json!({ "kind": "external", "status": "accepted" });
        if !justification.is_empty() {
            suppression["justification"] = justification.as_str().into();
        }
        value["suppressions"] = json!([suppression]);
    }
    value
}

fn suppressed(outcome: &Outcome, finding: &Finding) -> Value {
    let mut value = bare(outcome, finding, Level::Warn);
    let reason = finding.allowed.as_deref().unwrap_or_default();
    value["partialFingerprints"] = json!({ "plimsollLint/v1": Fingerprint::of(finding).to_string() });
    value["suppressions"] = json!([{ "kind": "inSource", "status": "accepted", "justification": reason }]);
    value
}

fn bare(outcome: &Outcome, finding: &Finding, level: Level) -> Value {
    let level = match (level, finding.rank) {
        (Level::Deny, Rank::High) => "error",
        (_, Rank::High | Rank::Medium) => "warning",
        (_, Rank::Low) => "note",
    };
    let weight = match finding.rank {
        Rank::High => 90.0,
        Rank::Medium => 50.0,
        Rank::Low => 10.0,
    };
    let text = [finding.message.as_str(), &finding.facts.join("; ")].join(" Why: ");
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": artifact(&outcome.path(&finding.path)),
            "region": {
                "startLine": finding.start.line,
                "startColumn": finding.start.column,
                "endLine": finding.end.line,
                "endColumn": finding.end.column,
                "snippet": { "text": finding.what },
            },
        },
    });
    if !finding.function.is_empty() {
        location["logicalLocations"] =
            json!([{ "fullyQualifiedName": finding.function, "kind": "function" }]);
    }
    json!({
        "ruleId": finding.rule.code(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level,
        "rank": weight,
        "message": { "text": text },
        "locations": [location],
        "properties": { "source": finding.source.to_string(), "place": finding.place.to_string() },
    })
}

/// Relative to the root of the sources, as a URI: what no path of a URI may have is escaped.
fn artifact(path: &str) -> Value {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
}
