//! The bounds of the queue, and who waits at either end of it; pure but for the wakers it keeps.
//!
//! # Invariants
//! - At most `depth` items are queued, at most `depth_per_key` of one key, and at most `keys_max`
//!   keys are known.
//! - A key is known, and has a lane, exactly while it has an item, a push that waits, or one that was
//!   let in and has not looked yet.
//! - A lane with waiting pushes and room of its own is in `ready` (which may also hold a lane that has
//!   neither any more). Unless the queue is full or closed, `ready` holds no other: whoever could be
//!   let in, has been. So nobody who comes later passes those who wait.
//! - While takers wait, at least as many others were called, and have not looked yet, as there are
//!   items.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::task::Waker;

use super::drr::Drr;
use crate::clock::Instant;
use crate::waiters::{Ticket, Waiters, Wakes, taken};

/// Up to this many lanes are kept for the next keys when the last key leaves.
const LANES_KEPT: usize = 64;

pub(super) struct Bounds {
    pub(super) depth: usize,
    pub(super) depth_per_key: usize,
    pub(super) keys_max: usize,
    pub(super) quantum: u64,
}

pub(super) struct Queue<K, T> {
    bounds: Bounds,
    drr: Drr<Entry<T>>,
    // Keys come from customers: std's hasher, which cannot be made to collide on purpose.
    keys: HashMap<K, usize>,
    /// By the same number as the scheduler's.
    lanes: Vec<Lane<K, T>>,
    free: Vec<usize>,
    ready: VecDeque<usize>,
    takers: Waiters<Taker>,
    waiting: usize,
    is_closed: bool,
    pub(super) counts: Counts,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) pushed: u64,
    pub(super) popped: u64,
    pub(super) high_water: usize,
}

/// An item, and since when its owner wants it queued.
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) cost: u64,
    pub(super) since: Instant,
}

struct Lane<K, T> {
    /// `None` in a free lane.
    key: Option<K>,
    /// The key as text, once it was refused: who is refused mostly comes again.
    text: Option<Arc<str>>,
    line: Waiters<Waiting<T>>,
    /// How many tickets of the line are out.
    tickets: usize,
    is_ready: bool,
}

struct Waiting<T> {
    /// `None` once it was let in.
    entry: Option<Entry<T>>,
    waker: Waker,
}

struct Taker {
    waker: Waker,
    is_called: bool,
}

/// The place of a push that waits.
pub(super) struct Place {
    lane: usize,
    ticket: Ticket,
}

/// Why there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Full {
    Closed,
    Keys,
    Queue,
    Key,
}

/// What became of a push that waited.
pub(super) enum Turn<T> {
    LetIn,
    Waiting(Place),
    /// The queue was closed first: here it is back.
    Closed(Entry<T>),
}

