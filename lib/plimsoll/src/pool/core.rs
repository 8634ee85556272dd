//! What a pool's handles and workers share.
//!
//! # Invariants
//! - Everything is under one mutex, held for a few operations on collections. Jobs are run and
//!   dropped, promises kept and wakers called after it is released. Of the caller's, only the
//!   lane's key is computed, hashed and shown under it.
//! - While a job is queued and a worker is parked, at least one woken worker is on its way. Each
//!   that arrives and leaves more behind wakes the next.
//! - An entry leaves the queue in one of four ways: to a worker, to whoever waits for it inside the
//!   pool, evicted, or handed back by the drain.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::directory::Directory;
use super::inline::{Claims, MakeRun};
use super::queue::{Queue, Room, Wait};
use super::ticket::{Answering, Ticket};
use super::{JobError, OnFull, Refused};
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::scope::{Inside, Scope};
use crate::{Name, Reason, Rejected};

/// How many workers may be on their way at once. Not one, since the one might be stuck behind a
/// task that blocks its thread; not all, since the first to arrive mostly does the others' work.
const WAKING_MAX: usize = 2;

static POOLS: AtomicUsize = AtomicUsize::new(0);

pub(super) struct Settings {
    pub(super) name: Name,
    pub(super) workers: usize,
    pub(super) queue: usize,
    pub(super) lane_depth: usize,
    pub(super) on_full: OnFull,
    pub(super) job_timeout: Option<Duration>,
}

pub(super) struct Core<J, T> {
    /// The number of the pool in this process.
    pub(super) id: usize,
    pub(super) settings: Settings,
    /// Runs a job with a worker made for it alone.
    pub(super) make_run: MakeRun<J, T>,
    pub(super) inside: Arc<Inside>,
    /// Told when the last worker has gone.
    pub(super) quiet: Notify,
    state: Mutex<State<J, T>>,
    _registration: Registration,
}

/// A job in the queue.
pub(super) struct Entry<J, T> {
    pub(super) job: J,
    pub(super) scope: Option<Scope>,
    pub(super) answering: Answering<T>,
}

/// What became of an offer.
pub(super) enum Offer<J, T> {
    Queued(Ticket<T>),
    Waiting { lane: usize, id: u64, ticket: Ticket<T> },
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    Draining,
    Closed,
}

enum Seat {
    Busy,
    Parked(Waker),
    Woken,
    Left,
}

struct State<J, T> {
    phase: Phase,
    queue: Queue<Entry<J, T>>,
    directory: Box<dyn Directory<J>>,
    seats: Vec<Seat>,
    parked: Vec<usize>,
    waking: usize,
    working: usize,
    alive: usize,
    abandoned: Vec<Option<Arc<str>>>,
    counts: Counts,
}

/// How a job ended, for the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    Completed = 0,
    TimedOut = 1,
    Panicked = 2,
    Cancelled = 3,
}

#[derive(Default)]
struct Counts {
    high_water: u64,
    admitted: u64,
    rejected: u64,
    evicted: u64,
    done: [u64; 4],
}

