//! Whose delivery is next: a pure state machine over tenants, their endpoints and time.
//!
//! Service goes round organisations, then applications, then endpoints, one delivery at a time:
//! weighted deficit round robin ([`Rings`]), first tries before retries. What cannot be served (at its
//! limit, parked, empty) is in no ring and costs nothing; what makes it servable puts it back. Retries
//! have rings of their own, so that they use what first tries leave, and never more than their share.
//!
//! # Invariants
//! - A tenant is in the ring of a class if and only if its `in_ring` says so.
//! - Each message and each unit of due work is in memory at most once, so that no delivery is under
//!   way twice, however slow it is.
//! - Memory is bounded: windows by messages and bytes, lanes by first tries, what is unrecorded by
//!   steps; where a bound is reached, work stays on disk and is found there by presence.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use plimsoll::clock::Instant;
use plimsoll_store::{AppId, EndpointId, MessageId, UnixMillis};
use rustc_hash::{FxHashMap, FxHashSet};

use super::alarms::Alarm;
use super::destination::Destinations;
use super::endings::Gone;
use super::envelope::Envelope;
use super::job::{Class, FIRST_TRIES_IN_A_ROW, Job, Limits, Now};
use super::outbox::Outbox;
use super::rings::{Rings, Weights};
use super::tenant::{Tenant, earliest};
use super::waiting::Waiting;
use crate::policy::{Policies, Table};
use crate::routing::{AppRoute, Target};

/// What changed that somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Signals {
    /// Steps wait for their commit.
    pub(crate) record: bool,
    /// Something is to be read from disk.
    pub(crate) load: bool,
    /// The next thing that happens by itself is earlier than it was.
    pub(crate) timer: bool,
    /// Nothing is under way any more.
    pub(crate) idle: bool,
    /// An endpoint said that it is gone.
    pub(crate) gone: bool,
}

pub(crate) struct Schedule {
    pub(super) limits: Limits,
    policies: (u64, Arc<Table>),
    pub(super) tenants: FxHashMap<AppId, Tenant>,
    rings: [Rings; Class::ALL.len()],
    /// First tries since the last retry, or since retries wait.
    first_in_a_row: u32,
    pub(super) destinations: Destinations,
    pub(super) timers: BinaryHeap<Reverse<(Instant, Alarm)>>,
    /// Endpoints that said that they are gone, with the URL that said so.
    pub(super) gone: VecDeque<Gone>,
    pub(super) random: fastrand::Rng,
    pub(super) outbox: Outbox,
    pub(super) due_loads: Waiting,
    pub(super) refills: VecDeque<AppId>,
    /// Whether the next load is of messages: they take turns with what is due.
    pub(super) refill_next: bool,
    pub(super) in_flight: usize,
    pub(super) retries: usize,
    pub(super) bytes: usize,
    pub(super) draining: bool,
    pub(super) signals: Signals,
}

impl Schedule {
    pub(crate) fn new(limits: Limits, policies: &Policies) -> Self {
        Self {
            destinations: Destinations::new(limits.destinations),
            limits,
            policies: (policies.version(), policies.table()),
            tenants: FxHashMap::default(),
            rings: Default::default(),
            first_in_a_row: 0,
            timers: BinaryHeap::new(),
            gone: VecDeque::new(),
            random: fastrand::Rng::new(),
            outbox: Outbox::default(),
            due_loads: Waiting::default(),
            refills: VecDeque::new(),
            refill_next: false,
            in_flight: 0,
            retries: 0,
            bytes: 0,
            draining: false,
            signals: Signals::default(),
        }
    }

