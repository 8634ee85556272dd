//! What waits for one endpoint, and what stands in its way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::breaker::{self, Breaker};
use plimsoll::clock::Instant;
use plimsoll::limiter::Limiter as _;
use plimsoll::rate::{Quota, RateLimiter};
use plimsoll::{Outcome, Reason};
use plimsoll_store::{DueWork, Priority, Trigger, UnixMillis, WorkId};
use rustc_hash::FxHashSet;

use super::destination::{DestinationId, For};
use super::envelope::Envelope;
use super::job::{Class, Now, Verdict, Work};
use crate::routing::Target;

/// How long a lane whose limiter cannot say when to come back is left alone.
const PARK_UNKNOWN: Duration = Duration::from_secs(1);
/// A lane that is parked for longer than this is not waited for: its work goes to disk.
const PARK_LONG: Duration = Duration::from_secs(1);
/// How long an endpoint that takes less for now is left alone: at first, and at most.
const SLOW_MIN: Duration = Duration::from_secs(1);
const SLOW_MAX: Duration = Duration::from_mins(1);

/// Something that waits in memory.
pub(crate) enum Item {
    /// A first try from the fan-out.
    First { message: Arc<Envelope>, sequence: u64 },
    /// Due work.
    Due { work: DueWork, message: Arc<Envelope> },
}

/// Why nothing is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Parked {
    Until(Instant),
    /// Until a delivery that is under way ends: it is the breaker's probe.
    ForProbe,
    /// Until the destination has a place.
    ForPlace,
    /// The endpoint said that it is gone: until somebody has seen to it.
    Gone,
}

/// The endpoint takes less for now.
#[derive(Clone, Copy, Debug)]
struct Slow {
    since: Instant,
    step: u32,
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

/// What decides where a first try goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placing {
    pub(crate) priority: Priority,
    /// How many of the priority may wait.
    pub(crate) first_tries: usize,
    /// How many deliveries it may have under way now.
    pub(crate) limit: usize,
    /// The tenant has no other endpoint: nobody is held up by waiting for this one.
    pub(crate) alone: bool,
    /// The tenant's queues are full, and some lane can be served first.
    pub(crate) others_wait: bool,
}

pub(crate) struct Lane {
    pub(crate) target: Arc<Target>,
    /// By class and priority.
    queues: [[VecDeque<Item>; Priority::ALL.len()]; Class::ALL.len()],
    /// First tries from the fan-out among them, by priority, and due work.
    firsts: [u32; Priority::ALL.len()],
    dues: u32,
    /// Due work that is in memory: queued, under way, or not yet recorded.
    pub(crate) held: FxHashSet<WorkId>,
    pub(crate) in_flight: usize,
    pub(crate) breaker: Breaker,
    rate: Option<RateLimiter>,
    pub(crate) destination: Option<DestinationId>,
    parked: Option<Parked>,
    /// Its retries wait for the destination's budget.
    retries_wait: bool,
    /// Whether it stands in the destination's queues: once in each, whatever it waits for by now.
    queued: [bool; For::ALL.len()],
    slow: Option<Slow>,
    /// How many may be under way after it was unwell: one at first, one more with each success.
    allowed: usize,
    /// When the earliest due work that is only on disk is due.
    pub(crate) on_disk: Option<UnixMillis>,
    pub(crate) loading: bool,
    /// Which of the tenant's rings it is in, a bit each.
    rings: u8,
    /// It is at its share of the tenant's places, and in none of the rings: its place among those.
    pub(crate) held_back: Option<u64>,
    /// It is among the tenant's lanes that have first tries.
    pub(crate) listed: bool,
    pub(crate) timer_at: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(target: Arc<Target>, policy: &breaker::Policy) -> Self {
        let rate = rate_of(&target);
        Self {
            target,
            queues: Default::default(),
            firsts: [0; Priority::ALL.len()],
            dues: 0,
            held: FxHashSet::default(),
            in_flight: 0,
            breaker: breaker(policy),
            rate,
            destination: None,
            parked: None,
            retries_wait: false,
            queued: Default::default(),
            slow: None,
            allowed: usize::MAX,
            on_disk: None,
            loading: false,
            rings: 0,
            held_back: None,
            listed: false,
            timer_at: None,
        }
    }

