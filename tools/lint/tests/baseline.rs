//! What is known stays known while lines move, and what somebody wrote of it is kept.

use std::time::Duration;

use plimsoll_lint::output::Outcome;
use plimsoll_lint::{
    Baseline, Entry, FailOn, Finding, Fingerprint, Level, Options, Rank, Report, Rule, Tests, Verdict,
    lint_source,
};

const PATH: &str = "src/import.rs";
const CODE: &str = "\
use axum::Json;

pub async fn import(Json(rows): Json<Vec<Row>>) {
    for row in rows {
        tokio::spawn(async move { store(row).await });
    }
}

pub fn events() -> Events {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    Events::new(sender, receiver)
}
";

fn found(path: &str, text: &str) -> Vec<Finding> {
    lint_source(path, text, &Options::default()).expect("the sources are Rust")
}

fn prints(path: &str, text: &str) -> Vec<Fingerprint> {
    let mut prints: Vec<Fingerprint> = found(path, text).iter().map(Fingerprint::of).collect();
    prints.sort();
    prints
}

fn baseline(text: &str) -> Baseline {
    Baseline::default().renewed(&found(PATH, text), &Options::default()).0
}

fn verdict(text: &str, baseline: &Baseline) -> Verdict {
    let report = Report { findings: found(PATH, text), ..Report::default() };
    Verdict::new(report, Some(baseline), &Options::default())
}

#[test]
fn a_site_keeps_its_fingerprint_when_lines_above_it_move_and_when_it_is_formatted_anew() {
    let before = prints(PATH, CODE);
    assert_eq!(before.len(), 2);
    let moved = CODE
        .replace("use axum::Json;\n", "use axum::Json;\nuse std::fmt;\n\n/// More.\nconst MORE: u8 = 1;\n");
    assert_eq!(prints(PATH, &moved), before);
    let wide = "tokio::spawn(async move { store(row).await });";
    let tall = "tokio::spawn(\n            async move {\n                // why\n                store(row).await\n            },\n        );";
    assert_eq!(prints(PATH, &CODE.replace(wide, tall)), before);
    let renamed = CODE.replace("pub async fn import", "fn helper() {}\n\npub async fn import");
    assert_eq!(prints(PATH, &renamed), before);
}

