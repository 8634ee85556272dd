//! Whose delivery is next: a pure state machine over tenants, their endpoints and time.
//!
//! Service goes round organisations, then applications, then endpoints, one delivery at a time:
//! deficit round robin with equal weights and a quantum of one. What cannot be served (at its
//! limit, parked, empty) is in no ring and costs nothing; what makes it servable puts it back.
//!
//! # Invariants
//! - A tenant is in the ring of its organisation if and only if `in_ring`; an organisation is in
//!   the outer ring if and only if its own is not empty.
//! - Each message and each unit of due work is in memory at most once, so that no delivery is under
//!   way twice, however slow it is.
//! - Memory is bounded: windows by messages and bytes, lanes by first tries, what is unrecorded by
//!   steps; where a bound is reached, work stays on disk and is found there by presence.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use plimsoll::clock::Instant;
use plimsoll_store::{AppId, AttemptId, EndpointId, MessageId, NewAttempt, Next, Org, Progress, UnixMillis};
use rustc_hash::{FxHashMap, FxHashSet};

use super::envelope::Envelope;
use super::job::{Job, Limits, Now, Report, Then, Work};
use super::outbox::{Outbox, Release};
use super::tenant::{Disk, Picked, Tenant, earliest};
use crate::policy::{Policies, Table};
use crate::routing::{AppRoute, Target};

/// Responses and URLs in one commit: a quarter of what the store takes.
const COMMIT_BYTES: usize = 16 << 20;

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
}

#[derive(Default)]
struct OrgRing {
    tenants: VecDeque<AppId>,
    queued: bool,
}

pub(crate) struct Schedule {
    pub(super) limits: Limits,
    policies: (u64, Arc<Table>),
    pub(super) tenants: FxHashMap<AppId, Tenant>,
    orgs: FxHashMap<Org, OrgRing>,
    ring: VecDeque<Org>,
    timers: BinaryHeap<Reverse<(Instant, AppId, Option<EndpointId>)>>,
    pub(super) outbox: Outbox,
    pub(super) due_loads: VecDeque<(AppId, EndpointId)>,
    pub(super) refills: VecDeque<AppId>,
    in_flight: usize,
    pub(super) bytes: usize,
    pub(super) draining: bool,
    signals: Signals,
}

