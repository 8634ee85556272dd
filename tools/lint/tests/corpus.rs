//! What the rules find in snippets that were labelled by hand: precision and recall, by rule and in all.
//!
//! A snippet says what is to be found by a comment at the end of a line of the site: `//~ PL001 high` must be found
//! there, at that rank if one is named (`test` for what stands apart), and `//~? PL002` may be. Whatever
//! else is found is wrong. `cargo test -p plimsoll-lint --test corpus -- --nocapture` prints the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_lint::{Finding, Options, Rule, lint_source};

/// Of what is reported so much is right, in all and of each rule: a lint that cries wolf is switched off. Of a
/// rule there are few snippets, and one that is told as its neighbour is one wrong.
const PRECISION: f64 = 0.95;
const PRECISION_OF_A_RULE: f64 = 0.80;
/// Of what is there so much is reported: in all, and of each rule. What only types tell is left alone.
const RECALL: f64 = 0.90;
const RECALL_OF_A_RULE: f64 = 0.55;
/// Of what is found where it should be, so much has the rank it should have.
const RANKED: f64 = 0.90;
const SNIPPETS_MIN: usize = 120;

struct Snippet {
    path: String,
    text: String,
    labels: Vec<Label>,
}

struct Label {
    line: usize,
    rule: Rule,
    rank: Option<String>,
    need: Need,
}

#[derive(Clone, Copy, PartialEq)]
enum Need {
    Must,
    May,
}

#[derive(Default)]
struct Tally {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Tally {
    fn precision(&self) -> f64 {
        ratio(self.right, self.right + self.wrong)
    }

