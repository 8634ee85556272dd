//! What is under a pool's mutex, and how it is kept true to itself.

use std::sync::Arc;
use std::task::Waker;

use tokio::task::AbortHandle;

use super::delayed::Delayed;
use super::directory::Directory;
use super::elastic::Elastic;
use super::entry::Entry;
use super::queue::{Queue, Room};
use crate::waiters::Waiters;
use crate::{Name, Reason, Rejected, clock};

/// How many workers may be on their way at once. Not one, since the one might be stuck behind a
/// task that blocks its thread; not all, since the first to arrive mostly does the others' work.
const WAKING_MAX: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    Draining,
    Closed,
}

/// Where a worker is.
pub(super) enum Seat {
    Busy,
    Parked(Waker),
    Woken,
    /// It goes because there are more workers than wanted.
    Going,
    Left,
}

/// The task of a worker; numbered, since a seat is taken again by another.
#[derive(Default)]
pub(super) struct Task {
    pub(super) number: u64,
    pub(super) handle: Option<AbortHandle>,
}

/// How a job, or an attempt at it, ended, for the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    Completed = 0,
    TimedOut = 1,
    Panicked = 2,
    Cancelled = 3,
    /// It returned an error; told apart only in pools that do something about it.
    Failed = 4,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) high_water: u64,
    pub(super) admitted: u64,
    pub(super) evicted: u64,
    pub(super) done: [u64; 5],
}

pub(super) struct State<J, T> {
    pub(super) phase: Phase,
    pub(super) queue: Queue<Entry<J, T>>,
    pub(super) delayed: Delayed<Entry<J, T>>,
    /// Whether somebody looks after what is delayed.
    pub(super) is_timed: bool,
    /// What was queued when the time for it was over; kept for whoever drains, be it another call.
    pub(super) not_started: Vec<J>,
    /// What waited for its time when the pool was closed, and what was to be tried again after.
    pub(super) not_due: Vec<J>,
    pub(super) directory: Box<dyn Directory<J>>,
    pub(super) seats: Vec<Seat>,
    pub(super) tasks: Vec<Task>,
    /// How many workers were ever started.
    pub(super) started: u64,
    /// The seats of those who left.
    pub(super) vacant: Vec<usize>,
    pub(super) parked: Vec<usize>,
    pub(super) waking: usize,
    pub(super) working: usize,
    pub(super) alive: usize,
    /// How many of the living are on their way out.
    pub(super) going: usize,
    /// How many workers there are to be.
    pub(super) wanted: usize,
    pub(super) elastic: Option<Elastic>,
    pub(super) abandoned: Vec<Option<Arc<str>>>,
    /// Who waits for the last worker to go.
    pub(super) drains: Waiters<Option<Waker>>,
    pub(super) counts: Counts,
}

impl<J, T> State<J, T> {
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.alive > 0
    }

    pub(super) fn admitted(&mut self, jobs: usize) {
        self.counts.admitted += jobs as u64;
        self.counts.high_water = self.counts.high_water.max(self.queue.len() as u64);
    }

    #[inline]
    pub(super) fn end_job(&mut self, lane: usize, done: Done) {
        self.counts.done[done as usize] += 1;
        self.working -= 1;
        self.queue.finished(lane);
        self.release(lane);
    }

    pub(super) fn release(&mut self, lane: usize) {
        // A key that was refused before it had anything queued holds the free lane by name only.
        if self.queue.release_if_idle(lane) || lane == self.queue.free_lane() {
            self.directory.forget(lane);
        }
    }

    /// The worker is awake, whatever woke it.
    #[inline]
    pub(super) fn arrive(&mut self, seat: usize) {
        if !matches!(self.seats[seat], Seat::Busy) {
            self.arrive_from_elsewhere(seat);
        }
    }

    #[cold]
    fn arrive_from_elsewhere(&mut self, seat: usize) {
        match std::mem::replace(&mut self.seats[seat], Seat::Busy) {
            Seat::Woken => self.waking -= 1,
            Seat::Parked(_) => self.parked.retain(|parked| *parked != seat),
            Seat::Going => self.going -= 1,
            Seat::Busy | Seat::Left => {}
        }
    }

    pub(super) fn next_to_wake(&mut self) -> Option<Waker> {
        if self.waking >= WAKING_MAX.min(self.queue.ready()) { None } else { self.wake_one() }
    }

    /// The worker that parked last, whose memory is the warmest.
    pub(super) fn wake_one(&mut self) -> Option<Waker> {
        let seat = self.parked.pop()?;
        match std::mem::replace(&mut self.seats[seat], Seat::Woken) {
            Seat::Parked(waker) => {
                self.waking += 1;
                Some(waker)
            }
            _ => unreachable!("only parked workers are in the list"),
        }
    }

    #[inline]
    pub(super) fn let_in(&mut self) -> Option<Waker> {
        if self.queue.waiting() == 0 {
            return None;
        }
        let before = self.queue.waiting();
        let waker = self.queue.let_in();
        self.admitted(before - self.queue.waiting());
        waker
    }

    pub(super) fn take_queued(&mut self) -> Vec<Entry<J, T>> {
        let queued = self.queue.take_all();
        for (lane, _) in &queued {
            self.release(*lane);
        }
        queued.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How many workers do a job, and how many there are to be.
    pub(super) const fn load(&self) -> (usize, usize) {
        (self.alive - self.going - self.parked.len() - self.waking, self.wanted)
    }

    /// To be called when workers may have become busy or idle; whether the clockwork is to look at
    /// their number later.
    pub(super) fn load_changed(&mut self) -> bool {
        let (busy, workers) = self.load();
        self.elastic.as_mut().is_some_and(|elastic| elastic.observe(busy, workers, clock::now))
    }

    pub(super) fn rejection(&mut self, name: Name, lane: usize, room: Room) -> Rejected {
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
