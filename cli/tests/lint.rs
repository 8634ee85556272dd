//! `plimsoll lint`, as a person and a pipeline call it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SPAWNS: &str = "\
use axum::Json;

pub async fn import(Json(rows): Json<Vec<Row>>) {
    for row in rows {
        tokio::spawn(async move { store(row).await });
    }
}
";
const CHANNEL: &str = "\
pub fn events() -> Events {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    Events::new(sender, receiver)
}
";

fn lint(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.current_dir(directory).arg("lint").args(arguments).env_remove("NO_COLOR");
    command.output().expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write(directory.path(), "src/import.rs", SPAWNS);
    write(directory.path(), "src/events.rs", CHANNEL);
    directory
}

fn write(directory: &Path, path: &str, text: &str) {
    let file = directory.join(path);
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("can be made");
    std::fs::write(file, text).expect("can be written");
}

#[test]
fn what_is_found_is_told_with_its_line_and_is_exit_code_1() {
    let tree = tree();
    let output = lint(tree.path(), &[]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.contains("PL001 spawn-in-loop") && said.contains("src/import.rs:5:9"), "{said}");
    assert!(said.contains("5 |         tokio::spawn") || said.contains("5 | tokio::spawn"), "{said}");
    assert!(said.contains("2 found, 2 that fail in 2 files"), "{said}");
    assert!(!said.contains('\x1b'), "piped, it has no colours");
    assert_eq!(code(&lint(tree.path(), &["--fail-on", "never"])), 0);
    assert_eq!(code(&lint(tree.path(), &["src/events.rs", "--level", "unbounded-channel=warn"])), 0);
}

#[test]
fn a_tree_with_nothing_to_tell_is_exit_code_0() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "src/lib.rs", "pub fn nothing() {}\n");
    let output = lint(tree.path(), &[]);
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).starts_with("nothing found in 1 file"), "{}", text(&output.stdout));
}

