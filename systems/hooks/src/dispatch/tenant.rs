//! One tenant: its window of messages, the lanes of its endpoints, and whose turn it is among them.
//!
//! # Invariants
//! - A lane is in the ring of a class and priority only while its own bit for it is set; what cannot be
//!   started leaves the ring when its turn comes, and is put back by what makes it startable: each
//!   look at a lane is paid for by what put it into the ring, so that a pick does not grow with lanes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::Instant;
use plimsoll::limiter::Limiter as _;
use plimsoll::rate::RateLimiter;
use plimsoll_store::{AppId, EndpointId, MessageId, Priority, UnixMillis};
use rustc_hash::{FxHashMap, FxHashSet};

use super::destination::{Destinations, For};
use super::job::{Class, FIRST_TRIES_IN_A_ROW, Job, Limits, Now, Place, Work};
use super::lane::{Lane, per_second};
use super::outbox::Outbox;
use super::ready::Ready;
use super::window::Window;
use crate::policy::Policy;
use crate::routing::{AppRoute, Target};

/// High priority goes into a window that is full of others up to this part more.
const WINDOW_RESERVE: usize = 4;

/// What is known of the messages that wait on disk and are not in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disk {
    /// There are none.
    Empty,
    /// There may be some.
    More,
    /// They are being read; `more` when others have come meanwhile.
    Loading { more: bool },
}

impl Disk {
    /// Something has come.
    pub(crate) const fn with_more(self) -> Self {
        match self {
            Self::Loading { .. } => Self::Loading { more: true },
            Self::Empty | Self::More => Self::More,
        }
    }
}

pub(crate) struct Tenant {
    pub(crate) route: Arc<AppRoute>,
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    pub(crate) lanes: FxHashMap<EndpointId, Lane>,
    pub(super) ready: [Ready; Class::ALL.len()],
    /// Lanes at their share of the places, in the order in which they came to it.
    pub(super) held_back: BTreeMap<u64, EndpointId>,
    /// How many were ever held back.
    holds: u64,
    /// Lanes that have, or had, first tries in memory.
    pub(super) with_first_tries: Vec<EndpointId>,
    /// Lanes that were parked since somebody last set their timers.
    parked: Vec<EndpointId>,
    pub(crate) disk: Disk,
    pub(crate) refill_queued: bool,
    /// Messages on their way through their commit: not to be read from disk meanwhile.
    pub(crate) arriving: FxHashSet<MessageId>,
    pub(crate) in_flight: usize,
    pub(crate) retries: usize,
    /// First tries since the last retry, or since retries wait.
    first_in_a_row: u32,
    /// Whether it is in the rings of the schedule, by class.
    pub(crate) in_ring: [bool; Class::ALL.len()],
    pub(crate) timer_at: Option<Instant>,
    rate: Option<RateLimiter>,
    /// A token of the rate that was taken for a delivery which then could not start.
    token: bool,
    parked_until: Option<Instant>,
    pub(super) first_tries: [usize; Priority::ALL.len()],
    /// Handing out a priority waits for a lane that will be served.
    pub(super) stalled: [bool; Priority::ALL.len()],
    /// Payload bytes of due work in memory.
    pub(crate) due_bytes: usize,
    /// How often a lane was looked at.
    #[cfg(test)]
    pub(crate) looks: usize,
}

