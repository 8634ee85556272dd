//! What a pool does by the clock: jobs whose time has come are queued, and the number of workers
//! follows the load. One task for each pool, which sleeps until there is something to do.

use std::sync::Arc;
use std::task::Waker;

use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::core::Core;
use super::elastic::Elastic;
use super::entry::{Entry, More};
use super::state::{Done, Phase, Seat, Task};
use super::ticket::{Answering, Receipt, Ticket};
use super::{JobError, Panic, Refused};
use crate::clock::{self, Instant};
use crate::retry::Stop;
use crate::unwind::caught;
use crate::{Invalid, Reason, Rejected};

/// How many jobs are queued in one go, so that the lock is not held for long.
const BATCH: usize = 64;

/// What became of a job that is to be tried again.
pub(super) enum Again<J, T> {
    Delayed,
    /// The pool was closed: the drain hands the job back, the ticket is to be answered.
    PutAside(Answering<T>),
    NoRoom(Entry<J, T>, Rejected),
    /// The retry budget is spent.
    NotPaid(Entry<J, T>, Stop),
}

/// Runs a pool's clock until it is aborted.
pub(super) async fn keep_time<J: Send + 'static, T: Send + 'static>(core: Arc<Core<J, T>>) {
    // Without this task nothing would become due: whatever ends it, what is delayed goes with it.
    let _stopping = Stopping(&core);
    loop {
        let next = core.tick(clock::now());
        let changed = core.clockwork.notified();
        match next {
            None => changed.await,
            Some(at) => drop(timeout(at - clock::now(), changed).await),
        }
    }
}

struct Stopping<'a, J: Send + 'static, T: Send + 'static>(&'a Core<J, T>);

impl<J: Send + 'static, T: Send + 'static> Drop for Stopping<'_, J, T> {
    fn drop(&mut self) {
        let late = {
            let mut state = self.0.lock();
            state.is_timed = false;
            state.delayed.take_all()
        };
        drop(late);
    }
}

impl<J: Send + 'static, T: Send + 'static> Core<J, T> {
    /// Keeps a job until its time.
    pub(super) fn submit_at(
        &self,
        job: J,
        more: Option<Box<More>>,
        at: Instant,
    ) -> Result<Ticket<T>, Refused<J>> {
        let mut state = self.lock();
        if !state.is_open() || !state.is_timed {
            let waiting = state.queue.len() as u64;
            drop(state);
            return Err(Refused { job, rejected: self.draining(waiting) });
        }
        let (answering, ticket) = Ticket::promised(self.id, 0);
        let entry = Entry::new(job, answering, more);
        let due = state.queue.due();
        match state.delayed.insert(at, entry, due) {
            Ok(is_next) => {
                state.counts.admitted += 1;
                drop(state);
                if is_next {
                    self.clockwork.notify_one();
                }
                Ok(ticket)
            }
            Err(entry) => {
                drop(state);
                self.counters.reject(Reason::QueueFull);
                Err(Refused { job: entry.job, rejected: self.no_room() })
            }
        }
    }

