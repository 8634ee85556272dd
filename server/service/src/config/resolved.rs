//! What is in force.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::setting::{Kind, Setting};
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
