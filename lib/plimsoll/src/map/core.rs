//! What the owner of a map and its lanes share beside the work itself.
//!
//! # Invariants
//! - `working` counts the lanes that may have an item: never more than the limit. `present` counts
//!   those, and the ones that still have something to drop: its future, and its share of source and
//!   work. When the owner sees none present, nothing is left.
//! - A lane retires only if no item could be found, or it must: so what one lane reports as more work
//!   is never left lying because another, just retiring, still took up the room.
//! - Nothing of the caller's runs under the lock: wakers are cloned before it, and woken and dropped after
//!   it, as aborts are called.

use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;

use super::flags::Flags;
use super::policy::{Ledger, Verdict};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::unwind::Payload;

pub(super) struct Core<L> {
    pub(super) flags: Flags,
    limit: usize,
    state: Mutex<State<L>>,
}

struct State<L> {
    /// Gone when the owner has taken it, or was dropped.
    ledger: Option<L>,
    lanes: Vec<Option<Place>>,
    free: Vec<usize>,
    next_id: u64,
    working: usize,
    present: usize,
    stopped: bool,
    paused: bool,
    /// A lane was dropped with work left: by a runtime that was shut down.
    lost: bool,
    owner: Option<Waker>,
    /// The first.
    panic: Option<Payload>,
}

struct Place {
    id: u64,
    working: bool,
    /// Absent for the moment between entering and the task's start.
    abort: Option<AbortHandle>,
}

/// A lane's place, by which it is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) lane: usize,
    id: u64,
}

/// What becomes of a lane that found no item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retired {
    Leaves,
    Stays,
}

impl<L: Ledger> Core<L> {
    pub(super) fn new(limit: usize, ledger: L) -> Self {
        let state = State {
            ledger: Some(ledger),
            lanes: Vec::new(),
            free: Vec::new(),
            next_id: 0,
            working: 0,
            present: 0,
            stopped: false,
            paused: false,
            lost: false,
            owner: None,
            panic: None,
        };
        Self { flags: Flags::new(), limit, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        lock(&self.state)
    }

    /// Takes a seat for one more lane, if it may start.
    pub(super) fn enter(&self) -> Option<Seat> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.stopped || state.paused || state.working >= self.limit {
            return None;
        }
        state.working += 1;
        state.present += 1;
        if state.working == self.limit {
            self.flags.close();
        }
        let id = state.next_id;
        state.next_id += 1;
        let lane = state.free.pop().unwrap_or_else(|| {
            state.lanes.push(None);
            state.lanes.len() - 1
        });
        state.lanes[lane] = Some(Place { id, working: true, abort: None });
        Some(Seat { lane, id })
    }

    /// The lane runs; it may have left already, or may have to.
    pub(super) fn entered(&self, seat: Seat, abort: AbortHandle) {
        let mut state = self.lock();
        let stopped = state.stopped;
        let Some(place) = &mut state.lanes[seat.lane] else { return };
        if place.id != seat.id {
            return;
        }
        if !stopped {
            place.abort = Some(abort);
            return;
        }
        drop(state);
        abort.abort();
    }

    /// Retires a lane that found no item, or must end; unless there is an item after all.
    pub(super) fn retire(&self, seat: Seat) -> Retired {
        let mut state = self.lock();
        if !state.stopped && !state.paused && self.flags.open() {
            if state.working == self.limit {
                self.flags.close();
            }
            return Retired::Stays;
        }
        state.retire(seat);
        Retired::Leaves
    }