    /// Keeps a failed job until it is tried again, which is paid for by `pay` once there is room.
    pub(super) fn again(
        &self,
        entry: Entry<J, T>,
        at: Instant,
        pay: impl FnOnce() -> Result<(), Stop>,
    ) -> Again<J, T> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            state.not_due.push(entry.job);
            drop(state);
            return Again::PutAside(entry.answering);
        }
        let due = state.queue.due();
        if !state.is_timed || !state.delayed.has_room(due) {
            drop(state);
            return Again::NoRoom(entry, self.no_room());
        }
        if let Err(stop) = pay() {
            drop(state);
            return Again::NotPaid(entry, stop);
        }
        match state.delayed.insert(at, entry, due) {
            Ok(is_next) => {
                drop(state);
                if is_next {
                    self.clockwork.notify_one();
                }
                Again::Delayed
            }
            Err(_) => unreachable!("there was room under the same lock"),
        }
    }

    fn no_room(&self) -> Rejected {
        let limit = self.settings.delayed as u64;
        Rejected::new(self.settings.name, Reason::QueueFull).with_use(limit, limit, limit)
    }

    /// Does what is to be done at this time; returns when there is something next.
    pub(super) fn tick(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        while self.queue_due(now) {}
        let next = {
            let mut state = self.lock();
            let at = &mut *state;
            if at.phase != Phase::Open {
                return None;
            }
            let (busy, workers) = at.load();
            let wanted = at.elastic.as_mut().and_then(|elastic| elastic.decide(now, busy, workers));
            if let Some(wanted) = wanted {
                at.wanted = wanted;
            }
            let decide_at = at.elastic.as_ref().and_then(Elastic::decide_at);
            at.delayed.next_at().into_iter().chain(decide_at).min()
        };
        self.adjust();
        next
    }

    /// Queues some of what is due; whether there may be more.
    fn queue_due(&self, now: Instant) -> bool {
        let (mut wakers, mut failed) = (Vec::new(), Vec::new());
        let mut state = self.lock();
        let at = &mut *state;
        let mut moved = 0;
        while moved < BATCH && at.phase == Phase::Open {
            let Some(mut entry) = at.delayed.pop_due(now) else { break };
            moved += 1;
            entry.queued(now);
            // The clockwork outlives a key that panics; a submitter would have seen it itself.
            let free = at.queue.free_lane();
            let lane = match caught(|| at.directory.lane_of(&entry.job, free)) {
                Ok(lane) => lane,
                Err(payload) => {
                    at.counts.done[Done::Panicked as usize] += 1;
                    failed.push((entry, payload));
                    continue;
                }
            };
            wakers.extend(entry.answering.queued_in(lane));
            at.queue.push_due(lane, entry);
            wakers.extend(at.next_to_wake());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        for (entry, payload) in failed {
            entry.answering.answer(Err(JobError::Panicked(Panic::new(payload))));
        }
        moved == BATCH
    }

    /// Sets how many workers there are to be.
    pub(super) fn resize(self: &Arc<Self>, workers: usize) -> Result<(), Invalid> {
        let now = clock::now();
        {
            let mut state = self.lock();
            let at = &mut *state;
            let (busy, _) = at.load();
            let range = at.elastic.as_ref().map_or(1..=10_000, |elastic| elastic.min()..=elastic.max());
            if !range.contains(&workers) {
                let allowed = "1 to 10,000, and within workers_between";
                return Err(Invalid::new(self.settings.name, "resize", workers, allowed));
            }
            at.wanted = workers;
            if let Some(elastic) = &mut at.elastic {
                elastic.changed(now, busy, workers);
            }
        }
        self.clockwork.notify_one();
        self.adjust();
        Ok(())
    }

    /// Starts the workers that are wanting, or wakes as many of the parked as are too many; of those
    /// that work, each that ends a job goes while there are too many.
    pub(super) fn adjust(self: &Arc<Self>) {
        let (mut seats, mut wakers) = (Vec::new(), Vec::new());
        {
            let mut state = self.lock();
            let at = &mut *state;
            if at.phase != Phase::Open {
                return;
            }
            while at.alive - at.going < at.wanted {
                let seat = at.vacant.pop().unwrap_or(at.seats.len());
                if seat == at.seats.len() {
                    at.seats.push(Seat::Left);
                    at.tasks.push(Task::default());
                }
                at.seats[seat] = Seat::Busy;
                at.alive += 1;
                at.started += 1;
                at.tasks[seat] = Task { number: at.started, handle: None };
                seats.push((seat, at.started));
            }
            let too_many = (at.alive - at.going).saturating_sub(at.wanted + at.waking);
            wakers.extend((0..too_many).map_while(|_| at.wake_one()));
        }
        wakers.into_iter().for_each(Waker::wake);
        // Outside of the lock: a runtime that has ended drops the new worker at once.
        for (seat, number) in seats {
            let handle = (self.start)(Arc::clone(self), seat);
            self.keep(seat, Task { number, handle });
        }
    }

    /// Keeps the handle of a worker, unless it has gone already: then the seat may be another's.
    fn keep(&self, seat: usize, task: Task) {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            drop(state);
            task.handle.iter().for_each(AbortHandle::abort);
        } else if state.tasks[seat].number == task.number {
            state.tasks[seat] = task;
        }
    }
}
