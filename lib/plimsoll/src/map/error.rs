//! Why a map has no result.

use std::error;
use std::fmt;

use crate::Invalid;

/// Why a map has no values to return.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::Error;
/// let read = async |replica: u32| if replica == 0 { Ok(replica) } else { Err("down") };
/// match plimsoll::map(0..3, 3, read).quorum(2).await {
///     Err(Error::OutOfReach { wanted: 2, succeeded: 1, errors, .. }) => assert_eq!(errors, ["down", "down"]),
///     other => panic!("{other:?}"),
/// }
/// let refused = plimsoll::map(0..3, 0, read).await.unwrap_err();
/// assert!(matches!(refused, Error::Invalid(invalid) if invalid.field() == "limit"));
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The limit, the quorum or the name is not one that can be; nothing was started.
    Invalid(Invalid),
    /// An item failed, which ended the others.
    #[non_exhaustive]
    Failed {
        /// The error that came first.
        first: E,
        /// Those of items that failed before they could be ended: fewer than the limit.
        rest: Vec<E>,
    },
    /// So many items failed that the quorum could not be reached any more.
    #[non_exhaustive]
    OutOfReach {
        /// How many had to succeed.
        wanted: usize,
        /// How many did.
        succeeded: usize,
        /// Every error, in the order in which they came.
        errors: Vec<E>,
    },
}

impl<E> Error<E> {
    /// The error that came first, if an item failed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let work = async |n: u32| if n == 2 { Err("two") } else { Ok(n) };
    /// let failed = plimsoll::map(0..5, 1, work).await.unwrap_err();
    /// assert_eq!(failed.into_first(), Some("two"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_first(self) -> Option<E> {
        match self {
            Self::Invalid(_) => None,
            Self::Failed { first, .. } => Some(first),
            Self::OutOfReach { errors, .. } => errors.into_iter().next(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Failed { first, rest } if rest.is_empty() => first.fmt(f),
            Self::Failed { first, rest } => write!(f, "{first} (and {} more failed)", rest.len()),
            Self::OutOfReach { wanted, succeeded, errors } => {
                write!(f, "{succeeded} of the {wanted} wanted succeeded, {} failed", errors.len())?;
                errors.first().map_or(Ok(()), |first| write!(f, ", the first: {first}"))
            }
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Failed { first, .. } => first.source(),
            Self::OutOfReach { errors, .. } => errors.first().and_then(|first| first.source()),
        }
    }
}

impl<E> From<Invalid> for Error<E> {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}
