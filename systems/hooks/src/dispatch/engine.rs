//! Moves the schedule: starts what it picks, and wakes whoever waits for what changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::group::Group;
use plimsoll_store::{AppId, Claim, EndpointId, MessageId, Store};
use tokio::sync::Notify;

use super::attempt::Attempter;
use super::endings::Gone;
use super::envelope::Envelope;
use super::job::{Clock, Job, Limits, Now};
use super::metrics::Metrics;
use super::schedule::{Census, Schedule};
use super::standing::Standing;
use super::{loader, recorder};
use crate::policy::Policies;
use crate::routing::{AppRoute, Routing};

/// Readers of what waits on disk.
const LOADERS: usize = 2;
/// How often idle connections and forgotten lanes are let go.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Deliveries started under one hold of the lock.
const STARTS_AT_ONCE: usize = 64;

/// The dispatcher; cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(super) engine: Arc<Engine>,
}

pub(super) struct Engine {
    schedule: Mutex<Schedule>,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) claim: Claim,
    pub(super) routing: Arc<Routing>,
    policies: Arc<Policies>,
    attempter: Attempter,
    /// Behind a lock of its own, which is never held together with the schedule's.
    slots: Mutex<Group<()>>,
    pub(super) record: Notify,
    pub(super) load: Notify,
    gone: Notify,
    timer: Notify,
    /// Told when nothing is under way, and when nothing is unrecorded.
    pub(super) settled: Notify,
    /// Told when another process holds the shard, so that nothing can be recorded any more.
    pub(super) fenced: Notify,
    /// Ids up to this one are from before this process: their deliveries may be settled in part.
    pub(super) started: MessageId,
}

impl Dispatch {
    /// The dispatcher at rest; [`Dispatch::start`] sets it to work.
    pub(crate) fn new(
        limits: Limits,
        store: Store,
        claim: Claim,
        routing: Arc<Routing>,
        policies: Arc<Policies>,
        attempter: Attempter,
    ) -> Result<Self, plimsoll::Invalid> {
        // Twice: a task that has ended its last delivery leaves a little after its place is free.
        let tasks = limits.concurrency * 2;
        plimsoll::breaker::Breaker::new(limits.breaker)?;
        let engine = Engine {
            schedule: Mutex::new(Schedule::new(limits, &policies)),
            clock: Clock::new(),
            store,
            claim,
            routing,
            policies,
            attempter,
            slots: Mutex::new(Group::builder("hooks.deliveries").limit(tasks).collect_all().build()?),
            record: Notify::new(),
            load: Notify::new(),
            gone: Notify::new(),
            timer: Notify::new(),
            settled: Notify::new(),
            fenced: Notify::new(),
            started: MessageId::fresh(),
        };
        Ok(Self { engine: Arc::new(engine) })
    }

    /// Starts what runs beside the deliveries, in `background`.
    pub(crate) async fn start(&self, background: &mut Group<()>) {
        let engine = &self.engine;
        background.spawn(recorder::run(Arc::clone(engine))).await;
        for _ in 0..LOADERS {
            background.spawn(loader::run(Arc::clone(engine))).await;
        }
        background.spawn(Arc::clone(engine).timers()).await;
    }

    /// Finds what the last life of the process left: messages by presence, due work by key.
    pub(crate) async fn resume(&self) -> Result<(), plimsoll_store::Error> {
        loader::resume(&self.engine).await
    }

    /// An endpoint was made, changed, enabled, disabled or deleted: whatever is parked or kept of
    /// it is looked at again. Call after the routing table was changed.
    pub(crate) fn endpoint_changed(&self, app: AppId, endpoint: EndpointId) {
        let engine = &self.engine;
        engine.act(|schedule, now| {
            let target = engine.routing.app(app).and_then(|route| route.target(endpoint));
            schedule.endpoint_changed(app, endpoint, target, now);
        });
    }

