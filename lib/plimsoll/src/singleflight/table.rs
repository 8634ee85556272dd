//! The flights by key.
//!
//! # Invariants
//! - `in_flight` is the number of flights without an outcome, in a shard or
//!   [forgotten](Table::forget); it never exceeds `keys_max` by what was admitted.
//! - A flight in a shard that has an outcome is a remembered failure, and is in that shard's `past`
//!   as well; `remembered` is the number of those records and never exceeds `negative_max`.
//! - Keys, values and wakers are dropped, and wakers woken, after the locks are released.
//!
//! # Lock order
//! A shard, then a flight's line; never two shards.

use std::borrow::Borrow;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::builder::Errors;
use super::flight::{Flight, Follower, Leader, Outcome, Place};
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::waiters::Waiters;
use crate::{Name, Reason, Rejected};

/// One where it is model-checked, so that keys meet whatever their hash.
const SHARDS: usize = if cfg!(plimsoll_loom) { 1 } else { 32 };
/// How many records make room for one that is added, so that what is outdated goes away in time.
const PAST_LOOKED_AT: usize = 2;

#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) name: Name,
    pub(super) keys_max: u64,
    pub(super) errors: Errors,
    pub(super) negative_for: Option<Duration>,
    pub(super) negative_max: u64,
}

pub(super) struct Table<K, T, E> {
    settings: Settings,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K, T, E>>]>,
    in_flight: AtomicU64,
    remembered: AtomicU64,
    /// Which shard is looked through next for what is outdated.
    sweep_at: AtomicU64,
    counts: Counts,
    counters: Counters,
    _registration: Registration,
}

#[derive(Default)]
struct Counts {
    high_water: AtomicU64,
    waiting: AtomicU64,
    led: AtomicU64,
    shared: AtomicU64,
    taken_over: AtomicU64,
    negative_hits: AtomicU64,
}

struct Shard<K, T, E> {
    flights: HashSet<ByKey<K, T, E>, BuildHasherDefault<AsIs>>,
    /// Remembered failures, the oldest first.
    past: VecDeque<Arc<Flight<K, T, E>>>,
}

/// Failures that were forgotten, to be dropped after the lock.
type Outdated<K, T, E> = [Option<Arc<Flight<K, T, E>>>];

/// What a caller is to do.
pub(super) enum Role<K: Hash + Eq, T, E> {
    Lead(Leader<K, T, E>),
    Follow(Follower<K, T, E>),
    Recall(Arc<Flight<K, T, E>>),
    Reject(Rejected),
}

