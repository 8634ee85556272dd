//! What was pushed, in a file of the data directory that is replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::read::{self, ENTRIES_MAX};
use super::table::{Field, Table};
use crate::config::{self, ConfigError};

/// The file of the data directory.
const FILE: &str = "policy.json";

/// How large it may be, in bytes: what is larger would not be read at the next start.
const BYTES_MAX: usize = 64 << 20;

/// What was pushed, and how often anything was.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Pushed {
    pub(super) version: u64,
    pub(super) table: Table,
}

pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// As it was left; nothing where nobody ever pushed.
pub(super) fn load(directory: &Path, fields: &[Field]) -> Result<Pushed, ConfigError> {
    let path = path(directory);
    if let Err(error) = fs::metadata(&path)
        && error.kind() == ErrorKind::NotFound
    {
        return Ok(Pushed::default());
    }
    let file = config::File::read_within(&path, BYTES_MAX as u64)?;
    let shown = path.display();
    let wrong = |what: &str| {
        ConfigError::one(format!("{shown}: {what}; it holds what was pushed, removing it takes that back"))
    };
    let value: serde_json::Value =
        serde_json::from_str(&file.text).map_err(|error| wrong(&error.to_string()))?;
    let version = value["version"].as_u64().ok_or_else(|| wrong("no version"))?;
    let table = read::json(value["policy"].to_string().as_bytes(), fields)
        .map_err(|error| wrong(&error.to_string()))?;
    Ok(Pushed { version, table })
}

/// What is kept of it.
///
/// # Errors
/// When it could not be read again.
pub(super) fn text(pushed: &Pushed) -> Result<String, ConfigError> {
    let entries = pushed.table.named();
    if entries > ENTRIES_MAX {
        return Err(ConfigError::one(format!("{entries} entries, allowed are at most {ENTRIES_MAX}")));
    }
    let text = json!({"version": pushed.version, "policy": pushed.table.to_json()});
    let text = format!("{text:#}\n");
    if text.len() > BYTES_MAX {
        let bytes = text.len();
        return Err(ConfigError::one(format!(
            "{bytes} bytes with all entries, allowed are at most {BYTES_MAX}"
        )));
    }
    Ok(text)
}

/// Replaces the file: whoever reads it, after whatever crash, finds the old or the new one whole.
///
/// # Errors
/// Where the old one is still there.
pub(super) fn store(directory: &Path, text: &str) -> io::Result<()> {
    let path = path(directory);
    let draft = path.with_extension("draft");
    // Left over where a process ended half-way.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    // From here on it is what the next start reads. That a loss of power may still bring back the one
    // before is told to the operator; to refuse the push would leave memory and disk at odds for sure.
    if let Err(error) = File::open(directory).and_then(|directory| directory.sync_all()) {
        let path = path.display();
        tracing::error!(%error, %path, "a push of policy is kept, but a loss of power now may take it back");
    }
    Ok(())
}