    /// Takes over a changed endpoint: a new URL deserves a new judgement.
    pub(crate) fn retarget(&mut self, target: Arc<Target>, policy: &breaker::Policy) {
        if target.endpoint.url != self.target.endpoint.url {
            self.breaker = breaker(policy);
            self.slow = None;
            self.allowed = usize::MAX;
        }
        if target.endpoint.throttle_rate != self.target.endpoint.throttle_rate {
            self.rate = rate_of(&target);
        }
        self.parked = None;
        self.target = target;
    }

    /// Whether anything can be sent to it at all.
    pub(crate) fn is_open(&self) -> bool {
        self.target.is_open()
    }

    pub(crate) fn has_work(&self) -> bool {
        self.dues > 0 || self.has_first_tries()
    }

    pub(crate) fn has_first_tries(&self) -> bool {
        self.firsts.iter().any(|count| *count > 0)
    }

    pub(crate) fn has(&self, class: Class, priority: Priority) -> bool {
        let waits = class == Class::Retry && self.retries_wait;
        !waits && !self.queues[class as usize][priority as usize].is_empty()
    }

    /// Whether a delivery could be started now, as far as the lane knows.
    pub(crate) fn can_start(&self, limit: usize) -> bool {
        self.has_work() && !self.target.is_paused() && self.parked.is_none() && self.has_place(limit)
    }

    fn has_place(&self, limit: usize) -> bool {
        self.in_flight < limit.min(self.allowed)
    }

    /// Whether its due work should be read from disk now.
    pub(crate) fn wants_load(&self, now: Now, limit: usize) -> bool {
        let is_due = self.on_disk.is_some_and(|due_at| due_at <= now.unix);
        let idle = !self.loading && self.dues == 0;
        is_due && idle && !self.target.is_paused() && self.parked.is_none() && self.has_place(limit)
    }

    /// When to look at it again, if nothing else happens.
    pub(crate) fn wake_at(&self, now: Now) -> Option<Instant> {
        match self.parked {
            Some(Parked::Until(until)) => Some(until),
            Some(_) => None,
            None => self.on_disk.filter(|due_at| *due_at > now.unix).map(|due_at| now.instant_of(due_at)),
        }
    }

    /// Lets go of a park whose time has come.
    pub(crate) fn unpark(&mut self, now: Now) {
        if matches!(self.parked, Some(Parked::Until(until)) if until <= now.at) {
            self.parked = None;
        }
    }

    /// Waits for what its destination has no more of; `true` where it is to be put into the queue.
    pub(crate) fn wait(&mut self, what: For) -> bool {
        match what {
            For::Place => self.parked = Some(Parked::ForPlace),
            For::Budget => self.retries_wait = true,
        }
        !std::mem::replace(&mut self.queued[what as usize], true)
    }

    /// The destination has some again, and took it out of the queue.
    pub(crate) fn stop_waiting(&mut self, what: For) {
        self.queued[what as usize] = false;
        match what {
            For::Place if self.parked == Some(Parked::ForPlace) => self.parked = None,
            For::Place => {}
            For::Budget => self.retries_wait = false,
        }
    }

    /// What it waits for at its destination.
    pub(crate) fn waits_for(&self) -> Option<For> {
        match self.parked {
            Some(Parked::ForPlace) => Some(For::Place),
            _ => self.retries_wait.then_some(For::Budget),
        }
    }

    /// How many deliveries it may have under way, as far as it was unwell.
    pub(crate) const fn allowed(&self) -> usize {
        self.allowed
    }

    /// It goes somewhere else: what it waited for it may find there.
    pub(crate) fn leave(&mut self) -> Option<DestinationId> {
        For::ALL.into_iter().for_each(|what| self.stop_waiting(what));
        self.destination.take()
    }

    /// A delivery ended: the probe that the lane waited for may be back.
    pub(crate) fn ended(&mut self) {
        self.in_flight -= 1;
        if self.parked == Some(Parked::ForProbe) {
            self.parked = None;
        }
    }

