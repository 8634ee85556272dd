//! The tables of ARCHITECTURE.md against the tree, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::imports;
use crate::table::{self, Row};
use crate::workspace::Workspace;

const MAP: &str = "ARCHITECTURE.md";
/// How many files and folders a crate's sources may have before the walk is given up.
const FILES_MAX: usize = 10_000;

/// What the map says of a crate or module.
struct Entry {
    line: usize,
    must_never: Vec<String>,
}

/// Every disagreement between the map and the tree, one line each.
pub(crate) fn disagreements(workspace: &Workspace) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(workspace.root.join(MAP))
        .map_err(|error| io::Error::new(error.kind(), format!("{MAP}: {error}")))?;
    let (entries, mut told) = entries(&table::rows(&text, "path"));

    let mut found = BTreeSet::new();
    for one in &workspace.crates {
        found.insert(one.path.clone());
        found.extend(top_modules(&workspace.root, &one.path)?);
    }
    told.extend(compare(&entries, &found));
    for (path, entry) in entries.iter().filter(|(path, _)| found.contains(*path)) {
        for (file, source) in sources(&workspace.root, path)? {
            for unwanted in &entry.must_never {
                for line in imports::lines_naming(&source, unwanted) {
                    told.push(format!(
                        "{file}:{line}: `{path}` must never import {unwanted} ({MAP}:{})",
                        entry.line
                    ));
                }
            }
        }
    }
    told.extend(dependencies(workspace, &table::rows(&text, "dependency")));
    Ok(told)
}

fn entries(rows: &[Row]) -> (BTreeMap<String, Entry>, Vec<String>) {
    let (mut entries, mut told) = (BTreeMap::new(), Vec::new());
    for Row { line, cells } in rows {
        let (Some(path), 4) = (table::ticked(&cells[0]).next(), cells.len()) else {
            told.push(format!("{MAP}:{line}: a row is `path`, what it is, may know, must never import"));
            continue;
        };
        if cells[1].is_empty() {
            told.push(format!("{MAP}:{line}: `{path}`: what it is is not said"));
        }
        let must_never = table::ticked(&cells[3]).map(str::to_owned).collect();
        if entries.insert(path.to_owned(), Entry { line: *line, must_never }).is_some() {
            told.push(format!("{MAP}:{line}: `{path}` has two rows"));
        }
    }
    (entries, told)
}

fn compare(entries: &BTreeMap<String, Entry>, found: &BTreeSet<String>) -> Vec<String> {
    let unknown = found
        .iter()
        .filter(|path| !entries.contains_key(*path))
        .map(|path| format!("{path}: is in the tree and has no row in {MAP}"));
    let gone = entries
        .iter()
        .filter(|(path, _)| !found.contains(*path))
        .map(|(path, entry)| format!("{MAP}:{}: `{path}` has a row and is not in the tree", entry.line));
    unknown.chain(gone).collect()
}

/// Each dependency that is not ours has a line of why, and each line a dependency.
fn dependencies(workspace: &Workspace, rows: &[Row]) -> Vec<String> {
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for one in &workspace.crates {
        for dependency in
            one.dependencies.iter().filter(|dependency| workspace.ours(&dependency.name).is_none())
        {
            named.entry(&dependency.name).or_insert(&one.path);
        }
    }
    let mut told = Vec::new();
    let mut explained = BTreeSet::new();
    for Row { line, cells } in rows {
        if cells.get(1).is_none_or(String::is_empty) {
            told.push(format!("{MAP}:{line}: the line of why is empty"));
        }
        for name in table::ticked(&cells[0]) {
            if !named.contains_key(name) {
                told.push(format!("{MAP}:{line}: `{name}` has a line of why and no Cargo.toml names it"));
            }
            explained.insert(name);
        }
    }
    let unexplained = named.iter().filter(|(name, _)| !explained.contains(*name));
    told.extend(
        unexplained.map(|(name, by)| format!("{by}: depends on {name}, which has no line of why in {MAP}")),
    );
    told
}

