//! What a path says of its file: which crate it is of, and whether it is a test.

/// Directories whose code is no part of what runs in production.
const TESTS: &[&str] =
    &["tests", "test", "benches", "bench", "examples", "example", "fuzz", "testing", "demos", "benchmarks"];

/// Directories in which a crate keeps its code.
const CODE: &[&str] = &["src", "tests", "examples", "benches"];

/// The directory of the crate that a file is of.
pub(crate) fn crate_of(path: &str) -> &str {
    let parts: Vec<&str> = path.split('/').collect();
    let directories = &parts[..parts.len().saturating_sub(1)];
    let code = directories
        .iter()
        .rposition(|part| *part == "src")
        .or_else(|| directories.iter().position(|part| CODE.contains(part)));
    let above = code.unwrap_or(directories.len());
    let length = parts[..above].iter().map(|part| part.len() + 1).sum::<usize>();
    &path[..length.saturating_sub(1)]
}

/// Whether a file is a test, an example or a benchmark, by its path.
pub(crate) fn is_test(path: &str) -> bool {
    let (directories, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    directories.split('/').any(|part| {
        TESTS.contains(&part)
            || part.ends_with("-tests")
            || part.ends_with("_tests")
            || part.ends_with("-test")
    }) || matches!(
        stem,
        "tests" | "test" | "testing" | "test_util" | "test_utils" | "build" | "mock" | "mocks"
    ) || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem.starts_with("test_")
}

/// The modules of a file, by its path: `net::server` of `src/net/server.rs`.
pub(crate) fn module_of(path: &str) -> String {
    let below = path.rsplit_once("src/").map_or(path, |(_, below)| below);
    let stem = below.trim_end_matches(".rs");
    let parts = stem.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main" | ""));
    parts.collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_crate_whose_directory_of_code_it_is_in() {
        assert_eq!(crate_of("lib/net/src/server/mod.rs"), "lib/net");
        assert_eq!(crate_of("lib/net/tests/it.rs"), "lib/net");
        assert_eq!(crate_of("src/main.rs"), "");
        assert_eq!(crate_of("main.rs"), "");
        assert_eq!(crate_of("loose/main.rs"), "loose");
    }

    #[test]
    fn tests_examples_and_benchmarks_are_told_by_their_path() {
        for path in ["tests/it.rs", "a/examples/x.rs", "src/net/tests.rs", "src/pool_test.rs", "benches/b.rs"]
        {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/main.rs", "src/latest.rs", "src/attestation/mod.rs"] {
            assert!(!is_test(path), "{path}");
        }
    }

    #[test]
    fn modules_are_the_parts_of_the_path_below_src() {
        assert_eq!(module_of("lib/net/src/server/mod.rs"), "server");
        assert_eq!(module_of("src/a/b.rs"), "a::b");
        assert_eq!(module_of("src/main.rs"), "");
    }
}
