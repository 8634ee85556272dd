//! Every named bound of the process, so that an operator can see them.
//!
//! # Invariants
//! - A bound updates its own counters; the registry holds a weak reference and reads them when it
//!   is asked for a [`snapshot`]. Nothing is locked when work is admitted, rejected or finished.
//! - A bound leaves the registry when its last handle is dropped, by the drop of its
//!   [`Registration`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, Weak};

pub use crate::counters::WaitTimes;
use crate::{Name, Reason};

static BOUNDS: Mutex<Bounds> = Mutex::new(Bounds { next: 0, entries: BTreeMap::new() });

struct Bounds {
    next: u64,
    // Bounded by what the program builds: a keyed limiter is one entry, whatever its keys.
    entries: BTreeMap<u64, Weak<dyn Bound>>,
}

/// What a named limiter, queue, group or pool shows of itself.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
/// use plimsoll::Name;
/// use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
///
/// /// So many uploads are open; a bound of the program's own.
/// struct Uploads { open: AtomicU64, _registration: Registration }
///
/// impl Bound for Uploads {
///     fn snapshot(&self) -> Snapshot {
///         let mut snapshot = Snapshot::new(Name::UNNAMED, Kind::Custom);
///         snapshot.limit = 100;
///         snapshot.in_use = self.open.load(Relaxed);
///         snapshot
///     }
/// }
/// let uploads = Arc::new_cyclic(|us: &std::sync::Weak<Uploads>| {
///     Uploads { open: AtomicU64::new(3), _registration: registry::register(us.clone()) }
/// });
/// uploads.open.fetch_add(1, Relaxed);
/// assert!(registry::snapshot().iter().any(|seen| (seen.limit, seen.in_use) == (100, 4)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Bound: Send + Sync + 'static {
    /// The numbers as they are now; read without stopping anybody, so they may be a few
    /// operations apart from one another.
    ///
    /// ```
    /// use plimsoll::{Name, registry::{Bound, Kind, Snapshot}};
    /// /// How deep the disk's queue is.
    /// struct Disk(u64);
    /// impl Bound for Disk {
    ///     fn snapshot(&self) -> Snapshot {
    ///         let mut snapshot = Snapshot::new(Name::UNNAMED, Kind::Custom);
    ///         (snapshot.limit, snapshot.in_use) = (32, self.0);
    ///         snapshot
    ///     }
    /// }
    /// assert_eq!((Disk(5).snapshot().limit, Disk(5).snapshot().in_use), (32, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn snapshot(&self) -> Snapshot;
}

/// What kind of bound it is.
///
/// ```
/// use plimsoll::{registry::{self, Kind}, semaphore::Semaphore};
/// let uploads = Semaphore::builder("kind-doc").limit(16).build()?;
/// let all = registry::snapshot();
/// let ours = all.iter().find(|seen| seen.name.as_str() == "kind-doc").unwrap();
/// assert_eq!((ours.kind, ours.kind.as_str()), (Kind::Semaphore, "semaphore"));
/// # drop(uploads);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A [`Semaphore`](crate::semaphore::Semaphore).
    Semaphore,
    /// A [`RateLimiter`](crate::rate::RateLimiter).
    Rate,
    /// A [`Keyed`](crate::keyed::Keyed) limiter.
    Keyed,
    /// A [`Breaker`](crate::breaker::Breaker).
    Breaker,
    /// A [retry budget](crate::retry::Budget).
    RetryBudget,
    /// A [`Group`](crate::group::Group).
    Group,
    /// A [`Pool`](crate::pool::Pool).
    Pool,
    /// A [`Leaky`](crate::rate::Leaky) bucket.
    Leaky,
    /// A [`Sliding`](crate::rate::Sliding) window.
    Sliding,
    /// An [`Adaptive`](crate::adaptive::Adaptive) limiter.
    Adaptive,
    /// A [`Shed`](crate::shed::Shed) queue.
    Shed,
    /// A [`Budget`](crate::budget::Budget) of shares.
    Budget,
    /// A [`map`](mod@crate::map).
    Map,
    /// A [`Fair`](crate::fair::Fair) queue.
    Fair,
    /// A [`Merge`](crate::merge::Merge).
    Merge,
    /// A [`Pipeline`](crate::pipeline::Pipeline).
    Pipeline,
    /// A [`Hedge`](crate::hedge::Hedge).
    Hedge,
    /// A [`Singleflight`](crate::singleflight::Singleflight).
    Singleflight,
    /// A [`Downstream`](crate::downstream::Downstream).
    Downstream,
    /// A bound of the program's own making.
    Custom,
}

