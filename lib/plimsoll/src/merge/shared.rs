//! Which inputs there are, and which of them have something to say: what a merge shares with its
//! handles and with the wakers of its inputs.
//!
//! # Invariants
//! - A slot is in `ready` exactly while it is marked `queued`, once: so `ready` is never longer than
//!   there are slots, of which there are at most `inputs_max`.
//! - A slot of number 0 is free. Numbers are used once: the waker of an input that has left does not
//!   touch the one that has its slot now.
//! - A mark is taken off before the input is polled: whatever wakes it from then on counts.
//!
//! # Lock order
//! The inbox before this lock. No stream is polled or dropped, and no waker cloned, called
//! or dropped, under either.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};

use crate::counters::Counters;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::sync::{Mutex, lock};
use crate::{Name, Reason, Rejected};

pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) inputs_max: usize,
    state: Mutex<State>,
    items: AtomicU64,
    panicked: AtomicU64,
    counters: Counters,
    _registration: Registration,
}

struct State {
    slots: Vec<Slot>,
    free: Vec<usize>,
    ready: VecDeque<usize>,
    /// Of the task that waits for the next item.
    waker: Option<Waker>,
    live: usize,
    high_water: usize,
    added: u64,
    handles: usize,
    is_closed: bool,
}

#[derive(Default)]
struct Slot {
    number: u64,
    queued: bool,
    removed: bool,
}

/// Which input of a merge; two inputs never have the same, also if one comes after the other.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::collections::HashMap;
/// use futures_util::stream;
/// use plimsoll::merge::{Event, InputId, Merge};
/// let mut merge = Merge::builder("by-input").inputs_max(2).build()?;
/// let mut sums: HashMap<InputId, u32> = HashMap::new();
/// let paris = merge.add(stream::iter(vec![1, 2]))?;
/// let tokyo = merge.add(stream::iter(vec![10]))?;
/// while let Some((input, event)) = merge.next().await {
///     *sums.entry(input).or_default() += event.into_item().unwrap_or(0);
/// }
/// assert_eq!((sums[&paris], sums[&tokyo]), (3, 10));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId {
    number: u64,
    index: usize,
}

/// What the merge has to do next.
pub(super) enum Next {
    Poll(InputId),
    /// A handle has removed it.
    Removed(InputId),
    Wait,
    /// There is no input, and nobody who could add one.
    Done,
}

impl InputId {
    pub(super) const fn index(self) -> usize {
        self.index
    }
}

impl fmt::Debug for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InputId").field(&self.number).finish()
    }
}

impl Shared {
    pub(super) fn new(name: Name, inputs_max: usize, registration: Registration) -> Self {
        let state = State {
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            waker: None,
            live: 0,
            high_water: 0,
            added: 0,
            handles: 0,
            is_closed: false,
        };
        Self {
            name,
            inputs_max,
            state: Mutex::new(state),
            items: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            counters: Counters::new(),
            _registration: registration,
        }
    }

    /// A slot for one more input, which is to be polled. The merge is woken by
    /// [`wake_merge`](Self::wake_merge), once the stream is where it will be looked for.
    pub(super) fn admit(&self) -> Result<InputId, Rejected> {
        let mut state = lock(&self.state);
        let reason = if state.is_closed {
            Reason::Draining
        } else if state.live < self.inputs_max {
            return Ok(state.admit());
        } else {
            Reason::Full
        };
        let live = state.live as u64;
        drop(state);
        self.counters.reject(reason);
        Err(Rejected::new(self.name, reason).with_use(self.inputs_max as u64, live, 0))
    }

    pub(super) fn wake_merge(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whose turn it is; an input that gave an item comes to the end of those that are ready.
    pub(super) fn next(&self, again: Option<InputId>, waker: &Waker) -> Next {
        let mut state = lock(&self.state);
        if let Some(again) = again {
            state.enqueue(again);
        }
        if let Some(next) = state.next() {
            return next;
        }
        drop(state);
        let mut waker = Some(waker.clone());
        state = lock(&self.state);
        // Something may have come in the meantime.
        let next = state.next();
        if next.is_none() {
            std::mem::swap(&mut state.waker, &mut waker);
        }
        drop(state);
        drop(waker);
        next.unwrap_or(Next::Wait)
    }

    /// The input has left.
    pub(super) fn free(&self, id: InputId) {
        let mut state = lock(&self.state);
        if state.has(id) {
            let slot = &mut state.slots[id.index];
            // If it is in `ready` it stays there, for the next input of this slot or for nobody.
            (slot.number, slot.removed) = (0, false);
            state.free.push(id.index);
            state.live -= 1;
        }
    }

    pub(super) fn has(&self, id: InputId) -> bool {
        lock(&self.state).has(id)
    }

    /// Has the merge end the input; false when it has left already.
    pub(super) fn remove(&self, id: InputId) -> bool {
        let mut state = lock(&self.state);
        let is_there = state.has(id) && !state.slots[id.index].removed;
        if is_there {
            state.slots[id.index].removed = true;
            state.enqueue(id);
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
        is_there
    }

    /// The merge is gone, and every input with it: nothing is admitted any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.live = 0;
        state.slots = Vec::new();
        state.ready = VecDeque::new();
        let waker = state.waker.take();
        drop(state);
        drop(waker);
    }

    pub(super) fn live(&self) -> usize {
        lock(&self.state).live
    }

    pub(super) fn add_handle(&self) {
        lock(&self.state).handles += 1;
    }

    pub(super) fn drop_handle(&self) {
        let mut state = lock(&self.state);
        state.handles -= 1;
        let waker = if state.handles == 0 { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn count_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_panic(&self) {
        self.panicked.fetch_add(1, Ordering::Relaxed);
    }
}

impl State {
    /// What there is to do, if it is not to wait.
    fn next(&mut self) -> Option<Next> {
        while let Some(index) = self.ready.pop_front() {
            let slot = &mut self.slots[index];
            slot.queued = false;
            let id = InputId { number: slot.number, index };
            match slot {
                Slot { number: 0, .. } => {}
                Slot { removed: true, .. } => return Some(Next::Removed(id)),
                Slot { .. } => return Some(Next::Poll(id)),
            }
        }
        (self.live == 0 && self.handles == 0).then_some(Next::Done)
    }

    fn admit(&mut self) -> InputId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.added += 1;
        self.live += 1;
        self.high_water = self.high_water.max(self.live);
        self.slots[index].number = self.added;
        let id = InputId { number: self.added, index };
        self.enqueue(id);
        id
    }

    fn has(&self, id: InputId) -> bool {
        self.slots.get(id.index).is_some_and(|slot| slot.number == id.number)
    }

    fn enqueue(&mut self, id: InputId) {
        if self.has(id) && !self.slots[id.index].queued {
            self.slots[id.index].queued = true;
            self.ready.push_back(id.index);
        }
    }
}

/// The waker of one input.
pub(super) struct InputWaker {
    pub(super) id: InputId,
    pub(super) shared: Arc<Shared>,
}

impl Wake for InputWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = lock(&self.shared.state);
        state.enqueue(self.id);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl registry::Bound for Shared {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Merge);
        let state = lock(&self.state);
        snapshot.limit = self.inputs_max as u64;
        snapshot.in_use = state.live as u64;
        snapshot.high_water = state.high_water as u64;
        snapshot.admitted = state.added;
        snapshot.details = vec![
            ("ready", state.ready.len() as u64),
            ("items", self.items.load(Ordering::Relaxed)),
            ("panicked", self.panicked.load(Ordering::Relaxed)),
        ];
        drop(state);
        self.counters.show(&mut snapshot);
        snapshot
    }
}