impl<K: Hash + Eq + Clone, T> Queue<K, T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            drr: Drr::new(bounds.quantum),
            bounds,
            keys: HashMap::new(),
            lanes: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            takers: Waiters::new(),
            waiting: 0,
            is_closed: false,
            counts: Counts::default(),
        }
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) const fn len(&self) -> usize {
        self.drr.len()
    }

    pub(super) fn key_len(&self, key: &K) -> usize {
        self.keys.get(key).map_or(0, |lane| self.drr.lane_len(*lane))
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many pushes wait for room.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Queues an entry, or says why there is no room for it.
    pub(super) fn push(
        &mut self,
        key: &K,
        weight: u64,
        entry: Entry<T>,
        wakes: &mut Wakes,
    ) -> Result<(), (Entry<T>, Full)> {
        let known = self.keys.get(key).copied();
        let full = if self.is_closed {
            Some(Full::Closed)
        } else if known.is_some_and(|lane| self.drr.lane_len(lane) >= self.bounds.depth_per_key) {
            Some(Full::Key)
        } else if known.is_none() && self.keys.len() >= self.bounds.keys_max {
            Some(Full::Keys)
        } else {
            (self.len() >= self.bounds.depth).then_some(Full::Queue)
        };
        if let Some(full) = full {
            return Err((entry, full));
        }
        let lane = known.unwrap_or_else(|| self.open(key));
        self.drr.set_weight(lane, weight);
        self.insert(lane, entry, wakes);
        Ok(())
    }

    /// Lets an entry wait that there was no room for.
    pub(super) fn wait(&mut self, key: &K, weight: u64, entry: Entry<T>, waker: Waker) -> Place {
        let lane = self.keys.get(key).copied().unwrap_or_else(|| self.open(key));
        self.drr.set_weight(lane, weight);
        let ticket = self.lanes[lane].line.push(Waiting { entry: Some(entry), waker });
        self.lanes[lane].tickets += 1;
        self.waiting += 1;
        self.note_ready(lane);
        Place { lane, ticket }
    }

    /// What became of a push that waits. The second value is to be dropped unlocked.
    pub(super) fn poll_wait(&mut self, place: Place, waker: Waker) -> (Turn<T>, [Option<Waker>; 2]) {
        let waiting = self.lanes[place.lane].line.get_mut(&place.ticket);
        if waiting.entry.is_some() && !self.is_closed {
            let stale = std::mem::replace(&mut waiting.waker, waker);
            return (Turn::Waiting(place), [Some(stale), None]);
        }
        let (entry, stale) = self.withdraw(place);
        (entry.map_or(Turn::LetIn, Turn::Closed), [Some(stale), Some(waker)])
    }

    /// Gives a place up; the entry comes back unless it was let in.
    pub(super) fn withdraw(&mut self, Place { lane, ticket }: Place) -> (Option<Entry<T>>, Waker) {
        let at = &mut self.lanes[lane];
        let (Waiting { entry, waker }, _) = at.line.remove(ticket);
        at.tickets -= 1;
        self.waiting -= usize::from(entry.is_some());
        self.release_if_idle(lane);
        (entry, waker)
    }

    /// Takes the entry whose turn it is, and lets the next push in.
    pub(super) fn pop(&mut self, wakes: &mut Wakes) -> Option<Entry<T>> {
        let (lane, entry) = self.drr.pop()?;
        self.counts.popped += 1;
        self.note_ready(lane);
        self.let_in(wakes);
        self.release_if_idle(lane);
        Some(entry)
    }

    /// Takes every entry, in the order in which they would have been served.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        while let Some((lane, entry)) = self.drr.pop() {
            self.release_if_idle(lane);
            all.push(entry.item);
        }
        all
    }

    /// Lets nothing in any more; returns everybody who waits, to be woken.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        let mut wakers = Vec::new();
        let mut gather = |waker: &mut Waker| {
            wakers.push(taken(waker));
            true
        };
        self.takers.call_unless(|taker| gather(&mut taker.waker));
        for lane in &mut self.lanes {
            lane.line.call_unless(|waiting| gather(&mut waiting.waker));
        }
        wakers
    }

    /// The key's text, if it was needed before.
    pub(super) fn text(&self, key: &K) -> Option<Arc<str>> {
        self.lanes[*self.keys.get(key)?].text.clone()
    }

    pub(super) fn keep_text(&mut self, key: &K, text: &Arc<str>) {
        if let Some(lane) = self.keys.get(key) {
            self.lanes[*lane].text.get_or_insert_with(|| Arc::clone(text));
        }
    }

    fn insert(&mut self, lane: usize, entry: Entry<T>, wakes: &mut Wakes) {
        self.drr.push(lane, entry.cost, entry);
        self.counts.pushed += 1;
        self.counts.high_water = self.counts.high_water.max(self.drr.len());
        self.call_taker(wakes);
    }

    fn note_ready(&mut self, lane: usize) {
        let at = &mut self.lanes[lane];
        let has_room = self.drr.lane_len(lane) < self.bounds.depth_per_key;
        if !at.is_ready && has_room && at.line.queued() > 0 {
            at.is_ready = true;
            self.ready.push_back(lane);
        }
    }

    /// Lets pushes in while there is room, one of each key in turn.
    fn let_in(&mut self, wakes: &mut Wakes) {
        while !self.is_closed && self.len() < self.bounds.depth {
            let Some(lane) = self.ready.pop_front() else { return };
            let at = &mut self.lanes[lane];
            at.is_ready = false;
            if self.drr.lane_len(lane) >= self.bounds.depth_per_key {
                continue;
            }
            let Some(first) = at.line.first_mut() else { continue };
            let (entry, waker) = (first.entry.take(), taken(&mut first.waker));
            at.line.call_first();
            self.note_ready(lane);
            if let Some(entry) = entry {
                self.waiting -= 1;
                wakes.push(waker);
                self.insert(lane, entry, wakes);
            }
        }
    }

    fn open(&mut self, key: &K) -> usize {
        // First, since a clone may panic.
        let (own, known) = (key.clone(), key.clone());
        let lane = self.free.pop().unwrap_or_else(|| {
            let line = Waiters::new();
            self.lanes.push(Lane { key: None, text: None, line, tickets: 0, is_ready: false });
            self.lanes.len() - 1
        });
        self.lanes[lane].key = Some(own);
        self.keys.insert(known, lane);
        lane
    }

    fn release_if_idle(&mut self, lane: usize) {
        let at = &mut self.lanes[lane];
        if at.tickets > 0 || self.drr.lane_len(lane) > 0 {
            return;
        }
        if let Some(key) = at.key.take() {
            self.keys.remove(&key);
            at.text = None;
            self.free.push(lane);
        }
        if self.keys.is_empty() && self.lanes.len() > LANES_KEPT {
            self.drr.reset();
            (self.lanes, self.free, self.ready) = (Vec::new(), Vec::new(), VecDeque::new());
            self.keys.shrink_to(LANES_KEPT);
        }
    }
}

