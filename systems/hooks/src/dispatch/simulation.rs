//! Hours of thousands of endpoints in virtual time: outages, hangs, slow and `Retry-After` answers,
//! pauses and restarts, by a seed. What must hold is looked at with every delivery.
//!
//! The store is a model: what a commit makes durable is kept over a restart, what is in memory is not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use plimsoll::{Outcome, breaker};
use plimsoll_store::{
    App, AppId, AttemptState, DueWork, Endpoint, EndpointId, Fanout, Id, MessageId, Next, Priority, Progress,
    Trigger, UnixMillis, WorkId,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::destination::Terms;
use super::envelope::Envelope;
use super::job::{Class, Job, Limits, Now, Report, Then, Verdict};
use super::loads::{Load, LoadedDue};
use super::outbox::Release;
use super::schedule::Schedule;
use crate::policy::{self, Policies, Policy, Table, Totals};
use crate::routing::{Routing, test_app, test_endpoint};

const APPS: u8 = 24;
const HOSTS: usize = 40;
/// Of so many applications one is light and well, and must not feel the others.
const LIGHT: u8 = 3;
/// How long messages come, and until when receivers are unwell.
const MESSAGES_UNTIL: Duration = Duration::from_secs(60);
const UNWELL_UNTIL: Duration = Duration::from_secs(90);
const DRY_BY: Duration = Duration::from_secs(3_600);
/// How long a message of a light application may wait for its first try.
const WAIT_MAX: UnixMillis = 1_000;
const TIMEOUT: Duration = Duration::from_secs(15);
const LOADERS: usize = 2;
/// What the wall clock shows in the beginning.
const UNIX: UnixMillis = 1_700_000_000_000;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    /// What is unwell must not be felt by who is light.
    Ample,
    /// Every bound is reached, again and again.
    Tight,
}

impl Room {
    fn limits(self) -> Limits {
        let (concurrency, window_bytes_total) = match self {
            Self::Ample => (384, 4 << 20),
            Self::Tight => (24, 16 << 10),
        };
        Limits {
            concurrency,
            window_bytes_total,
            tenant_first_tries: if self == Self::Ample { 256 } else { 8 },
            unrecorded: if self == Self::Ample { 4_096 } else { 64 },
            breaker: breaker::Policy::ratio(0.5).calls_min(10).open_for(Duration::from_secs(5)),
            retries: policy::share(concurrency, 0.5),
            destinations: Terms {
                concurrency: if self == Self::Ample { 32 } else { 3 },
                retries_ratio: if self == Self::Ample { 0.2 } else { 0.05 },
                retries_per_second: if self == Self::Ample { 5.0 } else { 0.3 },
            },
        }
    }

    fn policy(self) -> Policy {
        let (concurrency, endpoint_concurrency, window_messages, window_bytes) = match self {
            Self::Ample => (16, 4, 16, 1 << 20),
            Self::Tight => (5, 3, 3, 2 << 10),
        };
        Policy {
            concurrency,
            endpoint_concurrency,
            weight: 1,
            window_messages,
            window_bytes,
            backlog_max: u64::MAX,
            retry_share_ratio: 0.5,
        }
    }
}

/// How an endpoint is, until all are well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Well,
    Slow,
    Hangs,
    Fails,
    AsksToWait,
}

struct Receiver {
    kind: Kind,
    host: usize,
}

/// How an attempt goes.
struct Answer {
    takes: Duration,
    status: u16,
    outcome: Outcome,
    strain: Outcome,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Message,
    End(u64),
    Durable,
    Loaded,
    Tick,
    Sweep,
    Restart,
    Pause(u8, bool),
    /// One of the endpoints goes to another host, is paused, or is not any more.
    Change,
    ResumeAll,
}

/// What is durable.
#[derive(Default)]
struct Disk {
    fanouts: BTreeMap<(AppId, MessageId), Fanout>,
    due: BTreeMap<EndpointId, BTreeMap<WorkId, DueWork>>,
    attempted: FxHashSet<(MessageId, EndpointId)>,
}

struct Running {
    job: Job,
    host: usize,
    answer: Answer,
}

