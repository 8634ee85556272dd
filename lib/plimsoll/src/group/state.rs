//! What a group and its children share.
//!
//! # Invariants
//! - `running` is the number of occupied slots; a slot is freed after the child's future has been
//!   dropped, by the child itself, whether it finished, panicked or was aborted.
//! - Once `ended` is set no child starts, and every running one has been, or is being, aborted.
//! - Of a panic the payload is kept until the group is joined or dropped: the first of them.
//! - Nothing of the caller's runs under the lock: futures are dropped, tasks aborted and wakers
//!   called after it is released.
//! - For values without size nothing grows with the number of children that have finished.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;

use super::{Ending, Error, Failure};
use crate::counters::Counters;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::unwind::Payload;
use crate::{Name, Reason, Rejected};

pub(super) struct Shared<O: Ending> {
    pub(super) name: Name,
    pub(super) limit: usize,
    policy: Policy,
    pub(super) counters: Counters,
    state: Mutex<State<O>>,
    _registration: Option<Registration>,
}

/// When a group ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Policy {
    /// With the first child that fails or panics.
    FailFast,
    /// Never.
    CollectAll,
    /// With so many successes, or a panic.
    Quorum(usize),
}

/// What the owner waits for: there is one owner, so one waker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Room for one more, or the end.
    Slot,
    /// No child running.
    Quiet,
}

/// How a child ended.
pub(super) enum End<O: Ending> {
    Returned(Result<O::Value, O::Error>),
    Stopped(crate::scope::Ended),
    Panicked(Payload),
    Aborted,
}

/// A child's place, by which it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    slot: usize,
    index: u64,
}

struct Slot {
    index: u64,
    /// Absent for the moment between reserving the slot and the task's start.
    abort: Option<AbortHandle>,
}

struct State<O: Ending> {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    running: usize,
    ended: bool,
    waiting: Option<(Wanted, Waker)>,
    next_index: u64,
    results: Results<O>,
    counts: Counts,
}

struct Results<O: Ending> {
    first_index: u64,
    values: Vec<O::Value>,
    /// Spawn order of the values; unused when they have no size and so no difference.
    indices: Vec<u64>,
    /// In the order in which they came.
    failures: Vec<(u64, Failure<O::Error>)>,
    /// The first; a panic loop must not fill the memory.
    panic: Option<Payload>,
}

#[derive(Default)]
struct Counts {
    high_water: usize,
    admitted: u64,
    failed: u64,
    cancelled: u64,
    panicked: u64,
}

impl<O: Ending> Shared<O> {
    pub(super) fn new(name: Name, limit: usize, policy: Policy, registration: Option<Registration>) -> Self {
        let state = State {
            slots: Vec::new(),
            free: Vec::new(),
            running: 0,
            ended: false,
            waiting: None,
            next_index: 0,
            results: Results::empty(0),
            counts: Counts::default(),
        };
        let counters = Counters::new();
        Self { name, limit, policy, counters, state: Mutex::new(state), _registration: registration }
    }

