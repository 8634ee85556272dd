//! How important work is.

use std::fmt;

use crate::{Invalid, Name};

/// How important work is: 0 is the most important, 7 the least.
///
/// Four of the eight have the names of *Site Reliability Engineering*, with room between them.
///
/// ```
/// use plimsoll::shed::Priority;
/// assert!(Priority::CRITICAL.is_more_important_than(Priority::SHEDDABLE));
/// assert_eq!(Priority::new(2)?, Priority::CRITICAL);
/// assert!(Priority::new(8).is_err());
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Priority(u8);

/// How many priorities there are.
pub(super) const LEVELS: usize = 8;

impl Priority {
    /// The most serious: users see at once when it fails. Level 0.
    pub const CRITICAL_PLUS: Self = Self(0);
    /// What users see; the default. Level 2.
    pub const CRITICAL: Self = Self(2);
    /// What is tried again later by itself, such as a batch. Level 4.
    pub const SHEDDABLE_PLUS: Self = Self(4);
    /// What may be missing often. Level 6.
    pub const SHEDDABLE: Self = Self(6);

    /// The priority of that level, 0 to 7.
    ///
    /// # Errors
    /// When it is above 7.
    pub fn new(level: u8) -> Result<Self, Invalid> {
        if usize::from(level) < LEVELS {
            return Ok(Self(level));
        }
        Err(Invalid::new(Name::UNNAMED, "priority", level, "0 (the most important) to 7"))
    }

    /// Its level: 0 is the most important.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// Whether this goes before `other`.
    #[must_use]
    pub const fn is_more_important_than(self, other: Self) -> bool {
        self.0 < other.0
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::CRITICAL
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}", self.0)
    }
}
