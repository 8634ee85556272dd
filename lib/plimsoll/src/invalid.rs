//! Refused configuration.

use std::error::Error;
use std::fmt;

use crate::Name;

/// A configuration that was refused where it was made: which field of which bound, the value that
/// was given, and what is allowed.
///
/// ```
/// let refused = plimsoll::Name::new("").unwrap_err();
/// assert_eq!(refused.field(), "name");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    bound: Name,
    field: &'static str,
    value: Box<str>,
    allowed: &'static str,
}

impl Invalid {
    /// Refuses `value` for `field` of `bound`; `allowed` says the range in words.
    ///
    /// ```
    /// use plimsoll::{Invalid, Name};
    /// let refused = Invalid::new(Name::new("cache")?, "entries_max", 0, "1 to 65,536");
    /// assert_eq!(refused.to_string(), "cache: entries_max is 0, allowed is 1 to 65,536");
    /// assert_eq!((refused.value(), refused.allowed()), ("0", "1 to 65,536"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(bound: Name, field: &'static str, value: impl fmt::Display, allowed: &'static str) -> Self {
        Self { bound, field, value: value.to_string().into(), allowed }
    }

    /// The bound that was being configured.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let refused = Semaphore::builder("uploads").limit(0).build().unwrap_err();
    /// assert_eq!(refused.bound().as_str(), "uploads");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn bound(&self) -> Name {
        self.bound
    }

    /// The field that was refused, as the builder's method is called.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// assert_eq!(Semaphore::new(0).unwrap_err().field(), "limit");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was given, as text.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// assert_eq!(Semaphore::new(0).unwrap_err().value(), "0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is allowed, in words.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// assert!(Semaphore::new(0).unwrap_err().allowed().starts_with("1 to 4,398,046,511,103"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bound, field, value, allowed } = self;
        write!(f, "{bound}: {field} is {value}, allowed is {allowed}")
    }
}

impl Error for Invalid {}
