//! Why a call has no value.

use std::convert::Infallible;
use std::error;
use std::fmt;
use std::sync::Arc;

use crate::Rejected;

/// Why a call, one's own or the one that was shared, has no value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::singleflight::{Error, Singleflight};
/// let users = Singleflight::builder("users").keys_max(1).build()?;
/// // One key is in use by the outer call; the inner one asks for another.
/// let answer = users.run(7, || async { users.run(8, async || Ok(1)).await.map_err(|full| full.to_string()) });
/// assert!(matches!(answer.await, Err(Error::Inner(text)) if text.starts_with("users: all 1 keys are busy")));
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// It failed; or it failed a short while ago, and that is remembered.
    Inner(E),
    /// So many keys are being called for already that this one was not begun
    /// ([`Reason::KeysFull`](crate::Reason::KeysFull)).
    Rejected(Rejected),
    /// The call that was shared panicked. The panic itself goes on where the call ran.
    #[non_exhaustive]
    Panicked {
        /// What the panic said, where it was text.
        message: Arc<str>,
    },
}

impl<E> Error<E> {
    /// The call's own error, if that is what it is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::Singleflight;
    /// let users: Singleflight<u64, u64, u16> = Singleflight::builder("statuses").build()?;
    /// let missing = users.run(7, async || Err(404)).await;
    /// assert_eq!(missing.unwrap_err().into_inner(), Some(404));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) | Self::Panicked { .. } => None,
        }
    }

    /// The call's own error, or else why there is no such; for code that handles the two apart.
    ///
    /// # Errors
    /// When it is not the call's own error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::Singleflight;
    /// let users: Singleflight<u64, u64, u16> = Singleflight::builder("split").build()?;
    /// let status = match users.run(7, async || Err(404)).await.unwrap_err().split() {
    ///     Ok(theirs) => theirs,
    ///     Err(_ours) => 503,
    /// };
    /// assert_eq!(status, 404);
    /// # Ok(()) }
    /// ```
    pub fn split(self) -> Result<E, Error<Infallible>> {
        match self {
            Self::Inner(error) => Ok(error),
            Self::Rejected(rejected) => Err(Error::Rejected(rejected)),
            Self::Panicked { message } => Err(Error::Panicked { message }),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Panicked { message } => write!(f, "the call that was shared panicked: {message}"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            Self::Rejected(_) | Self::Panicked { .. } => None,
        }
    }
}
