//! Why a group, or one child of it, failed.

use std::error;
use std::fmt;

use crate::Rejected;
use crate::scope::Ended;

/// Why [`Group::join`](super::Group::join) has no values to return.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::group::{Error, Group};
/// let mut group = Group::builder("reads").limit(3).quorum(2).build()?;
/// for id in 0..3u32 {
///     group.spawn(async move { if id == 0 { Ok(id) } else { Err("down") } }).await;
/// }
/// let failed = group.join().await.unwrap_err();
/// assert!(matches!(failed, Error::OutOfReach { wanted: 2, succeeded: 1, .. }));
/// assert_eq!(failed.to_string(), "1 of the 2 wanted succeeded, 2 failed, the first: down");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// Children failed.
    #[non_exhaustive]
    Failed {
        /// The error that came first.
        first: E,
        /// Those that came after it, oldest first: children that failed before they could be
        /// cancelled, or all of them in a group that collects all.
        rest: Vec<E>,
    },
    /// Fewer children succeeded than the [quorum](super::Builder::quorum).
    #[non_exhaustive]
    OutOfReach {
        /// How many had to succeed.
        wanted: usize,
        /// How many did.
        succeeded: usize,
        /// Every error, in the order in which they came.
        errors: Vec<E>,
    },
    /// No child failed by itself, but one was ended by the scope it was spawned in.
    ScopeEnded(Ended),
    /// No child failed, but the group was cancelled before all had finished.
    Cancelled,
}

/// Why one child has no value to return.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::group::{Failure, Group};
/// let mut group = Group::new(2)?;
/// group.spawn(async { Err::<(), _>("disk full") }).await;
/// group.spawn(std::future::pending()).await;
/// assert_eq!(group.join_each().await, [Err(Failure::Failed("disk full")), Err(Failure::Cancelled)]);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure<E> {
    /// It failed.
    Failed(E),
    /// It was ended by the scope it was spawned in.
    ScopeEnded(Ended),
    /// It was cancelled with the group, before it had finished.
    Cancelled,
}

/// A future that was not spawned, handed back, and why.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{Reason, group::Group};
/// let mut group = Group::new(1)?;
/// group.spawn(async { Ok::<_, ()>(1) }).await;
/// let refused = group.try_spawn(async { Ok(2) }).unwrap_err();
/// assert_eq!(refused.rejected.reason(), Reason::Full);
/// assert_eq!(refused.future.await, Ok(2)); // done here, then
/// assert_eq!(group.join().await, Ok(vec![1]));
/// # Ok(()) }
/// ```
pub struct Refused<F> {
    /// The future, not yet polled.
    pub future: F,
    /// Why it was not spawned.
    pub rejected: Rejected,
}

impl<E> Error<E> {
    /// The error that came first, if a child failed by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::new(4)?;
    /// group.spawn(async { Err::<(), _>("disk full") }).await;
    /// group.spawn(std::future::pending()).await;
    /// assert_eq!(group.join().await.unwrap_err().into_first(), Some("disk full"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_first(self) -> Option<E> {
        match self {
            Self::Failed { first, .. } => Some(first),
            Self::OutOfReach { errors, .. } => errors.into_iter().next(),
            Self::ScopeEnded(_) | Self::Cancelled => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { first, rest } if rest.is_empty() => first.fmt(f),
            Self::Failed { first, rest } => write!(f, "{first} (and {} more failed)", rest.len()),
            Self::OutOfReach { wanted, succeeded, errors } => {
                write!(f, "{succeeded} of the {wanted} wanted succeeded, {} failed", errors.len())?;
                errors.first().map_or(Ok(()), |first| write!(f, ", the first: {first}"))
            }
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::Cancelled => f.write_str("the group was cancelled"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Failed { first, .. } => first.source(),
            Self::OutOfReach { errors, .. } => errors.first().and_then(|first| first.source()),
            Self::ScopeEnded(_) | Self::Cancelled => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::Cancelled => f.write_str("cancelled with its group"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::ScopeEnded(_) | Self::Cancelled => None,
        }
    }
}

impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<F> error::Error for Refused<F> {}
