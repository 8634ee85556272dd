//! The queue of a pool: a lane per key, served in turn; pure.
//!
//! # Invariants
//! - `len` is the number of queued entries that count, never above `capacity`, and no lane holds
//!   more than `depth` of them. What was delayed and is now due counts as delayed until it is taken:
//!   it has its bound there, and needs no room here.
//! - A lane is in `turns` while it has queued entries, once.
//! - A lane is in `ready` while it has waiting entries and room for one more, once. Therefore,
//!   unless the queue is full or closed, `ready` is empty: whoever could be let in, has been.
//! - A lane without queued, waiting or running entries is free, and holds no memory of its own.

use std::collections::{BTreeMap, VecDeque};
use std::mem::swap;
use std::task::Waker;

/// For how many entries memory is kept in lanes that are free: in all of them about, and in each at
/// least.
const KEPT: usize = 1_024;
const KEPT_LANE: usize = 16;

/// Entries in lanes, each lane first in, first out; lanes take turns.
pub(super) struct Queue<E> {
    capacity: usize,
    depth: usize,
    len: usize,
    due: usize,
    waiting: usize,
    closed: bool,
    lanes: Vec<Lane<E>>,
    free: Vec<usize>,
    turns: VecDeque<usize>,
    ready: VecDeque<usize>,
    next_id: u64,
}

struct Lane<E> {
    queued: VecDeque<(E, Place)>,
    /// How many of those count.
    len: usize,
    /// Not admitted yet, by order of arrival; their owners hold the place and may leave it.
    waiting: BTreeMap<u64, Waiter<E>>,
    running: usize,
    is_ready: bool,
    is_used: bool,
}

/// Against which bound a queued entry counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Queue,
    Delayed,
}

/// An entry that waits for room. Its waker is anybody's code, and must not be dropped under a lock.
pub(super) struct Waiter<E> {
    pub(super) entry: E,
    pub(super) waker: Option<Waker>,
}

impl<E> Default for Lane<E> {
    fn default() -> Self {
        Self {
            queued: VecDeque::new(),
            len: 0,
            waiting: BTreeMap::new(),
            running: 0,
            is_ready: false,
            is_used: false,
        }
    }
}

/// Whether there is room for one more entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Free,
    QueueFull,
    LaneFull,
}

/// What became of an entry that waited.
pub(super) enum Wait<E> {
    /// It still waits.
    Waiting,
    /// It is queued, or has been.
    Admitted,
    /// The queue was closed: here it is back.
    Closed(Waiter<E>),
}

impl<E> Queue<E> {
    pub(super) const fn new(capacity: usize, depth: usize) -> Self {
        Self {
            capacity,
            depth,
            len: 0,
            due: 0,
            waiting: 0,
            closed: false,
            lanes: Vec::new(),
            free: Vec::new(),
            turns: VecDeque::new(),
            ready: VecDeque::new(),
            next_id: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many entries were delayed, are due, and not taken yet.
    pub(super) const fn due(&self) -> usize {
        self.due
    }

    /// How many entries can be taken.
    pub(super) const fn ready(&self) -> usize {
        self.len + self.due
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn lane_len(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.len)
    }

    /// How many lanes are in use.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len() - self.free.len()
    }

    /// The lane that a new key gets.
    pub(super) fn free_lane(&self) -> usize {
        self.free.last().copied().unwrap_or(self.lanes.len())
    }

    pub(super) fn room(&self, lane: usize) -> Room {
        if self.lane_len(lane) >= self.depth {
            Room::LaneFull
        } else if self.len >= self.capacity {
            Room::QueueFull
        } else {
            Room::Free
        }
    }

    /// Queues an entry; there must be room.
    #[inline]
    pub(super) fn push(&mut self, lane: usize, entry: E) {
        debug_assert_eq!(self.room(lane), Room::Free);
        let at = self.put(lane, entry, Place::Queue);
        at.len += 1;
        self.len += 1;
        self.settle(lane);
    }

    /// Queues an entry that was delayed, and has its bound there.
    pub(super) fn push_due(&mut self, lane: usize, entry: E) {
        self.put(lane, entry, Place::Delayed);
        self.due += 1;
    }

    /// Lets an entry wait for room; there must be none.
    pub(super) fn wait(&mut self, lane: usize, entry: E) -> u64 {
        self.occupy(lane);
        let id = self.next_id;
        self.next_id += 1;
        self.lanes[lane].waiting.insert(id, Waiter { entry, waker: None });
        self.waiting += 1;
        self.settle(lane);
        id
    }

    /// What became of a waiting entry; its owner is woken by `waker` when that changes, which is
    /// exchanged for the one before.
    pub(super) fn poll_wait(&mut self, lane: usize, id: u64, waker: &mut Option<Waker>) -> Wait<E> {
        if self.closed {
            return self.withdraw(lane, id).map_or(Wait::Admitted, Wait::Closed);
        }
        match self.lanes.get_mut(lane).and_then(|lane| lane.waiting.get_mut(&id)) {
            None => Wait::Admitted,
            Some(waiter) => {
                swap(&mut waiter.waker, waker);
                Wait::Waiting
            }
        }
    }

    /// Takes a waiting entry out, unless it was admitted. The caller then looks whether the lane is
    /// [idle](Self::release_if_idle).
    pub(super) fn withdraw(&mut self, lane: usize, id: u64) -> Option<Waiter<E>> {
        let waiter = self.lanes.get_mut(lane)?.waiting.remove(&id)?;
        self.waiting -= 1;
        self.settle(lane);
        Some(waiter)
    }

    /// Takes the entry whose turn it is, and counts it as running.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(usize, E)> {
        let lane = *self.turns.front()?;
        let at = &mut self.lanes[lane];
        let (entry, place) = at.queued.pop_front()?;
        at.running += 1;
        let is_empty = at.queued.is_empty();
        if is_empty || self.turns.len() > 1 {
            self.turns.pop_front();
            if !is_empty {
                self.turns.push_back(lane);
            }
        }
        self.leaves(lane, place);
        Some((lane, entry))
    }

