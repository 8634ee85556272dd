//! docs/footguns.md against the tests: what the page says is held by a test has that test.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use crate::modules::rust_files;
use crate::table::{self, Row};

const PAGE: &str = "docs/footguns.md";

/// Every row that names no test, or one that is not there.
pub(crate) fn without_a_test(root: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(root.join(PAGE))
        .map_err(|error| io::Error::new(error.kind(), format!("{PAGE}: {error}")))?;
    let mut tests = BTreeSet::new();
    for folder in ["lib", "server", "systems"] {
        for (_, source) in rust_files(root, &root.join(folder), |_| true)? {
            tests.extend(functions(&source).map(str::to_owned));
        }
    }
    Ok(missing(&table::rows(&text, "what goes wrong"), &tests))
}

fn missing(rows: &[Row], tests: &BTreeSet<String>) -> Vec<String> {
    let mut told = Vec::new();
    for Row { line, cells } in rows {
        let mut named = cells.last().into_iter().flat_map(|cell| table::ticked(cell)).peekable();
        if named.peek().is_none() {
            told.push(format!("{PAGE}:{line}: no test is named"));
        }
        told.extend(
            named
                .filter(|name| !tests.contains(*name))
                .map(|name| format!("{PAGE}:{line}: there is no test `{name}`")),
        );
    }
    told
}

/// The names of the functions in a source file.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let after = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?;
        after.split(['(', '<']).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_needs_a_test_that_is_there() {
        let page = "| what goes wrong | held by |\n|---|---|\n| a | `x`, `y` |\n| b | |\n| c | `z` |\n";
        let source = "#[test]\nfn x() {}\n    async fn z() {}\n// fn y() {}\n";
        let tests = functions(source).map(str::to_owned).collect();
        let told = missing(&table::rows(page, "what goes wrong"), &tests);
        assert_eq!(
            told,
            ["docs/footguns.md:3: there is no test `y`", "docs/footguns.md:4: no test is named"]
        );
    }
}