    /// The lane has dropped what it had.
    pub(super) fn leave(&self, seat: Seat) {
        let owner = {
            let mut state = self.lock();
            state.lost |= state.retire(seat) && !state.stopped;
            state.lanes[seat.lane] = None;
            state.free.push(seat.lane);
            state.present -= 1;
            if state.present == 0 { state.owner.take() } else { None }
        };
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Takes what all have to know of.
    pub(super) fn settle(&self, result: Result<L::Value, L::Error>) -> Verdict {
        self.judge(|ledger| ledger.settle(result))
    }

    pub(super) fn expect(&self, items_max: usize) -> Verdict {
        self.judge(|ledger| ledger.expect(items_max))
    }

    fn judge(&self, ask: impl FnOnce(&mut L) -> Verdict) -> Verdict {
        let mut state = self.lock();
        // Without an owner nobody wants to know.
        let Some(ledger) = &mut state.ledger else { return Verdict::Stop };
        let verdict = ask(ledger);
        let owner = if L::EACH { state.owner.take() } else { None };
        let doomed = match verdict {
            Verdict::GoOn => Vec::new(),
            Verdict::Pause => {
                state.paused = true;
                self.flags.close();
                Vec::new()
            }
            Verdict::Stop => self.end(&mut state),
        };
        drop(state);
        doomed.iter().for_each(AbortHandle::abort);
        if let Some(owner) = owner {
            owner.wake();
        }
        verdict
    }

    /// A lane has panicked: the others end.
    pub(super) fn panicked(&self, payload: Payload) {
        let mut state = self.lock();
        let surplus = if state.panic.is_none() {
            state.panic = Some(payload);
            None
        } else {
            Some(payload)
        };
        let doomed = self.end(&mut state);
        drop(state);
        doomed.iter().for_each(AbortHandle::abort);
        drop(surplus);
    }

    fn end(&self, state: &mut State<L>) -> Vec<AbortHandle> {
        state.stopped = true;
        self.flags.stop();
        state.lanes.iter_mut().flatten().filter_map(|place| place.abort.take()).collect()
    }

    /// Ends the lanes; nobody waits for it. Gives back the panic that nobody has seen.
    pub(super) fn abandon(&self) -> Option<Payload> {
        let mut state = self.lock();
        let doomed = self.end(&mut state);
        let left = (state.ledger.take(), state.owner.take());
        let panic = state.panic.take();
        drop(state);
        doomed.iter().for_each(AbortHandle::abort);
        drop(left);
        panic
    }

    /// Waits until every lane has left; then what they left.
    ///
    /// # Panics
    /// When one of them was lost to a runtime that was shut down: what it had in flight has no result.
    pub(super) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<(Option<L>, Option<Payload>)> {
        // Before the lock, and so dropped after it.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.lock();
        if state.present == 0 {
            let (left, lost) = ((state.ledger.take(), state.panic.take()), state.lost);
            drop(state);
            assert!(!lost || left.1.is_some(), "the runtime was shut down while a map ran on it");
            return Poll::Ready(left);
        }
        std::mem::swap(&mut state.owner, &mut waker);
        Poll::Pending
    }

    /// Takes something of the ledger, or waits for its next change; `None` when every lane has left
    /// and there is nothing. Second, whether a pause is over and a lane has to be started.
    pub(super) fn poll_take<T>(
        &self,
        cx: &Context<'_>,
        take: impl FnOnce(&mut L) -> Option<T>,
        has_room: impl FnOnce(&L) -> bool,
    ) -> (Poll<Option<T>>, bool) {
        // Before the lock, and so dropped after it.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.lock();
        let state = &mut *state;
        let Some(ledger) = &mut state.ledger else { return (Poll::Ready(None), false) };
        // After a panic nothing is handed out any more.
        let taken = if state.panic.is_none() { take(ledger) } else { None };
        let resumed = state.paused && !state.stopped && has_room(ledger);
        if resumed {
            state.paused = false;
            if state.working < self.limit {
                self.flags.open();
            }
        }
        if taken.is_some() {
            return (Poll::Ready(taken), resumed);
        }
        if state.present == 0 && !resumed {
            return (Poll::Ready(None), false);
        }
        std::mem::swap(&mut state.owner, &mut waker);
        (Poll::Pending, resumed)
    }
}

impl<L> State<L> {
    /// False when it had retired already.
    fn retire(&mut self, seat: Seat) -> bool {
        let place = self.lanes[seat.lane].as_mut().filter(|place| place.working);
        let retires = place.is_some();
        if let Some(place) = place {
            place.working = false;
            self.working -= 1;
        }
        retires
    }
}
