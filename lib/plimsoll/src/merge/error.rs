//! Why an input was not added.

use std::error;
use std::fmt;

use crate::Rejected;

/// A stream that was not added, handed back, and why.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::stream;
/// use plimsoll::{Reason, merge::Merge};
/// let mut merge = Merge::builder("refusing").inputs_max(1).build()?;
/// merge.add(stream::iter([1]))?;
/// let refused = merge.add(stream::iter([2])).unwrap_err();
/// assert_eq!(refused.rejected.reason(), Reason::Full);
/// assert_eq!(futures_util::StreamExt::collect::<Vec<_>>(refused.stream).await, [2]);
/// # Ok(()) }
/// ```
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
