use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use crate::options::{Options, Vendored};
use crate::report::{Failure, Problem};

/// Directories below each other, so that a tree that somebody else has made cannot go on for ever.
const DIRECTORIES_DEEP_MAX: usize = 64;

/// The files of a run, and what could not be looked into.
pub(crate) struct Walked {
    pub(crate) files: Vec<Listed>,
    pub(crate) failures: Vec<Failure>,
}

/// A file on disk.
pub(crate) struct Listed {
    /// Where it is read from.
    pub(crate) on_disk: PathBuf,
    /// What it is called in the report.
    pub(crate) path: String,
}

/// Finds the Rust files below `root`, in the order of their paths.
pub(crate) fn walk(root: &Path, options: &Options) -> Walked {
    let mut walked = Walked { files: Vec::new(), failures: Vec::new() };
    let vendored = options.vendored;
    let walk = WalkBuilder::new(root)
        .require_git(false)
        .follow_links(false)
        .max_depth(Some(DIRECTORIES_DEEP_MAX))
        .sort_by_file_path(Path::cmp)
        .filter_entry(move |entry| entry.depth() == 0 || wanted(entry, vendored))
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = relative(root, root);
                walked.failures.push(Failure { path, problem: Problem::Read { why: error.to_string() } });
                continue;
            }
        };
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if !is_file || entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let path = relative(root, entry.path());
        if options.excludes(&path) {
            continue;
        }
        if walked.files.len() == options.files_max {
            walked
                .failures
                .push(Failure { path, problem: Problem::TooManyFiles { limit: options.files_max } });
            break;
        }
        walked.files.push(Listed { on_disk: entry.into_path(), path });
    }
    walked
}

fn wanted(entry: &DirEntry, vendored: Vendored) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return true;
    }
    match entry.file_name().to_str() {
        // A module may be called so too: only where cargo builds.
        Some("target") => !built(entry.path()),
        Some(name) => !is_left_out(name, vendored),
        None => true,
    }
}

/// Whether a directory of this name holds other people's code.
pub(crate) fn is_left_out(name: &str, vendored: Vendored) -> bool {
    match name {
        "vendor" | "third_party" | "third-party" => vendored == Vendored::Skip,
        _ => name == "node_modules",
    }
}

fn built(target: &Path) -> bool {
    target.join("CACHEDIR.TAG").exists()
        || target.parent().is_some_and(|above| above.join("Cargo.toml").exists())
}

/// The path below the root, with `/` between its parts; of the root itself, its last part.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let shown = if below.as_os_str().is_empty() { path.file_name().map_or(path, Path::new) } else { below };
    let parts = shown.components().map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}