    fn recall(&self) -> f64 {
        ratio(self.right, self.right + self.missed)
    }
}

#[derive(Default)]
struct Judgement {
    rules: BTreeMap<Rule, Tally>,
    ranked: Tally,
    told: Vec<String>,
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn snippets() -> Vec<Snippet> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files = Vec::new();
    for directory in std::fs::read_dir(&root).expect("the corpus is there") {
        let directory = directory.expect("a folder of the corpus").path();
        files.extend(
            std::fs::read_dir(directory).expect("is a folder").map(|file| file.expect("a snippet").path()),
        );
    }
    files.sort();
    files.iter().map(|file| read(&root, file)).collect()
}

fn read(root: &Path, file: &PathBuf) -> Snippet {
    let text = std::fs::read_to_string(file).expect("a snippet is text");
    let name = file.strip_prefix(root).expect("below the corpus").to_string_lossy().replace('\\', "/");
    let labels = text.lines().zip(1..).filter_map(|(text, line)| label(&name, text, line)).collect();
    Snippet { path: format!("src/{name}"), text, labels }
}

fn label(name: &str, text: &str, line: usize) -> Option<Label> {
    let (_, words) = text.split_once("//~")?;
    let (need, words) = match words.strip_prefix('?') {
        Some(words) => (Need::May, words),
        None => (Need::Must, words),
    };
    let mut words = words.split_whitespace();
    let rule = words.next().unwrap_or_default().parse();
    let rule = rule.unwrap_or_else(|error| panic!("{name}:{line}: {error}"));
    Some(Label { line, rule, rank: words.next().map(str::to_owned), need })
}

/// The text without its labels: the rules must not read them.
fn unlabelled(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//~").next().unwrap_or_default().trim_end().to_owned() + "\n")
        .collect()
}

fn rank(finding: &Finding) -> String {
    if finding.in_tests() { "test".into() } else { finding.rank.to_string() }
}

fn judge(snippet: &Snippet, into: &mut Judgement) {
    let found = lint_source(&snippet.path, &unlabelled(&snippet.text), &Options::default())
        .unwrap_or_else(|error| panic!("{}: {error}", snippet.path));
    let mut met = vec![false; snippet.labels.len()];
    for finding in &found {
        let place = format!("{}:{}", snippet.path, finding.start.line);
        let code = finding.rule.code();
        // A chain of calls begins where its receiver does: the label may stand at any line of the site, and
        // one at its first line is meant before one within it.
        let lines = finding.start.line..=finding.end.line;
        let free =
            snippet.labels.iter().enumerate().filter(|(nth, label)| !met[*nth] && label.rule == finding.rule);
        let of_site = free.filter(|(_, label)| lines.contains(&label.line));
        let Some(nth) = of_site.min_by_key(|(_, label)| label.line).map(|(nth, _)| nth) else {
            into.rules.entry(finding.rule).or_default().wrong += 1;
            into.told.push(format!("wrong    {code} {place} {}: {}", rank(finding), finding.message));
            continue;
        };
        met[nth] = true;
        let label = &snippet.labels[nth];
        if label.need == Need::Must {
            into.rules.entry(finding.rule).or_default().right += 1;
        }
        match &label.rank {
            Some(wanted) if *wanted != rank(finding) => {
                into.ranked.wrong += 1;
                into.told.push(format!(
                    "misranked {code} {place} {}, not {wanted}: {}",
                    rank(finding),
                    finding.facts.join("; ")
                ));
            }
            Some(_) => into.ranked.right += 1,
            None => {}
        }
    }
    for (label, _) in
        snippet.labels.iter().zip(&met).filter(|(label, met)| label.need == Need::Must && !**met)
    {
        into.rules.entry(label.rule).or_default().missed += 1;
        into.told.push(format!("missed   {} {}:{}", label.rule.code(), snippet.path, label.line));
    }
}

fn table(judgement: &Judgement, snippets: usize) -> (String, Tally) {
    let mut text = String::from("rule                        right  wrong  missed  precision  recall\n");
    let mut all = Tally::default();
    let mut row = |name: &str, tally: &Tally| {
        let Tally { right, wrong, missed } = tally;
        let (precision, recall) = (tally.precision(), tally.recall());
        let _ = writeln!(text, "{name:<28}{right:>5}{wrong:>7}{missed:>8}{precision:>11.3}{recall:>8.3}");
    };
    for (rule, tally) in &judgement.rules {
        row(&format!("{} {rule}", rule.code()), tally);
        all.right += tally.right;
        all.wrong += tally.wrong;
        all.missed += tally.missed;
    }
    row("in all", &all);
    let ranked = judgement.ranked.precision();
    let _ = writeln!(text, "{snippets} snippets; ranked as labelled: {ranked:.3}");
    for line in &judgement.told {
        let _ = writeln!(text, "{line}");
    }
    (text, all)
}

#[test]
fn what_is_found_in_the_labelled_snippets_is_right_and_what_is_right_is_found() {
    let snippets = snippets();
    let mut judgement = Judgement::default();
    for snippet in &snippets {
        judge(snippet, &mut judgement);
    }
    let (text, all) = table(&judgement, snippets.len());
    println!("{text}");
    assert!(snippets.len() >= SNIPPETS_MIN, "{} snippets", snippets.len());
    assert!(all.precision() >= PRECISION, "precision in all below {PRECISION}\n{text}");
    assert!(all.recall() >= RECALL, "recall in all below {RECALL}\n{text}");
    for (rule, tally) in &judgement.rules {
        let wanted = PRECISION_OF_A_RULE;
        assert!(tally.precision() >= wanted, "precision of {rule} below {wanted}\n{text}");
        assert!(tally.recall() >= RECALL_OF_A_RULE, "recall of {rule} below {RECALL_OF_A_RULE}\n{text}");
    }
    assert!(judgement.ranked.precision() >= RANKED, "ranks below {RANKED}\n{text}");
}

#[test]
fn every_rule_about_concurrency_has_bad_good_and_tricky_snippets() {
    let snippets = snippets();
    for rule in Rule::ALL.iter().filter(|rule| rule.code() < "PL090") {
        let folder = format!("src/{}/", rule.code().to_lowercase());
        for kind in ["bad_", "good_"] {
            let prefix = format!("{folder}{kind}");
            let count = snippets.iter().filter(|snippet| snippet.path.starts_with(&prefix)).count();
            assert!(count >= 3, "{} {rule}: {count} of {kind}", rule.code());
        }
        let told = snippets.iter().flat_map(|snippet| &snippet.labels);
        let told = told.filter(|label| label.rule == *rule && label.need == Need::Must).count();
        assert!(told >= 3, "{} {rule}: {told} labels", rule.code());
    }
}

#[test]
fn a_good_snippet_has_no_label_that_must_be_met() {
    for snippet in snippets() {
        let name = snippet.path.rsplit('/').next().unwrap();
        let must = snippet.labels.iter().any(|label| label.need == Need::Must);
        assert!(!(name.starts_with("good_") && must), "{}", snippet.path);
        assert!(!name.starts_with("bad_") || !snippet.labels.is_empty(), "{}", snippet.path);
    }
}