/// What is under way of what.
#[derive(Default)]
struct Counts {
    apps: FxHashMap<AppId, usize>,
    retries: FxHashMap<AppId, usize>,
    endpoints: FxHashMap<EndpointId, usize>,
    hosts: FxHashMap<usize, usize>,
    all_retries: usize,
}

struct Simulation {
    room: Room,
    limits: Limits,
    policy: Policy,
    random: fastrand::Rng,
    began: Instant,
    now: Now,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    serial: u64,
    schedule: Schedule,
    policies: Arc<Policies>,
    routing: Routing,
    apps: Vec<AppId>,
    receivers: FxHashMap<EndpointId, Receiver>,
    /// Which hosts are down, from when to when.
    outages: Vec<(usize, Duration, Duration)>,
    disk: Disk,
    running: BTreeMap<u64, Running>,
    pairs: FxHashSet<(MessageId, EndpointId)>,
    counts: Counts,
    commit: Option<(Vec<Progress>, Vec<Release>)>,
    loads: Vec<Load>,
    tick_at: Option<Instant>,
    paused: BTreeSet<AppId>,
    paused_endpoints: BTreeSet<EndpointId>,
    accepted: FxHashMap<MessageId, (AppId, UnixMillis)>,
    started: FxHashSet<(MessageId, EndpointId)>,
    wanted: usize,
    delivered: FxHashMap<(MessageId, EndpointId), u32>,
    /// Those that a restart cut off before they were durable: they may come twice.
    cut: FxHashSet<(MessageId, EndpointId)>,
    /// Of each host since the last restart: first tries, and retries that failed.
    tried: FxHashMap<usize, (f64, f64)>,
    tried_since: Instant,
    attempts: usize,
}

fn app_id(number: u8) -> AppId {
    AppId(Id::from_bytes([number + 1; 20]))
}

fn is_light(app: AppId) -> bool {
    (app.as_bytes()[0] - 1).is_multiple_of(LIGHT)
}

