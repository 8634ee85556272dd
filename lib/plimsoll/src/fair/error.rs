//! Why an item was not queued.

use std::error;
use std::fmt;

use crate::Rejected;

/// An item that was not queued, handed back, and why.
///
/// ```
/// use plimsoll::{Reason, fair::Fair};
/// let queue = Fair::builder("refusing").depth(4).depth_per_key(1).build()?;
/// queue.try_push("acme", "first")?;
/// let refused = queue.try_push("acme", "second").unwrap_err();
/// assert_eq!((refused.item, refused.rejected.reason()), ("second", Reason::QueueFull));
/// assert_eq!(refused.rejected.limit(), 1, "it is acme's part that is full");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Refused<T> {
    /// The item.
    pub item: T,
    /// Why it was not queued.
    pub rejected: Rejected,
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<T> error::Error for Refused<T> {}
