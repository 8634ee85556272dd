//! The schedule with everything around it in one hand: a model of the disk, a clock, receivers that answer
//! when they are told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::Instant;
use plimsoll::{Outcome, breaker};
use plimsoll_store::{
    App, AppId, AttemptState, DueWork, Endpoint, EndpointId, Fanout, Id, MessageId, Next, Priority, Progress,
    WorkId,
};
use rustc_hash::FxHashSet;

use super::destination::Terms;
use super::envelope::Envelope;
use super::job::{Job, Limits, Now, Report, Then, Verdict};
use super::loads::{Load, LoadedDue};
use super::outbox::Release;
use super::schedule::Schedule;
use crate::policy::{Policies, Policy, Table, Totals};
use crate::routing::{Routing, test_app, test_endpoint};

fn limits() -> Limits {
    Limits {
        concurrency: 7,
        window_bytes_total: 1 << 20,
        tenant_first_tries: 6,
        unrecorded: 64,
        breaker: breaker::Policy::ratio(0.5).calls_min(4).open_for(Duration::from_secs(5)),
        retries: 4,
        destinations: Terms { concurrency: 5, retries_ratio: 0.5, retries_per_second: 1.0 },
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        concurrency: 4,
        endpoint_concurrency: 2,
        weight: 1,
        window_messages: 4,
        window_bytes: 1 << 20,
        backlog_max: u64::MAX,
        retry_share_ratio: 0.5,
    }
}

/// What a commit makes durable.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) fanouts: BTreeMap<(AppId, MessageId), Fanout>,
    pub(super) due: BTreeMap<WorkId, DueWork>,
    pub(super) attempted: BTreeSet<(MessageId, EndpointId)>,
}

pub(super) struct World {
    pub(super) schedule: Schedule,
    pub(super) policies: Arc<Policies>,
    pub(super) policy: Policy,
    pub(super) routing: Routing,
    pub(super) disk: Disk,
    pub(super) now: Now,
    pub(super) running: Vec<Job>,
    pub(super) loads: Vec<Load>,
    pub(super) commits: Vec<(Vec<Progress>, Vec<Release>)>,
    pub(super) apps: Vec<AppId>,
    pub(super) sent: u64,
    /// Successes by message and endpoint: each must be one in the end.
    pub(super) delivered: BTreeMap<(MessageId, EndpointId), u32>,
    pub(super) wanted: BTreeSet<(MessageId, EndpointId)>,
}

impl World {
    pub(super) fn new(endpoints: &[usize]) -> Self {
        Self::within(limits(), policy(), endpoints)
    }

    pub(super) fn within(limits: Limits, policy: Policy, endpoints: &[usize]) -> Self {
        let totals = Totals { concurrency: 64, window_bytes: 1 << 20, payload_bytes_max: 0 };
        let policies = Policies::new(Table::new(policy, totals, []).unwrap());
        let routing = Routing::empty();
        let mut apps = Vec::new();
        for (number, count) in endpoints.iter().enumerate() {
            let app = App {
                id: AppId(Id::from_bytes([number as u8 + 1; 20])),
                org: format!("org_{}", number % 2).into(),
                uid: None,
                name: String::new(),
                throttle_rate: None,
                paused_at: None,
                metadata: String::new(),
                created_at: 0,
                updated_at: 0,
            };
            routing.put_app(&app);
            for sequence in 1..=*count as u64 {
                let mut id = [number as u8 + 1; 20];
                id[12..].copy_from_slice(&sequence.to_be_bytes());
                let id = EndpointId(Id::from_bytes(id));
                let throttle_rate = (sequence == 3 && *count < 8).then_some(5);
                routing.put_endpoint(Endpoint {
                    id,
                    app: app.id,
                    sequence,
                    throttle_rate,
                    ..test_endpoint("http://a/")
                });
            }
            apps.push(app.id);
        }
        Self {
            schedule: Schedule::new(limits, &policies),
            policies,
            policy,
            routing,
            disk: Disk::default(),
            now: Now { at: plimsoll::clock::now(), unix: 1_000_000 },
            running: Vec::new(),
            loads: Vec::new(),
            commits: Vec::new(),
            apps,
            sent: 0,
            delivered: BTreeMap::new(),
            wanted: BTreeSet::new(),
        }
    }

    pub(super) fn send(&mut self, app: usize) {
        self.send_at(app, Priority::Normal);
    }

    pub(super) fn send_at(&mut self, app: usize, priority: Priority) {
        let app = self.apps[app % self.apps.len()];
        let route = self.routing.app(app).unwrap();
        self.sent += 1;
        let mut id = [0; 20];
        id[..8].copy_from_slice(&self.sent.to_be_bytes());
        let id = MessageId(Id::from_bytes(id));
        self.schedule.expect(&route, id);
        let fanout = Fanout { app, message: id, ceiling: route.ceiling(), frontier: 0, priority };
        self.disk.fanouts.insert((app, id), fanout);
        for target in route.targets().iter() {
            self.wanted.insert((id, target.endpoint.id));
        }
        self.schedule.offer(envelope(app, id).with_priority(priority), route.ceiling(), self.now);
    }

