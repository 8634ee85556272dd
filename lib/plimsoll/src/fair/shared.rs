//! What all clones of a fair queue share.
//!
//! # Lock order
//! One lock. Of the caller's code only the key's `Hash`, `Eq`, `Clone` and `Drop` run under it; items
//! are dropped, weights asked for, keys shown as text and wakers called outside.

use std::fmt::Display;
use std::hash::Hash;
use std::task::{Context, Poll, Waker};

use super::Refused;
use super::queue::{Bounds, Entry, Full, Place, Queue, Turn};
use crate::counters::Counters;
use crate::label::label;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::sync::{Mutex, lock};
use crate::waiters::{Ticket, Wakes};
use crate::{Name, Reason, Rejected, clock};

/// The largest cost of an item.
pub(super) const COST_MAX: u64 = 1 << 40;
/// The largest weight of a key.
const WEIGHT_MAX: u32 = 65_536;

pub(super) type WeightOf<K> = Box<dyn Fn(&K) -> u32 + Send + Sync>;

pub(super) struct Shared<K, T> {
    pub(super) name: Name,
    weight: Option<WeightOf<K>>,
    queue: Mutex<Queue<K, T>>,
    counters: Counters,
    _registration: Registration,
}

/// What became of the wish to push and to wait if need be.
pub(super) enum Pushed<T> {
    Done(Result<(), Refused<T>>),
    Waiting(Place),
}

