//! What waits for one endpoint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::breaker::{self, Breaker};
use plimsoll::clock::Instant;
use plimsoll::limiter::Limiter as _;
use plimsoll::rate::{Quota, RateLimiter};
use plimsoll_store::{DueWork, Trigger, UnixMillis, WorkId};
use rustc_hash::FxHashSet;

use super::envelope::Envelope;
use super::job::{Now, Work};
use crate::routing::Target;

/// How long a lane whose limiter cannot say when to come back is left alone.
const PARK_UNKNOWN: Duration = Duration::from_secs(1);
/// A lane that is parked for longer than this is not waited for: its work goes to disk.
const PARK_LONG: Duration = Duration::from_secs(1);

/// A first try that waits.
pub(crate) struct First {
    pub(crate) message: Arc<Envelope>,
    pub(crate) sequence: u64,
}

/// Due work that waits in memory.
pub(crate) struct Due {
    pub(crate) work: DueWork,
    pub(crate) message: Arc<Envelope>,
}

/// Why nothing is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Parked {
    Until(Instant),
    /// Until a delivery that is under way ends: it is the breaker's probe.
    ForProbe,
}

/// Where a first try goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Queue,
    /// To disk, due then.
    Defer(UnixMillis),
    /// It stays with its message: there is nothing better to do first.
    Stall,
}

pub(crate) struct Lane {
    pub(crate) target: Arc<Target>,
    pub(crate) first: VecDeque<First>,
    pub(crate) due: VecDeque<Due>,
    /// Due work that is in memory: queued, under way, or not yet recorded.
    pub(crate) held: FxHashSet<WorkId>,
    pub(crate) in_flight: usize,
    pub(crate) breaker: Breaker,
    rate: Option<RateLimiter>,
    parked: Option<Parked>,
    /// When the earliest due work that is only on disk is due.
    pub(crate) on_disk: Option<UnixMillis>,
    pub(crate) loading: bool,
    pub(crate) in_ready: bool,
    pub(crate) timer_at: Option<Instant>,
    due_next: bool,
}

impl Lane {
    pub(crate) fn new(target: Arc<Target>, policy: &breaker::Policy) -> Self {
        let rate = rate_of(&target);
        Self {
            target,
            first: VecDeque::new(),
            due: VecDeque::new(),
            held: FxHashSet::default(),
            in_flight: 0,
            breaker: breaker(policy),
            rate,
            parked: None,
            on_disk: None,
            loading: false,
            in_ready: false,
            timer_at: None,
            due_next: false,
        }
    }

    /// Takes over a changed endpoint: a new URL deserves a new judgement.
    pub(crate) fn retarget(&mut self, target: Arc<Target>, policy: &breaker::Policy) {
        if target.endpoint.url != self.target.endpoint.url {
            self.breaker = breaker(policy);
        }
        if target.endpoint.throttle_rate != self.target.endpoint.throttle_rate {
            self.rate = rate_of(&target);
        }
        self.parked = None;
        self.target = target;
    }

    /// Whether anything can be sent to it at all.
    pub(crate) fn is_open(&self) -> bool {
        !self.target.endpoint.disabled && self.target.prepared.is_some()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.first.is_empty() || !self.due.is_empty()
    }

    /// Whether a delivery could be started now, as far as the lane knows.
    pub(crate) fn can_start(&self, limit: usize) -> bool {
        self.has_work() && !self.target.is_paused() && self.parked.is_none() && self.in_flight < limit
    }

    /// Whether its due work should be read from disk now.
    pub(crate) fn wants_load(&self, now: Now, limit: usize) -> bool {
        let is_due = self.on_disk.is_some_and(|due_at| due_at <= now.unix);
        is_due
            && !self.target.is_paused()
            && !self.loading
            && self.due.is_empty()
            && self.parked.is_none()
            && self.in_flight < limit
    }

    /// When to look at it again, if nothing else happens.
    pub(crate) fn wake_at(&self, now: Now) -> Option<Instant> {
        match self.parked {
            Some(Parked::Until(until)) => Some(until),
            Some(Parked::ForProbe) => None,
            None => self.on_disk.filter(|due_at| *due_at > now.unix).map(|due_at| now.instant_of(due_at)),
        }
    }

    /// Lets go of a park whose time has come.
    pub(crate) fn unpark(&mut self, now: Now) {
        if matches!(self.parked, Some(Parked::Until(until)) if until <= now.at) {
            self.parked = None;
        }
    }

