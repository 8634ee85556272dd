//! Why an item was not queued.

use std::error;
use std::fmt;

use crate::Rejected;

/// An item that was not queued, handed back, and why.
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