    /// The next endpoint that says that it is gone. Nothing more is sent to it until it was changed
    /// ([`Dispatch::endpoint_changed`]).
    pub(crate) async fn next_gone(&self) -> Gone {
        loop {
            let next = self.engine.lock().next_gone();
            match next {
                Some(gone) => return gone,
                None => self.engine.gone.notified().await,
            }
        }
    }

    /// An application was changed or deleted. Call after the routing table was changed.
    pub(crate) fn app_changed(&self, app: AppId) {
        let engine = &self.engine;
        engine.act(|schedule, now| schedule.app_changed(app, engine.routing.app(app).as_ref(), now));
    }

    /// Due work of an endpoint was made by hand (a resend): look for it now.
    pub(crate) fn due_now(&self, app: AppId, endpoint: EndpointId) {
        let engine = &self.engine;
        engine.act(|schedule, now| {
            let Some(route) = engine.routing.app(app) else { return };
            let Some(target) = route.target(endpoint) else { return };
            schedule.due_on_disk(&route, &target, now.unix, now);
        });
    }

    /// How an endpoint stands; `None` where nothing of it is in memory.
    pub(crate) fn standing(&self, app: AppId, endpoint: EndpointId) -> Option<Standing> {
        self.engine.lock().standing(app, endpoint, self.engine.clock.now())
    }

    /// Messages of these applications were given fan-out rows by another way than through here.
    pub(crate) fn fanouts_on_disk(&self, apps: &[Arc<AppRoute>]) {
        let engine = &self.engine;
        engine
            .act(|schedule, now| apps.iter().for_each(|route| schedule.on_disk(&engine.newest(route), now)));
    }

    /// Messages are about to be committed: they are not to be looked for on disk meanwhile.
    pub(crate) fn expect<'a>(&self, messages: impl Iterator<Item = (&'a Arc<AppRoute>, MessageId)>) {
        let mut schedule = self.engine.lock();
        for (route, message) in messages {
            schedule.expect(&self.engine.newest(route), message);
        }
    }

    /// What became of messages that were expected: those with an envelope are durable.
    pub(crate) fn arrived(&self, messages: impl Iterator<Item = Arrival>) {
        self.engine.act(|schedule, now| {
            for arrival in messages {
                match arrival {
                    Arrival::Durable(envelope, ceiling) => schedule.offer(envelope, ceiling, now),
                    Arrival::Refused(app, message) => schedule.unexpect(app, message),
                }
            }
        });
    }

    /// Starts nothing more, waits for what is under way until `deadline`, then cuts it short;
    /// returns how many were cut. What was recorded is durable; what was cut is made again by the
    /// next process.
    pub(crate) async fn drain(&self, deadline: Duration) -> usize {
        let engine = &self.engine;
        engine.act(|schedule, _| schedule.drain());
        let quiet = engine.wait_until(Schedule::is_drained);
        let _ = tokio::time::timeout(deadline, quiet).await;
        let cut = engine.lock().in_flight();
        engine.slots.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        engine.record.notify_one();
        engine.wait_until(|schedule| schedule.unrecorded() == 0).await;
        cut
    }

    /// Until another process holds the shard.
    pub(crate) async fn fenced(&self) {
        self.engine.fenced.notified().await;
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.engine.attempter.metrics
    }

    pub(crate) fn view(&self) -> View {
        let schedule = self.engine.lock();
        View {
            census: schedule.census(),
            in_flight: schedule.in_flight(),
            bytes: schedule.bytes(),
            unrecorded: schedule.unrecorded(),
            limits: schedule.limits().clone(),
            idle_connections: self.engine.attempter.client.idle(),
        }
    }
}

/// A message that went through its commit.
pub(crate) enum Arrival {
    /// It is durable; with the highest endpoint sequence it goes to.
    Durable(Envelope, u64),
    /// It was not accepted.
    Refused(AppId, MessageId),
}

/// How the dispatcher stands, for operators.
pub(crate) struct View {
    pub(crate) census: Census,
    pub(crate) in_flight: usize,
    pub(crate) bytes: usize,
    pub(crate) unrecorded: usize,
    pub(crate) limits: Limits,
    pub(crate) idle_connections: usize,
}