impl Kind {
    /// A short, stable word for metrics and logs.
    ///
    /// ```
    /// use plimsoll::registry::Kind;
    /// assert_eq!((Kind::Semaphore.as_str(), Kind::Custom.as_str()), ("semaphore", "custom"));
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Semaphore => "semaphore",
            Self::Rate => "rate",
            Self::Keyed => "keyed",
            Self::Breaker => "breaker",
            Self::RetryBudget => "retry_budget",
            Self::Group => "group",
            Self::Pool => "pool",
            Self::Leaky => "leaky",
            Self::Sliding => "sliding",
            Self::Adaptive => "adaptive",
            Self::Shed => "shed",
            Self::Budget => "budget",
            Self::Map => "map",
            Self::Fair => "fair",
            Self::Merge => "merge",
            Self::Pipeline => "pipeline",
            Self::Hedge => "hedge",
            Self::Singleflight => "singleflight",
            Self::Downstream => "downstream",
            Self::Custom => "custom",
        }
    }
}

/// The numbers of one bound at one moment.
///
/// ```
/// use plimsoll::{Reason, semaphore::Semaphore};
/// let uploads = Semaphore::builder("uploads").limit(2).build()?;
/// let both = uploads.try_acquire_many(2)?;
/// assert!(uploads.try_acquire().is_err());
/// let seen = uploads.snapshot();
/// assert_eq!((seen.limit, seen.in_use, seen.high_water), (2, 2, 2));
/// assert_eq!((seen.admitted, seen.rejected_by), (1, vec![(Reason::Full, 1)]));
/// # drop(both);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name it was built with.
    pub name: Name,
    /// What kind of bound it is.
    pub kind: Kind,
    /// The limit in force, in the unit of the bound (permits, keys, queued jobs); 0 means that
    /// nothing is admitted, [`NO_LIMIT`](Self::NO_LIMIT) that everything is.
    pub limit: u64,
    /// How much of the limit is in use.
    pub in_use: u64,
    /// The most that was ever in use at once.
    pub high_water: u64,
    /// How many wait for admission.
    pub waiting: u64,
    /// How many were admitted since it was built.
    pub admitted: u64,
    /// How many were rejected since it was built.
    pub rejected: u64,
    /// Of those, how many for each reason; only reasons that came up.
    pub rejected_by: Vec<(Reason, u64)>,
    /// How many it let through that it would have rejected, or made to wait, while it
    /// [observes](crate::limiter::Observable).
    pub would_reject: u64,
    /// How long those waited that had to, and were admitted.
    pub waits: WaitTimes,
    /// What only this kind of bound has, by name: `("open", 1)`, `("dead_letters", 3)`.
    pub details: Vec<(&'static str, u64)>,
}

impl Snapshot {
    /// The [`limit`](Self::limit) of what has none: an unlimited rate, a breaker that is closed. Show it
    /// as such and not as a number.
    ///
    /// ```
    /// use plimsoll::{breaker::{Breaker, Policy}, registry::Snapshot};
    /// let bank = Breaker::new(Policy::ratio(0.5))?;
    /// assert_eq!(bank.snapshot().limit, Snapshot::NO_LIMIT);
    /// bank.force_open();
    /// assert_eq!(bank.snapshot().limit, 0);
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub const NO_LIMIT: u64 = u64::MAX;

    /// A snapshot with every number zero, to be filled in.
    ///
    /// ```
    /// use plimsoll::{Name, registry::{Kind, Snapshot}};
    /// let mut seen = Snapshot::new(Name::new("cache")?, Kind::Custom);
    /// seen.details.push(("hits", 12));
    /// assert_eq!((seen.limit, seen.rejected, seen.details.len()), (0, 0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(name: Name, kind: Kind) -> Self {
        Self {
            name,
            kind,
            limit: 0,
            in_use: 0,
            high_water: 0,
            waiting: 0,
            admitted: 0,
            rejected: 0,
            rejected_by: Vec::new(),
            would_reject: 0,
            waits: WaitTimes::NONE,
            details: Vec::new(),
        }
    }
}