/// Those who wait for an item.
impl<K: Hash + Eq + Clone, T> Queue<K, T> {
    /// Puts a taker in the line, or leaves it there; there must be no item. The second value is a
    /// waker to be dropped unlocked.
    pub(super) fn wait_for_item(&mut self, ticket: Option<Ticket>, waker: Waker) -> (Ticket, Option<Waker>) {
        let Some(ticket) = ticket else { return (self.enrol_taker(waker), None) };
        let taker = self.takers.get_mut(&ticket);
        if taker.is_called {
            // Somebody was faster: once more from the end of the line.
            let Taker { waker: stale, .. } = self.takers.remove(ticket).0;
            return (self.enrol_taker(waker), Some(stale));
        }
        let stale = std::mem::replace(&mut taker.waker, waker);
        (ticket, Some(stale))
    }

    /// A taker has what it came for.
    pub(super) fn taken(&mut self, ticket: Ticket) -> Waker {
        self.takers.remove(ticket).0.waker
    }

    /// A taker leaves without an item: if it was called for one, another is called.
    pub(super) fn leave(&mut self, ticket: Ticket, wakes: &mut Wakes) -> Waker {
        let (Taker { waker, is_called }, _) = self.takers.remove(ticket);
        if is_called && self.len() > 0 {
            self.call_taker(wakes);
        }
        waker
    }

    fn enrol_taker(&mut self, waker: Waker) -> Ticket {
        self.takers.push(Taker { waker, is_called: false })
    }

    fn call_taker(&mut self, wakes: &mut Wakes) {
        if let Some(taker) = self.takers.first_mut() {
            taker.is_called = true;
            wakes.push(taken(&mut taker.waker));
            self.takers.call_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::caught;

    #[test]
    fn governor_171_keys_that_left_cost_nothing() {
        let bounds = Bounds { depth: 10_000, depth_per_key: 1, keys_max: 10_000, quantum: 1 };
        let mut queue = Queue::new(bounds);
        let mut wakes = Wakes::new();
        for key in 0..5_000u32 {
            let entry = Entry { item: key, cost: 1, since: Instant::default() };
            assert!(queue.push(&key, 1, entry, &mut wakes).is_ok());
        }
        assert_eq!(queue.keys(), 5_000);
        while queue.pop(&mut wakes).is_some() {}
        assert_eq!((queue.keys(), queue.lanes.capacity(), queue.free.capacity()), (0, 0, 0));
        assert!(queue.keys.capacity() <= 2 * LANES_KEPT);
    }

    #[test]
    fn a_key_that_left_has_its_lane_used_by_the_next() {
        let mut queue = Queue::new(Bounds { depth: 4, depth_per_key: 4, keys_max: 4, quantum: 1 });
        let mut wakes = Wakes::new();
        for key in 0..1_000u32 {
            let entry = Entry { item: key, cost: 1, since: Instant::default() };
            assert!(queue.push(&key, 1, entry, &mut wakes).is_ok());
            assert_eq!(queue.pop(&mut wakes).map(|entry| entry.item), Some(key));
        }
        assert_eq!(queue.lanes.len(), 1);
    }

    #[test]
    fn a_key_whose_clone_panics_takes_no_lane() {
        #[derive(PartialEq, Eq, Hash)]
        struct Key;

        impl Clone for Key {
            fn clone(&self) -> Self {
                panic!("not this one")
            }
        }

        let mut queue = Queue::new(Bounds { depth: 4, depth_per_key: 4, keys_max: 4, quantum: 1 });
        for _ in 0..9 {
            let entry = Entry { item: 7, cost: 1, since: Instant::default() };
            assert!(caught(|| queue.push(&Key, 1, entry, &mut Wakes::new()).is_ok()).is_err());
        }
        assert_eq!((queue.keys(), queue.len(), queue.lanes.len()), (0, 0, 0));
    }
}
