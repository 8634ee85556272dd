//! What only types tell, asked of the real clippy on a workspace made here, with a tokio of its own.

use std::path::Path;

use plimsoll_lint::clippy::lint_tree_with_types;
use plimsoll_lint::{Options, Rule, lint_tree};

/// As much of tokio as is called.
const TOKIO: &str = "\
pub mod task {
    pub fn spawn<F: Future + Send + 'static>(_future: F) -> JoinHandle {
        JoinHandle
    }
    pub struct JoinHandle;
}
pub use task::spawn;
pub mod runtime {
    pub struct Handle;
    impl Handle {
        pub fn spawn<F: Future + Send + 'static>(&self, _future: F) -> super::task::JoinHandle {
            super::task::JoinHandle
        }
    }
}
pub mod sync {
    pub mod mpsc {
        pub fn unbounded_channel<T>() -> (Option<T>, Option<T>) {
            (None, None)
        }
    }
}
";

const PRELUDE: &str = "\
pub use tokio::sync::mpsc::unbounded_channel as pipe;
pub use tokio::spawn as go;

#[macro_export]
macro_rules! begin {
    ($future:expr) => {
        tokio::spawn($future)
    };
}
";

const APP: &str = "\
#![deny(clippy::all)]
use prelude::{go, pipe};

pub struct Engine {
    inner: tokio::runtime::Handle,
}

impl Engine {
    pub fn import(&self, rows: Vec<u32>) {
        for row in rows {
            self.inner.spawn(async move { drop(row) });
        }
    }
}

pub fn replay(rows: Vec<u32>) {
    for row in rows {
        go(async move { drop(row) });
    }
}

pub fn refresh(rows: Vec<u32>) {
    for row in rows {
        prelude::begin!(async move { drop(row) });
    }
}

pub fn events() -> (Option<u8>, Option<u8>) {
    pipe()
}

pub fn told_already() -> (Option<u8>, Option<u8>) {
    tokio::sync::mpsc::unbounded_channel()
}

#[allow(clippy::disallowed_methods)]
pub fn allowed() -> (Option<u8>, Option<u8>) {
    pipe()
}
";

fn write(directory: &Path, path: &str, text: &str) {
    let file = directory.join(path);
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("can be made");
    std::fs::write(file, text).expect("can be written");
}

fn package(root: &Path, name: &str, dependencies: &str, text: &str) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}"
    );
    write(root, &format!("{name}/Cargo.toml"), &manifest);
    write(root, &format!("{name}/src/lib.rs"), text);
}

fn workspace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("can be made");
    let root = directory.path();
    write(root, "Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"prelude\", \"tokio\"]\n");
    package(root, "tokio", "", TOKIO);
    package(root, "prelude", "tokio = { path = \"../tokio\" }\n", PRELUDE);
    package(root, "app", "tokio = { path = \"../tokio\" }\nprelude = { path = \"../prelude\" }\n", APP);
    directory
}

fn lines(report: &plimsoll_lint::Report, rule: Rule) -> Vec<usize> {
    let of_app =
        report.findings.iter().filter(|finding| finding.rule == rule && finding.path == "app/src/lib.rs");
    let mut lines: Vec<usize> = of_app.map(|finding| finding.start.line).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_goes_through_a_re_export_a_macro_or_a_field_is_told_with_types_and_the_users_settings_stay() {
    let workspace = workspace();
    let root = workspace.path();
    let settings = "disallowed-methods = [\"std::mem::drop\"]\n";
    write(root, "clippy.toml", settings);
    let options = Options::default();
    let plain = lint_tree(root, &options, &|_| {});
    let typed = lint_tree_with_types(root, &options, &|_| {}).expect("clippy is there");
    assert_eq!(lines(&plain, Rule::UnboundedChannel), [33], "{:#?}", plain.findings);
    assert_eq!(lines(&typed, Rule::UnboundedChannel), [29, 33], "{:#?}", typed.findings);
    let loops = lines(&typed, Rule::SpawnInLoop);
    assert_eq!(loops, [11, 18, 24], "{:#?}", typed.findings);
    assert!(lines(&plain, Rule::SpawnInLoop).iter().all(|line| loops.contains(line)));
    assert_eq!(std::fs::read_to_string(root.join("clippy.toml")).unwrap(), settings);
    for finding in &plain.findings {
        assert!(
            typed.findings.contains(finding),
            "what was told without types is told as it was: {finding:#?}"
        );
    }
}

#[test]
fn code_that_does_not_compile_and_a_directory_without_a_workspace_are_told() {
    let workspace = workspace();
    let root = workspace.path();
    write(root, "app/src/lib.rs", "pub fn wrong() -> u8 { \"text\" }\n");
    let error = lint_tree_with_types(root, &Options::default(), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("could not be built") && error.contains("mismatched types"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = lint_tree_with_types(empty.path(), &Options::default(), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("Cargo.toml"), "{error}");
}