impl Tenant {
    pub(crate) fn new(route: Arc<AppRoute>, policy: Policy) -> Self {
        let rate = route.throttle_rate.and_then(per_second);
        Self {
            route,
            policy,
            window: Window::default(),
            lanes: FxHashMap::default(),
            ready: Default::default(),
            held_back: BTreeMap::new(),
            holds: 0,
            with_first_tries: Vec::new(),
            parked: Vec::new(),
            disk: Disk::Empty,
            refill_queued: false,
            arriving: FxHashSet::default(),
            in_flight: 0,
            retries: 0,
            first_in_a_row: 0,
            in_ring: [false; Class::ALL.len()],
            timer_at: None,
            rate,
            token: false,
            parked_until: None,
            first_tries: [0; Priority::ALL.len()],
            stalled: [false; Priority::ALL.len()],
            due_bytes: 0,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Takes over a changed application.
    pub(crate) fn reroute(&mut self, route: Arc<AppRoute>, policy: Policy) {
        self.policy = policy;
        if route.throttle_rate != self.route.throttle_rate {
            self.rate = route.throttle_rate.and_then(per_second);
            self.parked_until = None;
        }
        self.route = route;
        self.stalled = Default::default();
    }

    pub(super) fn id(&self) -> AppId {
        self.route.id
    }

    /// Payload bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.window.bytes() + self.due_bytes
    }

    /// Whether one more message may wait in memory.
    pub(crate) fn has_room(&self) -> bool {
        self.window.len() < self.policy.window_messages && self.bytes() < self.policy.window_bytes
    }

    /// Whether a message that has just come may wait in memory: where nothing older waits on disk, or
    /// where it goes before what does.
    pub(crate) fn takes(&self, priority: Priority) -> bool {
        if self.route.paused {
            return false;
        }
        match priority {
            Priority::High => {
                let (messages, bytes) = (self.policy.window_messages, self.policy.window_bytes);
                self.window.len() < messages + (messages / WINDOW_RESERVE).max(1)
                    && self.bytes() < bytes + bytes / WINDOW_RESERVE
            }
            Priority::Normal | Priority::Low => self.disk == Disk::Empty && self.has_room(),
        }
    }

    /// Whether it is worth reading more messages from disk: half of the window at once, or whatever
    /// there is room for when nothing that is here can be served.
    pub(crate) fn wants_refill(&self, starving: bool) -> bool {
        let half_empty = self.window.len() <= self.policy.window_messages / 2
            && self.bytes() <= self.policy.window_bytes / 2
            && self.window.wanted(self.route.targets().len()) > 0
            && !self.stalled.contains(&true);
        let starving = starving || (self.nothing_ready() && !self.window.is_expanding());
        !self.route.paused && self.disk == Disk::More && (half_empty || (starving && self.has_room()))
    }

    pub(super) fn nothing_ready(&self) -> bool {
        self.ready.iter().all(Ready::is_empty)
    }

    /// Whether anything of it may be started.
    pub(crate) fn is_free(&self) -> bool {
        !self.route.paused && self.parked_until.is_none() && self.in_flight < self.policy.concurrency
    }

    /// Whether a pick of the class can come to something.
    pub(crate) fn is_servable(&self, class: Class) -> bool {
        self.is_free()
            && match class {
                Class::First => !self.ready[Class::First as usize].is_empty() || self.can_expand(),
                Class::Retry => self.retries_may_start(),
            }
    }

    fn can_expand(&self) -> bool {
        Priority::ALL.into_iter().any(|one| self.window.is_expanding_at(one) && !self.stalled[one as usize])
    }

    fn retries_may_start(&self) -> bool {
        self.retries < self.policy.retries() && !self.ready[Class::Retry as usize].is_empty()
    }

    /// The class whose turn it is, where first tries are asked for.
    pub(crate) fn turn(&self) -> Class {
        let owes = self.first_in_a_row >= FIRST_TRIES_IN_A_ROW && self.retries_may_start();
        if owes { Class::Retry } else { Class::First }
    }

    /// How many deliveries one endpoint may have under way: all it is allowed while half of the
    /// tenant's places are free, an equal share from then on. An endpoint that hangs can so take
    /// half of them, never the last, and a tenant with one endpoint loses nothing.
    pub(super) fn lane_limit(&self) -> usize {
        if self.has_half_free() {
            return self.policy.endpoint_concurrency;
        }
        let share = self.policy.concurrency / self.lanes.len().max(1);
        self.policy.endpoint_concurrency.min(share).max(1)
    }

    fn has_half_free(&self) -> bool {
        self.in_flight * 2 < self.policy.concurrency
    }

    pub(crate) fn lane(&mut self, target: &Arc<Target>, limits: &Limits) -> &mut Lane {
        self.lanes.entry(target.endpoint.id).or_insert_with(|| Lane::new(Arc::clone(target), &limits.breaker))
    }

    /// Looks at a lane again after something about it changed: into the rings of those that can
    /// be served, if so. Returns whether its due work should be read from disk.
    pub(crate) fn refresh(&mut self, endpoint: EndpointId, now: Now) -> bool {
        self.look();
        let share = self.lane_limit();
        self.stalled = Default::default();
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return false };
        lane.unpark(now);
        if lane.in_flight < share
            && let Some(place) = lane.held_back.take()
        {
            self.held_back.remove(&place);
        }
        let wants = !self.route.paused && lane.wants_load(now, self.policy.endpoint_concurrency);
        lane.loading |= wants;
        self.enlist(endpoint);
        self.let_go();
        wants
    }

