//! What all clones of a keyed limiter share.
//!
//! # Invariants
//! - The sum of the shards' entries is never above `places`, and that never above `keys_max`: a place
//!   is taken before a key is inserted, and given back after one was removed. One that is evicted
//!   hands its place on.
//! - A limiter is asked whether it can be forgotten only under its shard's lock, by which alone new
//!   handles of it are made.
//! - Under a shard's lock runs: `Eq` of the key, and the limiter's `try_acquire_owned_at`,
//!   `is_forgettable` and `clone`. The factory, `Hash`, `Display` and every drop run outside of it.
//!
//! # Lock order
//! One shard's lock at a time, and no other.

use std::borrow::Borrow;
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::label::label;
use super::shard::{Counts, Entry, Shard};
use crate::clock::Instant;
use crate::limiter::Limiter;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::{Invalid, Name, Reason, Rejected};

/// One in so many operations on a shard sweeps.
const SWEEP_EVERY: u32 = 64;
/// How many keys are looked at then.
const SWEEP_LOOKS: usize = 8;
/// How many keys are looked at, at the most, to find a place for a new one.
const EVICT_LOOKS: usize = 128;
/// More shards than this spread no further.
const SHARDS_MAX: usize = 64;
/// With fewer keys than this to a shard it is not worth its memory.
const KEYS_PER_SHARD_MIN: usize = 64;

pub(super) type Factory<K, L> = Box<dyn Fn(&K) -> Result<L, Invalid> + Send + Sync>;

pub(super) struct Table<K, L, S> {
    /// A power of two of them.
    shards: Box<[Locked<K, L>]>,
    hasher: S,
    factory: Factory<K, L>,
    keys_max: usize,
    idle_after: Duration,
    places: AtomicUsize,
    places_high: AtomicUsize,
    /// The shard to be swept next.
    hand: AtomicUsize,
    waiting: AtomicU64,
    evicted: AtomicU64,
    forgotten: AtomicU64,
    keys_full: AtomicU64,
    misconfigured: AtomicU64,
    /// Admitted and rejected without a shard's lock.
    aside: [AtomicU64; 2],
    last_invalid: Mutex<Option<Invalid>>,
    pub(super) name: Name,
    _registration: Registration,
}

/// On cache lines of its own, so that shards do not slow each other down.
#[repr(align(128))]
struct Locked<K, L>(Mutex<Shard<K, L>>);

/// What a table is made of, checked.
pub(super) struct Settings<K, L, S> {
    pub(super) name: Name,
    pub(super) factory: Factory<K, L>,
    pub(super) keys_max: usize,
    pub(super) idle_after: Duration,
    pub(super) hasher: S,
}

/// A place for one more key, given back unless it is [filled](Place::fill).
struct Place<'a>(Option<&'a AtomicUsize>);

