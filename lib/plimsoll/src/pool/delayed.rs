//! The jobs that wait for their time: submitted for later, or to be tried again; pure.
//!
//! # Invariants
//! - It never holds more than `capacity`, those counted that are due and not taken yet: these are
//!   in the queue, which knows how many they are.
//! - Entries leave in the order of their times; those of one time in the order in which they came.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::clock::Instant;

/// A bounded set of entries, each with the time at which it is due.
pub(super) struct Delayed<E> {
    capacity: usize,
    heap: BinaryHeap<Timed<E>>,
    next_number: u64,
}

struct Timed<E> {
    at: Instant,
    number: u64,
    entry: E,
}

impl<E> Delayed<E> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, heap: BinaryHeap::new(), next_number: 0 }
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many are not due yet.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is room for one more; `due` entries are in the queue.
    pub(super) fn has_room(&self, due: usize) -> bool {
        self.heap.len() + due < self.capacity
    }

    /// Keeps an entry until its time, if there [is room](Self::has_room) for it.
    /// Returns whether it is the next of all.
    pub(super) fn insert(&mut self, at: Instant, entry: E, due: usize) -> Result<bool, E> {
        if !self.has_room(due) {
            return Err(entry);
        }
        let is_next = self.next_at().is_none_or(|next| at < next);
        self.heap.push(Timed { at, number: self.next_number, entry });
        self.next_number += 1;
        Ok(is_next)
    }

    /// When the next entry is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|timed| timed.at)
    }

    /// Takes the next entry if its time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<E> {
        if self.next_at()? > now {
            return None;
        }
        let Timed { entry, .. } = self.heap.pop()?;
        // A burst's worth of memory is not kept for ever.
        if self.heap.is_empty() {
            self.heap.shrink_to(64);
        }
        Some(entry)
    }

    /// Takes every entry, in the order of their times.
    pub(super) fn take_all(&mut self) -> Vec<E> {
        let mut all = std::mem::take(&mut self.heap).into_sorted_vec();
        all.reverse();
        all.into_iter().map(|timed| timed.entry).collect()
    }
}

// The heap has the greatest on top: the earliest is made the greatest.
impl<E> Ord for Timed<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Timed<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Timed<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Timed<E> {}
