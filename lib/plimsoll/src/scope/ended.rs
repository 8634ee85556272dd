//! Why a scope ended before its work did.

use std::error::Error;
use std::fmt;

/// Why a scope ended before its work did.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::scope::{Ended, Scope};
/// let late = Scope::new().deadline_in(Duration::ZERO).run(async { 7 }).await;
/// assert_eq!(late, Err(Ended::DeadlinePassed));
/// let left = Scope::new();
/// left.cancel();
/// assert_eq!(left.run(async { 7 }).await, Err(Ended::Cancelled));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The deadline passed.
    DeadlinePassed,
    /// The scope, or one around it, was cancelled.
    Cancelled,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadlinePassed => "the scope's deadline passed",
            Self::Cancelled => "the scope was cancelled",
        })
    }
}

impl Error for Ended {}