impl Place<'_> {
    fn fill(mut self) {
        self.0 = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(places) = self.0 {
            places.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<K, L: Limiter, S> Table<K, L, S> {
    pub(super) fn new(settings: Settings<K, L, S>, registration: Registration) -> Self {
        let Settings { name, factory, keys_max, idle_after, hasher } = settings;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards =
            (4 * threads).min(keys_max / KEYS_PER_SHARD_MIN).clamp(1, SHARDS_MAX).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Locked(Mutex::new(Shard::new()))).collect(),
            hasher,
            factory,
            keys_max,
            idle_after,
            places: AtomicUsize::new(0),
            places_high: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            waiting: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            keys_full: AtomicU64::new(0),
            misconfigured: AtomicU64::new(0),
            aside: [AtomicU64::new(0), AtomicU64::new(0)],
            last_invalid: Mutex::new(None),
            name,
            _registration: registration,
        }
    }

    pub(super) const fn keys_max(&self) -> usize {
        self.keys_max
    }

    pub(super) fn len(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> &AtomicU64 {
        &self.waiting
    }

    pub(super) fn last_invalid(&self) -> Option<Invalid> {
        self.last_invalid.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls `f` with the limiter of `key`, under its shard's lock; makes it if there is none.
    #[inline]
    pub(super) fn visit<Q, R>(
        &self,
        key: &Q,
        now: Instant,
        f: impl FnOnce(&Entry<K, L>, &mut Counts) -> R,
    ) -> Result<R, Rejected>
    where
        K: Borrow<Q> + Display,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.lock(self.home(hash));
        let Some((entry, counts)) = shard.find(hash, key, now) else {
            drop(shard);
            return self.visit_new(key, hash, now, f);
        };
        let visited = f(entry, counts);
        let sweeps = shard.is_due(SWEEP_EVERY);
        drop(shard);
        if sweeps {
            self.sweep_a_little(now);
        }
        Ok(visited)
    }

    #[cold]
    fn visit_new<Q, R>(
        &self,
        key: &Q,
        hash: u64,
        now: Instant,
        f: impl FnOnce(&Entry<K, L>, &mut Counts) -> R,
    ) -> Result<R, Rejected>
    where
        K: Borrow<Q> + Display,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let owned = key.to_owned();
        let label = label(&owned);
        self.sweep_a_little(now);
        let Some(place) = self.take_place(hash, now) else {
            self.keys_full.fetch_add(1, Ordering::Relaxed);
            let keys = self.keys_max as u64;
            return Err(Rejected::new(self.name, Reason::KeysFull).with_key(label).with_use(keys, keys, 0));
        };
        let limiter = match (self.factory)(&owned) {
            Ok(limiter) => limiter,
            Err(invalid) => {
                self.misconfigured.fetch_add(1, Ordering::Relaxed);
                *self.last_invalid.lock().unwrap_or_else(PoisonError::into_inner) = Some(invalid);
                return Err(Rejected::new(self.name, Reason::Misconfigured).with_key(label));
            }
        };
        let entry = Entry::new(owned, label, limiter, hash, now);
        let mut shard = self.lock(self.home(hash));
        // Somebody else may have made it in the meantime; then this one was never used.
        if let Some((known, counts)) = shard.find(hash, key, now) {
            let visited = f(known, counts);
            drop(shard);
            drop(place);
            return Ok(visited);
        }
        place.fill();
        let (entry, counts) = shard.insert(entry);
        Ok(f(entry, counts))
    }

    /// A place for one more key: a free one, or that of a key that can be forgotten.
    fn take_place(&self, hash: u64, now: Instant) -> Option<Place<'_>> {
        let free = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
            (places < self.keys_max).then_some(places + 1)
        });
        if let Ok(before) = free {
            self.places_high.fetch_max(before + 1, Ordering::Relaxed);
            return Some(Place(Some(&self.places)));
        }
        let home = self.home(hash);
        let mut looks = EVICT_LOOKS;
        for step in 0..self.shards.len() {
            let gone = self.lock((home + step) % self.shards.len()).evict(now, &mut looks);
            if gone.is_some() {
                self.evicted.fetch_add(1, Ordering::Relaxed);
                return Some(Place(Some(&self.places)));
            }
            if looks == 0 {
                break;
            }
        }
        None
    }

    /// Looks at a few keys of the shard whose turn it is, unless somebody is at it.
    #[cold]
    fn sweep_a_little(&self, now: Instant) {
        let turn = self.hand.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let mut shard = match self.shards[turn].0.try_lock() {
            Ok(shard) => shard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let gone = shard.sweep(now, self.idle_after, SWEEP_LOOKS);
        drop(shard);
        self.forget(&gone);
    }

    /// Looks at every key, shard by shard.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut swept = 0;
        for turn in 0..self.shards.len() {
            let gone = self.lock(turn).sweep(now, self.idle_after, usize::MAX);
            self.forget(&gone);
            swept += gone.len();
        }
        swept
    }

    fn forget(&self, gone: &[Entry<K, L>]) {
        if !gone.is_empty() {
            self.places.fetch_sub(gone.len(), Ordering::Relaxed);
            self.forgotten.fetch_add(gone.len() as u64, Ordering::Relaxed);
        }
    }

    /// The same rejection in the name of this table and of the key.
    pub(super) fn name_it(&self, rejected: &Rejected, label: &Arc<str>) -> Rejected {
        name_it(self.name, rejected, label)
    }

    /// Counts an admission or a rejection that was not made under a shard's lock.
    pub(super) fn count(&self, admitted: bool) {
        self.aside[usize::from(!admitted)].fetch_add(1, Ordering::Relaxed);
    }

    fn home(&self, hash: u64) -> usize {
        // Not the bits that the shard's own table goes by: the lowest and the highest.
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard<K, L>> {
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same rejection, by `name` and for the key that is shown as `label`.
pub(super) fn name_it(name: Name, rejected: &Rejected, label: &Arc<str>) -> Rejected {
    let named = Rejected::new(name, rejected.reason()).with_key(label.clone()).with_use(
        rejected.limit(),
        rejected.in_use(),
        rejected.waiting(),
    );
    match rejected.retry_after() {
        Some(after) => named.with_retry_after(after),
        None => named,
    }
}

impl<K: Send + 'static, L: Limiter, S: Send + Sync + 'static> Bound for Table<K, L, S> {
    fn snapshot(&self) -> Snapshot {
        let keys_full = self.keys_full.load(Ordering::Relaxed);
        let misconfigured = self.misconfigured.load(Ordering::Relaxed);
        let [admitted, rejected] = &self.aside;
        let mut snapshot = Snapshot {
            limit: self.keys_max as u64,
            in_use: self.len() as u64,
            high_water: self.places_high.load(Ordering::Relaxed) as u64,
            waiting: self.waiting.load(Ordering::Relaxed),
            admitted: admitted.load(Ordering::Relaxed),
            rejected: rejected.load(Ordering::Relaxed) + keys_full + misconfigured,
            details: vec![
                ("evicted", self.evicted.load(Ordering::Relaxed)),
                ("forgotten", self.forgotten.load(Ordering::Relaxed)),
                ("keys_full", keys_full),
                ("misconfigured", misconfigured),
            ],
            ..Snapshot::new(self.name, Kind::Keyed)
        };
        for shard in 0..self.shards.len() {
            let counts = self.lock(shard).counts;
            snapshot.admitted += counts.admitted;
            snapshot.rejected += counts.rejected;
        }
        snapshot
    }
}