    fn lock(&self) -> MutexGuard<'_, State<O>> {
        lock(&self.state)
    }

    /// Takes a slot for a child, if there is room and the group has not ended.
    pub(super) fn reserve(&self) -> Result<Place, Rejected> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.ended || state.running >= self.limit {
            let reason = if state.ended { Reason::Draining } else { Reason::Full };
            self.counters.reject(reason);
            return Err(Rejected::new(self.name, reason).with_use(
                self.limit as u64,
                state.running as u64,
                0,
            ));
        }
        let index = state.next_index;
        state.next_index += 1;
        state.running += 1;
        state.counts.admitted += 1;
        state.counts.high_water = state.counts.high_water.max(state.running);
        let slot = state.free.pop().unwrap_or_else(|| {
            state.slots.push(None);
            state.slots.len() - 1
        });
        state.slots[slot] = Some(Slot { index, abort: None });
        Ok(Place { slot, index })
    }

    /// The child at `place` runs; it may have ended already, or may have to.
    pub(super) fn started(&self, place: Place, abort: AbortHandle) {
        let mut state = self.lock();
        let ended = state.ended;
        let Some(slot) = &mut state.slots[place.slot] else { return };
        if slot.index != place.index {
            return;
        }
        if !ended {
            slot.abort = Some(abort);
            return;
        }
        drop(state);
        abort.abort();
    }

    /// The child at `place` has ended and its future is dropped.
    pub(super) fn finished(&self, place: Place, end: End<O>) {
        let (surplus, doomed, waker) = {
            let mut state = self.lock();
            state.slots[place.slot] = None;
            state.free.push(place.slot);
            state.running -= 1;
            let surplus = state.record(place.index, end);
            let doomed = if state.is_over(self.policy) { state.end() } else { Vec::new() };
            (surplus, doomed, state.waker_due(self.limit))
        };
        doomed.iter().for_each(AbortHandle::abort);
        if let Some(waker) = waker {
            waker.wake();
        }
        drop(surplus);
    }

    /// Ends the group: no child starts, the running ones are aborted.
    pub(super) fn cancel(&self) {
        let doomed = self.lock().end();
        doomed.iter().for_each(AbortHandle::abort);
    }

    pub(super) fn poll_wanted(&self, wanted: Wanted, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let mut waiting = if state.has(wanted, self.limit) {
            None
        } else {
            drop(state);
            let waiting = Some((wanted, cx.waker().clone()));
            state = self.lock();
            // A child may have ended in the meantime.
            waiting.filter(|_| !state.has(wanted, self.limit))
        };
        let polled = if waiting.is_some() { Poll::Pending } else { Poll::Ready(()) };
        std::mem::swap(&mut state.waiting, &mut waiting);
        drop(state);
        drop(waiting);
        polled
    }

    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    /// Takes the first panic, to be resumed.
    pub(super) fn take_panic(&self) -> Option<Payload> {
        self.lock().results.panic.take()
    }

    /// Takes everything that the children left, and makes the group as new.
    fn take_results(&self) -> Results<O> {
        let mut state = self.lock();
        state.ended = false;
        let next = state.next_index;
        std::mem::replace(&mut state.results, Results::empty(next))
    }

    pub(super) fn join(&self) -> Result<Vec<O::Value>, Error<O::Error>> {
        let results = self.take_results();
        let succeeded = results.values.len();
        if let Policy::Quorum(wanted) = self.policy
            && succeeded >= wanted
        {
            return Ok(in_order::<O>(results.values, results.indices));
        }
        let (mut errors, mut otherwise) = (Vec::new(), None);
        for (_, failure) in results.failures {
            match failure {
                Failure::Failed(error) => errors.push(error),
                Failure::ScopeEnded(ended) => otherwise = Some(Error::ScopeEnded(ended)),
                Failure::Cancelled => otherwise = otherwise.or(Some(Error::Cancelled)),
            }
        }
        match (self.policy, otherwise) {
            (_, Some(error)) if errors.is_empty() => Err(error),
            (Policy::Quorum(wanted), _) => Err(Error::OutOfReach { wanted, succeeded, errors }),
            (Policy::FailFast | Policy::CollectAll, _) => {
                let mut errors = errors.into_iter();
                match errors.next() {
                    Some(first) => Err(Error::Failed { first, rest: errors.collect() }),
                    None => Ok(in_order::<O>(results.values, results.indices)),
                }
            }
        }
    }

    pub(super) fn join_each(&self) -> Vec<Result<O::Value, Failure<O::Error>>> {
        let mut results = self.take_results();
        results.failures.sort_by_key(|(index, _)| *index);
        let children = results.values.len() + results.failures.len();
        let mut values = in_order::<O>(results.values, results.indices).into_iter();
        let mut failures = results.failures.into_iter().peekable();
        let mut each = Vec::with_capacity(children);
        for index in results.first_index..results.first_index + children as u64 {
            match failures.next_if(|(failed, _)| *failed == index) {
                Some((_, failure)) => each.push(Err(failure)),
                None => each.extend(values.next().map(Ok)),
            }
        }
        each
    }
}

