//! What can be set.

use std::fmt;

/// How many items a list may have at the most, whatever its setting says.
pub(super) const ITEMS_MAX: usize = 1_024;
/// How long a text may be, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 4_096;
/// What the names in the environment begin with.
pub(super) const ENVIRONMENT_PREFIX: &str = "PLIMSOLL_";

/// One thing that can be set; systems declare them in `const` tables.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    /// Its name: lower case, words joined by `_`, the unit last, the system before a dot:
    /// `hooks.attempt_timeout_ms`.
    pub key: &'static str,
    /// What it is when nobody sets it, written as in the environment (lists with commas); `None`
    /// where it may be absent.
    pub default: Option<&'static str>,
    /// What it may be.
    pub kind: Kind,
    /// What it does: one sentence for an operator.
    pub help: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What a setting may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A whole number in a range, both ends allowed.
    Integer {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number in a range, both ends allowed.
    Number {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// Any text of at most 4,096 bytes.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A time in milliseconds; the key ends in `_ms`.
    Milliseconds {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A time in seconds; the key ends in `_seconds`, perhaps followed by `_max` or `_min`.
    Seconds {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A list of times in seconds, each in the range.
    SecondsList {
        /// The least of each.
        min: u64,
        /// The most of each.
        max: u64,
        /// How many there may be.
        items_max: usize,
    },
    /// A list of texts.
    TextList {
        /// How many there may be.
        items_max: usize,
    },
    /// A list of networks (`10.0.0.0/8`, `::1`).
    NetworkList {
        /// How many there may be.
        items_max: usize,
    },
    /// An address and a port.
    Address,
    /// A path of the file system.
    Path,
}

impl Setting {
    /// The name of its variable in the environment.
    ///
    /// ```
    /// use plimsoll_service::config::{Kind, Setting};
    /// let key = "hooks.attempt_timeout_ms";
    /// let setting = Setting { key, default: None, kind: Kind::Text, help: "", secret: false };
    /// assert_eq!(setting.environment(), "PLIMSOLL_HOOKS_ATTEMPT_TIMEOUT_MS");
    /// ```
    #[must_use]
    pub fn environment(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

impl Kind {
    /// Whether a value of it is a list.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::SecondsList { .. } | Self::TextList { .. } | Self::NetworkList { .. })
    }
}

impl fmt::Display for Kind {
    /// What is allowed, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Boolean => write!(f, "true or false"),
            Self::Text => write!(f, "text of at most {TEXT_BYTES_MAX} bytes"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Milliseconds { min, max } => write!(f, "milliseconds from {min} to {max}"),
            Self::Seconds { min, max } => write!(f, "seconds from {min} to {max}"),
            Self::SecondsList { min, max, items_max } => {
                write!(f, "a list of at most {items_max} times, each in seconds from {min} to {max}")
            }
            Self::TextList { items_max } => write!(f, "a list of at most {items_max} texts"),
            Self::NetworkList { items_max } => {
                write!(f, "a list of at most {items_max} networks such as 10.0.0.0/8 or ::1")
            }
            Self::Address => write!(f, "an address and a port such as 127.0.0.1:8071 or [::1]:0"),
            Self::Path => write!(f, "a path"),
        }
    }
}