    /// Takes the first queued entry of the lane that is like this, and counts it as running.
    pub(super) fn claim(&mut self, lane: usize, mut is: impl FnMut(&E) -> bool) -> Option<E> {
        let at = self.lanes.get(lane)?.queued.iter().position(|(entry, _)| is(entry))?;
        let (entry, place) = self.lanes[lane].queued.remove(at)?;
        self.lanes[lane].running += 1;
        self.turns.retain(|turn| *turn != lane);
        self.taken(lane, place);
        Some(entry)
    }

    /// Takes out the oldest entry of this lane, or of the longest one if this lane has none.
    pub(super) fn evict(&mut self, lane: usize) -> Option<(usize, E)> {
        let victim = if self.lane_len(lane) > 0 {
            lane
        } else {
            // As many steps as there are busy lanes; only a key without a job in a full queue pays.
            self.turns.iter().copied().max_by_key(|lane| self.lane_len(*lane))?
        };
        let at = self.lanes[victim].queued.iter().position(|(_, place)| *place == Place::Queue)?;
        let (entry, place) = self.lanes[victim].queued.remove(at)?;
        if self.lanes[victim].queued.is_empty() {
            self.turns.retain(|turn| *turn != victim);
        }
        self.leaves(victim, place);
        Some((victim, entry))
    }

    /// A running entry of the lane has ended.
    pub(super) fn finished(&mut self, lane: usize) {
        self.lanes[lane].running -= 1;
    }

    /// Frees the lane if nothing is left in it.
    #[inline]
    pub(super) fn release_if_idle(&mut self, lane: usize) -> bool {
        let lanes = self.lanes.len();
        let Some(at) = self.lanes.get_mut(lane) else { return false };
        if !at.is_used || at.running > 0 || !at.queued.is_empty() || !at.waiting.is_empty() {
            return false;
        }
        at.is_used = false;
        // A few entries are worth keeping for the next key, and for the only lane those of a short
        // queue, which would else grow anew whenever it was empty; a burst's worth is not.
        at.queued.shrink_to((KEPT / lanes).max(KEPT_LANE));
        self.free.push(lane);
        true
    }

    /// Lets the next waiting entry in, if there is room; returns whom to wake.
    #[inline]
    pub(super) fn let_in(&mut self) -> Option<Waker> {
        if self.waiting == 0 || self.closed || self.len >= self.capacity {
            return None;
        }
        let lane = self.ready.pop_front()?;
        self.lanes[lane].is_ready = false;
        let (_, waiter) = self.lanes[lane].waiting.pop_first()?;
        self.waiting -= 1;
        self.push(lane, waiter.entry);
        waiter.waker
    }

    /// Lets nobody in any more; returns all who wait, to be woken.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        let waiters = self.lanes.iter_mut().flat_map(|lane| lane.waiting.values_mut());
        waiters.filter_map(|waiter| waiter.waker.take()).collect()
    }

    /// Takes every queued entry, in the order in which they would have been served.
    pub(super) fn take_all(&mut self) -> Vec<(usize, E)> {
        let mut all = Vec::with_capacity(self.ready());
        while let Some((lane, entry)) = self.pop() {
            self.finished(lane);
            all.push((lane, entry));
        }
        all
    }

    #[inline]
    fn put(&mut self, lane: usize, entry: E, place: Place) -> &mut Lane<E> {
        if self.lanes.get(lane).is_none_or(|lane| !lane.is_used) {
            self.occupy(lane);
        }
        let at = &mut self.lanes[lane];
        if at.queued.is_empty() {
            self.turns.push_back(lane);
        }
        at.queued.push_back((entry, place));
        at
    }

    /// An entry was taken from a lane that is not in `turns`.
    fn taken(&mut self, lane: usize, place: Place) {
        if !self.lanes[lane].queued.is_empty() {
            self.turns.push_back(lane);
        }
        self.leaves(lane, place);
    }

    #[inline]
    fn leaves(&mut self, lane: usize, place: Place) {
        match place {
            Place::Queue => {
                self.len -= 1;
                self.lanes[lane].len -= 1;
                self.settle(lane);
            }
            Place::Delayed => self.due -= 1,
        }
    }

    /// The lane is in use, or the free one that is next to be given out.
    #[cold]
    fn occupy(&mut self, lane: usize) {
        if lane == self.lanes.len() {
            self.lanes.push(Lane::default());
        } else if !self.lanes[lane].is_used {
            debug_assert_eq!(self.free.last(), Some(&lane));
            self.free.pop();
        }
        self.lanes[lane].is_used = true;
    }

    /// Keeps `ready` true to its meaning after the lane has changed.
    #[inline]
    fn settle(&mut self, lane: usize) {
        let at = &mut self.lanes[lane];
        let is_ready = !at.waiting.is_empty() && at.len < self.depth;
        if is_ready != at.is_ready {
            self.turn_ready(lane, is_ready);
        }
    }

    #[cold]
    fn turn_ready(&mut self, lane: usize, is_ready: bool) {
        self.lanes[lane].is_ready = is_ready;
        if is_ready {
            self.ready.push_back(lane);
        } else {
            self.ready.retain(|ready| *ready != lane);
        }
    }
}