impl Engine {
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the routing table says of an application now, or what it said last. Asked under the
    /// schedule's lock: whoever changes the table tells the schedule afterwards, so that one who reads the
    /// old table there comes before that, and one who comes after it reads the new. A route that was
    /// read earlier could undo a pause that somebody was already promised.
    fn newest(&self, route: &Arc<AppRoute>) -> Arc<AppRoute> {
        self.routing.app(route.id).unwrap_or_else(|| Arc::clone(route))
    }

    /// Changes the schedule, starts what can start now, and wakes who waits for what changed.
    pub(super) fn act<T>(self: &Arc<Self>, change: impl FnOnce(&mut Schedule, Now) -> T) -> T {
        let (result, jobs) = self.change_and_pick(change);
        self.start(jobs);
        result
    }

    fn change_and_pick<T>(&self, change: impl FnOnce(&mut Schedule, Now) -> T) -> (T, Vec<Job>) {
        let now = self.clock.now();
        let mut schedule = self.lock();
        schedule.follow(&self.policies, now);
        let result = change(&mut schedule, now);
        let mut jobs = Vec::new();
        while jobs.len() < STARTS_AT_ONCE
            && let Some(job) = schedule.pick(now)
        {
            jobs.push(job);
        }
        let signals = schedule.take_signals();
        drop(schedule);
        for (set, who) in [
            (signals.record, &self.record),
            (signals.load, &self.load),
            (signals.gone, &self.gone),
            (signals.timer, &self.timer),
            (signals.idle, &self.settled),
        ] {
            if set {
                who.notify_one();
            }
        }
        (result, jobs)
    }

    fn start(self: &Arc<Self>, mut jobs: Vec<Job>) {
        loop {
            // Who asked may have kept one.
            let filled = jobs.len() + 1 >= STARTS_AT_ONCE;
            for job in jobs {
                let slot = Slot { engine: Arc::clone(self), job: Some(job) };
                let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
                let spawned = slots.try_spawn(slot.run());
                drop(slots);
                // Refused only when the group is cancelled. The drop of the slot gives its place
                // back, and may come here again: not under the lock.
                drop(spawned);
            }
            if !filled {
                return;
            }
            ((), jobs) = self.change_and_pick(|_, _| ());
        }
    }

    pub(super) async fn wait_until(&self, holds: impl Fn(&Schedule) -> bool) {
        loop {
            let told = self.settled.notified();
            if holds(&self.lock()) {
                return;
            }
            told.await;
        }
    }

    /// Wakes what is parked when its time has come, and lets go of what is idle now and then.
    async fn timers(self: Arc<Self>) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            let next = self.lock().next_timer();
            let wait = next.map(|at| at - plimsoll::clock::now());
            tokio::select! {
                () = self.timer.notified() => {}
                () = self.policies.changed() => self.act(|_, _| ()),
                () = sleep_or_never(wait) => self.act(Schedule::tick),
                _ = sweep.tick() => {
                    self.attempter.client.sweep();
                    self.lock().sweep(self.clock.now());
                }
            }
        }
    }
}

async fn sleep_or_never(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// A place among the deliveries at once: makes one delivery after the other while there is one.
struct Slot {
    engine: Arc<Engine>,
    job: Option<Job>,
}

impl Slot {
    async fn run(mut self) {
        while let Some(job) = &self.job {
            let report = self.engine.attempter.attempt(job).await;
            let Some(job) = self.job.take() else { break };
            let ((), mut jobs) = self.engine.change_and_pick(|schedule, now| schedule.done(job, report, now));
            self.job = jobs.pop();
            self.engine.start(jobs);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        if std::thread::panicking() {
            // Our own fault, kept apart from the endpoint's: the breaker learns nothing from it, and
            // the schedule decides when it is tried again.
            let report = self.engine.attempter.fault(&job);
            self.engine.act(|schedule, now| schedule.done(job, report, now));
        } else {
            drop(job);
            self.engine.act(|schedule, _| schedule.abandoned());
        }
    }
}