    /// The same with jitter by a seed.
    #[cfg(test)]
    pub(crate) fn seeded(limits: Limits, policies: &Policies, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), ..Self::new(limits, policies) }
    }

    /// How often a lane was looked at.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> usize {
        self.tenants.values().map(|tenant| tenant.looks).sum()
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Payload bytes in memory.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages in memory, and lanes that are parked.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census {
            tenants: self.tenants.len(),
            destinations: self.destinations.len(),
            destinations_overloaded: self.destinations.overloaded(),
            ..Census::default()
        };
        for tenant in self.tenants.values() {
            census.window_messages += tenant.window.len();
            census.lanes += tenant.lanes.len();
            for lane in tenant.lanes.values() {
                census.lanes_parked += usize::from(lane.is_parked());
                census.breakers_open += usize::from(lane.breaker.state() != plimsoll::breaker::State::Closed);
            }
        }
        census
    }

    pub(crate) fn take_signals(&mut self) -> Signals {
        self.signals.record |= !self.outbox.is_empty();
        std::mem::take(&mut self.signals)
    }

    /// Starts nothing any more.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.signals.idle = self.in_flight == 0;
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.in_flight == 0
    }

    pub(crate) fn unrecorded(&self) -> usize {
        self.outbox.unrecorded()
    }

    fn tenant(&mut self, route: &Arc<AppRoute>) -> &mut Tenant {
        let policies = &self.policies.1;
        let new = || Tenant::new(Arc::clone(route), policies.of(route));
        let tenant = self.tenants.entry(route.id).or_insert_with(new);
        if !Arc::ptr_eq(&tenant.route, route) {
            tenant.reroute(Arc::clone(route), policies.of(route));
        }
        tenant
    }

    /// Follows the policies, if they were replaced.
    pub(crate) fn follow(&mut self, policies: &Policies, now: Now) {
        let version = policies.version();
        if version == self.policies.0 {
            return;
        }
        self.policies = (version, policies.table());
        let changed: Vec<AppId> = self
            .tenants
            .values_mut()
            .filter_map(|tenant| {
                let policy = self.policies.1.of(&tenant.route);
                let changed = policy != tenant.policy;
                tenant.policy = policy;
                changed.then_some(tenant.route.id)
            })
            .collect();
        for app in changed {
            self.refresh_all(app, now);
        }
    }

    /// Looks at the tenant and all of its lanes again.
    fn refresh_all(&mut self, app: AppId, now: Now) {
        let lanes: Option<Vec<_>> =
            self.tenants.get(&app).map(|tenant| tenant.lanes.keys().copied().collect());
        for endpoint in lanes.unwrap_or_default() {
            self.refresh(app, endpoint, now);
        }
        self.settle(app, now);
    }

    /// Messages of the application are about to be committed.
    pub(crate) fn expect(&mut self, route: &Arc<AppRoute>, message: MessageId) {
        self.tenant(route).arriving.insert(message);
    }

    /// A message is durable: into the window if it has room and nothing older waits on disk.
    pub(crate) fn offer(&mut self, message: Envelope, ceiling: u64, now: Now) {
        let (app, id, bytes) = (message.app, message.id, message.weight());
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        tenant.arriving.remove(&id);
        if tenant.takes(message.priority) && self.bytes < self.limits.window_bytes_total {
            if tenant.window.insert(Arc::new(message), ceiling, 0, FxHashSet::default()) {
                self.bytes += bytes;
            }
            tenant.expand(now, &self.limits, &mut self.outbox);
        } else {
            tenant.disk = tenant.disk.with_more();
        }
        self.settle(app, now);
    }

    /// A message that was expected was not accepted.
    pub(crate) fn unexpect(&mut self, app: AppId, message: MessageId) {
        if let Some(tenant) = self.tenants.get_mut(&app) {
            tenant.arriving.remove(&message);
        }
    }

    /// The application has, or may have, messages on disk.
    pub(crate) fn on_disk(&mut self, route: &Arc<AppRoute>, now: Now) {
        let tenant = self.tenant(route);
        tenant.disk = tenant.disk.with_more();
        self.settle(route.id, now);
    }

    /// The endpoint has due work on disk, the earliest of it then.
    pub(crate) fn due_on_disk(
        &mut self,
        route: &Arc<AppRoute>,
        target: &Arc<Target>,
        due_at: UnixMillis,
        now: Now,
    ) {
        let limits = self.limits.clone();
        let lane = self.tenant(route).lane(target, &limits);
        lane.on_disk = earliest(lane.on_disk, Some(due_at));
        self.refresh(route.id, target.endpoint.id, now);
    }

    /// The endpoint was changed, or is gone (`target` is `None`).
    pub(crate) fn endpoint_changed(
        &mut self,
        app: AppId,
        endpoint: EndpointId,
        target: Option<Arc<Target>>,
        now: Now,
    ) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let Some(lane) = tenant.lanes.get_mut(&endpoint) else { return };
        let before = tenant.due_bytes;
        let goes_to = target.as_ref().and_then(|target| target.prepared.as_ref()).map(|to| &to.destination);
        let known = lane.destination.and_then(|id| self.destinations.name(id));
        // It joins another with its next delivery.
        let left = if known == goes_to { None } else { lane.leave() };
        match target {
            Some(target) => {
                lane.retarget(target, &self.limits.breaker);
                let paused = lane.target.is_paused();
                if !lane.is_open() {
                    tenant.discard(endpoint, &mut self.outbox);
                } else if paused {
                    tenant.put_away_due(endpoint);
                }
            }
            None => tenant.remove(endpoint, &mut self.outbox),
        }
        if let Some(id) = left {
            self.destinations.leave(id);
        }
        self.bytes -= before - tenant.due_bytes;
        self.refresh(app, endpoint, now);
    }

    /// The application was changed, or is gone.
    pub(crate) fn app_changed(&mut self, app: AppId, route: Option<&Arc<AppRoute>>, now: Now) {
        match route {
            Some(route) if self.tenants.contains_key(&app) => {
                self.tenant(route);
                // Whatever is known of it already: it may have been told by a message that came in between.
                if route.paused {
                    self.put_away(app, now);
                } else {
                    self.refresh_all(app, now);
                }
            }
            Some(_) => {}
            None => {
                let lanes: Option<Vec<_>> =
                    self.tenants.get(&app).map(|tenant| tenant.lanes.keys().copied().collect());
                for endpoint in lanes.unwrap_or_default() {
                    self.endpoint_changed(app, endpoint, None, now);
                }
            }
        }
        self.settle(app, now);
    }

    /// What waits for an application that was paused goes to disk.
    fn put_away(&mut self, app: AppId, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let before = tenant.due_bytes;
        tenant.put_away(now, &mut self.outbox);
        self.bytes -= before - tenant.due_bytes;
    }

    /// The class whose turn it is: retries may hold their share of all places.
    fn turn(&self) -> Option<Class> {
        let first = !self.rings[Class::First as usize].is_empty();
        match (first, self.retries_may_start()) {
            (true, true) if self.first_in_a_row >= FIRST_TRIES_IN_A_ROW => Some(Class::Retry),
            (true, _) => Some(Class::First),
            (false, true) => Some(Class::Retry),
            (false, false) => None,
        }
    }

    fn retries_may_start(&self) -> bool {
        self.retries < self.limits.retries && !self.rings[Class::Retry as usize].is_empty()
    }

    /// The next delivery, if one may start now.
    pub(crate) fn pick(&mut self, now: Now) -> Option<Job> {
        let full = self.in_flight >= self.limits.concurrency;
        if self.draining || full || self.outbox.unrecorded() >= self.limits.unrecorded {
            return None;
        }
        while let Some(ring) = self.turn() {
            let app = self.rings[ring as usize].head()?;
            if let Some(job) = self.pick_of(app, ring, now) {
                self.count(&job);
                self.settle(app, now);
                return Some(job);
            }
            self.settle_starving(app, now);
        }
        None
    }

    /// The next delivery of the tenant at the head of a ring, which is moved on.
    fn pick_of(&mut self, app: AppId, ring: Class, now: Now) -> Option<Job> {
        let retries_left = self.retries < self.limits.retries;
        let Some(tenant) = self.tenants.get_mut(&app) else {
            self.rings[ring as usize].leave();
            return None;
        };
        let class = if ring == Class::First && retries_left { tenant.turn() } else { ring };
        let before = tenant.due_bytes;
        let picked = tenant.pick(class, now, &self.limits, &mut self.outbox, &mut self.destinations);
        self.bytes -= before - tenant.due_bytes;
        let weights =
            Weights { org: self.policies.1.weight_of(&tenant.route.org), app: tenant.policy.weight };
        let rings = &mut self.rings[ring as usize];
        let stays = tenant.is_servable(ring);
        match (&picked, stays) {
            (Some(_), true) => rings.served(weights),
            (Some(_), false) => rings.served_last(weights),
            (None, false) => rings.leave(),
            // It gets further when it is looked at again: at once.
            (None, true) => {}
        }
        tenant.in_ring[ring as usize] = stays;
        self.arm_parked(app, now);
        picked
    }

    fn count(&mut self, job: &Job) {
        self.in_flight += 1;
        self.retries += usize::from(job.class() == Class::Retry);
        let passed_over = job.class() == Class::First && self.retries_may_start();
        self.first_in_a_row = if passed_over { self.first_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Forgets what it changes nothing to forget.
    pub(crate) fn sweep(&mut self, now: Now) {
        let destinations = &mut self.destinations;
        for tenant in self.tenants.values_mut() {
            tenant.lanes.retain(|_, lane| {
                let keep = !lane.is_forgettable(now);
                if !keep && let Some(id) = lane.destination.take() {
                    destinations.leave(id);
                }
                keep
            });
        }
        self.tenants.retain(|_, tenant| !tenant.is_forgettable(now));
        self.rings.iter_mut().for_each(Rings::sweep);
    }

    /// Looks at a lane again after something about it changed.
    pub(super) fn refresh(&mut self, app: AppId, endpoint: EndpointId, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        if tenant.refresh(endpoint, now) {
            self.due_loads.push(app, endpoint);
            self.signals.load = true;
        }
        self.arm(app, Some(endpoint), now);
        self.settle(app, now);
    }

    /// Puts the tenant where it belongs: into its ring if it can be served, into the queue of
    /// those to be read for if it has room.
    pub(super) fn settle(&mut self, app: AppId, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        if tenant.is_stuck() {
            tenant.squeeze(now, &mut self.outbox);
        }
        for class in Class::ALL {
            if !tenant.in_ring[class as usize] && tenant.is_servable(class) {
                tenant.in_ring[class as usize] = true;
                self.rings[class as usize].push(&tenant.route.org, app);
            }
        }
        self.refill(app, false);
    }

    /// After a pick that came to nothing: the tenant may have to be read for.
    fn settle_starving(&mut self, app: AppId, now: Now) {
        self.settle(app, now);
        if self.tenants.get(&app).is_some_and(|tenant| !tenant.in_ring.contains(&true)) {
            self.refill(app, true);
        }
    }

    /// Puts the tenant into the queue of those to be read for, if it has room.
    fn refill(&mut self, app: AppId, starving: bool) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        if !tenant.refill_queued && tenant.wants_refill(starving) {
            tenant.refill_queued = true;
            self.refills.push_back(app);
            self.signals.load = true;
        }
    }
}

/// How much there is of what.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Census {
    pub(crate) tenants: usize,
    pub(crate) lanes: usize,
    pub(crate) lanes_parked: usize,
    pub(crate) breakers_open: usize,
    pub(crate) window_messages: usize,
    pub(crate) destinations: usize,
    pub(crate) destinations_overloaded: usize,
}
