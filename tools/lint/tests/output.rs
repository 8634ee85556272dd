//! What is printed: for a person, for a program, as SARIF, for GitHub.

use std::time::Duration;

use plimsoll_lint::output::{self, Outcome, Show, Style};
use plimsoll_lint::{Baseline, Options, Rule, SourceFile, lint_sources};
use serde_json::Value;

const CODE: &str = "\
use axum::Json;

pub async fn import(Json(rows): Json<Vec<Row>>) {
\tfor row in rows {
\t\ttokio::spawn(async move { store(row).await });
\t}
}

pub fn events() -> Events {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    Events::new(sender, receiver)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_test() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        check(sender, receiver).await;
    }
}
";

fn outcome(path: &str, baseline: Option<&Baseline>) -> Outcome {
    let file = SourceFile { path: path.to_owned(), text: CODE.to_owned() };
    let options = Options::default();
    let report = lint_sources(&[file], &options, &|_| {});
    assert_eq!(report.findings.len(), 3, "{:?}", report.findings);
    Outcome::of(report, baseline, &options, Duration::from_millis(12))
}

fn known() -> Baseline {
    let findings = outcome("src/import.rs", None).verdict.sites.into_iter().map(|site| site.finding);
    let findings: Vec<_> = findings.collect();
    Baseline::default().renewed(&findings, &Options::default()).0
}

fn human(outcome: &Outcome, style: Style) -> String {
    output::human(outcome, Show { style, sites_max: 20 }, &|_| Some(CODE.to_owned()))
}

#[test]
fn a_person_sees_the_weightiest_first_with_its_line_and_the_mark_below_it() {
    let text = human(&outcome("src/import.rs", None), Style::Plain);
    assert!(!text.contains('\x1b'), "{text}");
    let loop_at = text.find("high PL001").expect("the loop is told");
    assert!(loop_at < text.find("PL004 unbounded-channel").unwrap(), "{text}");
    let marked = "5 | tokio::spawn(async move { store(row).await });\n    | ^^^^^^^^^^^^";
    assert!(text.contains(marked), "{text}");
    assert!(text.contains("src/import.rs:5:3"), "{text}");
    assert!(text.contains("1 in tests"), "{text}");
    assert!(!text.contains("a_test"), "tests are apart: {text}");
    assert!(human(&outcome("src/import.rs", None), Style::Colours).contains("\x1b[1;31mhigh\x1b[0m"));
}

#[test]
fn what_a_terminal_would_obey_does_not_come_through_from_the_sources() {
    let text = output::human(
        &outcome("src/\x1b[2Jimport.rs", None),
        Show { style: Style::Plain, sites_max: 20 },
        &|_| Some(CODE.replace("tokio::spawn", "\x1b]0;owned\x07")),
    );
    assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
}

#[test]
fn no_more_sites_are_shown_than_asked_for_and_the_table_counts_all() {
    let text =
        output::human(&outcome("src/import.rs", None), Show { style: Style::Plain, sites_max: 1 }, &|_| None);
    assert!(text.contains("PL001 spawn-in-loop"), "{text}");
    assert!(text.contains("and 1 more"), "{text}");
    assert!(text.contains("in all"), "{text}");
}

#[test]
fn json_has_a_version_and_all_that_was_found_with_its_fingerprint() {
    let json = output::json(&outcome("src/import.rs", Some(&known())));
    assert_eq!(json["version"], 1);
    let sites = json["sites"].as_array().unwrap();
    assert_eq!(sites.len(), 3);
    assert_eq!(sites[0]["rule"], "PL001");
    assert_eq!((&sites[0]["line"], &sites[0]["column"]), (&5.into(), &3.into()));
    assert_eq!(sites[0]["new"], false);
    assert_eq!(sites[2]["place"], "test");
    assert!(sites.iter().all(|site| site["fingerprint"].as_str().unwrap().len() == 16));
    assert_eq!(json["summary"]["all"]["known"], 3);
    assert_eq!(json["summary"]["all"]["tests"], 1);
}

