//! The futures of a local map, each with a waker of its own, so that only those are polled that were
//! woken.
//!
//! # Invariants
//! - A slot is in `woken` at most once; it may be there although its future has ended, or is another
//!   by now: that costs one poll.
//! - The task's waker is cloned before the lock, and called and dropped after it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::unwind::{Payload, caught};

pub(super) struct Slots<Fut> {
    slots: Vec<Slot<Fut>>,
    free: Vec<usize>,
    /// Taken from the wakes, still to be polled.
    due: VecDeque<usize>,
    wakes: Arc<Wakes>,
}

struct Slot<Fut> {
    /// One box for all the futures that this slot will have.
    future: Pin<Box<Option<Fut>>>,
    waker: Waker,
}

struct Wakes {
    state: Mutex<Woken>,
}

struct Woken {
    woken: VecDeque<usize>,
    is_woken: Vec<bool>,
    task: Option<Waker>,
}

struct SlotWaker {
    slot: usize,
    wakes: Arc<Wakes>,
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = {
            let mut woken = self.wakes.lock();
            if std::mem::replace(&mut woken.is_woken[self.slot], true) {
                return;
            }
            woken.woken.push_back(self.slot);
            woken.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<Fut> Slots<Fut> {
    pub(super) fn new() -> Self {
        let woken = Woken { woken: VecDeque::new(), is_woken: Vec::new(), task: None };
        let wakes = Arc::new(Wakes { state: Mutex::new(woken) });
        Self { slots: Vec::new(), free: Vec::new(), due: VecDeque::new(), wakes }
    }

    /// Takes a free slot; there are as many as were ever taken at once.
    pub(super) fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            self.wakes.lock().is_woken.push(false);
            let waker = Waker::from(Arc::new(SlotWaker { slot, wakes: Arc::clone(&self.wakes) }));
            self.slots.push(Slot { future: Box::pin(None), waker });
            slot
        })
    }

    /// The slot is free again; its future has ended.
    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }

    pub(super) fn begin(&mut self, slot: usize, future: Fut) {
        self.slots[slot].future.set(Some(future));
    }

    /// Drops every future; says whether one of them panicked doing so.
    pub(super) fn clear(&mut self) -> Result<(), Payload> {
        let mut result = Ok(());
        for slot in &mut self.slots {
            result = result.and(caught(|| slot.future.set(None)));
        }
        result
    }

    /// Whose waker is to be called from now on.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        // Before the lock; the one before it is dropped after it.
        let task = Some(cx.waker().clone());
        let before = std::mem::replace(&mut self.wakes.lock().task, task);
        drop(before);
    }

    /// A slot that was woken.
    pub(super) fn next_woken(&mut self) -> Option<usize> {
        if self.due.is_empty() {
            let mut woken = self.wakes.lock();
            let Woken { woken, is_woken, .. } = &mut *woken;
            for slot in &*woken {
                is_woken[*slot] = false;
            }
            std::mem::swap(woken, &mut self.due);
        }
        self.due.pop_front()
    }
}

impl<Fut: Future> Slots<Fut> {
    /// Polls the future of the slot, and drops it when it is ready; `Pending` for a free slot.
    pub(super) fn poll(&mut self, slot: usize) -> Poll<Fut::Output> {
        let slot = &mut self.slots[slot];
        let Some(future) = slot.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = future.poll(&mut Context::from_waker(&slot.waker));
        if polled.is_ready() {
            slot.future.set(None);
        }
        polled
    }
}
