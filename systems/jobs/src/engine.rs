//! Moves the schedule: hands out what it gives, and wakes whoever waits for what changed.
//!
//! # Lock order
//! `schedule`, then `polls`. `outbox` and `runs` are held alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use plimsoll::group::Group;
use plimsoll::retry;
use plimsoll_store::{Claim, Job, JobEnd, JobId, JobRef, JobWrite, Store, UnixMillis};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::desk::{Op, Then};
use crate::handler::{AnyHandler, Failure, Retry};
use crate::metrics::Metrics;
use crate::run::Run;
use crate::schedule::{Expired, Full, Held, NotHeld, Poll, PollId, Schedule, To};
use crate::settings::Settings;

/// Reasons are cut to so many bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// How long what is due by the wall clock is slept for at once: somebody may set it.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// A job that a worker over HTTP has been given, and until when it must be heard of.
pub(crate) type Given = (Job, Instant);

pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) claim: Claim,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) handlers: FxHashMap<Arc<str>, Box<dyn AnyHandler>>,
    retries: retry::Policy,
    schedule: Mutex<Schedule>,
    polls: Mutex<FxHashMap<PollId, oneshot::Sender<Vec<Given>>>>,
    outbox: Mutex<Vec<Op>>,
    runs: Mutex<Group<()>>,
    pub(crate) write: Notify,
    pub(crate) load: Notify,
    pub(crate) timer: Notify,
    /// Told whenever something ended and nothing waits to be written.
    pub(crate) settled: Notify,
    /// Told when another process holds the shard.
    pub(crate) fenced: Notify,
    /// When the next scheduled job is due, as far as is known.
    next_due: Mutex<Option<UnixMillis>>,
}

impl Engine {
    pub(crate) fn new(
        store: Store,
        claim: Claim,
        settings: Settings,
        handlers: FxHashMap<Arc<str>, Box<dyn AnyHandler>>,
        schedule: Schedule,
        runs_max: usize,
    ) -> Result<Self, plimsoll::Invalid> {
        let retries = retry::Policy::exponential(settings.retry_first)
            .max_delay(settings.retry_longest)
            .attempts(1_000);
        retries.check()?;
        // Twice: a task that has ended its run leaves a little after its slot is free.
        let runs = Group::builder("jobs.handlers").limit((runs_max * 2).max(1)).collect_all().build()?;
        Ok(Self {
            store,
            claim,
            settings,
            metrics: Metrics::default(),
            clock: Clock::new(),
            handlers,
            retries,
            schedule: Mutex::new(schedule),
            polls: Mutex::default(),
            outbox: Mutex::default(),
            runs: Mutex::new(runs),
            write: Notify::new(),
            load: Notify::new(),
            timer: Notify::new(),
            settled: Notify::new(),
            fenced: Notify::new(),
            next_due: Mutex::new(None),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polls(&self) -> MutexGuard<'_, FxHashMap<PollId, oneshot::Sender<Vec<Given>>>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the schedule and hands out what it then gives.
    pub(crate) fn act<T>(&self, change: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedule = self.lock();
        let before = schedule.next_deadline();
        let result = change(&mut schedule);
        let given = schedule.serve();
        let loads = schedule.has_loads();
        let deadline = schedule.next_deadline();
        drop(schedule);
        if loads {
            self.load.notify_one();
        }
        if deadline.is_some_and(|deadline| before.is_none_or(|before| deadline < before)) {
            self.timer.notify_one();
        }
        let at = self.clock.now();
        self.push(given.into_iter().map(|assignment| Op::claim(assignment, at)));
        result
    }

    /// Puts writes in line.
    pub(crate) fn push(&self, ops: impl IntoIterator<Item = Op>) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let before = outbox.len();
        outbox.extend(ops);
        let more = outbox.len() > before;
        drop(outbox);
        if more {
            self.write.notify_one();
        }
    }

    /// Takes the next writes of the line, at most so many, at least one call's.
    pub(crate) fn take(&self, writes_max: usize, bytes_max: usize) -> Vec<Op> {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut writes, mut bytes) = (0, 0);
        let fits = |op: &&Op| {
            writes += op.writes.len();
            bytes += op.bytes();
            writes <= writes_max && bytes <= bytes_max
        };
        let count = outbox.iter().take_while(fits).count().max(1).min(outbox.len());
        outbox.drain(..count).collect()
    }

    /// Puts writes that could not be made back at the head of the line.
    pub(crate) fn take_back(&self, mut ops: Vec<Op>) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        ops.append(&mut outbox);
        *outbox = ops;
    }

    /// A worker over HTTP waits; what it is given comes through what is returned.
    pub(crate) fn poll(&self, poll: Poll) -> Result<(PollId, oneshot::Receiver<Vec<Given>>), Full> {
        let (give, given) = oneshot::channel();
        let id = self.act(|schedule| {
            let id = schedule.poll(poll)?;
            self.polls().insert(id, give);
            Ok(id)
        })?;
        Ok((id, given))
    }

    /// It does not wait any more; false where jobs are on their way to it.
    pub(crate) fn leave(&self, poll: PollId) -> bool {
        let left = self.lock().leave(poll);
        if left {
            self.polls().remove(&poll);
        }
        left
    }

    /// Claims are durable: their workers get them.
    pub(crate) fn give(self: &Arc<Self>, to: To, jobs: Vec<Job>) {
        let now = clock::now();
        let give = |schedule: &mut Schedule| {
            let until = |job: Job| schedule.claimed(&job, now).map(|until| (job, until));
            jobs.into_iter().filter_map(until).collect::<Vec<Given>>()
        };
        let given = self.act(give);
        match to {
            To::Handler => given.into_iter().for_each(|(job, _)| self.start(job)),
            To::Poll(poll) => {
                let worker = self.polls().remove(&poll);
                let unheard = match worker {
                    Some(worker) => worker.send(given).err().unwrap_or_default(),
                    None => given,
                };
                // The worker went away before it had them.
                for (job, _) in unheard {
                    let _ = self.end(job.id, job.claims, |_, _| JobEnd::Released, None);
                }
            }
        }
    }

