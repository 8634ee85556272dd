//! What all clones of a keyed limiter share.
//!
//! # Invariants
//! - The sum of the shards' entries is never above `places`, and that never above `keys_max`: a place
//!   is taken before a key is inserted, and given back after one was removed. One that is evicted
//!   hands its place on.
//! - A limiter is asked whether it can be forgotten only under its shard's lock, by which alone new
//!   handles of it are made.
//! - Under a shard's lock runs: `Eq` of the key, and the limiter's `try_acquire_owned_at`,
//!   `is_forgettable`, `clone` and `would_reject`. The factory, `Hash`, `Display`, every drop and every
//!   change of the enforced ratio, which wakes whoever waits, run outside of it.
//!
//! - A key has the table's enforced ratio: it is stored before the shards are gone through, and a new
//!   key is inserted only if it was given the one that is found under its shard's lock.
//!
//! # Lock order
//! One shard's lock at a time, and no other.

use std::borrow::Borrow;
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use super::shard::{Counts, Entry, Shard};
use crate::clock::Instant;
use crate::counters::Counters;
use crate::label::label;
use crate::limiter::{Limiter, Observable};
use crate::observe::Enforcement;
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
    evicted: AtomicU64,
    forgotten: AtomicU64,
    pub(super) aside: Arc<Aside>,
    enforcement: Enforcement,
    /// Set by the first who sets the enforced ratio.
    rollout: OnceLock<Rollout<L>>,
    last_invalid: Mutex<Option<Invalid>>,
    pub(super) name: Name,
    _registration: Registration,
}

/// What is counted without a shard's lock; shared with the handles of keys.
pub(super) struct Aside {
    pub(super) waiting: AtomicU64,
    admitted: AtomicU64,
    /// Rejections, and how long was waited.
    pub(super) counters: Counters,
}

impl Aside {
    const fn new() -> Self {
        Self { waiting: AtomicU64::new(0), admitted: AtomicU64::new(0), counters: Counters::new() }
    }

    /// Counts what was decided.
    pub(super) fn count<T>(&self, decided: &Result<T, Rejected>) {
        match decided {
            Ok(_) => drop(self.admitted.fetch_add(1, Ordering::Relaxed)),
            Err(rejected) => self.counters.reject(rejected.reason()),
        }
    }
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
    pub(super) enforcement: Enforcement,
    pub(super) rollout: Option<Rollout<L>>,
}

/// How the enforced ratio of a limiter is set and what it waived, known where it is known that it is
/// observable.
pub(super) struct Rollout<L> {
    set: fn(&L, f64),
    would_reject: fn(&L) -> u64,
}

