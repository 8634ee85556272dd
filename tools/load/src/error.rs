//! What is wrong with a plan, its files or its target.

use std::fmt;

/// Why a load test did not begin, or could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A field of the plan was refused.
    Invalid {
        /// The field, as a file or the command line calls it.
        field: String,
        /// What was given.
        value: String,
        /// What is allowed, in words.
        allowed: String,
    },
    /// A file of requests or of data was refused.
    File {
        /// Where it is.
        path: String,
        /// What is wrong with it, with the line where there is one.
        why: String,
    },
    /// Nobody answers at the target's address.
    Target {
        /// Its scheme, host and port.
        origin: String,
        /// What went wrong.
        why: String,
    },
    /// The machine does not give what the generator needs.
    Machine {
        /// What was asked for.
        what: &'static str,
        /// Why it was not given.
        why: String,
    },
}

impl Error {
    /// Refuses `value` for `field`; `allowed` says the range in words.
    ///
    /// ```
    /// let refused = plimsoll_load::Error::invalid("rate", -1, "0 to 1,000,000 a second");
    /// assert_eq!(refused.to_string(), "rate is -1, allowed is 0 to 1,000,000 a second");
    /// ```
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), allowed: allowed.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, value, allowed } => write!(f, "{field} is {value}, allowed is {allowed}"),
            Self::File { path, why } => write!(f, "{path}: {why}"),
            Self::Target { origin, why } => write!(f, "{origin}: {why}"),
            Self::Machine { what, why } => write!(f, "{what}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
