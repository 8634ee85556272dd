//! What is in force.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::setting::{Changes, Kind, Setting};
use super::value::Value;

/// A setting, its value, and where that came from.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// What it is.
    pub value: Value,
    /// Who said so.
    pub source: Source,
}

/// What became of settings that were read again.
#[derive(Clone, PartialEq, Debug)]
pub struct Reloaded {
    /// What is to be in force now.
    pub resolved: Resolved,
    /// The keys whose value is another now.
    pub now: Vec<&'static str>,
    /// The keys whose value will be another when the process starts again.
    pub at_start: Vec<&'static str>,
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file.
    File {
        /// Where it is.
        path: PathBuf,
        /// The line of the key.
        line: usize,
    },
    /// The environment.
    Environment {
        /// The name of the variable.
        name: String,
    },
    /// A flag.
    Flag {
        /// As it was written.
        flag: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// The settings in force.
///
/// The getters take a key that a table declares, of the kind they are for; anything else is a bug
/// of the caller and panics, which the test of the system's own `from(&Resolved)` finds.
#[derive(Clone, PartialEq, Debug)]
pub struct Resolved {
    entries: Vec<Entry>,
    by_key: BTreeMap<&'static str, usize>,
}

#[expect(clippy::missing_panics_doc, reason = "told once, at the type")]
impl Resolved {
    pub(super) const fn new(entries: Vec<Entry>, by_key: BTreeMap<&'static str, usize>) -> Self {
        Self { entries, by_key }
    }

    /// These settings with those of `new` that may change at runtime, and the keys of what has
    /// changed: what takes effect now, and what only when the process starts again.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Reloaded {
        let mut reloaded = Reloaded { resolved: self.clone(), now: Vec::new(), at_start: Vec::new() };
        for entry in &mut reloaded.resolved.entries {
            let found = new.entry(entry.setting.key);
            let changed = found.value != entry.value;
            match entry.setting.changes {
                Changes::AtRuntime => {
                    *entry = found.clone();
                    reloaded.now.extend(changed.then_some(found.setting.key));
                }
                Changes::AtStart => reloaded.at_start.extend(changed.then_some(found.setting.key)),
            }
        }
        reloaded
    }

    /// Every setting, in the order of the tables.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One setting.
    #[must_use]
    pub fn entry(&self, key: &str) -> &Entry {
        let at = self.by_key.get(key).unwrap_or_else(|| panic!("{key} is declared by a table"));
        &self.entries[*at]
    }

    /// A whole number that has a default.
    #[must_use]
    pub fn integer(&self, key: &str) -> u64 {
        self.optional_integer(key).unwrap_or_else(|| panic!("{key} has a default"))
    }

    /// A whole number that may be absent.
    #[must_use]
    pub fn optional_integer(&self, key: &str) -> Option<u64> {
        match self.entry(key).value {
            Value::Integer(number) => Some(number),
            Value::Absent => None,
            _ => wrong_kind(key, "a whole number"),
        }
    }

    /// A whole number that counts things in memory.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        usize::try_from(self.integer(key)).unwrap_or(usize::MAX)
    }

    /// A number that has a default.
    #[must_use]
    pub fn number(&self, key: &str) -> f64 {
        match self.entry(key).value {
            Value::Number(number) => number,
            _ => wrong_kind(key, "a number"),
        }
    }

    /// Yes or no.
    #[must_use]
    pub fn boolean(&self, key: &str) -> bool {
        match self.entry(key).value {
            Value::Boolean(value) => value,
            _ => wrong_kind(key, "true or false"),
        }
    }

    /// A text, or a word out of a choice, if it is set.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key).value {
            Value::Text(text) => Some(text),
            Value::Absent => None,
            _ => wrong_kind(key, "text"),
        }
    }

    /// A time that has a default.
    #[must_use]
    pub fn duration(&self, key: &str) -> Duration {
        match self.entry(key).setting.kind {
            Kind::Milliseconds { .. } => Duration::from_millis(self.integer(key)),
            Kind::Seconds { .. } => Duration::from_secs(self.integer(key)),
            _ => wrong_kind(key, "a time"),
        }
    }

    /// A list of times.
    #[must_use]
    pub fn durations(&self, key: &str) -> Vec<Duration> {
        match &self.entry(key).value {
            Value::Integers(items) => items.iter().copied().map(Duration::from_secs).collect(),
            _ => wrong_kind(key, "a list of times"),
        }
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(&self, key: &str) -> &[String] {
        match &self.entry(key).value {
            Value::Texts(items) => items,
            _ => wrong_kind(key, "a list of texts"),
        }
    }

    /// A list of networks.
    #[must_use]
    pub fn networks(&self, key: &str) -> &[IpNet] {
        match &self.entry(key).value {
            Value::Networks(items) => items,
            _ => wrong_kind(key, "a list of networks"),
        }
    }

    /// An address and a port that have a default.
    #[must_use]
    pub fn address(&self, key: &str) -> SocketAddr {
        match self.entry(key).value {
            Value::Address(address) => address,
            _ => wrong_kind(key, "an address"),
        }
    }

    /// A path, if it is set.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<&Path> {
        match &self.entry(key).value {
            Value::Path(path) => Some(path),
            Value::Absent => None,
            _ => wrong_kind(key, "a path"),
        }
    }
}

fn wrong_kind(key: &str, what: &str) -> ! {
    panic!("{key} is declared as {what}")
}

#[cfg(test)]
mod tests {
    use crate::config::{Inputs, Kind, Resolved, Setting};

    #[test]
    fn of_settings_read_again_only_those_take_effect_that_may_change_at_runtime() {
        const TABLE: &[Setting] = &[
            Setting::new("a", "1", Kind::Text, "A.").at_runtime(),
            Setting::new("b", "1", Kind::Text, "B."),
            Setting::new("c", "1", Kind::Text, "C.").at_runtime(),
        ];
        let flags = [("a", "2"), ("b", "2")].map(|(key, value)| (key.into(), value.into(), "--set".into()));
        let before = Resolved::load(&[TABLE], Inputs::default()).unwrap();
        let after = Resolved::load(&[TABLE], Inputs { flags: flags.into(), ..Inputs::default() }).unwrap();
        let reloaded = before.reloaded(&after);
        assert_eq!((reloaded.now, reloaded.at_start), (vec!["a"], vec!["b"]));
        assert_eq!((reloaded.resolved.text("a"), reloaded.resolved.text("b")), (Some("2"), Some("1")));
    }
}