    /// A delivery ended: the probe that the lane waited for may be back.
    pub(crate) fn ended(&mut self) {
        self.in_flight -= 1;
        if self.parked == Some(Parked::ForProbe) {
            self.parked = None;
        }
    }

    pub(crate) const fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Where one more first try goes, where `first_tries` may wait. `limit` is how many deliveries it may have under way now;
    /// `alone` says that the tenant has no other endpoint, so that nobody is held up by waiting for
    /// this one; `others_wait` that the tenant's queues are full and some lane can be served first.
    pub(crate) fn place(
        &self,
        now: Now,
        first_tries: usize,
        limit: usize,
        alone: bool,
        others_wait: bool,
    ) -> Place {
        if self.target.is_paused() {
            return Place::Defer(now.unix);
        }
        let full = self.first.len() >= first_tries;
        let saturated = self.in_flight >= limit;
        let long = match self.parked {
            Some(Parked::Until(until)) => (until - now.at > PARK_LONG).then_some(until),
            _ => None,
        };
        match (alone, long) {
            (true, _) if full => Place::Stall,
            (false, Some(until)) => Place::Defer(now.unix_of(until)),
            (false, None) if full && (saturated || self.parked.is_some()) => Place::Defer(now.unix),
            _ if full || others_wait => Place::Stall,
            _ => Place::Queue,
        }
    }

    /// When work that is moved to disk is due.
    pub(crate) fn due_when_spilled(&self, now: Now) -> UnixMillis {
        match self.parked {
            Some(Parked::Until(until)) => now.unix_of(until),
            _ => now.unix,
        }
    }

    /// Asks the breaker and then the rate; parks the lane when one refuses.
    pub(crate) fn admit(&mut self, now: Now) -> Option<breaker::OwnedPermit> {
        let rejected = match self.breaker.try_acquire_owned_at(now.at) {
            Err(rejected) => rejected,
            // A probe that the rate refuses is given back by the drop of its permit.
            Ok(permit) => match self.rate.as_ref().map_or(Ok(()), |rate| rate.try_acquire_at(now.at)) {
                Ok(()) => return Some(permit),
                Err(rejected) => rejected,
            },
        };
        let probing = rejected.reason() == plimsoll::Reason::BreakerOpen
            && rejected.retry_after().is_none()
            && self.in_flight > 0;
        let after = rejected.retry_after().unwrap_or(PARK_UNKNOWN).max(Duration::from_millis(1));
        self.parked = Some(if probing { Parked::ForProbe } else { Parked::Until(now.at + after) });
        None
    }

    /// The next delivery: first tries and due work take turns.
    pub(crate) fn pop(&mut self) -> Option<(Arc<Envelope>, Work)> {
        self.due_next = !self.due_next;
        let due_first = self.due_next || self.first.is_empty();
        if due_first && let Some(due) = self.due.pop_front() {
            return Some((due.message, Work::Due(due.work)));
        }
        let first = self.first.pop_front()?;
        Some((first.message, Work::First { sequence: first.sequence }))
    }

    /// Whether forgetting the lane changes nothing.
    pub(crate) fn is_forgettable(&self, now: Now) -> bool {
        !self.has_work()
            && self.in_flight == 0
            && self.held.is_empty()
            && self.on_disk.is_none()
            && !self.loading
            && self.parked.is_none()
            && self.breaker.is_forgettable(now.at)
            && self.rate.as_ref().is_none_or(|rate| rate.is_forgettable(now.at))
    }
}

fn breaker(policy: &breaker::Policy) -> Breaker {
    Breaker::new(*policy).expect("the policy was checked when the dispatcher was made")
}

fn rate_of(target: &Target) -> Option<RateLimiter> {
    target.endpoint.throttle_rate.and_then(per_second)
}

/// A limiter of so many a second, with a burst of 20 ms: less would lose to the timer, more would
/// be felt by the endpoint.
pub(crate) fn per_second(rate: u32) -> Option<RateLimiter> {
    let burst = (rate / 50).max(1);
    RateLimiter::new(Quota::per_second(u64::from(rate)).burst(u64::from(burst))).ok()
}

/// Whether the work was asked for by hand.
pub(crate) const fn is_manual(work: &DueWork) -> bool {
    matches!(work.id.trigger, Trigger::Manual)
}
