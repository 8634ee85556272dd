use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::run::ClippyError;

/// What `cargo metadata` says of a workspace, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Workspace {
    pub(super) packages: Vec<Package>,
    pub(super) workspace_root: PathBuf,
    pub(super) target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    manifest_path: PathBuf,
}

impl Workspace {
    /// The workspace that a directory is in.
    pub(super) fn of(directory: &Path) -> Result<Self, ClippyError> {
        let mut command = cargo(directory);
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = command
            .output()
            .map_err(|error| ClippyError::new(format!("cargo could not be started: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(ClippyError::new(format!("cargo metadata: {}", said.trim())));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| ClippyError::new(format!("cargo metadata was not understood: {error}")))
    }
}

impl Package {
    pub(super) fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

/// Cargo, in a directory: the one that called us, if it did.
pub(super) fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(directory);
    command
}