    /// One round of everything that runs beside the deliveries, which all succeed.
    pub(super) fn turn(&mut self) {
        self.begin_load();
        self.end_load(0);
        self.start();
        self.finish(0, true);
        self.take_commit(1_000);
        self.commit();
    }

    /// Whether every delivery of the application has been tried, and all that is known is durable.
    pub(super) fn delivered_or_due(&self, app: usize) -> bool {
        let app = self.apps[app];
        self.disk.fanouts.keys().all(|(of, _)| *of != app) && self.schedule.unrecorded() == 0
    }

    pub(super) fn pause_endpoint(&mut self, app: usize, sequence: u64, paused: bool) {
        let app = self.apps[app];
        let route = self.routing.app(app).unwrap();
        let target =
            route.targets().iter().find(|target| target.endpoint.sequence == sequence).cloned().unwrap();
        let id = target.endpoint.id;
        self.routing.put_endpoint(Endpoint { paused_at: paused.then_some(1), ..target.endpoint.clone() });
        self.schedule.endpoint_changed(app, id, route.target(id), self.now);
    }

    pub(super) fn pause_app(&mut self, app: usize, paused: bool) {
        let app = self.apps[app];
        let route = self.routing.app(app).unwrap();
        let changed =
            App { id: app, org: Arc::clone(&route.org), paused_at: paused.then_some(1), ..test_app() };
        let route = self.routing.put_app(&changed);
        self.schedule.app_changed(app, Some(&route), self.now);
    }

    pub(super) fn start(&mut self) {
        self.schedule.follow(&self.policies, self.now);
        while let Some(job) = self.schedule.pick(self.now) {
            self.running.push(job);
        }
        let limits = self.schedule.limits().clone();
        assert!(self.running.len() <= limits.concurrency);
        for job in &self.running {
            let same_app = self.running.iter().filter(|other| other.app == job.app).count();
            assert!(same_app <= self.policy.concurrency);
            let same = |other: &&Job| other.endpoint() == job.endpoint();
            assert!(self.running.iter().filter(same).count() <= self.policy.endpoint_concurrency);
            let twice =
                |other: &&Job| other.endpoint() == job.endpoint() && other.message.id == job.message.id;
            assert_eq!(self.running.iter().filter(twice).count(), 1, "one delivery is under way twice");
        }
    }

    pub(super) fn finish(&mut self, which: usize, succeeds: bool) {
        self.answer(which, if succeeds { 200 } else { 500 });
    }

    pub(super) fn answer(&mut self, which: usize, status: u16) {
        if self.running.is_empty() {
            return;
        }
        let job = self.running.swap_remove(which % self.running.len());
        if status == 200 {
            *self.delivered.entry((job.message.id, job.endpoint())).or_default() += 1;
        }
        let report = report_of(status, self.now);
        self.schedule.done(job, report, self.now);
    }

    pub(super) fn take_commit(&mut self, at_most: usize) {
        let steps = self.schedule.take_steps(at_most);
        if !steps.0.is_empty() {
            self.commits.push(steps);
        }
    }

    pub(super) fn commit(&mut self) {
        if self.commits.is_empty() {
            return;
        }
        let (steps, releases) = self.commits.remove(0);
        for step in steps {
            self.apply(step);
        }
        self.schedule.recorded(releases, self.now);
    }

    fn apply(&mut self, step: Progress) {
        match step {
            Progress::Attempted(attempt) => {
                self.disk.attempted.insert((attempt.message, attempt.endpoint));
                let id = WorkId::delivery(attempt.message, attempt.endpoint, attempt.trigger);
                match attempt.next {
                    Next::End(_) => drop(self.disk.due.remove(&id)),
                    Next::Retry { due_at } => {
                        let (org, tenant) = (attempt.org, attempt.app);
                        let (priority, tries) = (attempt.priority, attempt.number);
                        let work = DueWork { id, org, tenant, due_at, priority, tries };
                        self.disk.due.insert(id, work);
                    }
                }
            }
            Progress::Deferred(work) => {
                self.disk.due.entry(work.id).or_insert(work);
            }
            Progress::Dropped(id) => drop(self.disk.due.remove(&id)),
            Progress::Advanced { app, message, frontier } => {
                if let Some(fanout) = self.disk.fanouts.get_mut(&(app, message)) {
                    fanout.frontier = fanout.frontier.max(frontier);
                }
            }
            Progress::Finished { app, message } => {
                let gone = self.disk.fanouts.remove(&(app, message));
                assert!(gone.is_some(), "finished twice");
                for target in self.routing.app(app).unwrap().targets().iter().filter(|one| one.is_open()) {
                    assert!(
                        self.is_settled(message, target.endpoint.id),
                        "finished with an endpoint left out"
                    );
                }
            }
        }
    }

    fn is_settled(&self, message: MessageId, endpoint: EndpointId) -> bool {
        let id = WorkId::delivery(message, endpoint, plimsoll_store::Trigger::Scheduled);
        self.disk.attempted.contains(&(message, endpoint)) || self.disk.due.contains_key(&id)
    }

