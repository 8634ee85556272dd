//! The public surface of the crates under `lib/`: every item that other people's code can name, one
//! a line, sorted, in `lib/NAME/surface.txt`, so that every change of it is seen in a diff.
//!
//! It is read from the sources, since stable rustdoc has no machine-readable form. What only the
//! compiler knows is not in it: auto traits, and what a macro makes.

mod example;
mod listing;
mod print;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tree::Tree;

const FILE: &str = "surface.txt";

/// Writes the listings; says which files have changed.
pub(crate) fn write(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    for library in libraries(root)? {
        let (file, now) = (library.join(FILE), listing_of(&library)?);
        if fs::read_to_string(&file).ok().as_deref() != Some(&now) {
            fs::write(&file, now)?;
            changed.push(file);
        }
    }
    Ok(changed)
}

/// What was taken away and added against the listings, as lines of a diff.
pub(crate) fn differences(root: &Path) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    for library in libraries(root)? {
        let file = library.join(FILE);
        let (then, now) = (fs::read_to_string(&file).unwrap_or_default(), listing_of(&library)?);
        let differing = diff(&then, &now);
        if !differing.is_empty() {
            told.push(format!("{}:", file.strip_prefix(root).unwrap_or(&file).display()));
            told.extend(differing);
        }
    }
    if !told.is_empty() {
        told.push(
            "the public surface has changed: `cargo xtask surface` writes it anew, commit it too".into(),
        );
    }
    Ok(told)
}

/// What can be named and shows no example that runs, one line each.
pub(crate) fn without_example(root: &Path) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    for library in libraries(root)? {
        let paths = listing::without_example(&tree_of(&library)?);
        told.extend(
            paths.into_iter().map(|path| format!("{path}: its documentation has no example that runs")),
        );
    }
    Ok(told)
}

fn libraries(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("lib"))? {
        let path = entry?.path();
        if path.join("src/lib.rs").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn tree_of(library: &Path) -> io::Result<Tree> {
    let name = library.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
    Tree::read(&name, &library.join("src/lib.rs"))
}

fn listing_of(library: &Path) -> io::Result<String> {
    let tree = tree_of(library)?;
    let mut text = format!("# The public surface of {}: `cargo xtask surface` writes it.\n", tree.name);
    for line in listing::lines(&tree) {
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Lines that only one of the two has; both are sets of lines.
fn diff(then: &str, now: &str) -> Vec<String> {
    let (then, now): (BTreeSet<&str>, BTreeSet<&str>) = (then.lines().collect(), now.lines().collect());
    let gone = then.difference(&now).map(|line| format!("- {line}"));
    let come = now.difference(&then).map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_went_and_what_came() {
        assert_eq!(diff("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert!(diff("a\nb\n", "a\nb\n").is_empty());
    }
}
