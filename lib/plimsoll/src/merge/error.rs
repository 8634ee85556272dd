//! Why an input was not added.

use std::error;
use std::fmt;

use crate::Rejected;

/// A stream that was not added, handed back, and why.
pub struct Refused<S> {
    /// The stream.
    pub stream: S,
    /// Why it was not added.
    pub rejected: Rejected,
}

impl<S> fmt::Debug for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl<S> fmt::Display for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<S> error::Error for Refused<S> {}