#[test]
fn the_other_formats_are_what_they_are_called() {
    let tree = tree();
    let json: Value = serde_json::from_slice(&lint(tree.path(), &["--json"]).stdout).unwrap();
    assert_eq!((&json["version"], &json["sites"][0]["rule"]), (&1.into(), &"PL001".into()));
    let sarif: Value = serde_json::from_slice(&lint(tree.path(), &["--format", "sarif"]).stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
    let github = text(&lint(tree.path(), &["--format", "github"]).stdout);
    assert!(github.starts_with("::error file=src/import.rs,line=5,"), "{github}");
    let below = text(&lint(tree.path(), &["--format", "github", "src"]).stdout);
    assert!(below.starts_with("::error file=src/import.rs,line=5,"), "{below}");
}

#[test]
fn a_baseline_is_written_held_and_told_when_it_is_stale() {
    let tree = tree();
    let root = tree.path();
    assert_eq!(code(&lint(root, &["--baseline", "lint.toml"])), 2, "it is not there yet");
    let written = lint(root, &["--baseline", "lint.toml", "--write-baseline"]);
    assert_eq!(code(&written), 0);
    assert_eq!(text(&written.stdout), "lint.toml: 2 sites, 0 kept, 2 added, 0 dropped\n");
    assert_eq!(code(&lint(root, &["--baseline", "lint.toml"])), 0);

    write(root, "src/import.rs", &format!("//! Moved.\n\nconst LINES: u8 = 2;\n\n{SPAWNS}"));
    assert_eq!(code(&lint(root, &["--baseline", "lint.toml"])), 0, "lines may move");
    assert_eq!(code(&lint(root, &["--baseline", "lint.toml", "--fail-on", "any"])), 1);

    write(root, "src/more.rs", "pub fn more() -> Pair {\n    flume::unbounded()\n}\n");
    let new = lint(root, &["--baseline", "lint.toml"]);
    assert_eq!(code(&new), 1);
    let said = text(&new.stdout);
    assert!(said.contains("src/more.rs:2:5") && !said.contains("src/import.rs:"), "{said}");
    assert_eq!(code(&lint(root, &["--baseline", "lint.toml", "--fail-on", "high"])), 0);

    std::fs::remove_file(root.join("src/more.rs")).unwrap();
    std::fs::remove_file(root.join("src/events.rs")).unwrap();
    let stale = lint(root, &["--baseline", "lint.toml"]);
    assert_eq!(code(&stale), 0);
    assert!(
        text(&stale.stdout).contains("stale in the baseline: PL004 src/events.rs"),
        "{}",
        text(&stale.stdout)
    );
    let known = std::fs::read_to_string(root.join("lint.toml")).unwrap();
    let said = known.replace("justification = \"\"", "justification = \"sixteen rows at most\"");
    write(root, "lint.toml", &said);
    let dropped = text(&lint(root, &["--baseline", "lint.toml", "--write-baseline"]).stdout);
    assert!(dropped.starts_with("lint.toml: 1 sites, 1 kept, 0 added, 1 dropped\n"), "{dropped}");
    assert!(
        dropped.contains("sixteen rows at most"),
        "what was said of a site that is gone is told: {dropped}"
    );
    let kept = std::fs::read_to_string(root.join("lint.toml")).unwrap();
    assert_eq!(kept.matches("sixteen rows at most").count(), 1, "{kept}");
}

#[test]
fn the_file_in_the_root_sets_what_a_flag_may_set_again() {
    let tree = tree();
    let root = tree.path();
    write(root, "plimsoll-lint.toml", "exclude = [\"src/events.rs\"]\n[levels]\nspawn-in-loop = \"warn\"\n");
    let output = lint(root, &["--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), json["sites"].as_array().unwrap().len()), (0, 1));
    assert_eq!(json["sites"][0]["level"], "warn");
    assert_eq!(code(&lint(root, &["--level", "PL001=deny"])), 1);
    for (text, told) in [
        ("[levels]\nspawn-in-lop = \"warn\"\n", "no rule is called `spawn-in-lop`"),
        ("[levels]\nPL001 = \"loud\"\n", "`loud` is no level"),
        ("exlude = []\n", "exlude"),
        ("fail-on = \"sometimes\"\n", "`sometimes`"),
        ("exclude = [\"/tmp\"]\n", "`/tmp`"),
    ] {
        write(root, "plimsoll-lint.toml", text);
        let output = lint(root, &[]);
        let said = self::text(&output.stderr);
        assert!(code(&output) == 2 && said.contains(told) && said.contains("plimsoll-lint.toml"), "{said}");
    }
}

#[test]
fn a_call_that_is_wrong_is_exit_code_2_and_says_what_is_allowed() {
    let tree = tree();
    for (arguments, told) in [
        (&["nowhere"][..], "nowhere"),
        (&["--level", "PL001"][..], "RULE=LEVEL"),
        (&["--level", "PL777=warn"][..], "PL001 spawn-in-loop"),
        (&["--fail-on", "sometimes"][..], "new, high, medium, low, any and never"),
        (&["--explain", "PL777"][..], "no rule is called"),
        (&["--write-baseline"][..], "--baseline FILE"),
        (&["--report"][..], "not a git repository"),
        (&["--months", "3"][..], "--report"),
    ] {
        let output = lint(tree.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(told), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_rule_is_explained_by_code_and_by_name_and_all_are_listed() {
    let tree = tempfile::tempdir().unwrap();
    let by_code = lint(tree.path(), &["--explain", "pl004"]);
    assert_eq!(code(&by_code), 0);
    let page = text(&by_code.stdout);
    assert!(page.starts_with("# PL004 unbounded-channel") && page.contains("## Good"), "{page}");
    assert_eq!(page, text(&lint(tree.path(), &["--explain", "unbounded-channel"]).stdout));
    let list = text(&lint(tree.path(), &["--rules"]).stdout);
    assert!(list.lines().filter(|line| line.starts_with("PL0")).count() >= 19, "{list}");
}

#[test]
fn the_page_of_the_handbook_is_what_the_binary_prints() {
    let printed = text(&lint(Path::new("."), &["--markdown"]).stdout);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lint.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let differs = printed.lines().zip(page.lines()).find(|(printed, page)| printed != page);
    assert!(
        page == printed,
        "docs/lint.md is not what the binary prints; the first line that differs: {differs:#?}\n\
         write it again: cargo run -- lint --markdown > docs/lint.md"
    );
}
