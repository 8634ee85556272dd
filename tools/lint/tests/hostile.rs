//! What a stranger's tree can hold: it is reported, and the run goes on.

use std::path::Path;

use plimsoll_lint::{Options, ParseFailure, Problem, Rule, SourceFile, lint_source, lint_sources, lint_tree};

const BAD: &str = "fn f() { let (a, b) = tokio::sync::mpsc::unbounded_channel(); g(a, b); }";

fn failure(text: &str) -> ParseFailure {
    lint_source("src/a.rs", text, &Options::default()).expect_err("it must not be parsed")
}

#[test]
fn brackets_that_nest_too_deep_are_refused() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("m!(", ")"), ("Some(", ")"), ("|x| {", "}")] {
        let text = format!("fn f() {{ {}1{} }}", open.repeat(100_000), close.repeat(100_000));
        assert!(matches!(failure(&text), ParseFailure::TooDeep { line: 1, .. }), "{open}");
    }
}

#[test]
fn operators_that_nest_too_deep_are_refused() {
    let chains = [
        "!",
        "-",
        "&",
        "*",
        "a + ",
        "a = ",
        "a.b.",
        "a as u8 as ",
        "return ",
        "|| ",
        "&& a && ",
        "Vec<",
        "..",
        "if a {} else ",
    ];
    for chain in chains {
        let text = format!("fn f() {{ {}1; }}", chain.repeat(100_000));
        assert!(matches!(failure(&text), ParseFailure::TooDeep { .. }), "{chain}");
    }
    let calls = format!("fn f() {{ a{}; }}", ".b()".repeat(100_000));
    assert!(matches!(failure(&calls), ParseFailure::TooDeep { .. }));
}

#[test]
fn what_nests_just_short_of_the_limits_is_judged() {
    let options = Options::default();
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("vec![", "]"), ("Some(", ")"), ("|| {", "}")] {
        let deep = options.depth_max - 4;
        let text = format!("fn f() {{ {}1{}; }} {BAD}", open.repeat(deep), close.repeat(deep));
        assert_eq!(lint_source("src/a.rs", &text, &options).map(|found| found.len()), Ok(1), "{open}");
    }
    for chain in ["!", "&", "a + ", "return ", "|| ", "a = "] {
        let long = 5_500 / chain.split_whitespace().count();
        let text = format!("fn f() {{ {}1; }} {BAD}", chain.repeat(long / 2));
        assert_eq!(lint_source("src/a.rs", &text, &options).map(|found| found.len()), Ok(1), "{chain}");
    }
    let calls = format!("fn f() {{ a{}; }} {BAD}", ".b()".repeat(1_900));
    assert_eq!(lint_source("src/a.rs", &calls, &options).map(|found| found.len()), Ok(1));
}

#[test]
fn many_items_and_statements_are_not_deep() {
    let text = format!(
        "{} fn g() {{ {} }}",
        "fn f() { if a { b() } else { c() } }\n".repeat(20_000),
        "a.b(); match c { _ => {} }".repeat(9_000)
    );
    assert_eq!(lint_source("src/a.rs", &text, &Options::default()).map(|found| found.len()), Ok(0));
}

#[test]
fn strings_comments_and_lifetimes_are_no_brackets() {
    let text = r####"
        // ((((((( " '
        /* {{{{ /* [[[[ */ " */
        fn f<'a>(x: &'a str) -> char { let _ = ("((((", r#"{{{{"{{{"#, b"[[[", '(', '\'', '\u{28}', x); '"' }
    "####;
    let options = Options { depth_max: 6, ..Options::default() };
    assert_eq!(lint_source("src/a.rs", text, &options).map(|found| found.len()), Ok(0));
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let options = Options { file_bytes_max: 100, ..Options::default() };
    let told = lint_source("src/a.rs", &" ".repeat(101), &options).expect_err("it is too large");
    assert_eq!(told.to_string(), "101 bytes, of 100 that a file may have");
}

#[test]
fn what_is_no_rust_is_told_with_its_line() {
    assert!(matches!(failure("fn f() {}\n\nfn {"), ParseFailure::Syntax { line: 3, .. }));
    assert!(matches!(failure("fn f() { \"no end"), ParseFailure::Syntax { .. }));
    assert!(matches!(failure("fn f() ) }"), ParseFailure::Syntax { .. }));
    assert!(matches!(failure("/* no end"), ParseFailure::Syntax { .. }));
}

#[test]
fn every_prefix_of_a_file_is_judged_or_refused() {
    let whole: String = Rule::ALL.iter().map(|rule| rule.bad()).collect();
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)).step_by(23) {
        drop(lint_source("src/a.rs", &whole[..end], &Options::default()));
    }
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().expect("a file is in a directory")).expect("a directory");
    std::fs::write(file, bytes).expect("a file");
}

