//! One tenant: its window of messages, the lanes of its endpoints, and whose turn it is among them.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll::clock::Instant;
use plimsoll::limiter::Limiter as _;
use plimsoll::rate::RateLimiter;
use plimsoll_store::{AppId, DueWork, EndpointId, MessageId, Progress, Trigger, UnixMillis, WorkId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::envelope::Envelope;
use super::job::{Job, Limits, Now, Work};
use super::lane::{Due, First, Lane, Place, is_manual, per_second};
use super::outbox::{Outbox, Release};
use super::window::{Settled, Window};
use crate::policy::Policy;
use crate::routing::{AppRoute, Target};

/// How many endpoints are looked at while a message is handed out, before somebody else's turn.
const EXPAND_BUDGET: usize = 1_024;

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

/// What a pick came to.
pub(crate) enum Picked {
    Job(Job),
    /// Nothing now, but looking again would get further.
    Again,
    Nothing,
}

pub(crate) struct Tenant {
    pub(crate) route: Arc<AppRoute>,
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    pub(crate) lanes: FxHashMap<EndpointId, Lane>,
    ready: VecDeque<EndpointId>,
    /// Lanes that were parked since somebody last set their timers.
    parked: Vec<EndpointId>,
    pub(crate) disk: Disk,
    pub(crate) refill_queued: bool,
    /// Messages on their way through their commit: not to be read from disk meanwhile.
    pub(crate) arriving: FxHashSet<MessageId>,
    pub(crate) in_flight: usize,
    pub(crate) in_ring: bool,
    pub(crate) timer_at: Option<Instant>,
    rate: Option<RateLimiter>,
    /// A token of the rate that was taken for a delivery which then could not start.
    token: bool,
    parked_until: Option<Instant>,
    first_tries: usize,
    /// Handing out waits for a lane that will be served.
    stalled: bool,
    /// Every lane in the ring is held at its share: none will be served before something ends.
    held_back: bool,
    /// Payload bytes of due work in memory.
    pub(crate) due_bytes: usize,
}

impl Tenant {
    pub(crate) fn new(route: Arc<AppRoute>, policy: Policy) -> Self {
        let rate = route.throttle_rate.and_then(per_second);
        Self {
            route,
            policy,
            window: Window::default(),
            lanes: FxHashMap::default(),
            ready: VecDeque::new(),
            parked: Vec::new(),
            disk: Disk::Empty,
            refill_queued: false,
            arriving: FxHashSet::default(),
            in_flight: 0,
            in_ring: false,
            timer_at: None,
            rate,
            token: false,
            parked_until: None,
            first_tries: 0,
            stalled: false,
            held_back: false,
            due_bytes: 0,
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
        self.stalled = false;
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

    /// Whether it is worth reading more messages from disk: half of the window at once, or whatever
    /// there is room for when nothing that is here can be served.
    pub(crate) fn wants_refill(&self, starving: bool) -> bool {
        let half_empty = self.window.len() <= self.policy.window_messages / 2
            && self.bytes() <= self.policy.window_bytes / 2
            && self.window.wanted(self.route.targets().len()) > 0
            && !self.stalled;
        let starving = starving || (self.ready.is_empty() && !self.window.is_expanding());
        !self.route.paused && self.disk == Disk::More && (half_empty || (starving && self.has_room()))
    }

    /// Whether a pick can come to something.
    pub(crate) fn is_servable(&self) -> bool {
        !self.route.paused
            && self.parked_until.is_none()
            && self.in_flight < self.policy.concurrency
            && (!self.ready.is_empty() || (self.window.is_expanding() && !self.stalled))
    }

    /// How many deliveries one endpoint may have under way: all it is allowed while half of the
    /// tenant's places are free, an equal share from then on. An endpoint that hangs can so take
    /// half of them, never the last, and a tenant with one endpoint loses nothing.
    fn lane_limit(&self) -> usize {
        if self.in_flight * 2 < self.policy.concurrency {
            return self.policy.endpoint_concurrency;
        }
        let share = self.policy.concurrency / self.lanes.len().max(1);
        self.policy.endpoint_concurrency.min(share).max(1)
    }

    pub(crate) fn lane(&mut self, target: &Arc<Target>, limits: &Limits) -> &mut Lane {
        self.lanes.entry(target.endpoint.id).or_insert_with(|| Lane::new(Arc::clone(target), &limits.breaker))
    }

    /// Looks at a lane again after something about it changed: into the ring of those that can
    /// be served, if so. Returns whether its due work should be read from disk.
    pub(crate) fn refresh(&mut self, endpoint: EndpointId, now: Now) -> bool {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return false };
        lane.unpark(now);
        if lane.can_start(self.policy.endpoint_concurrency) && !lane.in_ready {
            lane.in_ready = true;
            self.ready.push_back(endpoint);
        }
        self.held_back = false;
        self.stalled = false;
        let wants = !self.route.paused && lane.wants_load(now, self.policy.endpoint_concurrency);
        lane.loading |= wants;
        wants
    }

    pub(crate) fn unpark(&mut self, now: Now) {
        if self.parked_until.is_some_and(|until| until <= now.at) {
            self.parked_until = None;
        }
    }

    pub(crate) const fn parked_until(&self) -> Option<Instant> {
        self.parked_until
    }

    /// The next delivery of this tenant.
    pub(crate) fn pick(&mut self, now: Now, limits: &Limits, outbox: &mut Outbox) -> Picked {
        if self.route.paused || self.in_flight >= self.policy.concurrency || self.parked_until.is_some() {
            return Picked::Nothing;
        }
        if self.window.is_expanding() && (self.held_back || self.ready.len() < self.policy.concurrency) {
            self.expand(now, limits, outbox);
        }
        let limit = self.lane_limit();
        for _ in 0..self.ready.len() {
            let Some(endpoint) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.in_ready = false;
            if !lane.is_open() {
                self.discard(endpoint, outbox);
                continue;
            }
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            if !lane.can_start(limit) {
                // Over its share for now, not over its own limit: it stays in the ring.
                if lane.can_start(self.policy.endpoint_concurrency) {
                    lane.in_ready = true;
                    self.ready.push_back(endpoint);
                }
                continue;
            }
            if !self.token
                && let Some(Err(rejected)) = self.rate.as_ref().map(|rate| rate.try_acquire_at(now.at))
            {
                let after = rejected.retry_after().unwrap_or_default();
                self.parked_until = Some(now.at + after.max(std::time::Duration::from_millis(1)));
                lane.in_ready = true;
                self.ready.push_front(endpoint);
                return Picked::Nothing;
            }
            self.token = true;
            let Some(permit) = lane.admit(now) else {
                self.parked.push(endpoint);
                continue;
            };
            let Some((message, work)) = lane.pop() else { continue };
            self.token = false;
            lane.in_flight += 1;
            self.in_flight += 1;
            self.first_tries -= usize::from(matches!(work, Work::First { .. }));
            let target = Arc::clone(&lane.target);
            if lane.can_start(self.policy.endpoint_concurrency) {
                lane.in_ready = true;
                self.ready.push_back(endpoint);
            }
            self.stalled = false;
            let (app, org) = (self.id(), Arc::clone(&self.route.org));
            return Picked::Job(Job { app, org, target, message, work, permit: Some(permit) });
        }
        if !self.ready.is_empty() && !self.held_back {
            self.held_back = true;
            self.stalled = false;
        }
        self.squeeze(now, outbox);
        if self.window.is_expanding() && !self.stalled { Picked::Again } else { Picked::Nothing }
    }

    /// Lanes that were parked by picks, each of which may have a time to wake at.
    pub(crate) fn take_parked(&mut self) -> Vec<EndpointId> {
        std::mem::take(&mut self.parked)
    }

    /// Whether nothing can be served while messages wait on disk for room in the window.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.route.paused && self.disk == Disk::More && self.ready.is_empty() && !self.has_room()
    }

    /// Hands messages out to the lanes of the endpoints that want them.
    pub(crate) fn expand(&mut self, now: Now, limits: &Limits, outbox: &mut Outbox) {
        let targets = self.route.targets();
        let alone = targets.len() == 1;
        let mut budget = EXPAND_BUDGET;
        let app = self.id();
        let limit = self.lane_limit();
        self.stalled = false;
        while let Some(active) = self.window.expanding() {
            let from = targets.partition_point(|target| target.endpoint.sequence <= active.cursor);
            for target in &targets[from..] {
                let sequence = target.endpoint.sequence;
                if sequence > active.ceiling {
                    break;
                }
                if budget == 0 {
                    return;
                }
                budget -= 1;
                let message = &active.message;
                let endpoint = target.endpoint.id;
                if target.endpoint.disabled
                    || target.prepared.is_none()
                    || !target.wants(&message.event_type, message.channels.as_deref())
                    || active.skip.contains(&endpoint)
                {
                    active.cursor = sequence;
                    continue;
                }
                let lane = self
                    .lanes
                    .entry(endpoint)
                    .or_insert_with(|| Lane::new(Arc::clone(target), &limits.breaker));
                let others_wait = self.first_tries >= limits.tenant_first_tries
                    && !self.ready.is_empty()
                    && !self.held_back;
                match lane.place(now, self.policy.lane_first_tries(), limit, alone, others_wait) {
                    Place::Stall => {
                        self.stalled = true;
                        return;
                    }
                    Place::Defer(due_at) => {
                        active.cursor = sequence;
                        let work = deferred(&self.route, &active.message, endpoint, due_at);
                        let due_at = Some(due_at);
                        outbox.push(
                            Progress::Deferred(work),
                            Release::Due { app, endpoint, work: None, due_at },
                        );
                    }
                    Place::Queue => {
                        active.hand_out(sequence);
                        let message = Arc::clone(&active.message);
                        lane.first.push_back(First { message, sequence });
                        self.first_tries += 1;
                        if lane.can_start(self.policy.endpoint_concurrency) && !lane.in_ready {
                            lane.in_ready = true;
                            self.ready.push_back(endpoint);
                        }
                    }
                }
            }
            let message = active.message.id;
            let settled = self.window.expanded();
            write(app, message, settled, outbox);
        }
    }

    /// Where the window is full of messages that wait for endpoints which cannot take them, what
    /// waits goes to disk, so that the others are served.
    pub(crate) fn squeeze(&mut self, now: Now, outbox: &mut Outbox) {
        if self.first_tries == 0 || self.has_room() || self.route.targets().len() <= 1 {
            return;
        }
        let app = self.id();
        for (&endpoint, lane) in &mut self.lanes {
            let due_at = lane.due_when_spilled(now);
            for first in lane.first.drain(..) {
                self.first_tries -= 1;
                let work = deferred(&self.route, &first.message, endpoint, due_at);
                let release = Release::Due { app, endpoint, work: None, due_at: Some(due_at) };
                outbox.push(Progress::Deferred(work), release);
                let settled = self.window.settle(first.message.id, first.sequence);
                write(app, first.message.id, settled, outbox);
            }
        }
    }

    /// Nothing can be sent to the endpoint: what waits for it is settled without an attempt.
    pub(crate) fn discard(&mut self, endpoint: EndpointId, outbox: &mut Outbox) {
        let app = self.id();
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        for first in lane.first.drain(..) {
            self.first_tries -= 1;
            let settled = self.window.settle(first.message.id, first.sequence);
            write(app, first.message.id, settled, outbox);
        }
        for due in lane.due.drain(..) {
            self.due_bytes -= due.message.weight();
            outbox.push(Progress::Dropped(due.work.id), dropped(app, endpoint, due.work.id));
        }
    }

    /// A first try has an attempt, or due work, or needs none.
    pub(crate) fn settle(&mut self, message: MessageId, sequence: u64, outbox: &mut Outbox) {
        let settled = self.window.settle(message, sequence);
        write(self.id(), message, settled, outbox);
    }

    /// Takes in due work that was read from disk; `None` where the message is gone.
    pub(crate) fn loaded_due(
        &mut self,
        endpoint: EndpointId,
        loaded: Vec<(DueWork, Option<Arc<Envelope>>)>,
        next: Option<UnixMillis>,
        outbox: &mut Outbox,
    ) {
        let app = self.id();
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        lane.loading = false;
        lane.on_disk = earliest(lane.on_disk, next);
        let open = lane.is_open();
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
                    lane.due.push_back(Due { work, message });
                }
                _ => outbox.push(Progress::Dropped(id), dropped(app, endpoint, id)),
            }
        }
    }

    /// Whether forgetting the tenant changes nothing.
    pub(crate) fn is_forgettable(&self, now: Now) -> bool {
        self.window.len() == 0
            && self.lanes.is_empty()
            && self.disk == Disk::Empty
            && self.arriving.is_empty()
            && self.in_flight == 0
            && !self.in_ring
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

fn deferred(route: &AppRoute, message: &Envelope, endpoint: EndpointId, due_at: UnixMillis) -> DueWork {
    DueWork {
        id: WorkId::delivery(message.id, endpoint, Trigger::Scheduled),
        org: Arc::clone(&route.org),
        tenant: route.id,
        due_at,
        priority: message.priority as u8,
        tries: 0,
    }
}

fn write(app: AppId, message: MessageId, settled: Settled, outbox: &mut Outbox) {
    match settled {
        Settled::Nothing => {}
        Settled::Advanced(frontier) => {
            outbox.push(Progress::Advanced { app, message, frontier }, Release::Nothing);
        }
        Settled::Finished => {
            outbox.push(Progress::Finished { app, message }, Release::Message { app, message });
        }
    }
}