impl Simulation {
    fn new(seed: u64, endpoints: usize, room: Room) -> Self {
        let (limits, policy) = (room.limits(), room.policy());
        let mut random = fastrand::Rng::with_seed(seed);
        let totals = Totals {
            concurrency: limits.concurrency,
            window_bytes: limits.window_bytes_total,
            payload_bytes_max: 0,
        };
        let policies = Policies::new(Table::new(policy, totals, []).unwrap());
        let routing = Routing::empty();
        let mut receivers = FxHashMap::default();
        for number in 0..APPS {
            let org = format!("org_{}", number % 5).into();
            routing.put_app(&App { id: app_id(number), org, ..test_app() });
            let light = number % LIGHT == 0;
            let count = if light { 4 } else { random.usize(1..endpoints / 8) };
            for sequence in 1..=count as u64 {
                let mut id = [number + 1; 20];
                id[12..].copy_from_slice(&sequence.to_be_bytes());
                let id = EndpointId(Id::from_bytes(id));
                // The hosts of light applications are well, and others are on them, too.
                let host = if light { random.usize(..4) } else { random.usize(..HOSTS) };
                let kind = match random.u8(..10) {
                    _ if light => Kind::Well,
                    0 => Kind::Slow,
                    1 if host >= 4 => Kind::Hangs,
                    2 => Kind::Fails,
                    3 => Kind::AsksToWait,
                    _ => Kind::Well,
                };
                receivers.insert(id, Receiver { kind, host });
                let url = format!("http://host-{host}/{sequence}");
                routing.put_endpoint(Endpoint { id, app: app_id(number), sequence, ..test_endpoint(&url) });
            }
        }
        let outages = (4..HOSTS)
            .step_by(2)
            .map(|host| {
                let from = Duration::from_secs(random.u64(5..40));
                (host, from, from + Duration::from_secs(random.u64(5..50)))
            })
            .collect();
        let began = clock::now();
        let mut simulation = Self {
            schedule: Schedule::seeded(limits.clone(), &policies, seed),
            room,
            limits,
            policy,
            random,
            began,
            now: Now { at: began, unix: UNIX },
            events: BinaryHeap::new(),
            serial: 0,
            policies,
            routing,
            apps: (0..APPS).map(app_id).collect(),
            receivers,
            outages,
            disk: Disk::default(),
            running: BTreeMap::new(),
            pairs: FxHashSet::default(),
            counts: Counts::default(),
            commit: None,
            loads: Vec::new(),
            tick_at: None,
            paused: BTreeSet::new(),
            paused_endpoints: BTreeSet::new(),
            accepted: FxHashMap::default(),
            started: FxHashSet::default(),
            wanted: 0,
            delivered: FxHashMap::default(),
            cut: FxHashSet::default(),
            tried: FxHashMap::default(),
            tried_since: began,
            attempts: 0,
        };
        simulation.at(Duration::ZERO, Event::Message);
        simulation.at(Duration::from_secs(10), Event::Sweep);
        simulation.at(Duration::from_secs(101), Event::ResumeAll);
        for _ in 0..2 {
            let after = Duration::from_millis(simulation.random.u64(5_000..80_000));
            simulation.at(after, Event::Restart);
        }
        for _ in 0..endpoints {
            let after = Duration::from_millis(simulation.random.u64(5_000..100_000));
            simulation.at(after, Event::Change);
        }
        for app in [1, 2, 4] {
            simulation.at(Duration::from_secs(10 + u64::from(app)), Event::Pause(app, true));
            simulation.at(Duration::from_secs(25 + u64::from(app)), Event::Pause(app, false));
        }
        simulation
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((self.now.at + after, self.serial, event)));
    }

    fn elapsed(&self) -> Duration {
        self.now.at - self.began
    }

    /// Until nothing is left to do, in the time of a runtime of its own: breakers look at the clock.
    fn of(seed: u64, endpoints: usize, room: Room) -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let mut simulation = Self::new(seed, endpoints, room);
            simulation.run().await;
            simulation
        })
    }

    async fn run(&mut self) {
        self.pump();
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            tokio::time::advance(at - self.now.at).await;
            self.now.at = clock::now();
            self.now.unix = UNIX + self.elapsed().as_millis() as UnixMillis;
            self.happen(event);
            self.pump();
            assert!(self.elapsed() < DRY_BY, "never dry: {}", self.left());
        }
        self.check_end();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Message => self.message(),
            Event::End(serial) => self.end(serial),
            Event::Durable => self.durable(),
            Event::Loaded => self.loaded(),
            Event::Tick => {
                self.tick_at = None;
                self.schedule.tick(self.now);
            }
            Event::Sweep => {
                self.schedule.sweep(self.now);
                if !self.is_dry() || self.elapsed() < UNWELL_UNTIL {
                    self.at(Duration::from_secs(10), Event::Sweep);
                }
            }
            Event::Restart => self.restart(),
            Event::Pause(app, pause) => self.pause(app_id(app), pause),
            Event::Change => self.change(),
            Event::ResumeAll => self.resume_all(),
        }
    }

    fn is_dry(&self) -> bool {
        self.disk.fanouts.is_empty() && self.disk.due.is_empty() && self.running.is_empty()
    }

    fn left(&self) -> String {
        let due: usize = self.disk.due.values().map(BTreeMap::len).sum();
        let (messages, running) = (self.disk.fanouts.len(), self.running.len());
        format!("{messages} messages, {due} due, {running} under way, {:?}", self.schedule.census())
    }

    /// What runs beside the deliveries.
    fn pump(&mut self) {
        self.schedule.follow(&self.policies, self.now);
        while let Some(job) = self.schedule.pick(self.now) {
            self.start(job);
        }
        while self.loads.len() < LOADERS
            && let Some(load) = self.schedule.next_load()
        {
            self.loads.push(load);
            let takes = Duration::from_micros(self.random.u64(200..2_000));
            self.at(takes, Event::Loaded);
        }
        if self.commit.is_none() {
            let steps = self.schedule.take_steps(512);
            if !steps.0.is_empty() {
                self.commit = Some(steps);
                let takes = Duration::from_micros(self.random.u64(200..4_000));
                self.at(takes, Event::Durable);
            }
        }
        if let Some(timer) = self.schedule.next_timer()
            && self.tick_at.is_none_or(|at| timer < at)
        {
            self.tick_at = Some(timer);
            self.at(timer - self.now.at, Event::Tick);
        }
    }

    fn message(&mut self) {
        let which = self.random.usize(..self.apps.len());
        let app = self.apps[which];
        let route = self.routing.app(app).unwrap();
        self.serial += 1;
        let mut id = [0; 20];
        id[..8].copy_from_slice(&self.serial.to_be_bytes());
        let id = MessageId(Id::from_bytes(id));
        let priority = *self.random.choice(&Priority::ALL).unwrap();
        self.schedule.expect(&route, id);
        let ceiling = route.ceiling();
        self.disk.fanouts.insert((app, id), Fanout { app, message: id, ceiling, frontier: 0, priority });
        self.accepted.insert(id, (app, self.now.unix));
        self.wanted += route.targets().len();
        self.schedule.offer(envelope(app, id, priority), ceiling, self.now);
        if self.elapsed() < MESSAGES_UNTIL {
            let next = Duration::from_millis(self.random.u64(50..500));
            self.at(next, Event::Message);
        }
    }

    fn start(&mut self, job: Job) {
        let (app, endpoint, pair) = (job.app, job.endpoint(), (job.message.id, job.endpoint()));
        assert!(self.pairs.insert(pair), "one delivery is under way twice");
        assert!(!self.paused.contains(&app), "a paused application is sent to");
        assert!(!self.paused_endpoints.contains(&endpoint), "a paused endpoint is sent to");
        let host = self.receivers[&endpoint].host;
        let counts = &mut self.counts;
        let (limits, policy) = (&self.limits, &self.policy);
        let one = |map: &mut FxHashMap<_, usize>, key| {
            let count: &mut usize = map.entry(key).or_default();
            *count += 1;
            *count
        };
        assert!(one(&mut counts.apps, app) <= policy.concurrency);
        *counts.endpoints.entry(endpoint).or_default() += 1;
        assert!(counts.endpoints[&endpoint] <= policy.endpoint_concurrency);
        *counts.hosts.entry(host).or_default() += 1;
        assert!(counts.hosts[&host] <= limits.destinations.concurrency);
        let tried = self.tried.entry(host).or_default();
        if job.class() == Class::Retry {
            counts.all_retries += 1;
            assert!(one(&mut counts.retries, app) <= policy.retries());
            assert!(counts.all_retries <= limits.retries);
        } else {
            tried.0 += 1.0;
        }
        let (of, accepted_at) = self.accepted[&job.message.id];
        assert_eq!(of, app, "a message goes to the endpoints of its own application");
        if self.started.insert(pair) && is_light(app) && self.room == Room::Ample {
            let waited = self.now.unix - accepted_at;
            assert!(waited <= WAIT_MAX, "a light application waits {waited} ms for the others");
        }
        self.attempts += 1;
        let answer = self.answer(endpoint);
        self.serial += 1;
        let takes = answer.takes;
        let serial = self.serial;
        self.running.insert(serial, Running { job, host, answer });
        assert!(self.running.len() <= self.limits.concurrency);
        self.at(takes, Event::End(serial));
    }

    fn answer(&mut self, endpoint: EndpointId) -> Answer {
        let Receiver { kind, host } = self.receivers[&endpoint];
        let elapsed = self.elapsed();
        let quick = Duration::from_millis(self.random.u64(5..50));
        let well = Answer {
            takes: quick,
            status: 200,
            outcome: Outcome::Success,
            strain: Outcome::Success,
            verdict: Verdict::Nothing,
        };
        let failed = |status, strain, verdict| Answer {
            takes: quick,
            status,
            outcome: Outcome::Failure,
            strain,
            verdict,
        };
        if elapsed >= UNWELL_UNTIL {
            return well;
        }
        if self.outages.iter().any(|(down, from, to)| *down == host && (*from..*to).contains(&elapsed)) {
            return match self.random.bool() {
                true => failed(503, Outcome::Failure, Verdict::Slow(None)),
                false => failed(0, Outcome::Failure, Verdict::Nothing),
            };
        }
        match kind {
            Kind::Slow => Answer { takes: Duration::from_millis(self.random.u64(1_000..3_000)), ..well },
            Kind::Hangs => Answer { takes: TIMEOUT, ..failed(0, Outcome::Failure, Verdict::Nothing) },
            Kind::Fails if self.random.u8(..3) == 0 => failed(500, Outcome::Success, Verdict::Nothing),
            Kind::AsksToWait if self.random.u8(..5) == 0 => {
                failed(429, Outcome::Ignored, Verdict::Slow(Some(Duration::from_secs(3))))
            }
            Kind::Well | Kind::Fails | Kind::AsksToWait => well,
        }
    }

    fn end(&mut self, serial: u64) {
        // A restart may have cut it off.
        let Some(Running { job, host, answer }) = self.running.remove(&serial) else { return };
        let (app, endpoint) = (job.app, job.endpoint());
        self.pairs.remove(&(job.message.id, endpoint));
        *self.counts.apps.get_mut(&app).unwrap() -= 1;
        *self.counts.endpoints.get_mut(&endpoint).unwrap() -= 1;
        *self.counts.hosts.get_mut(&host).unwrap() -= 1;
        if job.class() == Class::Retry {
            *self.counts.retries.get_mut(&app).unwrap() -= 1;
            self.counts.all_retries -= 1;
            if answer.status != 200 {
                self.retry_failed(host);
            }
        }
        let then = if answer.status == 200 {
            *self.delivered.entry((job.message.id, endpoint)).or_default() += 1;
            Then::End(AttemptState::Succeeded)
        } else {
            let base = Duration::from_secs(2 << job.number().min(4));
            Then::RetryIn(base.mul_f64(0.8 + self.random.f64() * 0.4))
        };
        let Answer { takes, status, outcome, strain, verdict } = answer;
        let began = self.now.unix - takes.as_millis() as i64;
        let report =
            Report { began, took: takes, status, response: Vec::new(), then, outcome, strain, verdict };
        self.schedule.done(job, report, self.now);
    }

    /// What fails of retries at a host is what its first tries earned, and what came with time.
    fn retry_failed(&mut self, host: usize) {
        let (first_tries, failed) = self.tried.get_mut(&host).unwrap();
        *failed += 1.0;
        let seconds = (self.now.at - self.tried_since).as_secs_f64() + 10.0;
        let terms = self.limits.destinations;
        let most = *first_tries * terms.retries_ratio + seconds * terms.retries_per_second;
        // Those that were under way at once may all fail, or none.
        let most = most + terms.concurrency as f64;
        assert!(*failed <= most, "{failed} retries failed at one host, {most} at most");
    }

    fn durable(&mut self) {
        let Some((steps, releases)) = self.commit.take() else { return };
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
                    Next::End(_) => self.remove_due(id),
                    Next::Retry { due_at } => {
                        let (org, tenant) = (attempt.org, attempt.app);
                        let (priority, tries) = (attempt.priority, attempt.number);
                        self.insert_due(DueWork { id, org, tenant, due_at, priority, tries });
                    }
                }
            }
            Progress::Deferred(work) => {
                let there = self.disk.due.get(&EndpointId(work.id.key));
                if there.is_none_or(|works| !works.contains_key(&work.id)) {
                    self.insert_due(work);
                }
            }
            Progress::Dropped(_) => panic!("nothing is gone here"),
            Progress::Advanced { app, message, frontier } => {
                if let Some(fanout) = self.disk.fanouts.get_mut(&(app, message)) {
                    fanout.frontier = fanout.frontier.max(frontier);
                }
            }
            Progress::Finished { app, message } => {
                assert!(self.disk.fanouts.remove(&(app, message)).is_some(), "finished twice");
                for target in self.routing.app(app).unwrap().targets().iter() {
                    assert!(self.is_settled(message, target.endpoint.id), "finished with one left out");
                }
            }
        }
    }

    fn insert_due(&mut self, work: DueWork) {
        self.disk.due.entry(EndpointId(work.id.key)).or_default().insert(work.id, work);
    }

    fn remove_due(&mut self, id: WorkId) {
        let key = EndpointId(id.key);
        if let Some(works) = self.disk.due.get_mut(&key) {
            works.remove(&id);
            if works.is_empty() {
                self.disk.due.remove(&key);
            }
        }
    }

    fn is_settled(&self, message: MessageId, endpoint: EndpointId) -> bool {
        let id = WorkId::delivery(message, endpoint, Trigger::Scheduled);
        self.disk.attempted.contains(&(message, endpoint))
            || self.disk.due.get(&endpoint).is_some_and(|works| works.contains_key(&id))
    }

    fn loaded(&mut self) {
        if self.loads.is_empty() {
            return;
        }
        match self.loads.remove(0) {
            Load::Fanouts { app, except, limit, .. } => {
                let of_app =
                    (app, MessageId(Id::from_bytes([0; 20])))..=(app, MessageId(Id::from_bytes([255; 20])));
                let found: Vec<Fanout> = self
                    .disk
                    .fanouts
                    .range(of_app)
                    .map(|(_, fanout)| *fanout)
                    .filter(|fanout| !except.contains(&fanout.message))
                    .take(limit as usize)
                    .collect();
                let complete = found.is_empty();
                let targets = self.routing.app(app).unwrap().targets();
                let with = |fanout: Fanout| {
                    let ids = targets.iter().map(|target| target.endpoint.id);
                    let skip = ids.filter(|id| self.is_settled(fanout.message, *id)).collect();
                    (fanout, envelope(app, fanout.message, fanout.priority), skip)
                };
                let works = found.into_iter().map(with).collect();
                self.schedule.loaded_fanouts(app, works, complete, self.now);
            }
            Load::Due { app, endpoint, except, limit } => {
                let none = BTreeMap::new();
                let works = self.disk.due.get(&endpoint).unwrap_or(&none).values();
                let mut works: Vec<_> = works.filter(|work| !except.contains(&work.id)).cloned().collect();
                works.sort_by_key(|work| (work.priority, work.due_at));
                let (due, later): (Vec<_>, Vec<_>) =
                    works.into_iter().partition(|work| work.due_at <= self.now.unix);
                let limit = due.len().min(limit as usize);
                let next = later.iter().chain(&due[limit..]).map(|work| work.due_at).min();
                let with = |work: &DueWork| {
                    let message = envelope(app, MessageId(work.id.subject), Priority::Normal);
                    (work.clone(), Some(Arc::new(message)))
                };
                let works = due[..limit].iter().map(with).collect();
                self.schedule.loaded_due(LoadedDue { app, endpoint, works, next }, self.now);
            }
        }
    }

    /// As `kill -9` and the next process.
    fn restart(&mut self) {
        if self.random.bool()
            && let Some((steps, _)) = &self.commit
        {
            // It was durable, only nobody was told.
            for step in steps.clone() {
                self.apply(step);
            }
        }
        self.commit = None;
        self.loads.clear();
        self.tick_at = None;
        self.running.clear();
        self.pairs.clear();
        self.counts = Counts::default();
        self.tried.clear();
        self.tried_since = self.now.at;
        for pair in self.delivered.keys() {
            if !self.disk.attempted.contains(pair) || !self.is_done(*pair) {
                self.cut.insert(*pair);
            }
        }
        let seed = self.random.u64(..);
        self.schedule = Schedule::seeded(self.limits.clone(), &self.policies, seed);
        let apps: BTreeSet<_> = self.disk.fanouts.keys().map(|(app, _)| *app).collect();
        for app in apps {
            self.schedule.on_disk(&self.routing.app(app).unwrap(), self.now);
        }
        for (endpoint, works) in &self.disk.due {
            let first = works.values().next().unwrap();
            let due_at = works.values().map(|work| work.due_at).min().unwrap();
            let route = self.routing.app(first.tenant).unwrap();
            self.schedule.due_on_disk(&route, &route.target(*endpoint).unwrap(), due_at, self.now);
        }
    }

    /// Whether its success is durable: nothing of it is due.
    fn is_done(&self, (message, endpoint): (MessageId, EndpointId)) -> bool {
        let id = WorkId::delivery(message, endpoint, Trigger::Scheduled);
        self.disk.due.get(&endpoint).is_none_or(|works| !works.contains_key(&id))
    }

    fn change(&mut self) {
        let heavy: Vec<_> = self.apps.iter().filter(|app| !is_light(**app)).copied().collect();
        let route = self.routing.app(*self.random.choice(&heavy).unwrap()).unwrap();
        let target = Arc::clone(self.random.choice(route.targets().iter()).unwrap());
        let mut endpoint = target.endpoint.clone();
        let id = endpoint.id;
        if self.random.bool() {
            endpoint.paused_at = endpoint.paused_at.xor(Some(1));
            if endpoint.paused_at.is_some() {
                self.paused_endpoints.insert(id);
            } else {
                self.paused_endpoints.remove(&id);
            }
        } else {
            let host = self.random.usize(4..HOSTS);
            endpoint.url = format!("http://host-{host}/{}", endpoint.sequence);
            self.receivers.get_mut(&id).unwrap().host = host;
        }
        self.routing.put_endpoint(endpoint);
        self.schedule.endpoint_changed(route.id, id, route.target(id), self.now);
    }

    /// So that all there is can be delivered in the end.
    fn resume_all(&mut self) {
        for id in std::mem::take(&mut self.paused_endpoints) {
            let app = self.apps[usize::from(id.as_bytes()[0] - 1)];
            let route = self.routing.app(app).unwrap();
            let endpoint = Endpoint { paused_at: None, ..route.target(id).unwrap().endpoint.clone() };
            self.routing.put_endpoint(endpoint);
            self.schedule.endpoint_changed(app, id, route.target(id), self.now);
        }
    }

    fn pause(&mut self, app: AppId, pause: bool) {
        let route = self.routing.app(app).unwrap();
        let changed =
            App { id: app, org: Arc::clone(&route.org), paused_at: pause.then_some(1), ..test_app() };
        let route = self.routing.put_app(&changed);
        if pause {
            self.paused.insert(app);
        } else {
            self.paused.remove(&app);
        }
        self.schedule.app_changed(app, Some(&route), self.now);
    }

    fn check_end(&self) {
        assert!(self.is_dry(), "{}", self.left());
        assert_eq!(self.delivered.len(), self.wanted, "nothing is lost");
        for (pair, times) in &self.delivered {
            let most = if self.cut.contains(pair) { 3 } else { 1 };
            assert!(*times <= most, "{pair:?} came {times} times");
        }
        assert_eq!((self.schedule.in_flight(), self.schedule.bytes()), (0, 0), "all is given back");
    }
}