impl<O: Ending> State<O> {
    /// Takes what a child left; gives back a panic that is not the first, to be dropped unlocked.
    fn record(&mut self, index: u64, end: End<O>) -> Option<Payload> {
        let failure = match end {
            End::Returned(Ok(value)) => {
                self.results.values.push(value);
                if size_of::<O::Value>() > 0 {
                    self.results.indices.push(index);
                }
                return None;
            }
            End::Returned(Err(error)) => Failure::Failed(error),
            End::Stopped(ended) => Failure::ScopeEnded(ended),
            End::Aborted => Failure::Cancelled,
            End::Panicked(payload) => {
                self.counts.panicked += 1;
                if self.results.panic.is_some() {
                    return Some(payload);
                }
                self.results.panic = Some(payload);
                return None;
            }
        };
        match failure {
            Failure::Failed(_) => self.counts.failed += 1,
            Failure::ScopeEnded(_) | Failure::Cancelled => self.counts.cancelled += 1,
        }
        self.results.failures.push((index, failure));
        None
    }

    /// Whether what is recorded ends the group.
    const fn is_over(&self, policy: Policy) -> bool {
        if self.ended {
            return false;
        }
        match policy {
            Policy::FailFast => self.results.panic.is_some() || !self.results.failures.is_empty(),
            Policy::CollectAll => false,
            Policy::Quorum(wanted) => self.results.panic.is_some() || self.results.values.len() >= wanted,
        }
    }

    fn end(&mut self) -> Vec<AbortHandle> {
        self.ended = true;
        self.slots.iter_mut().flatten().filter_map(|slot| slot.abort.take()).collect()
    }

    const fn has(&self, wanted: Wanted, limit: usize) -> bool {
        match wanted {
            Wanted::Slot => self.ended || self.running < limit,
            Wanted::Quiet => self.running == 0,
        }
    }

    fn waker_due(&mut self, limit: usize) -> Option<Waker> {
        let (wanted, _) = self.waiting.as_ref()?;
        if !self.has(*wanted, limit) {
            return None;
        }
        self.waiting.take().map(|(_, waker)| waker)
    }
}

impl<O: Ending> Results<O> {
    const fn empty(first_index: u64) -> Self {
        Self { first_index, values: Vec::new(), indices: Vec::new(), failures: Vec::new(), panic: None }
    }
}

/// The values in the order in which their children were spawned.
fn in_order<O: Ending>(values: Vec<O::Value>, indices: Vec<u64>) -> Vec<O::Value> {
    if indices.is_sorted() {
        return values;
    }
    let mut pairs: Vec<_> = indices.into_iter().zip(values).collect();
    pairs.sort_unstable_by_key(|(index, _)| *index);
    pairs.into_iter().map(|(_, value)| value).collect()
}

impl<O: Ending> registry::Bound for Shared<O> {
    fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let counts = &state.counts;
        let mut snapshot = Snapshot {
            limit: self.limit as u64,
            in_use: state.running as u64,
            high_water: counts.high_water as u64,
            waiting: u64::from(matches!(state.waiting, Some((Wanted::Slot, _)))),
            admitted: counts.admitted,
            details: vec![
                ("failed", counts.failed),
                ("cancelled", counts.cancelled),
                ("panicked", counts.panicked),
            ],
            ..Snapshot::new(self.name, Kind::Group)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

/// What a child holds of its group: when it is dropped without having said how the child ended,
/// the child was aborted.
pub(super) struct Membership<O: Ending> {
    shared: Arc<Shared<O>>,
    place: Option<Place>,
}

impl<O: Ending> Membership<O> {
    pub(super) const fn new(shared: Arc<Shared<O>>, place: Place) -> Self {
        Self { shared, place: Some(place) }
    }

    pub(super) fn end(&mut self, end: End<O>) {
        if let Some(place) = self.place.take() {
            self.shared.finished(place, end);
        }
    }
}

impl<O: Ending> Drop for Membership<O> {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}