/// What the published schema of SARIF 2.1.0 asks of each object that is written here.
fn check_sarif(log: &Value) {
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().expect("as the schema says").ends_with("sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string());
    let rules = driver["rules"].as_array().expect("as the schema says");
    assert_eq!(rules.len(), Rule::ALL.len());
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(!rule[text]["text"].as_str().expect("as the schema says").is_empty(), "{text} of {rule}");
        }
        assert!(rule["helpUri"].as_str().expect("as the schema says").starts_with("https://"));
    }
    for invocation in run["invocations"].as_array().expect("as the schema says") {
        assert!(invocation["executionSuccessful"].is_boolean());
    }
    for result in run["results"].as_array().expect("as the schema says") {
        assert!(result["message"]["text"].is_string());
        assert!(matches!(
            result["level"].as_str().expect("as the schema says"),
            "error" | "warning" | "note" | "none"
        ));
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("as the schema says"))
            .expect("as the schema says");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!((0.0..=100.0).contains(&result["rank"].as_f64().expect("as the schema says")));
        let physical = &result["locations"][0]["physicalLocation"];
        let uri = physical["artifactLocation"]["uri"].as_str().expect("as the schema says");
        assert!(!uri.contains([' ', '\\', '%']) || uri.contains("%20"), "{uri}");
        let region = &physical["region"];
        for number in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(region[number].as_u64().expect("as the schema says") >= 1);
        }
        assert!(
            result["partialFingerprints"]
                .as_object()
                .expect("as the schema says")
                .values()
                .all(Value::is_string)
        );
        for suppression in result["suppressions"].as_array().into_iter().flatten() {
            assert!(matches!(
                suppression["kind"].as_str().expect("as the schema says"),
                "inSource" | "external"
            ));
        }
        if let Some(state) = result.get("baselineState") {
            assert!(matches!(
                state.as_str().expect("as the schema says"),
                "new" | "unchanged" | "updated" | "absent"
            ));
        }
    }
}

#[test]
fn sarif_has_what_its_schema_asks_for() {
    let new = output::sarif(&outcome("src/an import.rs", None));
    check_sarif(&new);
    let results = new["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "tests are apart");
    assert_eq!(results[0]["baselineState"], "new");
    assert_eq!(
        results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "src/an%20import.rs"
    );
    let old = output::sarif(&outcome("src/import.rs", Some(&known())));
    check_sarif(&old);
    let results = old["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["baselineState"] == "unchanged"));
    assert!(results.iter().all(|result| result["suppressions"][0]["kind"] == "external"));
}

#[test]
fn what_is_allowed_beside_the_code_is_suppressed_in_sarif_with_its_reason() {
    let text = CODE.replace(
        "    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();\n    Events",
        "    // plimsoll: allow(unbounded-channel) one for each of 16 shards\n    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();\n    Events",
    );
    let file = SourceFile { path: "src/import.rs".to_owned(), text };
    let options = Options::default();
    let outcome = Outcome::of(lint_sources(&[file], &options, &|_| {}), None, &options, Duration::ZERO);
    let log = output::sarif(&outcome);
    check_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let reasons: Vec<&Value> =
        results.iter().map(|result| &result["suppressions"][0]["justification"]).collect();
    assert_eq!(reasons, [&Value::Null, &"one for each of 16 shards".into()]);
}

#[test]
fn github_sees_what_is_new_on_one_line_each() {
    let text = output::github(&outcome("src/a,b:c.rs", None));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("::error file=src/a%2Cb%3Ac.rs,line=5,endLine=5,col=3,"), "{text}");
    assert!(lines[0].contains(",title=PL001 spawn-in-loop::"), "{text}");
    assert_eq!(output::github(&outcome("src/import.rs", Some(&known()))), "");
}

#[test]
fn the_handbook_has_the_page_of_every_rule() {
    let handbook = plimsoll_lint::handbook();
    for rule in Rule::ALL {
        assert!(handbook.contains(rule.why()), "{rule}");
    }
}