impl<L: Observable> Rollout<L> {
    pub(super) fn new() -> Self {
        // The ratio was checked: an implementor that refuses it all the same keeps its own.
        let set = |limiter: &L, ratio| drop(limiter.rebase_enforced_ratio(ratio));
        Self { set, would_reject: L::would_reject }
    }
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
        let Settings { name, factory, keys_max, idle_after, hasher, enforcement, rollout } = settings;
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
            evicted: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            aside: Arc::new(Aside::new()),
            enforcement,
            rollout: rollout.map_or_else(OnceLock::new, OnceLock::from),
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
            self.aside.counters.reject(Reason::KeysFull);
            let keys = self.keys_max as u64;
            return Err(Rejected::new(self.name, Reason::KeysFull).with_key(label).with_use(keys, keys, 0));
        };
        let limiter = match (self.factory)(&owned) {
            Ok(limiter) => limiter,
            Err(invalid) => {
                self.aside.counters.reject(Reason::Misconfigured);
                *self.last_invalid.lock().unwrap_or_else(PoisonError::into_inner) = Some(invalid);
                return Err(Rejected::new(self.name, Reason::Misconfigured).with_key(label));
            }
        };
        let entry = Entry::new(owned, label, limiter, hash, now);
        let mut shard = loop {
            let given = self.give_ratio(&entry.limiter);
            let shard = self.lock(self.home(hash));
            if given == self.ratio_to_give() {
                break shard;
            }
        };
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
            let mut shard = self.lock((home + step) % self.shards.len());
            let gone = shard.evict(now, &mut looks);
            self.keep_counts(&mut shard, gone.as_slice());
            drop(shard);
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
        self.keep_counts(&mut shard, &gone);
        drop(shard);
        self.forget(&gone);
    }

    /// Looks at every key, shard by shard.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut swept = 0;
        for turn in 0..self.shards.len() {
            let mut shard = self.lock(turn);
            let gone = shard.sweep(now, self.idle_after, usize::MAX);
            self.keep_counts(&mut shard, &gone);
            drop(shard);
            self.forget(&gone);
            swept += gone.len();
        }
        swept
    }

    /// Keeps what those that leave have counted.
    fn keep_counts(&self, shard: &mut Shard<K, L>, gone: &[Entry<K, L>]) {
        if let Some(rollout) = self.rollout.get() {
            shard.counts.would_reject +=
                gone.iter().map(|entry| (rollout.would_reject)(&entry.limiter)).sum::<u64>();
        }
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

    pub(super) fn enforced_ratio(&self) -> f64 {
        self.enforcement.ratio()
    }

    /// Gives a new limiter the enforced ratio, and says which, if one was ever set.
    fn give_ratio(&self, limiter: &L) -> Option<u64> {
        let rollout = self.rollout.get()?;
        let ratio = self.enforcement.ratio();
        (rollout.set)(limiter, ratio);
        Some(ratio.to_bits())
    }

    fn ratio_to_give(&self) -> Option<u64> {
        self.rollout.get().map(|_| self.enforcement.ratio().to_bits())
    }

    /// Gives every key, also those to come, this enforced ratio.
    pub(super) fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid>
    where
        L: Observable,
    {
        self.enforcement.set_ratio(self.name, ratio)?;
        let rollout = self.rollout.get_or_init(Rollout::new);
        loop {
            let ratio = self.enforcement.ratio();
            for shard in 0..self.shards.len() {
                let limiters: Vec<L> = self.lock(shard).limiters().cloned().collect();
                // Outside of the lock: it wakes whoever is let through.
                for limiter in &limiters {
                    (rollout.set)(limiter, ratio);
                }
            }
            // Somebody else may have set it in the meantime, and gone by before this one.
            if ratio.to_bits() == self.enforcement.ratio().to_bits() {
                return Ok(());
            }
        }
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
        let mut snapshot = Snapshot {
            limit: self.keys_max as u64,
            in_use: self.len() as u64,
            high_water: self.places_high.load(Ordering::Relaxed) as u64,
            waiting: self.aside.waiting.load(Ordering::Relaxed),
            admitted: self.aside.admitted.load(Ordering::Relaxed),
            details: vec![
                ("evicted", self.evicted.load(Ordering::Relaxed)),
                ("forgotten", self.forgotten.load(Ordering::Relaxed)),
            ],
            ..Snapshot::new(self.name, Kind::Keyed)
        };
        self.aside.counters.show(&mut snapshot);
        let mut rejected = [0; Reason::ALL.len()];
        for (reason, count) in snapshot.rejected_by.drain(..) {
            rejected[reason as usize] += count;
        }
        for shard in 0..self.shards.len() {
            let shard = self.lock(shard);
            let counts = shard.counts;
            snapshot.admitted += counts.admitted;
            rejected.iter_mut().zip(counts.rejected).for_each(|(sum, count)| *sum += count);
            snapshot.would_reject += counts.would_reject;
            if let Some(rollout) = self.rollout.get() {
                snapshot.would_reject += shard.limiters().map(rollout.would_reject).sum::<u64>();
            }
        }
        let by = Reason::ALL.into_iter().zip(rejected);
        snapshot.rejected_by = by.filter(|(_, count)| *count > 0).collect();
        snapshot.rejected = rejected.iter().sum();
        snapshot
    }
}
