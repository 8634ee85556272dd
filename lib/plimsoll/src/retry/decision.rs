//! Whether an error is worth another try.

use std::time::Duration;

use crate::{Reason, Rejected};

/// Whether an error is worth another try.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::retry::{Decision, Policy};
/// // 503 with the header `retry-after: 0`, then 404.
/// let by_status = |status: &u16| match status {
///     503 => Decision::RetryAfter(Duration::ZERO),
///     500.. => Decision::Retry,
///     _ => Decision::GiveUp,
/// };
/// let mut answers = [503, 404].into_iter();
/// let policy = Policy::exponential(Duration::from_millis(1)).attempts(5);
/// let failed = policy.retry_if(by_status).run(|| {
///     let status = answers.next().expect("two attempts");
///     async move { Err::<(), u16>(status) }
/// }).await.unwrap_err();
/// assert_eq!((failed.attempts(), failed.last()), (2, Some(&404)));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Try again after the policy's delay.
    Retry,
    /// Try again after this long at the earliest, as the other side asked for.
    RetryAfter(Duration),
    /// Another try would fail the same way, or do harm.
    GiveUp,
}

/// An error that knows whether it is worth another try.
///
/// Say [`Decision::Retry`] only where the operation may safely run twice.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::retry::{Decision, Policy, Retryable, Stop};
///
/// #[derive(Debug)]
/// enum Failure { Busy, NoSuchUser }
///
/// impl Retryable for Failure {
///     fn decision(&self) -> Decision {
///         match self {
///             Self::Busy => Decision::Retry,
///             Self::NoSuchUser => Decision::GiveUp,
///         }
///     }
/// }
/// assert_eq!(Failure::Busy.decision(), Decision::Retry);
/// let policy = Policy::exponential(Duration::from_millis(1));
/// let failed = policy.run(|| async { Err::<(), _>(Failure::NoSuchUser) }).await.unwrap_err();
/// assert_eq!((failed.attempts(), failed.stop()), (1, Some(&Stop::NotRetryable)));
/// # Ok(()) }
/// ```
pub trait Retryable {
    /// Whether to try again.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected, retry::{Decision, Retryable}};
    /// let rejected = |reason| Rejected::new(Name::UNNAMED, reason);
    /// assert_eq!(rejected(Reason::Full).decision(), Decision::Retry);
    /// assert_eq!(rejected(Reason::TooLarge).decision(), Decision::GiveUp);
    /// ```
    fn decision(&self) -> Decision;
}

/// What a limiter rejects is worth another try when its `retry_after` is over, or after the
/// policy's delay where it gives none; but not what can never be admitted, nor when a budget is
/// spent, a drain has begun, or the deadline is too near: later it is nearer.
impl Retryable for Rejected {
    fn decision(&self) -> Decision {
        match (self.reason(), self.retry_after()) {
            (
                Reason::TooLarge
                | Reason::Misconfigured
                | Reason::BudgetSpent
                | Reason::Draining
                | Reason::DeadlineTooNear,
                _,
            ) => Decision::GiveUp,
            (_, Some(after)) => Decision::RetryAfter(after),
            (_, None) => Decision::Retry,
        }
    }
}