    #[cfg(test)]
    pub(super) const fn look(&mut self) {
        self.looks += 1;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests count")]
    pub(super) const fn look(&mut self) {}

    /// Puts the lane into the rings that it has work for, where it can be served.
    pub(super) fn enlist(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        if lane.held_back.is_some() || !lane.can_start(self.policy.endpoint_concurrency) {
            return;
        }
        for class in Class::ALL {
            for priority in Priority::ALL {
                if lane.has(class, priority) && lane.enter(class, priority) {
                    self.ready[class as usize].push(priority, endpoint);
                }
            }
        }
    }

    /// Whether the lane has its turn before long.
    pub(crate) fn is_up(&self, endpoint: EndpointId) -> bool {
        let is_in = |class| self.lanes.get(&endpoint).is_some_and(|lane| lane.is_in(class));
        Class::ALL.into_iter().any(|class| is_in(class) && self.is_servable(class))
    }

    /// Where half of the places are free, lanes may go beyond their share again: two for each look,
    /// of which each pick takes one.
    fn let_go(&mut self) {
        for _ in 0..2 {
            if self.has_half_free()
                && let Some((_, endpoint)) = self.held_back.pop_first()
            {
                self.look();
                if let Some(lane) = self.lanes.get_mut(&endpoint) {
                    lane.held_back = None;
                }
                self.enlist(endpoint);
            }
        }
    }

    fn hold_back(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        self.holds += 1;
        lane.held_back = Some(self.holds);
        self.held_back.insert(self.holds, endpoint);
    }

    pub(crate) fn unpark(&mut self, now: Now) {
        if self.parked_until.is_some_and(|until| until <= now.at) {
            self.parked_until = None;
        }
    }

    pub(crate) const fn parked_until(&self) -> Option<Instant> {
        self.parked_until
    }

    /// The next delivery of the class; where there is none, it may get further when it is asked again, as
    /// long as it [can be served](Tenant::is_servable).
    pub(crate) fn pick(
        &mut self,
        class: Class,
        now: Now,
        limits: &Limits,
        outbox: &mut Outbox,
        destinations: &mut Destinations,
    ) -> Option<Job> {
        if !self.is_free() || (class == Class::Retry && !self.retries_may_start()) {
            return None;
        }
        if class == Class::First {
            self.expand(now, limits, outbox);
        }
        self.let_go();
        while let Some(priority) = self.ready[class as usize].turn() {
            self.look();
            let Some(endpoint) = self.ready[class as usize].pop(priority) else { break };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.left(class, priority);
            if !lane.is_open() {
                self.discard(endpoint, outbox);
                continue;
            }
            if !self.take_token(now) {
                if let Some(lane) = self.lanes.get_mut(&endpoint)
                    && lane.enter(class, priority)
                {
                    self.ready[class as usize].push_first(priority, endpoint);
                }
                return None;
            }
            let begun = self.begin(endpoint, class, priority, now, destinations);
            // Served or out of the rings, it holds up the handing out no more.
            self.stalled = Default::default();
            if let Some(job) = begun {
                self.token = false;
                self.ready[class as usize].served(priority);
                self.count(&job);
                self.enlist(endpoint);
                return Some(job);
            }
        }
        self.squeeze(now, outbox);
        None
    }

    /// Takes one of the rate's tokens, which is kept until a delivery has started with it.
    fn take_token(&mut self, now: Now) -> bool {
        if self.token {
            return true;
        }
        if let Some(Err(rejected)) = self.rate.as_ref().map(|rate| rate.try_acquire_at(now.at)) {
            let after = rejected.retry_after().unwrap_or_default();
            self.parked_until = Some(now.at + after.max(Duration::from_millis(1)));
            return false;
        }
        self.token = true;
        true
    }

    /// The next delivery of the lane, if nothing stands in its way; what does takes it out of the
    /// rings until it has gone.
    fn begin(
        &mut self,
        endpoint: EndpointId,
        class: Class,
        priority: Priority,
        now: Now,
        destinations: &mut Destinations,
    ) -> Option<Job> {
        let (app, share) = (self.id(), self.lane_limit());
        let lane = self.lanes.get_mut(&endpoint)?;
        let limit = self.policy.endpoint_concurrency;
        if lane.held_back.is_some() || !lane.has(class, priority) || !lane.can_start(limit) {
            return None;
        }
        if lane.in_flight >= share {
            self.hold_back(endpoint);
            return None;
        }
        let destination = match (lane.destination, &lane.target.prepared) {
            (None, Some(prepared)) => Some(destinations.join(&prepared.destination, now.at)),
            (known, _) => known,
        };
        lane.destination = destination;
        if let Some(id) = destination {
            let needs = |what: &For| *what == For::Place || class == Class::Retry;
            let has_none = |what: &For| destinations.free(id, *what, now.at) == 0;
            if let Some(what) = For::ALL.into_iter().filter(needs).find(has_none) {
                if lane.wait(what) {
                    destinations.wait(id, what, app, endpoint);
                }
                return None;
            }
        }
        let Some(permit) = lane.admit(now) else {
            self.parked.push(endpoint);
            return None;
        };
        let (message, work) = lane.pop(class, priority)?;
        lane.in_flight += 1;
        let in_flight = destination.map_or(0, |id| destinations.begin(id, class));
        let place = Place { destination, in_flight, began: now.at };
        let (org, target) = (Arc::clone(&self.route.org), Arc::clone(&lane.target));
        Some(Job { app, org, target, message, work, permit: Some(permit), place })
    }

    fn count(&mut self, job: &Job) {
        self.in_flight += 1;
        if let Work::First { .. } = job.work {
            self.first_tries[job.message.priority as usize] -= 1;
        }
        self.retries += usize::from(job.class() == Class::Retry);
        let passed_over = job.class() == Class::First && self.retries_may_start();
        self.first_in_a_row = if passed_over { self.first_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Lanes that were parked by picks, each of which may have a time to wake at.
    pub(crate) fn take_parked(&mut self) -> Vec<EndpointId> {
        std::mem::take(&mut self.parked)
    }

    /// Whether forgetting the tenant changes nothing.
    pub(crate) fn is_forgettable(&self, now: Now) -> bool {
        self.window.len() == 0
            && self.lanes.is_empty()
            && self.disk == Disk::Empty
            && self.arriving.is_empty()
            && self.in_flight == 0
            && !self.in_ring.contains(&true)
            && !self.refill_queued
            && self.rate.as_ref().is_none_or(|rate| rate.is_forgettable(now.at))
    }
}

/// The earlier of two times that may not be.
pub(crate) fn earliest(a: Option<UnixMillis>, b: Option<UnixMillis>) -> Option<UnixMillis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