/// A place in the registry; dropping it takes the bound out.
///
/// ```
/// use plimsoll::{registry, semaphore::Semaphore};
/// let is_seen = || registry::snapshot().iter().any(|seen| seen.name.as_str() == "registration-doc");
/// let uploads = Semaphore::builder("registration-doc").limit(16).build()?; // keeps its registration
/// assert!(is_seen());
/// drop(uploads);
/// assert!(!is_seen());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it takes the bound out of the registry"]
pub struct Registration {
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The weak reference may be the last thing that keeps the bound's memory: let it go unlocked.
        let removed = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&self.id);
        drop(removed);
    }
}

/// Puts a bound into the registry for as long as the [`Registration`] lives.
///
/// The bound keeps its own registration (built with [`Arc::new_cyclic`](std::sync::Arc::new_cyclic)).
///
/// ```
/// use std::sync::{Arc, Weak};
/// use plimsoll::Name;
/// use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
///
/// struct Cache { name: Name, _registration: Registration }
///
/// impl Bound for Cache {
///     fn snapshot(&self) -> Snapshot {
///         Snapshot::new(self.name, Kind::Custom)
///     }
/// }
/// let name = Name::new("register-doc")?;
/// let cache = Arc::new_cyclic(|cache: &Weak<Cache>| {
///     Cache { name, _registration: registry::register(cache.clone()) }
/// });
/// assert!(registry::snapshot().iter().any(|seen| seen.name == name));
/// drop(cache);
/// assert!(!registry::snapshot().iter().any(|seen| seen.name == name));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn register(bound: Weak<dyn Bound>) -> Registration {
    let mut bounds = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    let id = bounds.next;
    bounds.next += 1;
    bounds.entries.insert(id, bound);
    Registration { id }
}

/// The numbers of every registered bound, oldest first.
///
/// Takes the registry's lock only to copy the references; costs a bound nothing.
///
/// ```
/// use plimsoll::{registry, semaphore::Semaphore};
/// let uploads = Semaphore::builder("snapshot-doc").limit(16).build()?;
/// let permit = uploads.try_acquire_many(5)?;
/// let used: Vec<String> = registry::snapshot()
///     .iter()
///     .filter(|seen| seen.in_use > 0)
///     .map(|seen| format!("{} {}: {} of {}", seen.kind.as_str(), seen.name, seen.in_use, seen.limit))
///     .collect();
/// assert!(used.contains(&"semaphore snapshot-doc: 5 of 16".into()));
/// # drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn snapshot() -> Vec<Snapshot> {
    let bounds: Vec<_> = {
        let bounds = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        bounds.entries.values().filter_map(Weak::upgrade).collect()
    };
    // Read outside the lock: the last handle of a bound may be dropped here, which unregisters it.
    bounds.iter().map(|bound| bound.snapshot()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Fixed {
        name: Name,
        _registration: Registration,
    }

    impl Bound for Fixed {
        fn snapshot(&self) -> Snapshot {
            Snapshot { limit: 7, ..Snapshot::new(self.name, Kind::Custom) }
        }
    }

    fn fixed(name: &str) -> Arc<Fixed> {
        let name = Name::new(name).unwrap();
        Arc::new_cyclic(|weak: &Weak<Fixed>| Fixed { name, _registration: register(weak.clone()) })
    }

    fn seen(name: &str) -> usize {
        snapshot().iter().filter(|bound| bound.name.as_str() == name).count()
    }

    #[test]
    fn a_bound_is_seen_until_its_last_handle_is_dropped() {
        let first = fixed("registry-test-seen");
        let second = fixed("registry-test-seen");
        assert_eq!(seen("registry-test-seen"), 2);
        drop(first);
        assert_eq!(seen("registry-test-seen"), 1);
        drop(second);
        assert_eq!(seen("registry-test-seen"), 0);
    }
}
