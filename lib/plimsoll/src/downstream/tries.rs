//! The parts in their order, from the deadline inwards; the fallback is asked at the end.

use std::pin::{Pin, pin};
use std::time::Duration;

use super::handle::Inner;
use super::parts::{Admitted, Running};
use super::{Error, Fallback, Judge};
use crate::retry::{Decision, Retryable};
use crate::scope::{self, Ended, Scope, Stop, within};
use crate::{Outcome, Rejected, clock};

/// How a try ended: `Ok` is an answer that settles the matter, be it an error. What `Err` says of it, a
/// second try or a retry may better.
pub(super) type Tried<T, E> = Result<Result<T, E>, Unsettled<T, E>>;

/// A try that did not settle the matter.
pub(super) enum Unsettled<T, E> {
    Rejected(Rejected),
    TimedOut(Duration),
    ScopeEnded(Ended),
    /// An answer that the judge calls a failure, or worth another try.
    Answer {
        result: Result<T, E>,
        decision: Decision,
    },
}

impl<J, B> Inner<J, B> {
    /// Runs `call` until the deadline, and not at all if the scope has ended already.
    pub(super) async fn in_time<T, E>(
        &self,
        call: Pin<&mut impl Future<Output = Tried<T, E>>>,
    ) -> Tried<T, E> {
        let Some(deadline) = self.parts.deadline else {
            return match scope::ended_now() {
                Some(ended) => Err(Unsettled::ScopeEnded(ended)),
                None => call.await,
            };
        };
        let scope = scope::inherited().unwrap_or_else(Scope::empty).deadline_in(deadline);
        match within(call, Some(scope), None).await {
            Ok(tried) => tried,
            Err(Stop::Ended(ended)) => Err(Unsettled::ScopeEnded(ended)),
            Err(Stop::Limit) => unreachable!("no limit was set beside the scope's deadline"),
        }
    }

    /// Attempts until the matter is settled, or until the policy says that it is not tried again.
    pub(super) async fn retried<F, Fut, T, E>(&self, f: &F) -> Tried<T, E>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: Judge<T, E>,
    {
        if let Some(hedge) = &self.parts.hedge {
            hedge.count_call();
        }
        let Some(policy) = &self.parts.retry else { return self.hedged(f).await };
        policy.record_call();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let unsettled = match self.hedged(f).await {
                Ok(answer) => return Ok(answer),
                Err(unsettled) => unsettled,
            };
            let Ok(delay) = policy.wait_after(attempts, unsettled.decision()) else { return Err(unsettled) };
            // An answer that is not wanted may hold a connection: it does not sleep with us.
            drop(unsettled);
            tokio::time::sleep(delay).await;
            self.parts.counts.retry();
        }
    }

    async fn hedged<F, Fut, T, E>(&self, f: &F) -> Tried<T, E>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: Judge<T, E>,
    {
        match &self.parts.hedge {
            Some(hedge) => hedge.call_counted(clock::now(), || self.tried(f)).await,
            None => self.tried(f).await,
        }
    }

    /// One try: breaker, rate, concurrency, and the dependency's work within its timeout.
    pub(super) async fn tried<F, Fut, T, E>(&self, f: F) -> Tried<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: Judge<T, E>,
    {
        let Admitted { passed, place } = self.parts.admit().await.map_err(Unsettled::Rejected)?;
        let running = Running::new(passed);
        let ended = match self.parts.timeout {
            None => Ok(f().await),
            Some(timeout) => within(pin!(f()), None, Some(timeout)).await.map_err(|_| timeout),
        };
        drop(place);
        let result = match ended {
            Ok(result) => result,
            Err(timeout) => {
                running.finish(Outcome::Failure);
                return Err(Unsettled::TimedOut(timeout));
            }
        };
        let outcome = self.judge.outcome(&result);
        running.finish(outcome);
        let decision = self.judge.decision(&result);
        if outcome != Outcome::Failure && decision == Decision::GiveUp {
            return Ok(result);
        }
        Err(Unsettled::Answer { result, decision })
    }

    /// What the caller is told: the answer, what the fallback has instead, or why there is neither.
    pub(super) async fn concluded<T, E>(&self, tried: Tried<T, E>) -> Result<T, Error<E>>
    where
        B: Fallback<T, E>,
    {
        let why = match tried {
            Ok(Ok(value)) => {
                self.fallback.keep(&value);
                return Ok(value);
            }
            Ok(Err(error)) => return Err(Error::Inner(error)),
            Err(Unsettled::Answer { result: Ok(value), .. }) => return Ok(value),
            Err(Unsettled::Answer { result: Err(error), .. }) => Error::Inner(error),
            Err(Unsettled::Rejected(rejected)) => Error::Rejected(rejected),
            Err(Unsettled::TimedOut(timeout)) => Error::TimedOut { downstream: self.parts.name, timeout },
            Err(Unsettled::ScopeEnded(ended)) => Error::ScopeEnded(ended),
        };
        self.parts.counts.unanswered(&why);
        let Some(value) = self.fallback.instead(&why).await else { return Err(why) };
        self.parts.counts.fallback();
        Ok(value)
    }
}

impl<T, E> Unsettled<T, E> {
    fn decision(&self) -> Decision {
        match self {
            Self::Rejected(rejected) => rejected.decision(),
            Self::TimedOut(_) => Decision::Retry,
            Self::ScopeEnded(_) => Decision::GiveUp,
            Self::Answer { decision, .. } => *decision,
        }
    }
}