/// The modules at the top of a crate, as `src/name.rs` or `src/name/`.
fn top_modules(root: &Path, crate_path: &str) -> io::Result<Vec<String>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(root.join(crate_path).join("src"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_tests(&entry.path()) {
            continue;
        }
        if entry.path().join("mod.rs").is_file() {
            modules.push(format!("{crate_path}/src/{name}/"));
        } else if name.ends_with(".rs") && !matches!(name.as_str(), "lib.rs" | "main.rs") {
            modules.push(format!("{crate_path}/src/{name}"));
        }
    }
    modules.sort();
    Ok(modules)
}

/// Tests are named so by habit: they need no row, and may import more.
fn is_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
}

/// The sources of a crate or module, without its tests.
fn sources(root: &Path, path: &str) -> io::Result<Vec<(String, String)>> {
    let whole = root.join(path);
    let start = if whole.join("Cargo.toml").is_file() { whole.join("src") } else { whole };
    rust_files(root, &start, |file| !is_tests(file))
}

/// The Rust files below `start` that are wanted: their paths from the root, and what is in them.
pub(crate) fn rust_files(
    root: &Path,
    start: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> io::Result<Vec<(String, String)>> {
    let (mut files, mut left): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), vec![start.to_owned()]);
    while let Some(one) = left.pop() {
        if files.len() + left.len() > FILES_MAX {
            return Err(io::Error::other(format!("{}: more than {FILES_MAX} source files", start.display())));
        }
        if !wanted(&one) {
            continue;
        }
        if one.is_dir() {
            left.extend(
                fs::read_dir(&one)?
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<io::Result<Vec<_>>>()?,
            );
        } else if one.extension().is_some_and(|extension| extension == "rs") {
            files.push(one);
        }
    }
    files.sort();
    let read = |file: PathBuf| {
        let shown = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        Ok((shown, fs::read_to_string(&file)?))
    };
    files.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Crate, Dependency, UsedIn};

    const TEXT: &str = "\
| path | what it is | may know | must never import |
| --- | --- | --- | --- |
| `lib/a` | a crate | nothing | `http`, `serde` |
| `lib/a/src/gone.rs` | was here | | |
";

    #[test]
    fn a_row_without_a_file_and_a_file_without_a_row_are_both_told() {
        let (entries, told) = entries(&table::rows(TEXT, "path"));
        assert_eq!(told, Vec::<String>::new());
        let found = ["lib/a", "lib/a/src/new.rs"].map(str::to_owned).into();
        let told = compare(&entries, &found);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("lib/a/src/new.rs: is in the tree"), "{told:?}");
        assert!(told[1].starts_with("ARCHITECTURE.md:4: `lib/a/src/gone.rs` has a row"), "{told:?}");
        assert_eq!(entries["lib/a"].must_never, ["http", "serde"]);
    }

    #[test]
    fn a_row_of_another_shape_or_told_twice_is_refused() {
        let text = "| path | is |\n| --- | --- |\n| `a` | x |\n| b | x | | |\n";
        assert_eq!(entries(&table::rows(text, "path")).1.len(), 2);
        let text =
            "| path | is | a | b |\n|---|---|---|---|\n| `a` | x | | |\n| `a` | x | | |\n| `b` | | | |\n";
        let told = entries(&table::rows(text, "path")).1;
        assert!(told[0].contains("two rows") && told[1].contains("not said"), "{told:?}");
    }

    #[test]
    fn each_dependency_has_a_line_of_why_and_each_line_a_dependency() {
        let mut workspace = Workspace::default();
        let dependency = |name: &str| Dependency { name: name.to_owned(), used_in: UsedIn::Tests };
        workspace.crates.push(Crate {
            name: "a".into(),
            path: "lib/a".into(),
            dependencies: ["tokio", "http", "a"].map(dependency).into(),
        });
        let text = "| dependency | why |\n|---|---|\n| `tokio`, `bytes` | the runtime |\n";
        let told = dependencies(&workspace, &table::rows(text, "dependency"));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("`bytes` has a line of why and no Cargo.toml"), "{told:?}");
        assert!(told[1].starts_with("lib/a: depends on http"), "{told:?}");
    }
}
