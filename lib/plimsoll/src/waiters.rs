//! A first-come-first-served queue whose members can leave from anywhere in it.
//!
//! # Invariants
//! - A [`Ticket`] is the only way to its slot and is used up by [`Waiters::remove`]: no slot is read
//!   after it was freed, so that slots need no generations.
//! - A slot is *queued* (linked between `first` and `last`) or *called* (out of the line, but still
//!   held for its owner to look at), or free (linked from `free`).
//! - What is held is bounded by the futures that wait, which their callers own: one slot each. An
//!   empty queue that was long gives its memory back.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

const NONE: usize = usize::MAX;
/// Up to this many slots are kept for the next time when the last waiter leaves.
const SLOTS_KEPT: usize = 64;

pub(crate) struct Waiters<T> {
    slots: Vec<Slot<T>>,
    first: usize,
    last: usize,
    free: usize,
    queued: usize,
    held: usize,
}

/// A place in the line; not `Clone`, so that a slot has one owner.
pub(crate) struct Ticket(usize);

struct Slot<T> {
    /// `None` in a free slot.
    value: Option<T>,
    queued: bool,
    before: usize,
    /// The next in the line, or the next free slot.
    after: usize,
}

impl<T> Waiters<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), first: NONE, last: NONE, free: NONE, queued: 0, held: 0 }
    }

    /// How many are in the line.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn push(&mut self, value: T) -> Ticket {
        let slot = Slot { value: Some(value), queued: true, before: self.last, after: NONE };
        let index = if self.free == NONE {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let index = self.free;
            self.free = self.slots[index].after;
            self.slots[index] = slot;
            index
        };
        match self.last {
            NONE => self.first = index,
            last => self.slots[last].after = index,
        }
        self.last = index;
        self.queued += 1;
        self.held += 1;
        Ticket(index)
    }

    pub(crate) fn get_mut(&mut self, ticket: &Ticket) -> &mut T {
        Self::value(&mut self.slots[ticket.0])
    }

    /// Whoever is first in the line.
    pub(crate) fn first_mut(&mut self) -> Option<&mut T> {
        match self.first {
            NONE => None,
            first => Some(Self::value(&mut self.slots[first])),
        }
    }

    /// Takes the first out of the line; its slot stays for its owner.
    pub(crate) fn call_first(&mut self) {
        if self.first != NONE {
            self.unlink(self.first);
        }
    }

    /// Shows everybody in the line to `keep`, in order, and takes those out that it says no to.
    pub(crate) fn call_unless(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut index = self.first;
        while index != NONE {
            let after = self.slots[index].after;
            if !keep(Self::value(&mut self.slots[index])) {
                self.unlink(index);
            }
            index = after;
        }
    }

    /// Frees the slot, wherever it is; the second value says whether it was still in the line.
    pub(crate) fn remove(&mut self, Ticket(index): Ticket) -> (T, bool) {
        let queued = self.slots[index].queued;
        if queued {
            self.unlink(index);
        }
        let Some(value) = self.slots[index].value.take() else { unreachable!("a ticket outlived its slot") };
        self.held -= 1;
        if self.held == 0 && self.slots.len() > SLOTS_KEPT {
            self.slots = Vec::new();
            self.free = NONE;
        } else {
            self.slots[index].after = self.free;
            self.free = index;
        }
        (value, queued)
    }

    fn value(slot: &mut Slot<T>) -> &mut T {
        let Some(value) = &mut slot.value else { unreachable!("a ticket outlived its slot") };
        value
    }

    fn unlink(&mut self, index: usize) {
        let Slot { before, after, .. } = self.slots[index];
        match before {
            NONE => self.first = after,
            before => self.slots[before].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.slots[after].before = before,
        }
        let slot = &mut self.slots[index];
        (slot.queued, slot.before, slot.after) = (false, NONE, NONE);
        self.queued -= 1;
    }
}

/// Takes a waker to be woken from somebody who then looks, and leaves another: nothing of the caller's is
/// cloned under a lock.
pub(crate) fn taken(waker: &mut Waker) -> Waker {
    std::mem::replace(waker, Waker::noop().clone())
}

/// Waits for `future` no longer than `within`; `None` when that is over. What is ready at once needs no
/// timer, and so no runtime.
pub(crate) async fn up_to<F: Future>(within: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let at_once = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match at_once {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::time::timeout(within, future).await.ok(),
    }
}

/// Wakers collected under a lock, to be woken after it: a few at a time, so that no memory is
/// allocated and the lock is not held for long.
pub(crate) struct Wakes {
    wakers: [Option<Waker>; Self::MAX],
    len: usize,
}

impl Wakes {
    const MAX: usize = 16;

    pub(crate) const fn new() -> Self {
        Self { wakers: [const { None }; Self::MAX], len: 0 }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len == Self::MAX
    }

    /// # Panics
    /// When it [is full](Self::is_full), which its user checks first.
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    pub(crate) fn wake_all(&mut self) {
        for waker in self.wakers[..self.len].iter_mut().filter_map(Option::take) {
            waker.wake();
        }
        self.len = 0;
    }
}

/// A waker that does `action` when the last of its clones is dropped.
#[cfg(test)]
pub(crate) fn on_drop(action: impl Fn() + Send + Sync + 'static) -> Waker {
    struct OnDrop<F: Fn()>(F);

    impl<F: Fn()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    impl<F: Fn() + Send + Sync> std::task::Wake for OnDrop<F> {
        fn wake(self: std::sync::Arc<Self>) {}
    }

    Waker::from(std::sync::Arc::new(OnDrop(action)))
}

#[cfg(all(test, not(plimsoll_loom)))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_line_that_can_be_left_from_anywhere(steps in proptest::collection::vec((0..4u8, any::<prop::sample::Index>()), 1..200)) {
            let mut waiters = Waiters::new();
            let mut line: VecDeque<u32> = VecDeque::new();
            let mut tickets: Vec<(Ticket, u32)> = Vec::new();
            let mut next = 0;
            for (step, which) in steps {
                match step {
                    0 | 1 => {
                        tickets.push((waiters.push(next), next));
                        line.push_back(next);
                        next += 1;
                    }
                    2 => {
                        prop_assert_eq!(waiters.first_mut().copied(), line.pop_front());
                        waiters.call_first();
                    }
                    _ if !tickets.is_empty() => {
                        let (ticket, value) = tickets.swap_remove(which.index(tickets.len()));
                        let in_line = line.contains(&value);
                        line.retain(|other| *other != value);
                        prop_assert_eq!(waiters.remove(ticket), (value, in_line));
                    }
                    _ => {}
                }
                prop_assert_eq!(waiters.queued(), line.len());
            }
            for (ticket, value) in &tickets {
                prop_assert_eq!(*waiters.get_mut(ticket), *value);
            }
        }
    }

    #[test]
    fn a_long_line_that_has_emptied_holds_no_memory() {
        let mut waiters = Waiters::new();
        let tickets: Vec<_> = (0..1_000).map(|number| waiters.push(number)).collect();
        for ticket in tickets {
            waiters.remove(ticket);
        }
        assert_eq!(waiters.slots.capacity(), 0);
        let ticket = waiters.push(7);
        assert_eq!(waiters.remove(ticket), (7, true));
    }
}