impl<K, T> Shared<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    pub(super) fn new(
        name: Name,
        bounds: Bounds,
        weight: Option<WeightOf<K>>,
        registration: Registration,
    ) -> Self {
        let queue = Mutex::new(Queue::new(bounds));
        Self { name, weight, queue, counters: Counters::new(), _registration: registration }
    }

    pub(super) fn try_push(&self, key: &K, item: T, cost: u64) -> Result<(), Refused<T>> {
        match self.push(key, item, cost, None) {
            Pushed::Done(done) => done,
            Pushed::Waiting(_) => unreachable!("it came without a waker"),
        }
    }

    /// Pushes, or waits if there is a waker to wait with and waiting can end.
    pub(super) fn push(&self, key: &K, item: T, cost: u64, waker: Option<&Waker>) -> Pushed<T> {
        let weight = match self.check(key, cost) {
            Ok(weight) => weight,
            Err(rejected) => return Pushed::Done(Err(self.refuse(item, rejected))),
        };
        // An item that cost nothing could be followed by another for ever.
        let mut entry = Entry { item, cost: cost.max(1), since: clock::now() };
        let mut wakes = Wakes::new();
        let mut own_waker = None;
        let (queue, full) = loop {
            let mut queue = lock(&self.queue);
            let full = match queue.push(key, weight, entry, &mut wakes) {
                Ok(()) => {
                    drop(queue);
                    wakes.wake_all();
                    return Pushed::Done(Ok(()));
                }
                Err((refused, full)) => {
                    entry = refused;
                    full
                }
            };
            let Some(waker) = waker.filter(|_| matches!(full, Full::Queue | Full::Key)) else {
                break (queue, full);
            };
            if let Some(own_waker) = own_waker.take() {
                return Pushed::Waiting(queue.wait(key, weight, entry, own_waker));
            }
            drop(queue);
            own_waker = Some(waker.clone());
        };
        let rejected = self.full(&queue, key, full);
        let text = queue.text(key);
        drop(queue);
        let text = text.unwrap_or_else(|| {
            let text = label(key);
            lock(&self.queue).keep_text(key, &text);
            text
        });
        Pushed::Done(Err(self.refuse(entry.item, rejected.with_key(text))))
    }

    /// What became of a push that waits.
    pub(super) fn poll_push(&self, place: &mut Option<Place>, waker: &Waker) -> Poll<Result<(), Refused<T>>> {
        let Some(waiting) = place.take() else { return Poll::Ready(Ok(())) };
        let waker = waker.clone();
        let (turn, stale) = lock(&self.queue).poll_wait(waiting, waker);
        drop(stale);
        match turn {
            Turn::LetIn => Poll::Ready(Ok(())),
            Turn::Closed(entry) => {
                let rejected = Rejected::new(self.name, Reason::Draining);
                Poll::Ready(Err(self.refuse(entry.item, rejected)))
            }
            Turn::Waiting(waiting) => {
                *place = Some(waiting);
                Poll::Pending
            }
        }
    }

    pub(super) fn withdraw(&self, place: Place) {
        let withdrawn = lock(&self.queue).withdraw(place);
        drop(withdrawn);
    }

    pub(super) fn try_pop(&self) -> Option<T> {
        let mut wakes = Wakes::new();
        let entry = lock(&self.queue).pop(&mut wakes);
        wakes.wake_all();
        entry.map(|entry| self.served(entry))
    }

    pub(super) fn poll_pop(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut wakes = Wakes::new();
        let mut own_waker = None;
        let (mut queue, entry) = loop {
            let mut queue = lock(&self.queue);
            let entry = queue.pop(&mut wakes);
            if entry.is_some() || queue.is_closed() {
                break (queue, entry);
            }
            if let Some(own_waker) = own_waker.take() {
                let (waiting, stale) = queue.wait_for_item(ticket.take(), own_waker);
                *ticket = Some(waiting);
                drop(queue);
                drop(stale);
                return Poll::Pending;
            }
            drop(queue);
            own_waker = Some(cx.waker().clone());
        };
        let stale = ticket.take().map(|ticket| queue.taken(ticket));
        drop(queue);
        drop(stale);
        wakes.wake_all();
        Poll::Ready(entry.map(|entry| self.served(entry)))
    }

    pub(super) fn leave(&self, ticket: Ticket) {
        let mut wakes = Wakes::new();
        let stale = lock(&self.queue).leave(ticket, &mut wakes);
        drop(stale);
        wakes.wake_all();
    }

    pub(super) fn close(&self) {
        let wakers = lock(&self.queue).close();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn drain(&self) -> Vec<T> {
        self.close();
        lock(&self.queue).take_all()
    }

    pub(super) fn with<R>(&self, read: impl FnOnce(&Queue<K, T>) -> R) -> R {
        read(&lock(&self.queue))
    }

    fn check(&self, key: &K, cost: u64) -> Result<u64, Rejected> {
        if cost > COST_MAX {
            return Err(Rejected::new(self.name, Reason::TooLarge).with_use(COST_MAX, 0, 0));
        }
        let weight = self.weight.as_ref().map_or(1, |weight| weight(key));
        if !(1..=WEIGHT_MAX).contains(&weight) {
            return Err(Rejected::new(self.name, Reason::Misconfigured).with_key(label(key)));
        }
        Ok(u64::from(weight))
    }

    fn full(&self, queue: &Queue<K, T>, key: &K, full: Full) -> Rejected {
        let bounds = queue.bounds();
        let (reason, limit, in_use) = match full {
            Full::Closed => (Reason::Draining, bounds.depth, queue.len()),
            Full::Keys => (Reason::KeysFull, bounds.keys_max, queue.keys()),
            Full::Queue => (Reason::QueueFull, bounds.depth, queue.len()),
            Full::Key => (Reason::QueueFull, bounds.depth_per_key, queue.key_len(key)),
        };
        Rejected::new(self.name, reason).with_use(limit as u64, in_use as u64, in_use as u64)
    }

    fn refuse(&self, item: T, rejected: Rejected) -> Refused<T> {
        self.counters.reject(rejected.reason());
        Refused { item, rejected }
    }

    fn served(&self, entry: Entry<T>) -> T {
        self.counters.waited(clock::now() - entry.since);
        entry.item
    }
}

impl<K, T> registry::Bound for Shared<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Fair);
        self.with(|queue| {
            snapshot.limit = queue.bounds().depth as u64;
            snapshot.in_use = queue.len() as u64;
            snapshot.waiting = queue.waiting() as u64;
            snapshot.high_water = queue.counts.high_water as u64;
            snapshot.admitted = queue.counts.pushed;
            snapshot.details = vec![
                ("keys", queue.keys() as u64),
                ("keys_max", queue.bounds().keys_max as u64),
                ("served", queue.counts.popped),
            ];
        });
        self.counters.show(&mut snapshot);
        snapshot
    }
}