    /// Learns from a delivery that began at `began`; `random` is between 0 and 1.
    pub(crate) fn learn(
        &mut self,
        verdict: Verdict,
        outcome: Outcome,
        began: Instant,
        random: f64,
        now: Now,
    ) {
        if outcome == Outcome::Failure && self.breaker.state() != breaker::State::Closed {
            self.allowed = 1;
        }
        match verdict {
            Verdict::Gone => self.parked = Some(Parked::Gone),
            Verdict::Slow(until) => {
                // Those that were under way together say it once.
                let step = match self.slow {
                    Some(slow) if began < slow.since => slow.step,
                    Some(slow) => slow.step.saturating_add(1),
                    None => 0,
                };
                self.slow = Some(Slow { since: now.at, step });
                self.allowed = 1;
                let alone = until.unwrap_or_else(|| slow_for(step, random));
                self.park_until(now.at + alone);
            }
            Verdict::Nothing if outcome == Outcome::Success => {
                self.allowed = self.allowed.saturating_add(1);
                if self.slow.is_some_and(|slow| slow.since <= began) {
                    self.slow = None;
                }
            }
            Verdict::Nothing => {}
        }
    }

    /// Not before `until`, nor before what it is parked for already.
    fn park_until(&mut self, until: Instant) {
        self.parked = match self.parked {
            Some(Parked::Until(already)) => Some(Parked::Until(already.max(until))),
            Some(Parked::Gone) => self.parked,
            Some(Parked::ForProbe | Parked::ForPlace) | None => Some(Parked::Until(until)),
        };
    }

    /// Whether it waits until somebody has seen to it that it is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.parked == Some(Parked::Gone)
    }

    pub(crate) const fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Where one more first try goes.
    pub(crate) fn place(&self, now: Now, placing: Placing) -> Place {
        if self.target.is_paused() {
            return Place::Defer(now.unix);
        }
        let full = self.firsts[placing.priority as usize] as usize >= placing.first_tries;
        let saturated = !self.has_place(placing.limit);
        let long = match self.parked {
            Some(Parked::Until(until)) => (until - now.at > PARK_LONG).then_some(until),
            _ => None,
        };
        match (placing.alone, long) {
            (true, _) if full => Place::Stall,
            (false, Some(until)) => Place::Defer(now.unix_of(until)),
            (false, None) if full && (saturated || self.parked.is_some()) => Place::Defer(now.unix),
            _ if full || placing.others_wait => Place::Stall,
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
        let probing = rejected.reason() == Reason::BreakerOpen
            && rejected.retry_after().is_none()
            && self.in_flight > 0;
        let after = rejected.retry_after().unwrap_or(PARK_UNKNOWN).max(Duration::from_millis(1));
        self.parked = Some(if probing { Parked::ForProbe } else { Parked::Until(now.at + after) });
        None
    }

    pub(crate) fn push(&mut self, item: Item) {
        let (class, priority) = match &item {
            Item::First { message, .. } => {
                self.firsts[message.priority as usize] += 1;
                (Class::First, message.priority)
            }
            Item::Due { work, .. } => {
                self.dues += 1;
                (Class::of(work), Priority::from_number(work.priority))
            }
        };
        self.queues[class as usize][priority as usize].push_back(item);
    }

    /// The next delivery of the class and priority.
    pub(crate) fn pop(&mut self, class: Class, priority: Priority) -> Option<(Arc<Envelope>, Work)> {
        Some(match self.queues[class as usize][priority as usize].pop_front()? {
            Item::First { message, sequence } => {
                self.firsts[message.priority as usize] -= 1;
                (message, Work::First { sequence })
            }
            Item::Due { work, message } => {
                self.dues -= 1;
                (message, Work::Due(work))
            }
        })
    }

    /// Takes out what came from the fan-out.
    pub(crate) fn take_first_tries(&mut self) -> Vec<(Arc<Envelope>, u64)> {
        self.firsts = [0; Priority::ALL.len()];
        let mut taken = Vec::new();
        for queue in self.queues[Class::First as usize].iter_mut().filter(|queue| !queue.is_empty()) {
            for item in std::mem::take(queue) {
                match item {
                    Item::First { message, sequence } => taken.push((message, sequence)),
                    due @ Item::Due { .. } => queue.push_back(due),
                }
            }
        }
        taken
    }

    /// Takes out what is due; what came from the fan-out was taken out before.
    pub(crate) fn take_due(&mut self) -> Vec<(DueWork, Arc<Envelope>)> {
        self.dues = 0;
        let mut taken = Vec::new();
        for queue in self.queues.iter_mut().flatten() {
            for item in std::mem::take(queue) {
                match item {
                    Item::Due { work, message } => taken.push((work, message)),
                    first @ Item::First { .. } => queue.push_back(first),
                }
            }
        }
        taken
    }

    /// Enters the ring of the class and priority; `false` if it is in already.
    pub(crate) const fn enter(&mut self, class: Class, priority: Priority) -> bool {
        let bit = ring_bit(class, priority);
        let entered = self.rings & bit == 0;
        self.rings |= bit;
        entered
    }

    pub(crate) const fn left(&mut self, class: Class, priority: Priority) {
        self.rings &= !ring_bit(class, priority);
    }

    /// Whether it is in one of the rings of the class.
    pub(crate) fn is_in(&self, class: Class) -> bool {
        Priority::ALL.into_iter().any(|priority| self.rings & ring_bit(class, priority) != 0)
    }

    /// Whether forgetting the lane changes nothing.
    pub(crate) fn is_forgettable(&self, now: Now) -> bool {
        !self.has_work()
            && self.in_flight == 0
            && self.held.is_empty()
            && self.on_disk.is_none()
            && !self.loading
            && self.parked.is_none()
            && self.slow.is_none()
            && self.rings == 0
            && self.held_back.is_none()
            && !self.listed
            && self.breaker.is_forgettable(now.at)
            && self.rate.as_ref().is_none_or(|rate| rate.is_forgettable(now.at))
    }
}

