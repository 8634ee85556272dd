use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};

use super::config;
use super::message::{self, ResolvedCall, Said};
use super::workspace::{Workspace, cargo};

/// A line of cargo's JSON is a diagnostic with its text.
const LINE_BYTES_MAX: u64 = 16 << 20;
const CALLS_MAX: usize = 1_000_000;
/// Errors of the compiler that are told; the first is mostly the reason of the rest.
const ERRORS_TOLD: usize = 3;

/// Why clippy could not be asked.
#[derive(Debug)]
pub struct ClippyError {
    why: String,
}

impl ClippyError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for ClippyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "--types: {}", self.why)
    }
}

impl std::error::Error for ClippyError {}

/// Builds the workspace that `root` is in, as clippy does, and tells the calls that it has resolved.
///
/// The user's own `clippy.toml` stays in force. What the code allows by `#[allow(clippy::disallowed_methods)]`
/// is not told.
///
/// # Errors
/// There is no cargo, no clippy or no workspace, or the code does not compile.
pub fn resolved(root: &Path) -> Result<Vec<ResolvedCall>, ClippyError> {
    let directory = if root.is_file() { root.parent().unwrap_or(root) } else { root };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let workspace = Workspace::of(directory)?;
    let installed = cargo(directory).args(["clippy", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        return Err(ClippyError::new("cargo clippy is not installed: rustup component add clippy"));
    }
    let mut by_settings: BTreeMap<Option<PathBuf>, Vec<&str>> = BTreeMap::new();
    for package in &workspace.packages {
        by_settings.entry(config::of_package(package.directory())).or_default().push(&package.id);
    }
    let mut calls = BTreeSet::new();
    for (nth, (settings, packages)) in by_settings.iter().enumerate() {
        let text = config::merged(settings.as_deref()).map_err(|why| {
            let file = settings.as_deref().unwrap_or(Path::new("clippy.toml"));
            ClippyError::new(format!("{}: {why}", file.display()))
        })?;
        // Always at the same place: cargo then knows that nothing has changed, and builds nothing again.
        let ours = directory_of(&workspace).join(nth.to_string());
        let file = ours.join("clippy.toml");
        let written = fs::create_dir_all(&ours).and_then(|()| write_if_other(&file, &text));
        written.map_err(|error| ClippyError::new(format!("{}: {error}", file.display())))?;
        run(directory, &ours, packages, &mut calls)?;
    }
    let whole =
        root.canonicalize().map_err(|error| ClippyError::new(format!("{}: {error}", root.display())))?;
    Ok(calls.into_iter().filter_map(|call| below(call, &workspace.workspace_root, &whole)).collect())
}

/// Workspaces may share a target directory.
fn directory_of(workspace: &Workspace) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    workspace.workspace_root.hash(&mut hasher);
    workspace.target_directory.join("plimsoll-lint").join(format!("{:016x}", hasher.finish()))
}

fn write_if_other(file: &Path, text: &str) -> std::io::Result<()> {
    match fs::read_to_string(file) {
        Ok(there) if there == text => Ok(()),
        _ => fs::write(file, text),
    }
}

fn run(
    directory: &Path,
    settings: &Path,
    packages: &[&str],
    calls: &mut BTreeSet<ResolvedCall>,
) -> Result<(), ClippyError> {
    let mut command = cargo(directory);
    command.args(["clippy", "--message-format=json", "--all-targets"]);
    for package in packages {
        command.args(["--package", package]);
    }
    // What the code denies of itself must not end the build: it is not what is asked here.
    command.args(["--", "--cap-lints=warn", "--warn=clippy::disallowed_methods"]);
    command.env("CLIPPY_CONF_DIR", settings).stdin(Stdio::null()).stdout(Stdio::piped());
    // Whoever looks on sees what cargo builds; where nobody does, what matters is told in its JSON.
    let seen = std::io::stderr().is_terminal();
    command.stderr(if seen { Stdio::inherit() } else { Stdio::null() });
    let failed = |error: std::io::Error| ClippyError::new(format!("cargo clippy: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let out = child.stdout.take().ok_or_else(|| ClippyError::new("cargo clippy has no output"))?;
    let read = read(BufReader::new(out), calls);
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let Ended { success, errors } = read?;
    if success && status.success() {
        return Ok(());
    }
    let errors: String = errors.iter().map(|error| format!("\n{}", error.trim_end())).collect();
    Err(ClippyError::new(format!("the code could not be built: see cargo clippy --all-targets{errors}")))
}

struct Ended {
    success: bool,
    errors: Vec<String>,
}

fn read(mut out: BufReader<ChildStdout>, calls: &mut BTreeSet<ResolvedCall>) -> Result<Ended, ClippyError> {
    let mut ended = Ended { success: false, errors: Vec::new() };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = out.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| ClippyError::new(format!("cargo clippy: {error}")))? == 0 {
            return Ok(ended);
        }
        match message::read(&String::from_utf8_lossy(&line)) {
            Said::Call(call) => {
                calls.insert(call);
            }
            Said::Error(error) if ended.errors.len() < ERRORS_TOLD => ended.errors.push(error),
            Said::Finished { success } => ended.success = success,
            Said::Error(_) | Said::Other => {}
        }
        if calls.len() > CALLS_MAX {
            return Err(ClippyError::new(format!("more than {CALLS_MAX} calls")));
        }
    }
}

/// The same call with its path from the root of the run; nothing where it is not below it.
fn below(call: ResolvedCall, workspace: &Path, root: &Path) -> Option<ResolvedCall> {
    let whole = workspace.join(&call.path).canonicalize().ok()?;
    let path = if whole == root { Path::new(whole.file_name()?) } else { whole.strip_prefix(root).ok()? };
    Some(ResolvedCall { path: path.to_string_lossy().replace('\\', "/"), ..call })
}