impl<K, T, E> Table<K, T, E> {
    pub(super) fn new(settings: Settings, registration: Registration) -> Self {
        let shard = |_| Mutex::new(Shard { flights: HashSet::default(), past: VecDeque::new() });
        Self {
            settings,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(shard).collect(),
            in_flight: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
            sweep_at: AtomicU64::new(0),
            counts: Counts::default(),
            counters: Counters::new(),
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.settings.name
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many flights the shards hold, which are remembered failures when none runs.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.map(|shard| shard.flights.len()).sum()
    }

    /// How many failures are remembered that are not outdated.
    #[cfg(test)]
    pub(super) fn remembered_still(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        let past =
            shards.map(|shard| shard.past.iter().filter(|past| past.is_remembered(clock::now())).count());
        past.sum()
    }

    /// A follower got the outcome, or else the lead.
    pub(super) fn followed(&self, ended: bool) {
        self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        if !ended {
            self.counts.led.fetch_add(1, Ordering::Relaxed);
            self.counts.taken_over.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<K, T, E>> {
        // The hash set uses the lowest and the highest bits.
        let index = (hash >> 32) as usize % SHARDS;
        lock(&self.shards[index])
    }

    fn begin(&self) -> Result<(), u64> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        if before >= self.settings.keys_max {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(before);
        }
        if before >= self.counts.high_water.load(Ordering::Relaxed) {
            self.counts.high_water.fetch_max(before + 1, Ordering::Relaxed);
        }
        self.counts.led.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn landed(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K: Hash + Eq, T, E> Table<K, T, E> {
    pub(super) fn join(self: &Arc<Self>, key: K) -> Role<K, T, E> {
        let key = self.hashed(key);
        let mut shard = self.shard(key.hash);
        let known = shard.flights.get(&key).map(|ByKey(flight)| Arc::clone(flight));
        match known {
            Some(flight) if !flight.has_landed() => {
                let lead = flight.join();
                drop(shard);
                if lead {
                    self.counts.led.fetch_add(1, Ordering::Relaxed);
                    return Role::Lead(Leader::new(Arc::clone(self), flight));
                }
                self.counts.waiting.fetch_add(1, Ordering::Relaxed);
                return Role::Follow(Follower::new(Arc::clone(self), flight));
            }
            Some(flight) if flight.is_remembered(clock::now()) => {
                drop(shard);
                self.counts.negative_hits.fetch_add(1, Ordering::Relaxed);
                return Role::Recall(flight);
            }
            _ => {}
        }
        if let Err(in_use) = self.begin() {
            drop(shard);
            self.counters.reject(Reason::KeysFull);
            let rejected = Rejected::new(self.settings.name, Reason::KeysFull);
            return Role::Reject(rejected.with_use(self.settings.keys_max, in_use, 0));
        }
        let flight = Arc::new(Flight::new(key));
        // In place of the outdated one, which `known` keeps from being dropped here.
        shard.flights.replace(ByKey(Arc::clone(&flight)));
        drop(shard);
        Role::Lead(Leader::new(Arc::clone(self), flight))
    }

    pub(super) fn forget(&self, key: K) {
        let key = self.hashed(key);
        let forgotten = self.shard(key.hash).flights.take(&key);
        drop(forgotten);
    }

    /// Ends a flight that nobody follows; false when somebody does.
    pub(super) fn land_alone(&self, flight: &Arc<Flight<K, T, E>>) -> bool {
        let mut shard = self.shard(flight.key.hash);
        if flight.has_followers() {
            return false;
        }
        shard.remove(flight);
        drop(shard);
        self.landed();
        true
    }

    /// Ends a flight with an outcome for all that follow it, and for those who come by while it is
    /// remembered.
    pub(super) fn settle(&self, flight: &Arc<Flight<K, T, E>>, mut outcome: Outcome<T, E>) {
        let mut outdated = [const { None }; 2 * PAST_LOOKED_AT];
        let failed = matches!(outcome, Outcome::Failed(..)) && self.settings.negative_for.is_some();
        let now = if failed { clock::now() } else { Instant::default() };
        let (elsewhere, here) = outdated.split_at_mut(PAST_LOOKED_AT);
        if failed {
            self.sweep(now, elsewhere);
        }
        let mut shard = self.shard(flight.key.hash);
        match (&mut outcome, self.settings.negative_for) {
            (Outcome::Failed(_, until), Some(time)) if shard.holds(flight) => {
                self.make_room(&mut shard, here, |past| self.remembers_no_more() || !past.is_remembered(now));
                if self.remember(&mut shard, flight) {
                    *until = Some(now + time);
                }
            }
            _ => shard.remove(flight),
        }
        let (followers, waiting) = flight.settle(outcome);
        drop(shard);
        drop(outdated);
        self.landed();
        self.counts.shared.fetch_add(followers as u64, Ordering::Relaxed);
        wake_all(waiting);
    }

    /// Forgets outdated failures of one shard after the other, when no more can be remembered: else
    /// those of keys that nobody asks for any more would keep the room for ever.
    fn sweep(&self, now: Instant, outdated: &mut Outdated<K, T, E>) {
        if self.remembers_no_more() {
            let index = self.sweep_at.fetch_add(1, Ordering::Relaxed) as usize % SHARDS;
            let mut shard = lock(&self.shards[index]);
            self.make_room(&mut shard, outdated, |past| !past.is_remembered(now));
        }
    }

    /// Forgets the shard's oldest failures for which `goes` says so; as many as there is place for, so
    /// that they are dropped after the lock.
    fn make_room(
        &self,
        shard: &mut Shard<K, T, E>,
        outdated: &mut Outdated<K, T, E>,
        goes: impl Fn(&Flight<K, T, E>) -> bool,
    ) {
        for place in outdated {
            let Some(oldest) = shard.past.pop_front_if(|past| goes(past)) else { return };
            self.remembered.fetch_sub(1, Ordering::Relaxed);
            shard.remove(&oldest);
            *place = Some(oldest);
        }
    }

    fn remembers_no_more(&self) -> bool {
        self.remembered.load(Ordering::Relaxed) >= self.settings.negative_max
    }

    /// Keeps a flight that failed, if there is room.
    fn remember(&self, shard: &mut Shard<K, T, E>, flight: &Arc<Flight<K, T, E>>) -> bool {
        if self.remembered.fetch_add(1, Ordering::Relaxed) >= self.settings.negative_max {
            self.remembered.fetch_sub(1, Ordering::Relaxed);
            shard.remove(flight);
            return false;
        }
        shard.past.push_back(Arc::clone(flight));
        true
    }

    /// The leader goes without an outcome.
    pub(super) fn give_up(&self, flight: &Arc<Flight<K, T, E>>) {
        let mut shard = self.shard(flight.key.hash);
        let (empty, waiting) = flight.give_up();
        if empty {
            shard.remove(flight);
        }
        drop(shard);
        if empty {
            self.landed();
        }
        wake_all(waiting);
    }

    /// A follower goes without an outcome.
    pub(super) fn leave(&self, flight: &Arc<Flight<K, T, E>>, place: &mut Option<Place>) {
        let mut shard = self.shard(flight.key.hash);
        let (empty, waker) = flight.leave(place);
        if empty {
            shard.remove(flight);
        }
        drop(shard);
        drop(waker);
        self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        if empty {
            self.landed();
        }
    }

    fn hashed(&self, key: K) -> Hashed<K> {
        Hashed { hash: self.hasher.hash_one(&key), key }
    }
}

impl<K: Hash + Eq, T, E> Shard<K, T, E> {
    fn holds(&self, flight: &Arc<Flight<K, T, E>>) -> bool {
        self.flights.get(&flight.key).is_some_and(|ByKey(known)| Arc::ptr_eq(known, flight))
    }

    /// Takes the flight out, unless another is in its place; the caller keeps it from being dropped
    /// here.
    fn remove(&mut self, flight: &Arc<Flight<K, T, E>>) {
        if self.holds(flight) {
            self.flights.remove(&flight.key);
        }
    }
}

impl<K, T, E> Bound for Table<K, T, E>
where
    K: Send + Sync + 'static,
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn snapshot(&self) -> Snapshot {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { high_water, waiting, led, shared, taken_over, negative_hits } = &self.counts;
        let mut snapshot = Snapshot {
            limit: self.settings.keys_max,
            in_use: load(&self.in_flight),
            high_water: load(high_water),
            waiting: load(waiting),
            admitted: load(led),
            details: vec![
                ("shared", load(shared)),
                ("taken_over", load(taken_over)),
                ("negative_hits", load(negative_hits)),
            ],
            ..Snapshot::new(self.settings.name, Kind::Singleflight)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

fn wake_all(mut waiting: Waiters<Waker>) {
    waiting.call_unless(|waker| {
        waker.wake_by_ref();
        false
    });
}

/// A key and its hash, so that it is hashed once.
pub(super) struct Hashed<K> {
    hash: u64,
    key: K,
}

impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Eq> PartialEq for Hashed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.key == other.key
    }
}

impl<K: Eq> Eq for Hashed<K> {}

/// A flight, found by its key.
struct ByKey<K, T, E>(Arc<Flight<K, T, E>>);

impl<K, T, E> Borrow<Hashed<K>> for ByKey<K, T, E> {
    fn borrow(&self) -> &Hashed<K> {
        &self.0.key
    }
}

impl<K, T, E> Hash for ByKey<K, T, E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl<K: Eq, T, E> PartialEq for ByKey<K, T, E> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl<K: Eq, T, E> Eq for ByKey<K, T, E> {}

/// Hashes a hash: by leaving it alone.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only hashes are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
