//! Why it was not tried again.

use std::error;
use std::fmt;
use std::time::Duration;

use crate::{Invalid, Rejected};

/// Why an operation failed for good.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::retry::{Decision, Error, Policy};
/// let policy = Policy::schedule([Duration::ZERO, Duration::ZERO]);
/// let failed = policy.retry_if(|_| Decision::Retry).run(|| async { Err::<(), _>("down") }).await;
/// match failed {
///     Err(Error::Failed { last: "down", attempts: 3, .. }) => {}
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(failed.unwrap_err().to_string(), "down (attempt 3, no attempt left)");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// It was tried, and not again.
    #[non_exhaustive]
    Failed {
        /// The error of the last attempt.
        last: E,
        /// How many attempts were made.
        attempts: u32,
        /// Why there was no other.
        stop: Stop,
    },
    /// The policy is not one that can be followed; nothing was tried.
    Invalid(Invalid),
}

/// Why there was no other attempt.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::retry::{Decision, Policy, Stop};
/// let policy = Policy::exponential(Duration::from_millis(50)).retry_after_max(Duration::from_secs(60));
/// let stop = policy.wait_after(1, Decision::RetryAfter(Duration::from_secs(3_600))).unwrap_err();
/// assert!(matches!(stop, Stop::RetryAfterTooLong { .. }));
/// assert_eq!(stop.to_string(), "asked to wait 3600.0s, allowed is 60.0s");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// The error is not one that is retried.
    NotRetryable,
    /// Every attempt was used.
    AttemptsUsed,
    /// The retry budget is spent.
    BudgetSpent(Rejected),
    /// The wait would have lasted past the deadline of the scope.
    DeadlineTooNear {
        /// How long it would have waited.
        delay: Duration,
        /// How much time was left.
        remaining: Duration,
    },
    /// The other side asked for a longer wait than the policy allows.
    RetryAfterTooLong {
        /// What it asked for.
        asked: Duration,
        /// What the policy allows.
        max: Duration,
    },
}

impl<E> Error<E> {
    /// The error of the last attempt, if there was an attempt.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy};
    /// let policy = Policy::exponential(Duration::from_millis(1)).retry_if(|_: &u16| Decision::GiveUp);
    /// let failed = policy.run(|| async { Err::<(), _>(404) }).await.unwrap_err();
    /// assert_eq!(failed.last(), Some(&404));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn last(&self) -> Option<&E> {
        match self {
            Self::Failed { last, .. } => Some(last),
            Self::Invalid(_) => None,
        }
    }

    /// The error of the last attempt, if there was an attempt.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy};
    /// let never = Policy::exponential(Duration::from_millis(1)).attempts(0).retry_if(|_: &u16| Decision::Retry);
    /// assert_eq!(never.run(|| async { Err::<(), _>(500) }).await.unwrap_err().into_last(), None); // no such policy
    /// let once = Policy::exponential(Duration::from_millis(1)).attempts(1).retry_if(|_: &u16| Decision::Retry);
    /// assert_eq!(once.run(|| async { Err::<(), _>(500) }).await.unwrap_err().into_last(), Some(500));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_last(self) -> Option<E> {
        match self {
            Self::Failed { last, .. } => Some(last),
            Self::Invalid(_) => None,
        }
    }

    /// How many attempts were made.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy};
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(4).retry_if(|_: &u16| Decision::Retry);
    /// assert_eq!(policy.run(|| async { Err::<(), _>(500) }).await.unwrap_err().attempts(), 4);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        match self {
            Self::Failed { attempts, .. } => *attempts,
            Self::Invalid(_) => 0,
        }
    }

    /// Why there was no other attempt; `None` when there was none at all.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy, Stop};
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(2).retry_if(|_: &u16| Decision::Retry);
    /// let failed = policy.run(|| async { Err::<(), _>(500) }).await.unwrap_err();
    /// assert_eq!(failed.stop(), Some(&Stop::AttemptsUsed));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Failed { stop, .. } => Some(stop),
            Self::Invalid(_) => None,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRetryable => f.write_str("not retryable"),
            Self::AttemptsUsed => f.write_str("no attempt left"),
            Self::BudgetSpent(rejected) => rejected.fmt(f),
            Self::DeadlineTooNear { delay, remaining } => {
                write!(f, "a wait of {delay:.1?} with {remaining:.1?} left to the deadline")
            }
            Self::RetryAfterTooLong { asked, max } => {
                write!(f, "asked to wait {asked:.1?}, allowed is {max:.1?}")
            }
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { last, attempts, stop } => write!(f, "{last} (attempt {attempts}, {stop})"),
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Failed { last, .. } => last.source(),
            Self::Invalid(_) => None,
        }
    }
}
