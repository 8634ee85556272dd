use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::callee::CALLEES;
use crate::bounded::read_text;

/// What clippy's settings are called.
const NAMES: [&str; 2] = [".clippy.toml", "clippy.toml"];
const BYTES_MAX: u64 = 1 << 20;

/// What stands in the reason of what we ask for: by it our answers are told from the user's own.
pub(super) const MARK: &str = "plimsoll lint";

/// The settings that clippy would use for a package: the nearest at or above it, as clippy looks.
pub(super) fn of_package(package: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("CLIPPY_CONF_DIR").map(PathBuf::from);
    let found = |directory: &Path| NAMES.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    match named {
        Some(directory) => found(&directory),
        None => package.ancestors().find_map(found),
    }
}

/// The user's settings with ours beside them.
///
/// # Errors
/// The user's cannot be read; the fragment says why.
pub(super) fn merged(users: Option<&Path>) -> Result<String, String> {
    let text = users.map(|file| read_text(file, BYTES_MAX)).transpose()?.unwrap_or_default();
    let mut table: Table = toml::from_str(&text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let entry = table.entry("disallowed-methods").or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(methods) = entry else {
        return Err("disallowed-methods is no list".to_owned());
    };
    // One path may stand there once: the user's own entry of it is replaced, its reason is not what is read.
    methods.retain(|method| path_of(method).is_none_or(|path| !CALLEES.contains(&path)));
    methods.extend(CALLEES.iter().map(|callee| {
        let mut entry = Table::new();
        entry.insert("path".into(), Value::String((*callee).to_owned()));
        entry.insert("reason".into(), Value::String(MARK.to_owned()));
        Value::Table(entry)
    }));
    toml::to_string(&table).map_err(|error| error.to_string())
}

/// An entry is a path, or a table with one.
fn path_of(method: &Value) -> Option<&str> {
    method.as_str().or_else(|| method.get("path")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_has_set_stays_in_force_beside_what_we_ask() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("clippy.toml");
        let users = "msrv = \"1.70\"\ndisallowed-methods = [\"std::env::var\", { path = \"tokio::task::spawn\", reason = \"own\" }]\n\
                     disallowed-types = [{ path = \"std::rc::Rc\" }]\n";
        std::fs::write(&file, users).unwrap();
        let table: Table = toml::from_str(&merged(Some(&file)).unwrap()).unwrap();
        assert_eq!(table["msrv"].as_str(), Some("1.70"));
        assert_eq!(table["disallowed-types"][0]["path"].as_str(), Some("std::rc::Rc"));
        let methods = table["disallowed-methods"].as_array().unwrap();
        assert_eq!(methods.len(), CALLEES.len() + 1);
        assert!(methods.iter().any(|method| path_of(method) == Some("std::env::var")));
    }

    #[test]
    fn the_nearest_settings_above_a_package_are_its() {
        let directory = tempfile::tempdir().unwrap();
        let package = directory.path().join("a/b");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(directory.path().join("clippy.toml"), "").unwrap();
        assert_eq!(of_package(&package), Some(directory.path().join("clippy.toml")));
        std::fs::write(directory.path().join("a/.clippy.toml"), "").unwrap();
        assert_eq!(of_package(&package), Some(directory.path().join("a/.clippy.toml")));
    }

    #[test]
    fn settings_that_clippy_would_refuse_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("clippy.toml");
        for (text, told) in [("disallowed-methods = 1", "no list"), ("= 1", "expected")] {
            std::fs::write(&file, text).unwrap();
            let error = merged(Some(&file)).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