impl<J: Send + 'static, T: Send + 'static> Core<J, T> {
    pub(super) fn new(
        this: &Weak<Self>,
        settings: Settings,
        directory: Box<dyn Directory<J>>,
        make_run: MakeRun<J, T>,
    ) -> Self {
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let claims: Arc<dyn Any + Send + Sync> = Arc::new(Claims::<T>(this.clone()));
        let state = State {
            phase: Phase::Open,
            queue: Queue::new(settings.queue, settings.lane_depth),
            directory,
            seats: (0..settings.workers).map(|_| Seat::Busy).collect(),
            parked: Vec::with_capacity(settings.workers),
            waking: 0,
            working: 0,
            alive: settings.workers,
            abandoned: Vec::new(),
            counts: Counts::default(),
        };
        Self {
            id,
            settings,
            make_run,
            inside: Inside::new(id, claims, None),
            quiet: Notify::new(),
            state: Mutex::new(state),
            _registration: registry::register(this.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job if there is room, and does what is said if there is none.
    pub(super) fn offer(&self, job: J, scope: Option<Scope>, no_room: NoRoom) -> Offer<J, T> {
        let mut state = self.lock();
        let at = &mut *state;
        if at.phase != Phase::Open || at.alive == 0 {
            at.counts.rejected += 1;
            let waiting = at.queue.len() as u64;
            let rejected = Rejected::new(self.settings.name, Reason::Draining);
            let rejected = rejected.with_use(at.queue.capacity() as u64, waiting, waiting);
            return Offer::Refused(Refused { job, rejected });
        }
        let lane = at.directory.lane_of(&job, at.queue.free_lane());
        let mut evicted = None;
        match (at.queue.room(lane), no_room) {
            (Room::Free, _) => {}
            (_, NoRoom::Wait) => {
                let (entry, ticket) = self.entry(job, scope, lane);
                let id = at.queue.wait(lane, entry);
                return Offer::Waiting { lane, id, ticket };
            }
            (room, NoRoom::Refuse | NoRoom::HandBack) => {
                if no_room == NoRoom::HandBack {
                    at.counts.admitted += 1;
                } else {
                    at.counts.rejected += 1;
                }
                let rejected = at.rejection(self.settings.name, lane, room);
                at.release(lane);
                return Offer::Refused(Refused { job, rejected });
            }
            (_, NoRoom::DropNewest) => {
                at.counts.evicted += 1;
                at.release(lane);
                drop(state);
                return Offer::Queued(Answering::answered(self.id, Err(JobError::Dropped)));
            }
            (_, NoRoom::DropOldest) => {
                at.counts.evicted += 1;
                evicted = at.queue.evict(lane);
            }
        }
        // The allocation is under the lock, so that a refusal needs none.
        let (entry, ticket) = self.entry(job, scope, lane);
        at.queue.push(lane, entry);
        if let Some((victim, _)) = &evicted {
            at.release(*victim);
        }
        at.counts.admitted += 1;
        at.counts.high_water = at.counts.high_water.max(at.queue.len() as u64);
        let worker = at.next_to_wake();
        drop(state);
        if let Some(worker) = worker {
            worker.wake();
        }
        if let Some((_, evicted)) = evicted {
            evicted.answering.answer(Err(JobError::Dropped));
        }
        Offer::Queued(ticket)
    }

    fn entry(&self, job: J, scope: Option<Scope>, lane: usize) -> (Entry<J, T>, Ticket<T>) {
        let (answering, ticket) = Answering::new(self.id, lane);
        (Entry { job, scope, answering }, ticket)
    }

    /// Whether a job that waits for room was admitted (`None`), or is handed back.
    pub(super) fn poll_wait(&self, lane: usize, id: u64, cx: &Context<'_>) -> Poll<Option<Refused<J>>> {
        let mut state = self.lock();
        match state.queue.poll_wait(lane, id, cx.waker()) {
            Wait::Waiting => Poll::Pending,
            Wait::Admitted => Poll::Ready(None),
            Wait::Closed(entry) => {
                state.counts.rejected += 1;
                state.release(lane);
                drop(state);
                let rejected = Rejected::new(self.settings.name, Reason::Draining);
                Poll::Ready(Some(Refused { job: entry.job, rejected }))
            }
        }
    }

    /// Takes back a job that waits for room, unless it was admitted.
    pub(super) fn withdraw(&self, lane: usize, id: u64) -> Option<Refused<J>> {
        let mut state = self.lock();
        let at = &mut *state;
        let entry = at.queue.withdraw(lane, id)?;
        at.counts.rejected += 1;
        let (limit, in_use) = (at.queue.capacity() as u64, at.queue.len() as u64);
        let waiting = at.queue.waiting() as u64;
        at.release(lane);
        drop(state);
        let rejected =
            Rejected::new(self.settings.name, Reason::WaitTimedOut).with_use(limit, in_use, waiting);
        Some(Refused { job: entry.job, rejected })
    }

    /// The next job for this worker, which has ended the one `before`; `None` when the worker is to
    /// go.
    pub(super) fn poll_next(
        &self,
        seat: usize,
        before: &mut Option<(usize, Done)>,
        cx: &Context<'_>,
    ) -> Poll<Option<(usize, Entry<J, T>)>> {
        let mut state = self.lock();
        let at = &mut *state;
        if let Some((lane, done)) = before.take() {
            at.end_job(lane, done);
        }
        at.arrive(seat);
        let next = if at.phase == Phase::Closed { None } else { at.queue.pop() };
        let Some(next) = next else {
            if at.phase != Phase::Open {
                return Poll::Ready(None);
            }
            at.seats[seat] = Seat::Parked(cx.waker().clone());
            at.parked.push(seat);
            return Poll::Pending;
        };
        at.working += 1;
        let submitter = at.let_in();
        let worker = at.next_to_wake();
        drop(state);
        submitter.into_iter().chain(worker).for_each(Waker::wake);
        Poll::Ready(Some(next))
    }

    /// Takes out a job that is still queued, to be run by whoever waits for it.
    pub(super) fn claim(&self, lane: usize, is: impl FnMut(&Entry<J, T>) -> bool) -> Option<Entry<J, T>> {
        let mut state = self.lock();
        let entry = state.queue.claim(lane, is)?;
        state.working += 1;
        let submitter = state.let_in();
        drop(state);
        if let Some(submitter) = submitter {
            submitter.wake();
        }
        Some(entry)
    }

    /// A job that a caller ran in its own place has ended; `lane` is where it was claimed from.
    pub(super) fn end_inline(&self, lane: Option<usize>, done: Done) {
        let mut state = self.lock();
        match lane {
            Some(lane) => state.end_job(lane, done),
            None => state.counts.done[done as usize] += 1,
        }
    }

    /// A worker goes, by itself or because its task was aborted; with its job, if it has one.
    pub(super) fn leave(&self, seat: usize, before: Option<(usize, Done)>, job: Option<usize>) {
        let mut state = self.lock();
        let at = &mut *state;
        if let Some((lane, done)) = before {
            at.end_job(lane, done);
        }
        if let Some(lane) = job {
            let key = at.directory.key(lane);
            at.abandoned.push(key);
            at.end_job(lane, Done::Cancelled);
        }
        at.arrive(seat);
        at.seats[seat] = Seat::Left;
        at.alive -= 1;
        let worker = at.next_to_wake();
        // Nobody is left to do what is queued, as when the runtime ends before the pool does.
        let (orphans, submitters) = if at.alive == 0 && at.phase != Phase::Closed {
            (at.take_queued(), at.queue.close())
        } else {
            Default::default()
        };
        let is_last = at.alive == 0;
        drop(state);
        worker.into_iter().chain(submitters).for_each(Waker::wake);
        drop(orphans);
        if is_last {
            self.quiet.notify_waiters();
        }
    }

    /// Admits nothing more; workers go when the queue is empty.
    pub(super) fn close(&self) {
        let wakers = {
            let mut state = self.lock();
            let at = &mut *state;
            if at.phase == Phase::Open {
                at.phase = Phase::Draining;
            }
            let mut wakers = at.queue.close();
            while let Some(worker) = at.wake_one() {
                wakers.push(worker);
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes what is queued; workers go after the job that they do.
    pub(super) fn take_queued(&self) -> Vec<Entry<J, T>> {
        self.close();
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.take_queued()
    }

    pub(super) fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    pub(super) fn alive(&self) -> usize {
        self.lock().alive
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

    /// The keys of the jobs that were cut off while they ran.
    pub(super) fn take_abandoned(&self) -> Vec<Option<Arc<str>>> {
        std::mem::take(&mut self.lock().abandoned)
    }
}

impl<J, T> State<J, T> {
    fn end_job(&mut self, lane: usize, done: Done) {
        self.counts.done[done as usize] += 1;
        self.working -= 1;
        self.queue.finished(lane);
        self.release(lane);
    }

    fn release(&mut self, lane: usize) {
        // A key that was refused before it had anything queued holds the free lane by name only.
        if self.queue.release_if_idle(lane) || lane == self.queue.free_lane() {
            self.directory.forget(lane);
        }
    }

    /// The worker is awake, whatever woke it.
    fn arrive(&mut self, seat: usize) {
        match std::mem::replace(&mut self.seats[seat], Seat::Busy) {
            Seat::Woken => self.waking -= 1,
            Seat::Parked(_) => self.parked.retain(|parked| *parked != seat),
            Seat::Busy | Seat::Left => {}
        }
    }

    fn next_to_wake(&mut self) -> Option<Waker> {
        if self.waking >= WAKING_MAX.min(self.queue.len()) { None } else { self.wake_one() }
    }

    /// The worker that parked last, whose memory is the warmest.
    fn wake_one(&mut self) -> Option<Waker> {
        let seat = self.parked.pop()?;
        match std::mem::replace(&mut self.seats[seat], Seat::Woken) {
            Seat::Parked(waker) => {
                self.waking += 1;
                Some(waker)
            }
            Seat::Busy | Seat::Woken | Seat::Left => unreachable!("only parked workers are in the list"),
        }
    }

    fn let_in(&mut self) -> Option<Waker> {
        let before = self.queue.waiting();
        let waker = self.queue.let_in();
        self.counts.admitted += (before - self.queue.waiting()) as u64;
        self.counts.high_water = self.counts.high_water.max(self.queue.len() as u64);
        waker
    }

    fn take_queued(&mut self) -> Vec<Entry<J, T>> {
        let queued = self.queue.take_all();
        for (lane, _) in &queued {
            self.release(*lane);
        }
        queued.into_iter().map(|(_, entry)| entry).collect()
    }

    fn rejection(&mut self, name: Name, lane: usize, room: Room) -> Rejected {
        let (limit, in_use) = match room {
            Room::LaneFull => (self.queue.depth(), self.queue.lane_len(lane)),
            Room::QueueFull | Room::Free => (self.queue.capacity(), self.queue.len()),
        };
        let rejected =
            Rejected::new(name, Reason::QueueFull).with_use(limit as u64, in_use as u64, in_use as u64);
        match self.directory.key(lane).filter(|_| room == Room::LaneFull) {
            Some(key) => rejected.with_key(key),
            None => rejected,
        }
    }
}

impl<J: Send + 'static, T: Send + 'static> registry::Bound for Core<J, T> {
    fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let counts = &state.counts;
        Snapshot {
            limit: state.queue.capacity() as u64,
            in_use: state.queue.len() as u64,
            high_water: counts.high_water,
            waiting: state.queue.waiting() as u64,
            admitted: counts.admitted,
            rejected: counts.rejected,
            details: vec![
                ("workers", state.alive as u64),
                ("working", state.working as u64),
                ("lanes", state.queue.lanes() as u64),
                ("completed", counts.done[Done::Completed as usize]),
                ("timed_out", counts.done[Done::TimedOut as usize]),
                ("panicked", counts.done[Done::Panicked as usize]),
                ("cancelled", counts.done[Done::Cancelled as usize]),
                ("dropped", counts.evicted),
            ],
            ..Snapshot::new(self.settings.name, Kind::Pool)
        }
    }
}