impl Schedule {
    pub(crate) fn new(limits: Limits, policies: &Policies) -> Self {
        Self {
            limits,
            policies: (policies.version(), policies.table()),
            tenants: FxHashMap::default(),
            orgs: FxHashMap::default(),
            ring: VecDeque::new(),
            timers: BinaryHeap::new(),
            outbox: Outbox::default(),
            due_loads: VecDeque::new(),
            refills: VecDeque::new(),
            in_flight: 0,
            bytes: 0,
            draining: false,
            signals: Signals::default(),
        }
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
        let mut census = Census { tenants: self.tenants.len(), ..Census::default() };
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
        match tenant.disk {
            Disk::Empty
                if !tenant.route.paused
                    && tenant.has_room()
                    && self.bytes < self.limits.window_bytes_total =>
            {
                if tenant.window.insert(Arc::new(message), ceiling, 0, FxHashSet::default()) {
                    self.bytes += bytes;
                }
                tenant.expand(now, &self.limits, &mut self.outbox);
            }
            Disk::Empty | Disk::More => tenant.disk = Disk::More,
            Disk::Loading { .. } => tenant.disk = Disk::Loading { more: true },
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
        tenant.disk = match tenant.disk {
            Disk::Loading { .. } => Disk::Loading { more: true },
            Disk::Empty | Disk::More => Disk::More,
        };
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
        match target {
            Some(target) => {
                lane.retarget(target, &self.limits.breaker);
                if !lane.is_open() {
                    tenant.discard(endpoint, &mut self.outbox);
                }
            }
            None => {
                tenant.discard(endpoint, &mut self.outbox);
                tenant.lanes.remove(&endpoint);
            }
        }
        self.bytes -= before - tenant.due_bytes;
        self.refresh(app, endpoint, now);
    }

    /// The application was changed, or is gone.
    pub(crate) fn app_changed(&mut self, app: AppId, route: Option<&Arc<AppRoute>>, now: Now) {
        match route {
            Some(route) if self.tenants.contains_key(&app) => {
                let was_paused = self.tenants.get(&app).is_some_and(|tenant| tenant.route.paused);
                self.tenant(route);
                if was_paused && !route.paused {
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

    /// The next delivery, if one may start now.
    pub(crate) fn pick(&mut self, now: Now) -> Option<Job> {
        let full = self.in_flight >= self.limits.concurrency;
        if self.draining || full || self.outbox.unrecorded() >= self.limits.unrecorded {
            return None;
        }
        while let Some(org) = self.ring.pop_front() {
            let Some(ring) = self.orgs.get_mut(&org) else { continue };
            ring.queued = false;
            let Some(app) = ring.tenants.pop_front() else { continue };
            let mut picked = Picked::Nothing;
            if let Some(tenant) = self.tenants.get_mut(&app) {
                tenant.in_ring = false;
                let before = tenant.due_bytes;
                picked = tenant.pick(now, &self.limits, &mut self.outbox);
                self.bytes -= before - tenant.due_bytes;
            }
            if !ring.tenants.is_empty() {
                ring.queued = true;
                self.ring.push_back(org);
            }
            match picked {
                Picked::Job(job) => {
                    self.in_flight += 1;
                    self.settle(app, now);
                    self.arm_parked(app, now);
                    return Some(job);
                }
                Picked::Again => self.settle(app, now),
                Picked::Nothing => {
                    self.arm_parked(app, now);
                    self.refill(app, true);
                }
            }
        }
        None
    }

    /// A delivery ended.
    pub(crate) fn done(&mut self, mut job: Job, report: Report, now: Now) {
        if let Some(permit) = job.permit.take() {
            permit.finish(report.outcome);
        }
        let (app, endpoint, message) = (job.app, job.endpoint(), job.message.id);
        let retry_at = match report.then {
            Then::End(_) => None,
            Then::RetryIn(after) => {
                Some(now.unix.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
            }
        };
        let held = match &job.work {
            Work::First { .. } => None,
            Work::Due(work) => Some(work.id),
        };
        let attempt = NewAttempt {
            id: AttemptId::fresh(),
            org: Arc::clone(&job.org),
            app,
            message,
            endpoint,
            number: job.number(),
            at: report.began,
            duration_ms: u32::try_from(report.took.as_millis()).unwrap_or(u32::MAX),
            status_code: report.status,
            response: report.response,
            url: job.target.prepared.as_ref().map_or_else(|| "".into(), |prepared| Arc::clone(&prepared.url)),
            trigger: job.trigger(),
            priority: job.priority(),
            next: match report.then {
                Then::End(state) => Next::End(state),
                Then::RetryIn(_) => Next::Retry { due_at: retry_at.unwrap_or(now.unix) },
            },
        };
        let release = match (held, retry_at) {
            (None, None) => Release::Nothing,
            (work, due_at) => Release::Due { app, endpoint, work, due_at },
        };
        self.outbox.push(Progress::Attempted(Box::new(attempt)), release);
        self.ended(&job, now);
    }

    /// A delivery was cut short by the end of the process: nothing is recorded, so that it is made
    /// again by the next.
    pub(crate) fn abandoned(&mut self) {
        self.in_flight -= 1;
        self.signals.idle |= self.in_flight == 0;
    }

    fn ended(&mut self, job: &Job, now: Now) {
        self.in_flight -= 1;
        self.signals.idle |= self.in_flight == 0;
        let (app, endpoint) = (job.app, job.endpoint());
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        tenant.in_flight -= 1;
        match &job.work {
            Work::First { sequence } => tenant.settle(job.message.id, *sequence, &mut self.outbox),
            Work::Due(_) => {
                let bytes = job.message.weight();
                tenant.due_bytes -= bytes;
                self.bytes -= bytes;
            }
        }
        if let Some(lane) = tenant.lanes.get_mut(&endpoint) {
            lane.ended();
        }
        self.wake_loaders();
        self.refresh(app, endpoint, now);
    }

    /// Bytes were given back: what waited for room may be read.
    fn wake_loaders(&mut self) {
        self.signals.load |= !self.due_loads.is_empty() || !self.refills.is_empty();
    }

    /// Steps for one commit, and what they let go of when it is durable.
    pub(crate) fn take_steps(&mut self, steps_max: usize) -> (Vec<Progress>, Vec<Release>) {
        self.outbox.take(steps_max, COMMIT_BYTES)
    }

    /// A commit is durable.
    pub(crate) fn recorded(&mut self, releases: Vec<Release>, now: Now) {
        self.outbox.recorded(releases.len());
        for release in releases {
            match release {
                Release::Nothing => {}
                Release::Due { app, endpoint, work, due_at } => {
                    let Some(lane) =
                        self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint))
                    else {
                        continue;
                    };
                    if let Some(work) = work {
                        lane.held.remove(&work);
                    }
                    if due_at.is_some() {
                        lane.on_disk = earliest(lane.on_disk, due_at);
                    }
                    self.refresh(app, endpoint, now);
                }
                Release::Message { app, message } => {
                    let Some(tenant) = self.tenants.get_mut(&app) else { continue };
                    self.bytes -= tenant.window.remove(message);
                    self.settle(app, now);
                }
            }
        }
        self.wake_loaders();
    }

    /// When something happens by itself next.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets happen what happens by itself by now.
    pub(crate) fn tick(&mut self, now: Now) {
        while let Some(Reverse((at, app, endpoint))) = self.timers.peek().copied() {
            if at > now.at {
                return;
            }
            self.timers.pop();
            let Some(tenant) = self.tenants.get_mut(&app) else { continue };
            match endpoint {
                None => {
                    tenant.timer_at = tenant.timer_at.filter(|timer| *timer != at);
                    tenant.unpark(now);
                    self.settle(app, now);
                }
                Some(endpoint) => {
                    if let Some(lane) = tenant.lanes.get_mut(&endpoint) {
                        lane.timer_at = lane.timer_at.filter(|timer| *timer != at);
                    }
                    self.refresh(app, endpoint, now);
                }
            }
        }
    }

    /// Forgets what it changes nothing to forget.
    pub(crate) fn sweep(&mut self, now: Now) {
        for tenant in self.tenants.values_mut() {
            tenant.lanes.retain(|_, lane| lane.in_ready || !lane.is_forgettable(now));
        }
        self.tenants.retain(|_, tenant| !tenant.is_forgettable(now));
        self.orgs.retain(|_, ring| ring.queued || !ring.tenants.is_empty());
    }

    /// Looks at a lane again after something about it changed.
    pub(super) fn refresh(&mut self, app: AppId, endpoint: EndpointId, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        if tenant.refresh(endpoint, now) {
            self.due_loads.push_back((app, endpoint));
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
        if !tenant.in_ring && tenant.is_servable() {
            tenant.in_ring = true;
            let org = &tenant.route.org;
            if !self.orgs.contains_key(org) {
                self.orgs.insert(Arc::clone(org), OrgRing::default());
            }
            if let Some(ring) = self.orgs.get_mut(org) {
                ring.tenants.push_back(app);
                if !ring.queued {
                    ring.queued = true;
                    self.ring.push_back(Arc::clone(org));
                }
            }
        }
        self.refill(app, false);
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

    /// Sets the timer of a lane, or of the tenant, if it waits for time.
    fn arm(&mut self, app: AppId, endpoint: Option<EndpointId>, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let (timer, wake) = match endpoint {
            None => {
                let wake = tenant.parked_until();
                (&mut tenant.timer_at, wake)
            }
            Some(endpoint) => {
                let Some(lane) = tenant.lanes.get_mut(&endpoint) else { return };
                let wake = lane.wake_at(now);
                (&mut lane.timer_at, wake)
            }
        };
        let Some(wake) = wake else { return };
        if timer.is_some_and(|set| set <= wake) {
            return;
        }
        *timer = Some(wake);
        self.signals.timer |= self.timers.peek().is_none_or(|Reverse((first, ..))| wake < *first);
        self.timers.push(Reverse((wake, app, endpoint)));
    }

    /// A pick may have parked the tenant and any of its lanes.
    fn arm_parked(&mut self, app: AppId, now: Now) {
        self.arm(app, None, now);
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        for endpoint in tenant.take_parked() {
            self.arm(app, Some(endpoint), now);
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
}
