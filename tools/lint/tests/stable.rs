//! What stays the same when code is moved and formatted, and what files of one crate know of each other.

use plimsoll_lint::{Options, Place, Rank, Rule, SourceFile, lint_source, lint_sources};
use proptest::prelude::*;

fn identities(text: &str) -> Vec<(Vec<String>, usize, Rank, String)> {
    let findings = lint_source("src/site.rs", text, &Options::default()).expect("an example is Rust");
    let of = findings.iter().map(|finding| {
        let identity = finding.identity().iter().map(ToString::to_string).collect();
        (identity, finding.ordinal, finding.rank, finding.message.clone())
    });
    let mut of: Vec<_> = of.collect();
    of.sort();
    of
}

fn examples() -> Vec<&'static str> {
    // The rules about comments are about lines.
    Rule::ALL.iter().filter(|rule| rule.code() < "PL090").flat_map(|rule| [rule.bad(), rule.good()]).collect()
}

proptest! {
    #[test]
    fn blank_lines_and_indents_change_no_finding(nth in 0..38_usize, seed in any::<u64>()) {
        let example = examples()[nth];
        let mut bits = seed | 1;
        let mut moved = String::from("\n\n");
        for line in example.lines() {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            moved.push_str(&" ".repeat((bits >> 60) as usize));
            moved.push_str(line);
            moved.push_str(&"\n".repeat(1 + ((bits >> 56) & 3) as usize));
        }
        prop_assert_eq!(identities(example), identities(&moved));
    }

    #[test]
    fn a_line_before_each_bracket_and_after_each_comma_changes_no_finding(nth in 0..38_usize) {
        let example = examples()[nth];
        // Not within strings: the examples have brackets in none.
        let moved = example.replace(", ", ",\n        ").replace('{', "\n{\n");
        prop_assert_eq!(identities(example), identities(&moved));
    }

    #[test]
    fn no_text_brings_the_reader_down(text in "[a-z!&|(){}<>;,.:='\" \n#\\[\\]]{0,200}") {
        drop(lint_source("src/a.rs", &text, &Options::default()));
        drop(lint_source("src/a.rs", &format!("fn f() {{ tokio::select! {{ {text} }} }}"), &Options::default()));
    }
}

#[test]
fn two_equal_sites_in_one_function_are_told_apart_by_their_number() {
    let text =
        "fn f() { let (a, b) = unbounded_channel(); let (c, d) = unbounded_channel(); g(a, b, c, d); }";
    let found = identities(text);
    assert_eq!(found.iter().map(|(_, ordinal, ..)| *ordinal).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(found[0].0, found[1].0);
}

fn lint(files: &[(&str, &str)]) -> Vec<(Rule, Rank, Place)> {
    let files: Vec<SourceFile> = files
        .iter()
        .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    let report = lint_sources(&files, &Options::default(), &|_| {});
    report.findings.iter().map(|finding| (finding.rule, finding.rank, finding.place)).collect()
}

#[test]
fn a_function_is_judged_by_what_other_files_of_its_crate_hand_it() {
    let helper = "pub fn refresh(urls: Vec<String>) { for url in urls { tokio::spawn(fetch(url)); } }";
    let handler = "async fn handle(Json(request): Json<Refresh>) { refresh(request.urls); }";
    assert_eq!(lint(&[("src/a.rs", helper)])[0].1, Rank::Medium);
    let with = lint(&[("src/a.rs", helper), ("src/b.rs", handler)]);
    assert_eq!(with, [(Rule::SpawnInLoop, Rank::High, Place::RequestPath)]);
    let elsewhere = lint(&[("one/src/a.rs", helper), ("other/src/b.rs", handler)]);
    assert_eq!(elsewhere[0].1, Rank::Medium);
}

#[test]
fn an_allowance_needs_a_reason_and_something_to_allow() {
    let spawn = "fn f() {\n    // plimsoll: allow(unbounded-channel) one event a day\n    let (a, b) = unbounded_channel();\n    g(a, b);\n}";
    let files = [SourceFile { path: "src/a.rs".to_owned(), text: spawn.to_owned() }];
    let report = lint_sources(&files, &Options::default(), &|_| {});
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.allowed[0].allowed.as_deref(), Some("one event a day"));

    let bare = spawn.replace(" one event a day", "");
    let rules: Vec<Rule> = lint(&[("src/a.rs", &bare)]).iter().map(|found| found.0).collect();
    assert!(
        rules.contains(&Rule::UnboundedChannel) && rules.contains(&Rule::AllowWithoutReason),
        "{rules:?}"
    );

    let wrong = spawn.replace("unbounded-channel", "no-such-rule");
    let rules: Vec<Rule> = lint(&[("src/a.rs", &wrong)]).iter().map(|found| found.0).collect();
    assert!(rules.contains(&Rule::UnboundedChannel) && rules.contains(&Rule::UnusedAllow), "{rules:?}");

    let by_code = spawn.replace("unbounded-channel", "PL004, PL001");
    assert!(lint(&[("src/a.rs", &by_code)]).is_empty());

    let within_text = "fn f() { let a = \"// plimsoll: allow(PL004) x\"; }";
    assert!(lint(&[("src/a.rs", within_text)]).is_empty());
}

#[test]
fn the_report_does_not_depend_on_how_many_workers_read() {
    let files: Vec<SourceFile> = Rule::ALL
        .iter()
        .map(|rule| SourceFile { path: format!("src/{}.rs", rule.code()), text: rule.bad().to_owned() })
        .collect();
    let with = |workers| {
        let options =
            Options { workers: std::num::NonZeroUsize::new(workers).expect("some"), ..Options::default() };
        lint_sources(&files, &options, &|_| {}).findings
    };
    assert_eq!(with(1), with(7));
}

#[test]
fn progress_ends_with_all_files_judged() {
    let last = std::sync::Mutex::new(None);
    let files = [SourceFile { path: "src/a.rs".to_owned(), text: "fn f() {}".to_owned() }];
    lint_sources(&files, &Options::default(), &|progress| *last.lock().expect("no panic") = Some(progress));
    let last = last.into_inner().expect("no panic").expect("it is told");
    assert_eq!((last.read, last.judged, last.files), (1, 1, 1));
}
