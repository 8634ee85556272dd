//! The bounds of one dependency, and what came of its calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Error;
use crate::breaker::{self, Breaker};
use crate::clock::Instant;
use crate::counters::Counters;
use crate::hedge::Hedge;
use crate::rate::RateLimiter;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::semaphore::{self, Semaphore};
use crate::{Name, Outcome, Rejected, clock, retry, scope};

/// The bounds that were asked for, and the counts.
pub(super) struct Parts {
    pub(super) name: Name,
    pub(super) deadline: Option<Duration>,
    pub(super) retry: Option<retry::Policy>,
    pub(super) hedge: Option<Hedge>,
    pub(super) breaker: Option<Breaker>,
    pub(super) rate: Option<RateLimiter>,
    pub(super) concurrency: Option<Semaphore>,
    /// How long a try waits for rate and concurrency together; `None` rejects at once.
    pub(super) wait_up_to: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) counts: Counts,
    pub(super) _registration: Option<Registration>,
}

/// What came of the calls. Only `calls` is on the way of a call that goes well.
pub(super) struct Counts {
    calls: AtomicU64,
    retries: AtomicU64,
    timed_out: AtomicU64,
    scope_ended: AtomicU64,
    failed: AtomicU64,
    fallbacks: AtomicU64,
    rejected: Counters,
}

/// Proof that a try may begin.
pub(super) struct Admitted<'a> {
    pub(super) passed: Option<breaker::Permit<'a>>,
    /// Held while the dependency works.
    pub(super) place: Option<semaphore::Permit<'a>>,
}

/// A try that runs, of which the breaker is told how it ends.
pub(super) struct Running<'a> {
    passed: Option<breaker::Permit<'a>>,
    /// That of the scope it began in: it may be dropped outside of that.
    deadline: Option<Instant>,
}

impl<'a> Running<'a> {
    pub(super) fn new(passed: Option<breaker::Permit<'a>>) -> Self {
        let deadline = if passed.is_some() { scope::inherited_deadline() } else { None };
        Self { passed, deadline }
    }

    pub(super) fn finish(mut self, outcome: Outcome) {
        if let Some(permit) = self.passed.take() {
            permit.finish(outcome);
        }
    }
}

impl Drop for Running<'_> {
    /// Dropped while it ran: that its caller went away says nothing, but what a deadline ended after the
    /// time of a slow call has hung.
    fn drop(&mut self) {
        let Some(permit) = self.passed.take() else { return };
        let late = self.deadline.is_some_and(|deadline| clock::now() >= deadline);
        let hung = late && permit.is_slow();
        permit.finish(if hung { Outcome::Failure } else { Outcome::Ignored });
    }
}

impl Parts {
    /// Admits a try, by breaker, rate and concurrency in this order.
    pub(super) async fn admit(&self) -> Result<Admitted<'_>, Rejected> {
        match self.wait_up_to {
            None => {
                let passed = self.pass()?;
                Ok(Admitted { passed, place: self.try_place()? })
            }
            Some(wait) => self.admit_within(wait).await,
        }
    }

    /// As [`admit`](Self::admit), waiting for rate and concurrency.
    ///
    /// No permit of the breaker is held meanwhile: a probe would be kept from others, the wait would
    /// count as slowness of the dependency, and what came to wait before the breaker opened would be
    /// let through after.
    async fn admit_within(&self, wait: Duration) -> Result<Admitted<'_>, Rejected> {
        // An open breaker refuses before anything is waited for or spent.
        if self.breaker.as_ref().is_some_and(|breaker| breaker.state() != breaker::State::Closed) {
            drop(self.pass()?);
        }
        let by = clock::now() + wait;
        if let Some(rate) = &self.rate {
            rate.acquire_within(1, wait).await?;
        }
        let place = match &self.concurrency {
            Some(concurrency) => Some(concurrency.acquire_within(1, by - clock::now()).await?),
            None => None,
        };
        Ok(Admitted { passed: self.pass()?, place })
    }

    fn pass(&self) -> Result<Option<breaker::Permit<'_>>, Rejected> {
        self.breaker.as_ref().map(Breaker::try_acquire).transpose()
    }

    /// A token and a place, now. The place is looked for first, so that what finds none has not spent
    /// a token; when both are used up, it is the rate that rejects, as in the order of the parts.
    fn try_place(&self) -> Result<Option<semaphore::Permit<'_>>, Rejected> {
        let Some(concurrency) = &self.concurrency else {
            return self.try_token().map(|()| None);
        };
        match concurrency.try_acquire() {
            Ok(place) => self.try_token().map(|()| Some(place)),
            Err(full) => {
                if self.rate.as_ref().is_some_and(|rate| rate.available() == 0) {
                    self.try_token()?;
                }
                Err(full)
            }
        }
    }

    fn try_token(&self) -> Result<(), Rejected> {
        self.rate.as_ref().map_or(Ok(()), RateLimiter::try_acquire)
    }
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            scope_ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            rejected: Counters::new(),
        }
    }

    pub(super) fn call(&self) {
        add(&self.calls);
    }

    pub(super) fn retry(&self) {
        add(&self.retries);
    }

    pub(super) fn fallback(&self) {
        add(&self.fallbacks);
    }

    /// A call got no answer, whatever the fallback makes of it.
    pub(super) fn unanswered<E>(&self, why: &Error<E>) {
        match why {
            Error::Rejected(rejected) => self.rejected.reject(rejected.reason()),
            Error::TimedOut { .. } => add(&self.timed_out),
            Error::ScopeEnded(_) => add(&self.scope_ended),
            Error::Inner(_) => add(&self.failed),
        }
    }
}

impl Bound for Parts {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Downstream);
        if let Some(concurrency) = self.concurrency.as_ref().map(Semaphore::snapshot) {
            snapshot.limit = concurrency.limit;
            snapshot.in_use = concurrency.in_use;
            snapshot.high_water = concurrency.high_water;
            snapshot.waiting = concurrency.waiting;
        }
        let counts = &self.counts;
        snapshot.admitted = read(&counts.calls);
        snapshot.details = vec![
            ("retries", read(&counts.retries)),
            ("timed_out", read(&counts.timed_out)),
            ("scope_ended", read(&counts.scope_ended)),
            ("failed", read(&counts.failed)),
            ("fallbacks", read(&counts.fallbacks)),
        ];
        if let Some(rate) = self.rate.as_ref().map(RateLimiter::snapshot) {
            snapshot.waiting += rate.waiting;
            snapshot.details.push(("rate_limit", rate.limit));
            snapshot.details.push(("rate_in_use", rate.in_use));
        }
        if let Some(breaker) = &self.breaker {
            snapshot.details.push(("breaker_open", u64::from(breaker.state() == breaker::State::Open)));
        }
        if let Some(hedge) = self.hedge.as_ref().map(Hedge::snapshot) {
            snapshot.details.extend(hedge.details);
        }
        counts.rejected.show(&mut snapshot);
        snapshot
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
