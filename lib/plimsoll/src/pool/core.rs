//! What a pool's handles and workers share.
//!
//! # Invariants
//! - Everything is under one mutex, held for a few operations on collections. Jobs are run and
//!   dropped, promises kept, and the wakers of others than our workers cloned, called and dropped
//!   while it is not held. Of the caller's, only the lane's key is computed, hashed and shown under it.
//! - While a job is queued and a worker is parked, at least one woken worker is on its way. Each
//!   that arrives and leaves more behind wakes the next.
//! - An entry leaves the queue in one of four ways: to a worker, to whoever waits for it inside the
//!   pool, evicted, or handed back by the drain.
//! - A job is in one place: queued, waiting for room, delayed, being done, or put aside by the drain.
//!
//! # Lock order
//! The pool's; under it a promise's, or a retry budget's.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::delayed::Delayed;
use super::directory::Directory;
use super::elastic::Elastic;
use super::entry::{Entry, More};
use super::failures::Failures;
use super::inline::{Claims, MakeRun};
use super::queue::{Queue, Room, Wait};
pub(super) use super::state::Done;
use super::state::{Counts, Phase, State};
use super::ticket::{Answering, Receipt};
use super::{JobError, OnFull, Refused};
use crate::clock;
use crate::counters::Counters;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::scope::{Inside, Scope};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::waiters::Waiters;
use crate::{Name, Reason, Rejected};

/// The waiting time of one job in so many is measured: reading the clock for all of them, twice,
/// made a pool's jobs a third more expensive.
const TIMED_EACH: u64 = 16;

static POOLS: AtomicUsize = AtomicUsize::new(0);

pub(super) struct Settings {
    pub(super) name: Name,
    pub(super) workers: usize,
    pub(super) queue: usize,
    pub(super) lane_depth: usize,
    pub(super) delayed: usize,
    pub(super) on_full: OnFull,
    pub(super) job_timeout: Option<Duration>,
}

/// What a pool is made of that depends on the types of its workers.
pub(super) struct Parts<J, T> {
    pub(super) directory: Box<dyn Directory<J>>,
    pub(super) make_run: MakeRun<J, T>,
    pub(super) start: Start<J, T>,
    pub(super) failures: Option<Failures<J, T>>,
    pub(super) elastic: Option<Elastic>,
}

/// Starts the worker of a seat; the handle cuts it off, where that can be done.
pub(crate) type Start<J, T> = Box<dyn Fn(Arc<Core<J, T>>, usize) -> Option<AbortHandle> + Send + Sync>;

pub(crate) struct Core<J, T> {
    /// The number of the pool in this process.
    pub(super) id: usize,
    pub(super) settings: Settings,
    /// Runs a job with a worker made for it alone.
    pub(super) make_run: MakeRun<J, T>,
    pub(super) start: Start<J, T>,
    /// `None` in a pool that does nothing about failures.
    pub(super) failures: Option<Failures<J, T>>,
    pub(super) inside: Arc<Inside>,
    /// Told when the clockwork has something earlier to do than it knew.
    pub(super) clockwork: Notify,
    pub(super) counters: Counters,
    state: Mutex<State<J, T>>,
    _registration: Registration,
}

/// What became of an offer; `R` is what its submitter is given.
pub(super) enum Offer<J, R> {
    Queued(R),
    Waiting { lane: usize, id: u64, receipt: R },
    Refused(Refused<J>),
}

/// What to do with a job for which there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoRoom {
    Wait,
    Refuse,
    /// Refuse, and count it as admitted: the caller runs it.
    HandBack,
    DropOldest,
    DropNewest,
}

// Without the bounds of the other half: a future that holds these would not be `Send` for a `T` with a
// `&'static str` in it: a limit of the compiler.
impl<J, T> Core<J, T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<J, T>> {
        lock(&self.state)
    }

    /// Nothing is admitted any more.
    pub(super) fn draining(&self, waiting: u64) -> Rejected {
        self.counters.reject(Reason::Draining);
        let rejected = Rejected::new(self.settings.name, Reason::Draining);
        rejected.with_use(self.settings.queue as u64, waiting, waiting)
    }

    /// Whether a job that waits for room was admitted (`None`), or is handed back.
    pub(super) fn poll_wait(&self, lane: usize, id: u64, cx: &Context<'_>) -> Poll<Option<Refused<J>>> {
        let mut waker = Some(cx.waker().clone());
        let mut state = self.lock();
        match state.queue.poll_wait(lane, id, &mut waker) {
            Wait::Waiting => Poll::Pending,
            Wait::Admitted => Poll::Ready(None),
            Wait::Closed(waiter) => {
                state.release(lane);
                let waiting = state.queue.len() as u64;
                drop(state);
                Poll::Ready(Some(Refused { job: waiter.entry.job, rejected: self.draining(waiting) }))
            }
        }
    }

    /// Takes back a job that waits for room, unless it was admitted.
    pub(super) fn withdraw(&self, lane: usize, id: u64) -> Option<Refused<J>> {
        let mut state = self.lock();
        let at = &mut *state;
        let waiter = at.queue.withdraw(lane, id)?;
        let (limit, in_use) = (at.queue.capacity() as u64, at.queue.len() as u64);
        let waiting = at.queue.waiting() as u64;
        at.release(lane);
        drop(state);
        let rejected =
            Rejected::new(self.settings.name, Reason::WaitTimedOut).with_use(limit, in_use, waiting);
        Some(Refused { job: waiter.entry.job, rejected })
    }
}

