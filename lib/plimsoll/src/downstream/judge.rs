//! What the end of a try tells of the dependency.

use crate::Outcome;
use crate::retry::Decision;

/// What the end of a try tells of the dependency, and whether to try again.
///
/// A closure from the result to an [`Outcome`] is a judge; a type of your own is one that can be
/// named, as in a struct that keeps the [`Downstream`](super::Downstream), and can also say how long
/// to wait:
///
/// ```
/// use std::time::Duration;
/// use plimsoll::Outcome;
/// use plimsoll::downstream::{Downstream, Judge};
/// use plimsoll::retry::{self, Decision};
///
/// struct Response { status: u16, retry_after: Option<Duration> }
///
/// struct ByStatus;
///
/// impl<E> Judge<Response, E> for ByStatus {
///     fn outcome(&self, result: &Result<Response, E>) -> Outcome {
///         match result {
///             Ok(response) if response.status < 500 => Outcome::Success,
///             _ => Outcome::Failure,
///         }
///     }
///
///     fn decision(&self, result: &Result<Response, E>) -> Decision {
///         match result {
///             Ok(Response { status: 429 | 503, retry_after: Some(after) }) => Decision::RetryAfter(*after),
///             Ok(response) if response.status < 500 && response.status != 429 => Decision::GiveUp,
///             _ => Decision::Retry,
///         }
///     }
/// }
///
/// struct Inventory { downstream: Downstream<ByStatus> }
///
/// let retry = retry::Policy::exponential(Duration::from_millis(50));
/// let inventory = Inventory { downstream: Downstream::unnamed().retry(retry).judge(ByStatus).build()? };
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let missing = || async { Ok::<_, std::io::Error>(Response { status: 404, retry_after: None }) };
/// assert_eq!(inventory.downstream.call(missing).await.unwrap().status, 404);
/// # });
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
///
/// An `Ok` that is a failure, or is to be tried again, is treated as an error would be, except that in
/// the end it is returned as it is and no fallback is asked.
pub trait Judge<T, E>: Send + Sync + 'static {
    /// What the breaker is told: [`Outcome::Ignored`] counts as nothing.
    ///
    /// ```
    /// use plimsoll::{Outcome, downstream::{EveryError, Judge}};
    /// let by_status = |result: &Result<u16, ()>| match result {
    ///     Ok(..500) => Outcome::Success,
    ///     _ => Outcome::Failure,
    /// };
    /// assert_eq!(by_status.outcome(&Ok(503)), Outcome::Failure);
    /// assert_eq!(EveryError.outcome(&Ok::<_, ()>(503)), Outcome::Success); // each `Ok` is one
    /// ```
    fn outcome(&self, result: &Result<T, E>) -> Outcome;

    /// Whether to try again, where there is a retry. By default what is a failure is retried, and
    /// nothing else.
    ///
    /// ```
    /// use plimsoll::{downstream::{EveryError, Judge}, retry::Decision};
    /// assert_eq!(EveryError.decision(&Err::<u16, _>("reset")), Decision::Retry);
    /// assert_eq!(EveryError.decision(&Ok::<_, ()>(200)), Decision::GiveUp);
    /// ```
    fn decision(&self, result: &Result<T, E>) -> Decision {
        match self.outcome(result) {
            Outcome::Failure => Decision::Retry,
            Outcome::Success | Outcome::Ignored => Decision::GiveUp,
        }
    }
}

impl<F, T, E> Judge<T, E> for F
where
    F: Fn(&Result<T, E>) -> Outcome + Send + Sync + 'static,
{
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// Each `Ok` is a success and each `Err` a failure: what a [`Downstream`](super::Downstream) goes by
/// unless another [judge](super::Builder::judge) is set.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{breaker, downstream::{Downstream, EveryError}};
/// let policy = breaker::Policy::consecutive(1);
/// let stock: Downstream<EveryError> = Downstream::unnamed().breaker(policy).build()?;
/// assert!(stock.call(|| async { Err::<(), u16>(404) }).await.is_err());
/// assert_eq!(stock.breaker().unwrap().state(), breaker::State::Open, "also by a 404: set a judge");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EveryError;

impl<T, E> Judge<T, E> for EveryError {
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        Outcome::of(result)
    }
}