#[test]
fn a_bad_file_does_not_end_the_run() {
    let tree = tempfile::tempdir().expect("a directory");
    write(tree.path(), "src/a.rs", BAD.as_bytes());
    write(tree.path(), "src/b.rs", b"fn broken(");
    write(tree.path(), "src/c.rs", b"fn f() { \"\xff\xfe\" }");
    write(tree.path(), "src/d.rs", "(".repeat(50_000).as_bytes());
    write(tree.path(), "src/e.rs", BAD.as_bytes());
    let report = lint_tree(tree.path(), &Options::default(), &|_| {});
    assert_eq!(report.files, 2);
    assert_eq!(
        report.findings.iter().map(|found| found.path.as_str()).collect::<Vec<_>>(),
        ["src/a.rs", "src/e.rs"]
    );
    let failed: Vec<&str> = report.failures.iter().map(|failed| failed.path.as_str()).collect();
    assert_eq!(failed, ["src/b.rs", "src/c.rs", "src/d.rs"]);
    assert_eq!(report.failures[1].problem, Problem::Parse(ParseFailure::NotText));
}

#[test]
fn ignored_hidden_built_and_vendored_files_are_left_out() {
    let tree = tempfile::tempdir().expect("a directory");
    write(tree.path(), ".gitignore", b"/generated\n");
    write(tree.path(), "Cargo.toml", b"");
    for path in [
        "src/a.rs",
        "src/target/b.rs",
        "generated/c.rs",
        ".hidden/d.rs",
        "target/debug/e.rs",
        "vendor/f/src/f.rs",
    ] {
        write(tree.path(), path, BAD.as_bytes());
    }
    let report = lint_tree(tree.path(), &Options::default(), &|_| {});
    let paths: Vec<&str> = report.findings.iter().map(|found| found.path.as_str()).collect();
    assert_eq!(paths, ["src/a.rs", "src/target/b.rs"]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_round_in_circles() {
    let tree = tempfile::tempdir().expect("a directory");
    write(tree.path(), "src/a.rs", BAD.as_bytes());
    std::os::unix::fs::symlink(tree.path(), tree.path().join("src/round")).expect("a link");
    std::os::unix::fs::symlink(tree.path().join("src/a.rs"), tree.path().join("src/b.rs")).expect("a link");
    let report = lint_tree(tree.path(), &Options::default(), &|_| {});
    assert_eq!((report.files, report.findings.len()), (1, 1));
}

#[test]
fn more_files_than_a_run_reads_is_told() {
    let tree = tempfile::tempdir().expect("a directory");
    for nth in 0..5 {
        write(tree.path(), &format!("src/{nth}.rs"), BAD.as_bytes());
    }
    let options = Options { files_max: 3, ..Options::default() };
    let report = lint_tree(tree.path(), &options, &|_| {});
    assert_eq!(report.files, 3);
    assert!(
        matches!(report.failures[0].problem, Problem::TooManyFiles { limit: 3 }),
        "{:?}",
        report.failures
    );
}

#[test]
fn a_tree_that_is_not_there_is_told() {
    let report = lint_tree(Path::new("/nowhere/at/all"), &Options::default(), &|_| {});
    assert_eq!((report.files, report.failures.len()), (0, 1));
}

#[test]
fn more_text_than_is_kept_between_the_passes_is_judged_too() {
    let padding = format!("// {}\n", "x".repeat(100)).repeat(9_000);
    let files: Vec<SourceFile> = (0..32)
        .map(|nth| SourceFile { path: format!("src/{nth}.rs"), text: format!("{padding}{BAD}") })
        .collect();
    let report = lint_sources(&files, &Options::default(), &|_| {});
    assert_eq!((report.files, report.findings.len()), (32, 32));
}
