//! One tenant: its window of messages, the lanes of its endpoints, and whose turn it is among them.
//!
//! # Invariants
//! - A lane is in the ring of a class and priority only while its own bit for it is set; what cannot be
//!   started leaves the ring when its turn comes, and is put back by what makes it startable: each
//!   look at a lane is paid for by what put it into the ring, so that a pick does not grow with lanes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::Instant;
use plimsoll::limiter::Limiter as _;
use plimsoll::rate::RateLimiter;
use plimsoll_store::{
    AppId, DueWork, EndpointId, MessageId, Priority, Progress, Trigger, UnixMillis, WorkId,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::destination::{Destinations, For};
use super::envelope::Envelope;
use super::job::{self, Class, Job, Limits, Now, Work};
use super::lane::{Item, Lane, Place, Placing, is_manual, per_second};
use super::outbox::{Outbox, Release};
use super::window::{Settled, Window};
use crate::policy::Policy;
use crate::routing::{AppRoute, Target};

/// How many endpoints are looked at while a message is handed out, before somebody else's turn.
const EXPAND_BUDGET: usize = 1_024;
/// How many deliveries of each priority go in a round, where all of them wait.
const SHARES: [u32; Priority::ALL.len()] = [16, 4, 1];
/// Of so many deliveries one is a retry, where both wait: first tries go first, but not for ever.
const FIRST_TRIES_IN_A_ROW: u32 = 15;
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

/// Lanes that can be served, by priority.
#[derive(Default)]
struct Ready {
    rings: [VecDeque<EndpointId>; Priority::ALL.len()],
    left: [u32; Priority::ALL.len()],
}

impl Ready {
    fn is_empty(&self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
    }

    /// The priority whose turn it is.
    fn turn(&mut self) -> Option<Priority> {
        let waits = |priority: &Priority| !self.rings[*priority as usize].is_empty();
        let has_turn = |priority: &Priority| waits(priority) && self.left[*priority as usize] > 0;
        if let Some(priority) = Priority::ALL.into_iter().find(has_turn) {
            return Some(priority);
        }
        let first = Priority::ALL.into_iter().find(waits)?;
        self.left = SHARES;
        Some(first)
    }

    fn served(&mut self, priority: Priority) {
        let left = &mut self.left[priority as usize];
        *left = left.saturating_sub(1);
    }
}

pub(crate) struct Tenant {
    pub(crate) route: Arc<AppRoute>,
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    pub(crate) lanes: FxHashMap<EndpointId, Lane>,
    ready: [Ready; Class::ALL.len()],
    /// Lanes at their share of the places, in the order in which they came to it.
    held_back: BTreeMap<u64, EndpointId>,
    /// How many were ever held back.
    holds: u64,
    /// Lanes that have, or had, first tries in memory.
    with_first_tries: Vec<EndpointId>,
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
    first_tries: [usize; Priority::ALL.len()],
    /// Handing out a priority waits for a lane that will be served.
    stalled: [bool; Priority::ALL.len()],
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

    fn id(&self) -> AppId {
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

    fn nothing_ready(&self) -> bool {
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
    fn lane_limit(&self) -> usize {
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
    const fn look(&mut self) {
        self.looks += 1;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests count")]
    const fn look(&mut self) {}

    /// Puts the lane into the rings that it has work for, where it can be served.
    fn enlist(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        if lane.held_back.is_some() || !lane.can_start(self.policy.endpoint_concurrency) {
            return;
        }
        for class in Class::ALL {
            for priority in Priority::ALL {
                if lane.has(class, priority) && lane.enter(class, priority) {
                    self.ready[class as usize].rings[priority as usize].push_back(endpoint);
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
            let Some(endpoint) = self.ready[class as usize].rings[priority as usize].pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.left(class, priority);
            if !lane.is_open() {
                self.discard(endpoint, outbox);
                continue;
            }
            if !self.take_token(now) {
                let ring = &mut self.ready[class as usize].rings[priority as usize];
                if let Some(lane) = self.lanes.get_mut(&endpoint)
                    && lane.enter(class, priority)
                {
                    ring.push_front(endpoint);
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
        let place = job::Place { destination, in_flight, began: now.at };
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

    /// Whether nothing can be served while messages wait on disk for room in the window.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.route.paused && self.disk == Disk::More && self.nothing_ready() && !self.has_room()
    }

    /// Hands messages out to the lanes of the endpoints that want them.
    pub(crate) fn expand(&mut self, now: Now, limits: &Limits, outbox: &mut Outbox) {
        if !self.window.is_expanding() {
            return;
        }
        let targets = self.route.targets();
        let mut budget = EXPAND_BUDGET;
        for priority in Priority::ALL {
            self.stalled[priority as usize] = false;
            while budget > 0
                && self.ready[Class::First as usize].rings[priority as usize].len() < self.policy.concurrency
                && self.hand_out(priority, &targets, &mut budget, now, limits, outbox)
            {}
        }
    }

    /// Hands out the first message of the priority; `false` where there is none, or no more of it can
    /// be handed out now.
    fn hand_out(
        &mut self,
        priority: Priority,
        targets: &[Arc<Target>],
        budget: &mut usize,
        now: Now,
        limits: &Limits,
        outbox: &mut Outbox,
    ) -> bool {
        let limit = self.lane_limit();
        let Some(active) = self.window.expanding(priority) else { return false };
        let message = Arc::clone(&active.message);
        let from = targets.partition_point(|target| target.endpoint.sequence <= active.cursor);
        for target in &targets[from..] {
            self.look();
            let Some(active) = self.window.expanding(priority) else { return false };
            let (sequence, endpoint) = (target.endpoint.sequence, target.endpoint.id);
            if sequence > active.ceiling {
                break;
            }
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            if !target.is_open()
                || !target.wants(&message.event_type, message.channels.as_deref())
                || active.skip.contains(&endpoint)
            {
                active.cursor = sequence;
                continue;
            }
            let waiting = self.first_tries[priority as usize] >= limits.tenant_first_tries;
            let others_wait = waiting && !self.ready[Class::First as usize].is_empty();
            let placing = Placing {
                priority,
                first_tries: self.policy.lane_first_tries(),
                limit,
                alone: targets.len() == 1,
                others_wait,
            };
            let lane =
                self.lanes.entry(endpoint).or_insert_with(|| Lane::new(Arc::clone(target), &limits.breaker));
            match lane.place(now, placing) {
                Place::Stall => {
                    self.stalled[priority as usize] = true;
                    return false;
                }
                Place::Defer(due_at) => {
                    active.cursor = sequence;
                    defer(&self.route, &message, endpoint, due_at, outbox);
                }
                Place::Queue => {
                    active.hand_out(sequence);
                    lane.push(Item::First { message: Arc::clone(&message), sequence });
                    self.first_tries[priority as usize] += 1;
                    if !std::mem::replace(&mut lane.listed, true) {
                        self.with_first_tries.push(endpoint);
                    }
                    self.enlist(endpoint);
                }
            }
        }
        let settled = self.window.expanded(priority);
        self.write(message.id, settled, outbox);
        true
    }

    /// Where the window is full of messages that wait for endpoints which cannot take them, what
    /// waits goes to disk, so that the others are served.
    pub(crate) fn squeeze(&mut self, now: Now, outbox: &mut Outbox) {
        if self.first_tries == [0; Priority::ALL.len()]
            || self.has_room()
            || self.route.targets().len() <= 1
            || !self.nothing_ready()
        {
            return;
        }
        self.spill(now, outbox);
    }

    /// Moves what waits for a first try to disk.
    fn spill(&mut self, now: Now, outbox: &mut Outbox) {
        self.first_tries = Default::default();
        for endpoint in std::mem::take(&mut self.with_first_tries) {
            self.look();
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.listed = false;
            let due_at = lane.due_when_spilled(now);
            for (message, sequence) in lane.take_first_tries() {
                defer(&self.route, &message, endpoint, due_at, outbox);
                self.settle(message.id, sequence, outbox);
            }
        }
    }

    /// The application is paused: what waits goes to disk, and the window is emptied.
    pub(crate) fn put_away(&mut self, now: Now, outbox: &mut Outbox) {
        self.spill(now, outbox);
        for (message, settled) in self.window.put_away() {
            self.write(message, settled, outbox);
        }
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        for endpoint in lanes {
            self.put_away_due(endpoint);
        }
    }

    /// Forgets what is due and not under way: it is on disk.
    pub(crate) fn put_away_due(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        for (work, message) in lane.take_due() {
            self.due_bytes -= message.weight();
            lane.held.remove(&work.id);
            lane.on_disk = earliest(lane.on_disk, Some(work.due_at));
        }
    }

    /// The endpoint is gone for good.
    pub(crate) fn remove(&mut self, endpoint: EndpointId, outbox: &mut Outbox) {
        self.discard(endpoint, outbox);
        if let Some(place) = self.lanes.remove(&endpoint).and_then(|lane| lane.held_back) {
            self.held_back.remove(&place);
        }
    }

    /// Nothing can be sent to the endpoint: what waits for it is settled without an attempt.
    pub(crate) fn discard(&mut self, endpoint: EndpointId, outbox: &mut Outbox) {
        let app = self.id();
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let (first_tries, due) = (lane.take_first_tries(), lane.take_due());
        for (message, sequence) in first_tries {
            self.first_tries[message.priority as usize] -= 1;
            self.settle(message.id, sequence, outbox);
        }
        for (work, message) in due {
            self.due_bytes -= message.weight();
            outbox.push(Progress::Dropped(work.id), dropped(app, endpoint, work.id));
        }
    }

    /// A first try has an attempt, or due work, or needs none.
    pub(crate) fn settle(&mut self, message: MessageId, sequence: u64, outbox: &mut Outbox) {
        let settled = self.window.settle(message, sequence);
        self.write(message, settled, outbox);
    }

    fn write(&mut self, message: MessageId, settled: Settled, outbox: &mut Outbox) {
        let app = self.id();
        let (step, release) = match settled {
            Settled::Nothing => return,
            Settled::Advanced(frontier) => (Progress::Advanced { app, message, frontier }, Release::Nothing),
            Settled::Finished => (Progress::Finished { app, message }, Release::Message { app, message }),
            Settled::Away(frontier) => {
                (Progress::Advanced { app, message, frontier }, Release::Away { app, message })
            }
        };
        outbox.push(step, release);
    }

    /// Takes in due work that was read from disk; `None` where the message is gone.
    pub(crate) fn loaded_due(
        &mut self,
        endpoint: EndpointId,
        loaded: Vec<(DueWork, Option<Arc<Envelope>>)>,
        next: Option<UnixMillis>,
        outbox: &mut Outbox,
    ) {
        let (app, paused) = (self.id(), self.route.paused);
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        lane.loading = false;
        lane.on_disk = earliest(lane.on_disk, next);
        let open = lane.is_open();
        let paused = paused || lane.target.is_paused();
        for (work, message) in loaded {
            let id = work.id;
            if !lane.held.insert(id) {
                continue;
            }
            match message {
                // A resend by hand goes out even where the endpoint does not listen to the type.
                Some(message)
                    if open
                        && (is_manual(&work)
                            || lane.target.wants(&message.event_type, message.channels.as_deref())) =>
                {
                    self.due_bytes += message.weight();
                    lane.push(Item::Due { work, message });
                }
                _ => outbox.push(Progress::Dropped(id), dropped(app, endpoint, id)),
            }
        }
        if paused {
            self.put_away_due(endpoint);
        }
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

const fn dropped(app: AppId, endpoint: EndpointId, work: WorkId) -> Release {
    Release::Due { app, endpoint, work: Some(work), due_at: None }
}

/// A first try goes to disk.
fn defer(
    route: &AppRoute,
    message: &Envelope,
    endpoint: EndpointId,
    due_at: UnixMillis,
    outbox: &mut Outbox,
) {
    let work = DueWork {
        id: WorkId::delivery(message.id, endpoint, Trigger::Scheduled),
        org: Arc::clone(&route.org),
        tenant: route.id,
        due_at,
        priority: message.priority as u8,
        tries: 0,
    };
    let release = Release::Due { app: route.id, endpoint, work: None, due_at: Some(due_at) };
    outbox.push(Progress::Deferred(work), release);
}
