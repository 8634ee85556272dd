//! The workers' side of a pool: taking jobs, ending them, going.

use std::mem::take;
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;

use super::Left;
use super::core::{Core, Done};
use super::entry::Entry;
use super::state::{Phase, Seat, Task};
use crate::clock;

impl<J: Send + 'static, T: Send + 'static> Core<J, T> {
    /// The next job for this worker, which has ended the one `before`; `None` when the worker is to
    /// go.
    #[inline]
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
        if at.alive - at.going > at.wanted {
            at.seats[seat] = Seat::Going;
            at.going += 1;
            return Poll::Ready(None);
        }
        let next = if at.phase == Phase::Closed { None } else { at.queue.pop() };
        let Some(next) = next else {
            if at.phase != Phase::Open {
                return Poll::Ready(None);
            }
            at.seats[seat] = Seat::Parked(cx.waker().clone());
            at.parked.push(seat);
            let is_to_look = at.load_changed();
            drop(state);
            self.look_later(is_to_look);
            return Poll::Pending;
        };
        at.working += 1;
        let submitter = at.let_in();
        let worker = at.next_to_wake();
        let is_to_look = at.load_changed();
        drop(state);
        self.look_later(is_to_look);
        submitter.into_iter().for_each(Waker::wake);
        worker.into_iter().for_each(Waker::wake);
        if let Some(time) = next.1.waited(clock::now) {
            self.counters.waited(time);
        }
        Poll::Ready(Some(next))
    }

    fn look_later(&self, is_to_look: bool) {
        if is_to_look {
            self.clockwork.notify_one();
        }
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
        at.tasks[seat] = Task::default();
        at.vacant.push(seat);
        at.alive -= 1;
        let worker = at.next_to_wake();
        let is_to_look = at.load_changed();
        // Nobody is left to do what is queued, as when the runtime ends before the pool does.
        let is_last = at.alive == 0;
        let (orphans, late, submitters) = if is_last && at.phase != Phase::Closed {
            (at.take_queued(), at.delayed.take_all(), at.queue.close())
        } else {
            Default::default()
        };
        let mut drains = Vec::new();
        if is_last {
            at.drains.call_unless(|waker| {
                drains.extend(waker.take());
                true
            });
        }
        drop(state);
        self.look_later(is_to_look);
        worker.into_iter().chain(submitters).for_each(Waker::wake);
        drop((orphans, late));
        // Last: who drains finds the tickets of the orphans answered.
        drains.into_iter().for_each(Waker::wake);
    }

    /// Admits nothing more; workers go when the queue is empty. What waits for its time is put
    /// aside, and its tickets are told.
    pub(super) fn close(&self) {
        let mut answering = Vec::new();
        let wakers = {
            let mut state = self.lock();
            let at = &mut *state;
            if at.phase == Phase::Open {
                at.phase = Phase::Draining;
            }
            for entry in at.delayed.take_all() {
                at.not_due.push(entry.job);
                answering.push((entry.answering, entry.more));
            }
            let mut wakers = at.queue.close();
            while let Some(worker) = at.wake_one() {
                wakers.push(worker);
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts aside what is queued, and tells its tickets; workers go after the job that they do.
    pub(super) fn put_aside(&self) {
        self.close();
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let mut answering = Vec::new();
        for entry in state.take_queued() {
            state.not_started.push(entry.job);
            answering.push((entry.answering, entry.more));
        }
        drop(state);
    }

    /// Cuts off what runs, where that can be done.
    pub(super) fn abort(&self) {
        let tasks: Vec<_> = self.lock().tasks.iter_mut().map(|task| task.handle.take()).collect();
        tasks.iter().flatten().for_each(AbortHandle::abort);
    }

    /// What was left, once.
    pub(super) fn take_left(&self) -> Left<J> {
        let mut state = self.lock();
        let abandoned = take(&mut state.abandoned);
        Left {
            not_started: take(&mut state.not_started),
            not_due: take(&mut state.not_due),
            abandoned: abandoned.len() + state.alive,
            abandoned_keys: abandoned.into_iter().flatten().collect(),
        }
    }
}