fn envelope(app: AppId, id: MessageId, priority: Priority) -> Envelope {
    Envelope {
        id,
        app,
        event_type: "a".into(),
        channels: None,
        payload: bytes::Bytes::from_static(b"{}"),
        accepted_at: 0,
        priority,
    }
}

#[test]
fn outages_hangs_pauses_and_restarts_lose_nothing_and_break_no_bound() {
    for seed in 0..3 {
        Simulation::of(seed, 200, Room::Ample);
    }
}

#[test]
fn where_every_bound_is_reached_nothing_is_lost_either() {
    for seed in 0..3 {
        Simulation::of(seed, 200, Room::Tight);
    }
}

/// For `cargo xtask soak`.
#[test]
#[ignore = "runs for as long as PLIMSOLL_SOAK_SECONDS says"]
fn soak_of_the_dispatcher() {
    let seconds = std::env::var("PLIMSOLL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = clock::now() + Duration::from_secs(seconds.unwrap_or(60));
    let mut seed = fastrand::u64(..1 << 32);
    while clock::now() < until {
        let (room, endpoints) =
            if seed.is_multiple_of(2) { (Room::Ample, 4_000) } else { (Room::Tight, 400) };
        println!("seed {seed}, {room:?}");
        let simulation = Simulation::of(seed, endpoints, room);
        let (pairs, attempts) = (simulation.delivered.len(), simulation.attempts);
        println!("seed {seed}: {pairs} deliveries, {attempts} attempts, {:?}", simulation.elapsed());
        seed += 1;
    }
}
