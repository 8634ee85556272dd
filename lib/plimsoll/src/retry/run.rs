//! Running an operation by a policy.

use std::time::Duration;

use super::{Decision, Error, Policy, Retryable, Stop};
use crate::{clock, scope};

/// A [`Policy`] with a closure that says what is worth another try; made by
/// [`Policy::retry_if`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{cell::Cell, time::Duration};
/// use plimsoll::retry::{Decision, Policy};
/// let tries = Cell::new(0);
/// let classified = Policy::exponential(Duration::from_millis(1)).attempts(3).retry_if(|_: &&str| Decision::Retry);
/// let answer = classified.run(|| async {
///     tries.set(tries.get() + 1);
///     if tries.get() < 3 { Err("down") } else { Ok(7) }
/// }).await;
/// assert_eq!((answer, tries.get()), (Ok(7), 3));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is run until `run` is called"]
pub struct Classified<C> {
    policy: Policy,
    classify: C,
}

impl Policy {
    /// Runs `operation` until it succeeds, or until the policy says that it is not tried again;
    /// the error itself says whether it is worth it.
    ///
    /// # Errors
    /// [`Error::Failed`] with the last error and why there was no other attempt;
    /// [`Error::Invalid`], before anything is tried, when the policy fails its
    /// [`check`](Policy::check).
    ///
    /// # Panics
    /// When `operation` does; and when it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt that runs, or ends the wait; no other attempt is made.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// use plimsoll::retry::Policy;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let limiter = RateLimiter::new(Quota::per_second(1_000))?;
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(5);
    /// for _ in 0..3 {
    ///     // A `Rejected` knows when it is worth another try.
    ///     policy.run(|| async { limiter.try_acquire() }).await.expect("admitted by and by");
    /// }
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn run<F, Fut, T, E>(&self, operation: F) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Retryable,
    {
        self.run_by(&E::decision, operation).await
    }

    async fn run_by<C, F, Fut, T, E>(&self, classify: &C, mut operation: F) -> Result<T, Error<E>>
    where
        C: Fn(&E) -> Decision,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.check().map_err(Error::Invalid)?;
        self.record_call();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let last = match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match self.wait_after(attempts, classify(&last)) {
                Ok(delay) => tokio::time::sleep(delay).await,
                Err(stop) => return Err(Error::Failed { last, attempts, stop }),
            }
        }
    }

    /// Counts a call in the budget, before its first attempt, as [`run`](Self::run) does: for code that
    /// makes the attempts itself, and then asks [`wait_after`](Self::wait_after) each.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::{Budget, Decision, Policy, Stop};
    /// let policy = Policy::exponential(Duration::from_millis(1)).budget(&Budget::new(1.0, 0)?);
    /// policy.record_call(); // earns one retry
    /// assert!(policy.wait_after(1, Decision::Retry).is_ok());
    /// assert!(matches!(policy.wait_after(1, Decision::Retry), Err(Stop::BudgetSpent(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_call(&self) {
        if let Some(budget) = self.shared_budget() {
            budget.record_call();
        }
    }

    /// How long to wait after that many attempts have failed, before the next one, which is paid for
    /// by this; the last of them was decided to be worth it or not.
    ///
    /// # Errors
    /// Why there is no other attempt.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy, Stop};
    /// let policy = Policy::exponential(Duration::from_millis(50)).attempts(2);
    /// assert!(policy.wait_after(1, Decision::Retry).is_ok_and(|delay| delay <= Duration::from_millis(50)));
    /// assert_eq!(policy.wait_after(1, Decision::GiveUp), Err(Stop::NotRetryable));
    /// assert_eq!(policy.wait_after(2, Decision::Retry), Err(Stop::AttemptsUsed));
    /// ```
    pub fn wait_after(&self, attempts: u32, decision: Decision) -> Result<Duration, Stop> {
        let remaining = scope::inherited_deadline().map(|deadline| deadline - clock::now());
        let delay = self.delay_within(attempts, decision, remaining)?;
        // Last, so that only a retry that is made is paid for.
        self.pay().map(|()| delay)
    }

    /// As [`wait_after`](Self::wait_after), with so much time left to the deadline; the next attempt is
    /// yet to be [paid for](Self::pay).
    pub(crate) fn delay_within(
        &self,
        attempts: u32,
        decision: Decision,
        remaining: Option<Duration>,
    ) -> Result<Duration, Stop> {
        let asked = match decision {
            Decision::GiveUp => return Err(Stop::NotRetryable),
            Decision::Retry => Duration::ZERO,
            Decision::RetryAfter(asked) => asked,
        };
        let max = self.longest_retry_after();
        let Some(delay) = self.delay(attempts, fastrand::f64()) else { return Err(Stop::AttemptsUsed) };
        if asked > max {
            return Err(Stop::RetryAfterTooLong { asked, max });
        }
        // On top of what was asked for: all who were told the same must not return together.
        let delay = asked.saturating_add(delay);
        if let Some(remaining) = remaining.filter(|remaining| delay >= *remaining) {
            return Err(Stop::DeadlineTooNear { delay, remaining });
        }
        Ok(delay)
    }

    /// Takes a retry from the budget, where there is one.
    pub(crate) fn pay(&self) -> Result<(), Stop> {
        self.shared_budget().map_or(Ok(()), |budget| budget.try_spend().map_err(Stop::BudgetSpent))
    }
}

impl<C> Classified<C> {
    pub(super) const fn new(policy: Policy, classify: C) -> Self {
        Self { policy, classify }
    }

    /// Runs `operation` until it succeeds, or until the policy says that it is not tried again.
    ///
    /// # Errors
    /// As [`Policy::run`].
    ///
    /// # Panics
    /// As [`Policy::run`], and when the closure does.
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt that runs, or ends the wait; no other attempt is made.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{cell::Cell, time::Duration};
    /// use plimsoll::retry::{Decision, Policy};
    /// let tries = Cell::new(0);
    /// let policy = Policy::exponential(Duration::from_millis(1)).retry_if(|_: &u16| Decision::Retry);
    /// let answer = policy.run(|| {
    ///     tries.set(tries.get() + 1);
    ///     std::future::ready(if tries.get() < 3 { Err(503) } else { Ok("third") })
    /// });
    /// assert_eq!(answer.await, Ok("third"));
    /// # Ok(()) }
    /// ```
    pub async fn run<F, Fut, T, E>(&self, operation: F) -> Result<T, Error<E>>
    where
        C: Fn(&E) -> Decision,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.policy.run_by(&self.classify, operation).await
    }
}
