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
    /// When a new value takes effect.
    pub changes: Changes,
    /// Which of the three tiers of bounds it belongs to, if it is a bound.
    pub tier: Option<Tier>,
}

/// When a new value of a setting takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changes {
    /// When the process starts.
    AtStart,
    /// When the file of settings is read again, on SIGHUP.
    AtRuntime,
}

/// The tiers of bounds that work passes, each within the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    /// Over all that the process has to do.
    Admission,
    /// Over what one customer may have of it.
    Tenant,
    /// Over what one destination may have of that.
    Endpoint,
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
    /// A setting with a default, written as in the environment.
    ///
    /// ```
    /// use plimsoll_service::config::{Changes, Kind, Setting, Tier};
    /// const SETTING: Setting = Setting::new(
    ///     "gate.concurrency",
    ///     "64",
    ///     Kind::Integer { min: 1, max: 4_096 },
    ///     "How much runs at once.",
    /// )
    /// .of(Tier::Admission)
    /// .at_runtime();
    /// assert_eq!((SETTING.changes, SETTING.secret), (Changes::AtRuntime, false));
    /// ```
    #[must_use]
    pub const fn new(key: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { default: Some(default), ..Self::optional(key, kind, help) }
    }

    /// A setting that may be absent.
    #[must_use]
    pub const fn optional(key: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { key, default: None, kind, help, secret: false, changes: Changes::AtStart, tier: None }
    }

    /// Its value must never be shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// A new value takes effect when the file of settings is read again.
    #[must_use]
    pub const fn at_runtime(mut self) -> Self {
        self.changes = Changes::AtRuntime;
        self
    }

    /// It is a bound of this tier.
    #[must_use]
    pub const fn of(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// The name of its variable in the environment.
    ///
    /// ```
    /// use plimsoll_service::config::{Kind, Setting};
    /// let setting = Setting::optional("hooks.attempt_timeout_ms", Kind::Text, "");
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

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtStart => "at start",
            Self::AtRuntime => "at runtime",
        })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admission => "admission",
            Self::Tenant => "tenant",
            Self::Endpoint => "endpoint",
        })
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
