//! Why a call through a breaker failed.

use std::error;
use std::fmt;

use crate::Rejected;

/// Why [`Breaker::call`](super::Breaker::call) failed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::breaker::{Breaker, Error, Policy};
/// let bank = Breaker::builder("bank").policy(Policy::ratio(0.5)).build()?;
/// bank.force_open();
/// match bank.call(|| async { "7".parse::<u8>() }).await {
///     Err(Error::Rejected(why)) => assert!(why.to_string().starts_with("bank: breaker open")),
///     other => panic!("not called: {other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The breaker is open, or its probes are all out: the call was not begun.
    Rejected(Rejected),
    /// The call itself failed.
    Inner(E),
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Inner(inner) => inner.fmt(f),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Rejected(_) => None,
            Self::Inner(inner) => inner.source(),
        }
    }
}
