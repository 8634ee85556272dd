//! Interned names.
//!
//! # Invariants
//! - The table holds at most [`NAMES_MAX`] distinct names of at most [`NAME_BYTES_MAX`] bytes, so
//!   that what is leaked is bounded; a builder refuses the name that would exceed it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::Invalid;

/// How many distinct names a process can have.
const NAMES_MAX: usize = 65_536;
/// How long a name can be, in bytes.
const NAME_BYTES_MAX: usize = 128;

static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// The interned name of a bound: copying it costs nothing, so that a refusal can carry it.
///
/// Two names made from equal text are equal. Names come from code and configuration, never from
/// requests (a tenant is a *key*, not a name): a process can have 65,536 of them.
///
/// ```
/// use plimsoll::Name;
/// let name = Name::new("thumbnails")?;
/// assert_eq!(name.as_str(), "thumbnails");
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(&'static str);

impl Name {
    /// The name of a bound that was given none.
    ///
    /// ```
    /// use plimsoll::{Name, semaphore::Semaphore};
    /// assert_eq!(Semaphore::new(1)?.name(), Name::UNNAMED);
    /// assert_eq!(Name::UNNAMED.as_str(), "unnamed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const UNNAMED: Name = Name("unnamed");

    /// Interns `text`, which stays in memory until the process ends.
    ///
    /// # Errors
    /// When `text` is empty, longer than 128 bytes, holds a control character, or is the
    /// 65,537th distinct name.
    ///
    /// ```
    /// use plimsoll::Name;
    /// assert_eq!(Name::new("uploads")?, Name::new("uploads")?);
    /// assert!(Name::new("").is_err() && Name::new("up\nloads").is_err() && Name::new(&"u".repeat(129)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(text: &str) -> Result<Name, Invalid> {
        const ALLOWED: &str = "1 to 128 bytes without control characters";
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            let shown: String = text.chars().take(40).collect();
            return Err(Invalid::new(Name::UNNAMED, "name", format_args!("{shown:?}"), ALLOWED));
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(text) {
            return Ok(Name(known));
        }
        if names.len() >= NAMES_MAX {
            let allowed = "at most 65,536 distinct names in a process: a tenant is a key, not a name";
            return Err(Invalid::new(Name::UNNAMED, "name", format_args!("{text:?}"), allowed));
        }
        let leaked: &'static str = Box::leak(text.into());
        names.insert(leaked);
        Ok(Name(leaked))
    }

    /// The text of the name.
    ///
    /// ```
    /// use plimsoll::Name;
    /// assert_eq!(Name::new("uploads")?.as_str(), "uploads");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_is_one_name_and_one_allocation() {
        let (a, b) = (Name::new("db").unwrap(), Name::new(&String::from("db")).unwrap());
        assert_eq!(a, b);
        assert!(std::ptr::eq(a.as_str(), b.as_str()));
    }

    #[test]
    fn empty_long_and_control_names_are_refused_by_name_and_range() {
        for bad in ["", "a\nb", &"x".repeat(129)] {
            let refused = Name::new(bad).unwrap_err().to_string();
            assert!(refused.contains("name") && refused.contains("1 to 128 bytes"), "{refused}");
        }
    }
}