const fn ring_bit(class: Class, priority: Priority) -> u8 {
    1 << (class as u8 * Priority::ALL.len() as u8 + priority as u8)
}

/// Twice as long with each step, give or take a quarter.
fn slow_for(step: u32, random: f64) -> Duration {
    let base = SLOW_MIN.saturating_mul(1 << step.min(10)).min(SLOW_MAX);
    base.mul_f64(0.75 + random / 2.0).min(SLOW_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Routing, test_app, test_endpoint};

    fn lane() -> Lane {
        let (routing, app) = (Routing::empty(), test_app());
        let route = routing.put_app(&app);
        routing.put_endpoint(plimsoll_store::Endpoint { app: app.id, ..test_endpoint("http://a/") });
        Lane::new(Arc::clone(&route.targets()[0]), &breaker::Policy::ratio(0.5))
    }

    fn at(seconds: u64) -> Now {
        Now { at: Instant::default() + Duration::from_secs(seconds), unix: seconds as i64 * 1_000 }
    }

    #[test]
    fn answers_that_were_under_way_together_slow_down_once() {
        let mut lane = lane();
        for _ in 0..10 {
            lane.learn(Verdict::Slow(None), Outcome::Failure, at(0).at, 0.5, at(10));
        }
        assert_eq!(lane.parked, Some(Parked::Until(at(11).at)));
        lane.learn(Verdict::Slow(None), Outcome::Failure, at(11).at, 0.5, at(12));
        assert_eq!(lane.parked, Some(Parked::Until(at(14).at)), "twice as long");
        for _ in 0..20 {
            lane.learn(Verdict::Slow(None), Outcome::Failure, at(100).at, 1.0, at(100));
        }
        assert_eq!(lane.parked, Some(Parked::Until(at(160).at)), "a minute at the most");
    }

    #[test]
    fn an_endpoint_that_says_how_long_is_left_alone_for_so_long_and_then_asked_one_at_a_time() {
        let mut lane = lane();
        lane.learn(Verdict::Slow(Some(Duration::from_hours(2))), Outcome::Failure, at(0).at, 0.5, at(1));
        lane.learn(Verdict::Slow(Some(Duration::from_secs(5))), Outcome::Failure, at(0).at, 0.5, at(1));
        assert_eq!(lane.wake_at(at(1)), Some(at(7_201).at), "the later of two");
        lane.unpark(at(7_201));
        assert!(lane.has_place(10));
        lane.in_flight = 1;
        assert!(!lane.has_place(10), "one at a time");
        lane.learn(Verdict::Nothing, Outcome::Success, at(7_201).at, 0.5, at(7_202));
        assert!(lane.has_place(10), "one more with each success");
        lane.in_flight = 2;
        assert!(!lane.has_place(10));
    }
}
