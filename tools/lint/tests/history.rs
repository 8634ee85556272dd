//! Counts over the history of a repository, made here by git.

use std::path::Path;
use std::process::Command;

use plimsoll_lint::history::{Span, page, survey, terminal};
use plimsoll_lint::output::Style;
use plimsoll_lint::{Options, Rule, lint_tree};

const SPAWNS: &str = "pub async fn import(Json(rows): Json<Vec<Row>>) {\n    for row in rows {\n        tokio::spawn(store(row));\n    }\n}\n";
const CHANNEL: &str =
    "pub fn events() -> Events {\n    Events::of(tokio::sync::mpsc::unbounded_channel())\n}\n";

fn git(directory: &Path, date: &str, arguments: &[&str]) {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_COMMITTER_DATE", date)
        .env("GIT_AUTHOR_DATE", date)
        .output()
        .expect("git is there");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write(directory: &Path, path: &str, text: &str) {
    let file = directory.join(path);
    std::fs::create_dir_all(file.parent().expect("has one")).expect("can be made");
    std::fs::write(file, text).expect("can be written");
}

fn commit(directory: &Path, date: &str) {
    git(directory, date, &["add", "-A"]);
    git(directory, date, &["commit", "-q", "-m", "work"]);
}

/// From January: a spawn in a loop; in March a channel in a second package; in April the loop is mended.
fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("can be made");
    let root = directory.path();
    git(root, "", &["init", "-q"]);
    write(root, "Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n");
    write(root, "a/Cargo.toml", "[package]\nname = \"a\"\n");
    write(root, "a/src/lib.rs", SPAWNS);
    write(root, "vendor/c/src/lib.rs", SPAWNS);
    commit(root, "2025-01-10T12:00:00Z");
    write(root, "b/Cargo.toml", "[package]\nname = \"b\"\n");
    write(root, "b/src/lib.rs", CHANNEL);
    commit(root, "2025-03-31T23:59:59Z");
    write(root, "a/src/lib.rs", "pub fn nothing() {}\n");
    commit(root, "2025-04-01T00:00:00Z");
    directory
}

fn count(root: &Path, months: u16) -> Vec<(String, usize, usize)> {
    let history = survey(root, &Options::default(), Span { months }, &|_, _| {}).expect("a history");
    let of = |point: &plimsoll_lint::history::Point, rule| {
        point.rules.get(&rule).copied().unwrap_or_default().outside_tests()
    };
    let row = |point| (Rule::SpawnInLoop, Rule::UnboundedChannel, point);
    let rows = history.points.iter().map(row);
    rows.map(|(left, right, point)| (point.month.to_string(), of(point, left), of(point, right))).collect()
}

#[test]
fn each_month_is_counted_as_its_last_commit_was_and_one_without_a_commit_as_the_one_before() {
    let repository = repository();
    let expected = [("2025-01", 1, 0), ("2025-02", 1, 0), ("2025-03", 1, 1), ("2025-04", 0, 1)];
    let expected: Vec<_> =
        expected.iter().map(|(month, left, right)| ((*month).to_owned(), *left, *right)).collect();
    assert_eq!(count(repository.path(), 24), expected);
    assert_eq!(count(repository.path(), 2), expected[2..]);
    assert_eq!(count(repository.path(), 1), expected[3..]);
}

#[test]
fn a_directory_of_a_repository_is_counted_by_itself() {
    let repository = repository();
    let months = count(&repository.path().join("b"), 24);
    assert_eq!(months.last(), Some(&("2025-04".to_owned(), 0, 1)));
    assert_eq!(months.first(), Some(&("2025-01".to_owned(), 0, 0)));
}

#[test]
fn the_last_month_is_what_a_run_over_the_tree_finds() {
    let repository = repository();
    let history = survey(repository.path(), &Options::default(), Span { months: 1 }, &|_, _| {}).unwrap();
    let report = lint_tree(repository.path(), &Options::default(), &|_| {});
    let point = &history.points[0];
    assert_eq!(point.files, report.files);
    assert_eq!(point.all().outside_tests() + point.all().tests, report.findings.len());
}

#[test]
fn what_is_no_repository_and_one_without_a_commit_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let told = |path: &Path| {
        survey(path, &Options::default(), Span { months: 1 }, &|_, _| {}).unwrap_err().to_string()
    };
    assert!(told(directory.path()).contains("not a git repository"), "{}", told(directory.path()));
    git(directory.path(), "", &["init", "-q"]);
    assert!(told(directory.path()).contains("no commit"), "{}", told(directory.path()));
}

#[test]
fn the_page_stands_alone_and_every_month_and_rule_is_on_it() {
    let repository = repository();
    let history = survey(repository.path(), &Options::default(), Span { months: 24 }, &|_, _| {}).unwrap();
    let page = page(&history, "<a & b>");
    assert!(page.contains("&lt;a &amp; b&gt;") && !page.contains("<a & b>"));
    for absent in ["<script", "<link", "@import", "url(", "src="] {
        assert!(!page.contains(absent), "{absent}");
    }
    for there in
        ["<svg", "prefers-color-scheme: dark", "2025-02", "PL001 spawn-in-loop", "PL004 unbounded-channel"]
    {
        assert!(page.contains(there), "{there}");
    }
    for tag in ["svg", "g", "div", "table", "tr", "p", "h2", "html", "body", "style", "span"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let text = terminal(&history, Style::Plain);
    assert!(text.contains("2025-01: 1 in 1 file,") && text.contains("2025-04: 1 in 2 files"), "{text}");
    assert!(!text.contains('\x1b'));
    let json = history.to_json();
    assert_eq!(
        json["months"][2]["rules"]["PL004"]["medium"].as_u64().into_iter().sum::<u64>(),
        1,
        "{json:#}"
    );
}
