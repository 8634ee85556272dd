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
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!(Priority::CRITICAL_PLUS.level(), 0);
    /// assert!(Priority::CRITICAL_PLUS.is_more_important_than(Priority::CRITICAL));
    /// ```
    pub const CRITICAL_PLUS: Self = Self(0);
    /// What users see; the default. Level 2.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!((Priority::CRITICAL.level(), Priority::default()), (2, Priority::CRITICAL));
    /// ```
    pub const CRITICAL: Self = Self(2);
    /// What is tried again later by itself, such as a batch. Level 4.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!(Priority::SHEDDABLE_PLUS.level(), 4);
    /// assert!(Priority::CRITICAL.is_more_important_than(Priority::SHEDDABLE_PLUS));
    /// ```
    pub const SHEDDABLE_PLUS: Self = Self(4);
    /// What may be missing often. Level 6.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!(Priority::SHEDDABLE.level(), 6);
    /// assert!(Priority::SHEDDABLE_PLUS.is_more_important_than(Priority::SHEDDABLE));
    /// ```
    pub const SHEDDABLE: Self = Self(6);

    /// The priority of that level, 0 to 7.
    ///
    /// # Errors
    /// When it is above 7.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!(Priority::new(6)?, Priority::SHEDDABLE);
    /// assert_eq!(Priority::new(8).unwrap_err().allowed(), "0 (the most important) to 7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(level: u8) -> Result<Self, Invalid> {
        if usize::from(level) < LEVELS {
            return Ok(Self(level));
        }
        Err(Invalid::new(Name::UNNAMED, "priority", level, "0 (the most important) to 7"))
    }

    /// Its level: 0 is the most important.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert_eq!((Priority::new(5)?.level(), Priority::CRITICAL.level()), (5, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// Whether this goes before `other`.
    ///
    /// ```
    /// use plimsoll::shed::Priority;
    /// assert!(Priority::CRITICAL.is_more_important_than(Priority::SHEDDABLE));
    /// assert!(!Priority::CRITICAL.is_more_important_than(Priority::CRITICAL));
    /// ```
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