impl<J: Send + 'static, T: Send + 'static> Core<J, T> {
    pub(super) fn new(this: &Weak<Self>, settings: Settings, parts: Parts<J, T>) -> Self {
        let Parts { directory, make_run, start, failures, elastic } = parts;
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let claims: Arc<dyn Any + Send + Sync> = Arc::new(Claims::<T>(this.clone()));
        let state = State {
            phase: Phase::Open,
            queue: Queue::new(settings.queue, settings.lane_depth),
            delayed: Delayed::new(settings.delayed),
            is_timed: true,
            not_started: Vec::new(),
            not_due: Vec::new(),
            directory,
            seats: Vec::with_capacity(settings.workers),
            tasks: Vec::with_capacity(settings.workers),
            started: 0,
            vacant: Vec::new(),
            parked: Vec::with_capacity(settings.workers),
            waking: 0,
            working: 0,
            alive: 0,
            going: 0,
            wanted: settings.workers,
            elastic,
            abandoned: Vec::new(),
            drains: Waiters::new(),
            counts: Counts::default(),
        };
        Self {
            id,
            settings,
            make_run,
            start,
            failures,
            inside: Inside::new(id, claims, None),
            clockwork: Notify::new(),
            counters: Counters::new(),
            state: Mutex::new(state),
            _registration: registry::register(this.clone()),
        }
    }

    /// Queues a job if there is room, and does what is said if there is none.
    pub(super) fn offer<R: Receipt<T>>(
        &self,
        job: J,
        more: Option<Box<More>>,
        no_room: NoRoom,
    ) -> Offer<J, R> {
        // Made before the lock, and complete for a job without a ticket: what is written right before it
        // is copied into the queue has the copy wait for the writes.
        let mut entry = Entry::new(job, Answering::nobody(), more);
        let mut state = self.lock();
        let at = &mut *state;
        if !at.is_open() {
            let waiting = at.queue.len() as u64;
            drop(state);
            return Offer::Refused(Refused { job: entry.job, rejected: self.draining(waiting) });
        }
        if at.counts.admitted.is_multiple_of(TIMED_EACH) {
            entry.queued(clock::now());
        }
        let lane = at.directory.lane_of(&entry.job, at.queue.free_lane());
        let mut evicted = None;
        match (at.queue.room(lane), no_room) {
            (Room::Free, _) => {}
            (_, NoRoom::Wait) => {
                let receipt = R::promised_to(&mut entry.answering, self.id, lane);
                let id = at.queue.wait(lane, entry);
                return Offer::Waiting { lane, id, receipt };
            }
            (room, NoRoom::Refuse | NoRoom::HandBack) => {
                if no_room == NoRoom::HandBack {
                    at.counts.admitted += 1;
                } else {
                    self.counters.reject(Reason::QueueFull);
                }
                let rejected = at.rejection(self.settings.name, lane, room);
                at.release(lane);
                drop(state);
                return Offer::Refused(Refused { job: entry.job, rejected });
            }
            (_, NoRoom::DropNewest) => {
                at.counts.evicted += 1;
                at.release(lane);
                drop(state);
                return Offer::Queued(R::dropped(self.id));
            }
            (_, NoRoom::DropOldest) => {
                at.counts.evicted += 1;
                evicted = at.queue.evict(lane);
            }
        }
        // The allocation is under the lock, so that a refusal needs none.
        let receipt = R::promised_to(&mut entry.answering, self.id, lane);
        at.queue.push(lane, entry);
        if let Some((victim, _)) = &evicted {
            at.release(*victim);
        }
        at.admitted(1);
        let worker = at.next_to_wake();
        drop(state);
        if let Some(worker) = worker {
            worker.wake();
        }
        if let Some((_, evicted)) = evicted {
            evicted.answering.answer(Err(JobError::Dropped));
        }
        Offer::Queued(receipt)
    }

    /// The scope that a job runs in: the one it was submitted in, inside this pool.
    pub(super) fn scope_of(&self, submitted_in: Option<Scope>) -> Scope {
        let scope = submitted_in.unwrap_or_else(Scope::empty).with_depth(0);
        let Some(outer) = scope.inside() else { return scope.with_inside(Arc::clone(&self.inside)) };
        match self.inside.find(self.id) {
            Some(handle) if outer.find(self.id).is_none() => {
                let inside = Inside::new(self.id, Arc::clone(handle), Some(Arc::clone(outer)));
                scope.with_inside(inside)
            }
            _ => scope,
        }
    }
}

impl<J: Send + 'static, T: Send + 'static> registry::Bound for Core<J, T> {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = {
            let state = self.lock();
            let counts = &state.counts;
            let done = |done: Done| counts.done[done as usize];
            Snapshot {
                limit: state.queue.capacity() as u64,
                in_use: state.queue.len() as u64,
                high_water: counts.high_water,
                waiting: state.queue.waiting() as u64,
                admitted: counts.admitted,
                details: vec![
                    ("workers", state.alive as u64),
                    ("working", state.working as u64),
                    ("lanes", state.queue.lanes() as u64),
                    ("delayed", (state.delayed.len() + state.queue.due()) as u64),
                    ("delayed_max", state.delayed.capacity() as u64),
                    ("completed", done(Done::Completed)),
                    ("timed_out", done(Done::TimedOut)),
                    ("panicked", done(Done::Panicked)),
                    ("cancelled", done(Done::Cancelled)),
                    ("failed", done(Done::Failed)),
                    ("dropped", counts.evicted),
                ],
                ..Snapshot::new(self.settings.name, Kind::Pool)
            }
        };
        self.counters.show(&mut snapshot);
        if let Some(failures) = &self.failures {
            failures.show(&mut snapshot.details);
        }
        snapshot
    }
}
