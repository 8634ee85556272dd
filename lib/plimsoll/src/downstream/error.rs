//! Why a call failed.

use std::error;
use std::fmt;
use std::time::Duration;

use crate::retry::{Decision, Retryable};
use crate::scope::Ended;
use crate::{Name, Rejected};

/// Why a call to a [`Downstream`](super::Downstream) failed; with a retry, why its last attempt did.
///
/// ```
/// use plimsoll::downstream::{Downstream, Error};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let inventory = Downstream::unnamed().concurrency(1).build()?;
/// let answer = inventory.call(|| inventory.call(|| async { Err::<(), u16>(404) })).await;
/// match answer {
///     Err(Error::Inner(Error::Rejected(full))) => {
///         assert_eq!(full.to_string(), "unnamed: 1 of 1 in use, 0 waiting");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// One of the bounds did not admit it: the dependency was not called.
    Rejected(Rejected),
    /// The dependency did not answer within the timeout. It may have done its work all the same.
    #[non_exhaustive]
    TimedOut {
        /// Which dependency.
        downstream: Name,
        /// The timeout.
        timeout: Duration,
    },
    /// The deadline passed, of the call or of the scope that it is made in; or the scope was
    /// cancelled.
    ScopeEnded(Ended),
    /// The call itself failed.
    Inner(E),
}

impl<E> Error<E> {
    /// The error of the dependency itself, if it is one.
    ///
    /// ```
    /// use plimsoll::{downstream::Error, scope::Ended};
    /// assert_eq!(Error::Inner(404).into_inner(), Some(404));
    /// assert_eq!(Error::<u16>::ScopeEnded(Ended::DeadlinePassed).into_inner(), None);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(inner) => Some(inner),
            _ => None,
        }
    }

    /// Which bound did not admit it and why; `None` when the call failed for another reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, downstream::Downstream, rate::Quota};
    /// let stock = Downstream::unnamed().rate(Quota::per_hour(1)).build()?;
    /// assert!(stock.call(|| async { Ok::<_, u16>(7) }).await.is_ok());
    /// let refused = stock.call(|| async { Ok::<_, u16>(7) }).await.unwrap_err();
    /// assert_eq!(refused.rejected().map(|why| why.reason()), Some(Reason::RateExceeded));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }
}

/// As the rejection or the error of the dependency says; a timeout is worth another try, and the end
/// of the scope is not.
impl<E: Retryable> Retryable for Error<E> {
    fn decision(&self) -> Decision {
        match self {
            Self::Rejected(rejected) => rejected.decision(),
            Self::TimedOut { .. } => Decision::Retry,
            Self::ScopeEnded(_) => Decision::GiveUp,
            Self::Inner(inner) => inner.decision(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::TimedOut { downstream, timeout } => write!(f, "{downstream}: no answer within {timeout:?}"),
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::Inner(inner) => inner.fmt(f),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Inner(inner) => inner.source(),
            _ => None,
        }
    }
}