    fn start(self: &Arc<Self>, job: Job) {
        let run = Run::new(Arc::clone(self), job);
        let started = self.runs.lock().unwrap_or_else(PoisonError::into_inner).try_spawn(run.run());
        // Refused only when the group is cancelled: the drop of the run gives its claim back. Not
        // under the lock.
        drop(started);
    }

    /// Ends a claim in the way that `how` says of it; `answer` is told when that is durable.
    pub(crate) fn end(
        &self,
        id: JobId,
        number: u32,
        how: impl FnOnce(&Self, &Held) -> JobEnd,
        answer: Option<crate::desk::Answer>,
    ) -> Result<(), NotHeld> {
        let held = self.lock().ending(id, number)?;
        let end = how(self, &held);
        self.push([Op::end(&held, end, self.clock.now(), answer)]);
        Ok(())
    }

    /// Takes their jobs from those who were not heard of in time or took too long.
    pub(crate) fn expire(&self) {
        let now = clock::now();
        loop {
            let expired = self.lock().expired(now);
            let Some((held, why)) = expired else { return };
            let end = match why {
                Expired::Silent => self.crashed(&held, "its worker was not heard of in time"),
                Expired::TimedOut => self.failed(&held, &Failure::new("it took longer than it may")),
            };
            self.push([Op::end(&held, end, self.clock.now(), None)]);
        }
    }

    /// The end of a claim that was worked off.
    pub(crate) fn done(&self) -> JobEnd {
        JobEnd::Done { keep_until: self.clock.later(self.settings.keep_done) }
    }

    /// The end of a claim that failed.
    pub(crate) fn failed(&self, held: &Held, failure: &Failure) -> JobEnd {
        let error = cut(&failure.reason);
        let delay = match failure.then {
            Retry::Never => None,
            Retry::After(delay) => Some(delay),
            Retry::ByPolicy => self.retries.delay(held.attempts + 1, fastrand::f64()),
        };
        match delay {
            Some(delay) if held.attempts + 1 < held.attempts_max => {
                JobEnd::Retry { due_at: self.clock.later(delay), error }
            }
            _ => JobEnd::Dead { error, keep_until: self.clock.later(self.settings.keep_dead) },
        }
    }

    /// The end of a claim whose worker crashed. The store counted it when it was made.
    pub(crate) fn crashed(&self, held: &Held, how: &str) -> JobEnd {
        let error = cut(how);
        if held.crashes >= self.settings.crashes_max {
            return JobEnd::Poisoned { error, keep_until: self.clock.later(self.settings.keep_dead) };
        }
        let delay = self.retries.delay(held.crashes.max(1), fastrand::f64()).unwrap_or_default();
        JobEnd::Lost { due_at: self.clock.later(delay), error }
    }

    /// A job is due then.
    pub(crate) fn due_at(&self, due_at: UnixMillis) {
        let mut next = self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| due_at < next) {
            *next = Some(due_at);
            drop(next);
            self.timer.notify_one();
        }
    }

    /// When the next scheduled job is due; it is then taken to be seen to.
    pub(crate) fn take_next_due(&self, now: UnixMillis) -> bool {
        let mut next = self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.is_some_and(|next| next <= now);
        if due {
            *next = None;
        }
        due
    }

    /// How long until something is to be looked at.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let due = *self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |due| Duration::from_millis(u64::try_from(due - self.clock.now()).unwrap_or(0));
        let due = due.map(|due| until(due).min(CLOCK_EVERY));
        let lease = self.lock().next_deadline().map(|deadline| deadline - clock::now());
        due.into_iter().chain(lease).min()
    }

    /// Gives nothing any more: who waits is told that there is nothing.
    pub(crate) fn close(&self) {
        let waiting = self.lock().drain();
        let mut polls = self.polls();
        for poll in waiting {
            if let Some(worker) = polls.remove(&poll) {
                let _ = worker.send(Vec::new());
            }
        }
    }

    /// How many jobs handlers have.
    pub(crate) fn handlers_at_work(&self) -> usize {
        self.lock().handlers_at_work()
    }

    /// Until no handler has a job, and all of their ends are durable.
    pub(crate) async fn until_no_handler_runs(&self) {
        loop {
            let settled = self.settled.notified();
            if self.handlers_at_work() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Cuts short what handlers still do.
    pub(crate) fn cut(&self) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }

    /// Applies what follows a durable end or a job that became ready.
    pub(crate) fn follow(&self, schedule: &mut Schedule, id: JobId, then: Then) {
        use crate::schedule::Then as Next;
        match then {
            Then::Over => schedule.ended(id, Next::Over),
            Then::Due(job, at) if job.due_at > at => {
                schedule.ended(id, Next::Nothing);
                self.due_at(job.due_at);
            }
            Then::Due(job, _) => schedule.ended(id, Next::Ready(job)),
        }
    }
}

/// As much of a reason as is kept.
pub(crate) fn cut(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

/// The reference of a job as it stands.
pub(crate) const fn reference(job: &Job) -> JobRef {
    JobRef { priority: job.priority, due_at: job.due_at, id: job.id }
}

/// A write that ends a claim.
pub(crate) fn end_of(held: &Held, end: JobEnd, at: UnixMillis) -> JobWrite {
    JobWrite::End { id: held.job.id, claim: held.number, end, at }
}