#[test]
fn two_sites_that_read_alike_are_two_and_another_path_or_function_is_another_site() {
    let twice = CODE.replace(
        "    Events::new(sender, receiver)",
        "    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();\n    Events::new(sender, receiver)",
    );
    let prints_of_two = prints(PATH, &twice);
    assert_eq!(prints_of_two.len(), 3);
    assert!(prints_of_two.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(prints(PATH, CODE).iter().all(|print| prints_of_two.contains(print)));
    assert!(prints("src/other.rs", CODE).iter().all(|print| !prints_of_two.contains(print)));
    assert!(prints(PATH, &CODE.replace("fn events", "fn signals")) != prints(PATH, CODE));
}

#[test]
fn what_the_baseline_lists_does_not_fail_and_what_is_new_does() {
    let known = baseline(CODE);
    let same = verdict(CODE, &known);
    assert_eq!(same.failing(FailOn::New, Tests::Apart).count(), 0);
    assert_eq!(same.failing(FailOn::Any, Tests::Apart).count(), 2);
    assert!(same.stale.is_empty());
    let worse = format!("{CODE}\npub fn more() -> Pair {{\n    flume::unbounded()\n}}\n");
    let verdict = verdict(&worse, &known);
    let new: Vec<&str> =
        verdict.failing(FailOn::New, Tests::Apart).map(|site| site.finding.function.as_str()).collect();
    assert!(new.len() == 1 && new[0].ends_with("more"), "{new:?}");
    assert_eq!(verdict.failing(FailOn::Rank(Rank::High), Tests::Apart).count(), 0);
    assert_eq!(verdict.failing(FailOn::Never, Tests::Apart).count(), 0);
}

#[test]
fn an_entry_that_is_found_no_more_is_stale_unless_its_rule_is_off() {
    let known = baseline(CODE);
    let better = CODE.replace("unbounded_channel()", "channel(16)");
    let stale = verdict(&better, &known).stale;
    assert_eq!(stale.iter().map(|entry| entry.rule.as_str()).collect::<Vec<_>>(), ["PL004"]);
    let options = Options::default().with_level(Rule::UnboundedChannel, Level::Off);
    let report = Report { findings: lint_source(PATH, CODE, &options).unwrap(), ..Report::default() };
    let (kept, renewal) = known.renewed(&report.findings, &options);
    assert!(renewal.dropped.is_empty() && kept == known);
    assert!(Verdict::new(report, Some(&known), &options).stale.is_empty());
}

#[test]
fn a_rule_that_only_warns_never_fails() {
    let options = Options::default().with_level(Rule::SpawnInLoop, Level::Warn);
    let report = Report { findings: found(PATH, CODE), ..Report::default() };
    let verdict = Verdict::new(report, None, &options);
    let failing: Vec<Rule> =
        verdict.failing(FailOn::Any, Tests::Counted).map(|site| site.finding.rule).collect();
    assert_eq!(failing, [Rule::UnboundedChannel]);
}

#[test]
fn what_is_in_a_test_fails_only_where_tests_count() {
    let code = "#[tokio::test]\nasync fn all_arrive() {\n    for client in clients() {\n        tokio::spawn(client.run());\n    }\n}\n";
    let report = Report { findings: found("tests/all.rs", code), ..Report::default() };
    let outcome = Outcome::of(report, None, &Options::default(), Duration::ZERO);
    assert_eq!(outcome.verdict.failing(FailOn::Any, Tests::Apart).count(), 0);
    assert_eq!(outcome.verdict.failing(FailOn::Any, Tests::Counted).count(), 1);
}

#[test]
fn a_justification_survives_the_file_being_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lint.toml");
    baseline(CODE).write(&file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("justification = \"\"").count(), 2);
    let why = "one for each of \"16\" shards,\\nat most\u{e9}";
    std::fs::write(&file, text.replacen("justification = \"\"", &format!("justification = '{why}'"), 1))
        .unwrap();

    let worse = format!("{CODE}\npub fn more() -> Pair {{\n    flume::unbounded()\n}}\n");
    let (again, renewal) = Baseline::read(&file).unwrap().renewed(&found(PATH, &worse), &Options::default());
    assert_eq!((renewal.kept, renewal.added, renewal.dropped.len()), (2, 1, 0));
    again.write(&file).unwrap();
    let read = Baseline::read(&file).unwrap();
    assert_eq!(read, again);
    let said: Vec<&str> =
        read.entries().map(|(_, entry)| entry.justification.as_str()).filter(|why| !why.is_empty()).collect();
    assert_eq!(said, [why]);
    let (_, renewal) = read.renewed(&[], &Options::default());
    assert_eq!(renewal.dropped.iter().filter(|Entry { justification, .. }| justification == why).count(), 1);
}

#[test]
fn a_file_that_is_no_baseline_is_refused_by_name_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lint.toml");
    for (text, told) in [
        ("version = 2\n", "version is 2"),
        ("version = 1\n[[site]]\nrule = 1\n", "line 3"),
        (
            "version = 1\n[[site]]\nrule = \"PL001\"\npath = \"a\"\nwhat = \"b\"\nfingerprint = \"no\"\n",
            "`no` is no fingerprint",
        ),
        ("version = 1\nsites = 1\n", "sites"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Baseline::read(&file).unwrap_err().to_string();
        assert!(error.contains("lint.toml") && error.contains(told), "{error}");
    }
    assert!(Baseline::read(&directory.path().join("none.toml")).is_err());
    assert_eq!(Baseline::read_or_empty(&directory.path().join("none.toml")).unwrap(), Baseline::default());
}