    pub(super) fn begin_load(&mut self) {
        if let Some(load) = self.schedule.next_load() {
            self.loads.push(load);
        }
    }

    pub(super) fn end_load(&mut self, which: usize) {
        if self.loads.is_empty() {
            return;
        }
        let load = self.loads.swap_remove(which % self.loads.len());
        match load {
            Load::Fanouts { app, except, limit, .. } => {
                let found: Vec<_> = self
                    .disk
                    .fanouts
                    .values()
                    .filter(|fanout| fanout.app == app && !except.contains(&fanout.message))
                    .take(limit as usize)
                    .copied()
                    .collect();
                let complete = found.is_empty();
                let works = found
                    .into_iter()
                    .map(|fanout| {
                        let targets = self.routing.app(app).unwrap().targets();
                        let ids = targets.iter().map(|target| target.endpoint.id);
                        let skip: FxHashSet<_> =
                            ids.filter(|id| self.is_settled(fanout.message, *id)).collect();
                        (fanout, envelope(app, fanout.message).with_priority(fanout.priority), skip)
                    })
                    .collect();
                self.schedule.loaded_fanouts(app, works, complete, self.now);
            }
            Load::Due { app, endpoint, except, limit } => {
                let mut all: Vec<_> = self
                    .disk
                    .due
                    .values()
                    .filter(|work| work.id.key == endpoint.0 && !except.contains(&work.id))
                    .cloned()
                    .collect();
                all.sort_by_key(|work| work.due_at);
                let is_due = |work: &&DueWork| work.due_at <= self.now.unix;
                let works: Vec<_> = all.iter().filter(is_due).take(limit as usize).cloned().collect();
                let next = all.get(works.len()).map(|work| work.due_at);
                let works = works
                    .into_iter()
                    .map(|work| {
                        let message = Arc::new(envelope(app, MessageId(work.id.subject)));
                        (work, Some(message))
                    })
                    .collect();
                self.schedule.loaded_due(LoadedDue { app, endpoint, works, next }, self.now);
            }
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.at = self.now.at + time;
        self.now.unix += time.as_millis() as i64;
        self.schedule.tick(self.now);
    }

    /// Everything succeeds from now on: until nothing is left to do.
    pub(super) fn run_dry(&mut self) {
        for _ in 0..20_000 {
            let idle = self.running.is_empty() && self.disk.fanouts.is_empty() && self.disk.due.is_empty();
            if idle && self.schedule.unrecorded() == 0 {
                return;
            }
            self.turn();
            if self.running.is_empty() && self.loads.is_empty() && self.commits.is_empty() {
                let wait =
                    self.schedule.next_timer().map_or(Duration::from_secs(1), |at: Instant| at - self.now.at);
                self.pass(wait.max(Duration::from_millis(1)));
            }
        }
        panic!(
            "never dry: {} messages, {} due, {:?}",
            self.disk.fanouts.len(),
            self.disk.due.len(),
            self.schedule.census()
        );
    }

    pub(super) fn check(&self) {
        for pair in &self.wanted {
            assert_eq!(self.delivered.get(pair), Some(&1), "{pair:?}");
        }
        assert_eq!(self.delivered.len(), self.wanted.len());
        assert_eq!(self.schedule.bytes(), 0, "bytes are all given back");
        assert_eq!(self.schedule.in_flight(), 0);
    }
}

/// How an attempt went that was answered so.
pub(super) fn report_of(status: u16, now: Now) -> Report {
    let succeeds = status == 200;
    let outcome = if succeeds { Outcome::Success } else { Outcome::Failure };
    let strain = if status == 503 { Outcome::Failure } else { Outcome::Success };
    let then = match succeeds {
        true => Then::End(AttemptState::Succeeded),
        false => Then::RetryIn(Duration::from_secs(3)),
    };
    let (began, response) = (now.unix, Vec::new());
    let took = Duration::ZERO;
    let verdict = if status == 503 { Verdict::Slow(None) } else { Verdict::Nothing };
    Report { began, took, status, response, then, outcome, strain, verdict }
}

pub(super) fn envelope(app: AppId, id: MessageId) -> Envelope {
    Envelope {
        id,
        app,
        event_type: "a".into(),
        channels: None,
        payload: bytes::Bytes::from_static(b"{}"),
        accepted_at: 0,
        priority: Priority::Normal,
    }
}

pub(super) fn roomy() -> Limits {
    Limits {
        concurrency: 64,
        retries: 32,
        tenant_first_tries: 1_000,
        destinations: Terms { concurrency: 64, retries_ratio: 1.0, retries_per_second: 100.0 },
        // Not what is looked at here.
        breaker: breaker::Policy::ratio(1.0).calls_min(10_000),
        ..limits()
    }
}

pub(super) fn roomy_policy() -> Policy {
    Policy { concurrency: 8, endpoint_concurrency: 8, window_messages: 100, ..policy() }
}
