//! The keyed limiter as its users hold it.

use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::builder::Builder;
use super::table::{Aside, Table, name_it};
use crate::clock::{self, Instant};
use crate::limiter::{IntoLimiter, Limiter, Observable, Waiting};
use crate::registry::{Bound, Snapshot};
use crate::{Invalid, Name, Rejected};

/// A limiter for each key, with a maximum of keys; a cheap handle, whose clones share one state.
///
/// See the [module](crate::keyed) for what is forgotten and when.
///
/// ```
/// use plimsoll::{Reason, keyed::Keyed, semaphore::Semaphore};
/// let tenants = Keyed::builder("two-tenants", |_: &String| Semaphore::new(1)).keys_max(2).build()?;
/// let (acme, globex) = (tenants.try_acquire("acme")?, tenants.try_acquire("globex")?);
/// assert_eq!(tenants.try_acquire("initech").unwrap_err().reason(), Reason::KeysFull);
/// drop(acme); // a key that nobody uses makes room
/// assert!(tenants.try_acquire("initech").is_ok());
/// # drop(globex);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Keyed<K, L, S = RandomState>(pub(super) Arc<Table<K, L, S>>);

impl<K, L, S> Clone for Keyed<K, L, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, L> Keyed<K, L> {
    /// Begins a keyed limiter that an operator sees under `name`. `factory` makes the limiter of a
    /// key that is not known (or was forgotten): it should depend on nothing but the key and its
    /// settings.
    ///
    /// It may return a limiter or a `Result<_, Invalid>`; after an error the key is rejected with
    /// [`Reason::Misconfigured`](crate::Reason::Misconfigured) and is not remembered, and
    /// [`last_invalid`](Self::last_invalid) tells what was wrong. It runs outside of every lock, and
    /// may run twice for one key when two callers are the first, of which one is used.
    ///
    /// ```
    /// use plimsoll::keyed::Keyed;
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let addresses = Keyed::builder("builder-doc", |_: &std::net::IpAddr| {
    ///     RateLimiter::new(Quota::per_minute(60).burst(2))
    /// })
    /// .keys_max(1_000)
    /// .build()?;
    /// let home = std::net::IpAddr::from([127, 0, 0, 1]);
    /// assert!(addresses.try_acquire(&home).is_ok() && addresses.try_acquire(&home).is_ok());
    /// assert!(addresses.try_acquire(&home).is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn builder<R>(name: &str, factory: impl Fn(&K) -> R + Send + Sync + 'static) -> Builder<K, L>
    where
        R: IntoLimiter<Limiter = L>,
    {
        Builder::new(name, Box::new(move |key| factory(key).into_limiter()))
    }
}

/// Seeing and sweeping.
impl<K: Send + 'static, L: Limiter, S: Send + Sync + 'static> Keyed<K, L, S> {
    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-name", |_: &u64| Semaphore::new(1)).build()?;
    /// assert_eq!(tenants.name().as_str(), "keyed-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// How many keys are remembered.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-len", |_: &u64| Semaphore::new(1)).build()?;
    /// drop((tenants.try_acquire(&1)?, tenants.try_acquire(&2)?));
    /// assert_eq!(tenants.len(), 2); // remembered until they were idle for a while
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when no key is remembered.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-empty", |_: &u64| Semaphore::new(1)).build()?;
    /// assert!(tenants.is_empty());
    /// drop(tenants.try_acquire(&1)?);
    /// assert!(!tenants.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys are remembered at the most.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-keys-max", |_: &u64| Semaphore::new(1)).keys_max(100_000).build()?;
    /// assert_eq!(tenants.keys_max(), 100_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn keys_max(&self) -> usize {
        self.0.keys_max()
    }

    /// Why the factory last made no limiter for a key.
    ///
    /// ```
    /// use plimsoll::{Reason, keyed::Keyed, semaphore::Semaphore};
    /// let plans = Keyed::builder("plans", |plan: &u64| Semaphore::new(*plan)).build()?;
    /// assert_eq!(plans.try_acquire(&0).unwrap_err().reason(), Reason::Misconfigured);
    /// assert_eq!(plans.last_invalid().unwrap().field(), "limit");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn last_invalid(&self) -> Option<Invalid> {
        self.0.last_invalid()
    }

    /// The numbers as they are now: the limit and what is in use are keys, admitted and rejected are
    /// of all keys together. What would have been rejected is the sum over the limiters of the keys, also
    /// of those that are forgotten. It takes the lock of each shard for a moment.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-snapshot", |_: &u64| Semaphore::new(1)).keys_max(100).build()?;
    /// let permit = tenants.try_acquire(&1)?;
    /// assert!(tenants.try_acquire(&1).is_err());
    /// let now = tenants.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted, now.rejected), (100, 1, 1, 1)); // of keys: one of 100
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Forgets every key that was idle for long enough, now, and says how many they were. Idle keys
    /// leave without it where there is traffic.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("swept", |_: &u64| Semaphore::new(1))
    ///     .idle_after(Duration::from_nanos(1))
    ///     .build()?;
    /// let busy = tenants.try_acquire(&1)?;
    /// drop(tenants.try_acquire(&2)?);
    /// # std::thread::sleep(Duration::from_millis(1));
    /// assert_eq!((tenants.sweep(), tenants.len()), (1, 1), "the key in use stays");
    /// # drop(busy);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self) -> usize {
        self.0.sweep(clock::now())
    }
}

/// Trying limits out.
impl<K: Send + 'static, L: Observable, S: Send + Sync + 'static> Keyed<K, L, S> {
    /// From now on every key, also one that is yet to come, counts what it would reject, and admits
    /// everything.
    ///
    /// The maximum of keys, which protects memory, is always enforced.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("observe-doc", |_: &u32| Semaphore::new(1)).build()?;
    /// tenants.observe();
    /// let two = (tenants.try_acquire(&7)?, tenants.try_acquire(&7)?);
    /// assert_eq!(tenants.snapshot().would_reject, 1);
    /// tenants.set_enforced_ratio(1.0)?;
    /// assert!(tenants.try_acquire(&7).is_err());
    /// # drop(two);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(&self) {
        let set = self.set_enforced_ratio(0.0);
        debug_assert!(set.is_ok(), "zero is a share");
    }

    /// Which share of its rejections every key, also one that is yet to come, carries out: 0 observes
    /// only, 1 enforces. What single keys were set to is overwritten. It takes the lock of each shard
    /// for a moment.
    ///
    /// # Errors
    /// When `ratio` is not 0 to 1; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, rate::{Quota, RateLimiter}};
    /// let calls = Keyed::builder("calls", |_: &u64| RateLimiter::new(Quota::per_hour(1))).build()?;
    /// calls.set_enforced_ratio(0.0)?;
    /// assert!(calls.try_acquire(&1).is_ok() && calls.try_acquire(&1).is_ok());
    /// calls.set_enforced_ratio(1.0)?;
    /// assert!(calls.try_acquire(&1).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    /// The share that was set for all keys; 1 if none was.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-enforced", |_: &u64| Semaphore::new(1)).build()?;
    /// assert_eq!(tenants.enforced_ratio(), 1.0);
    /// tenants.set_enforced_ratio(0.1)?;
    /// assert_eq!(tenants.enforced_ratio(), 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }
}

/// By key. A key can be given as what it borrows as: `&str` for `String`.
impl<K, L, S> Keyed<K, L, S>
where
    K: Display + Send + 'static,
    L: Limiter,
    S: BuildHasher + Send + Sync + 'static,
{
    /// Admits or refuses for `key`, now.
    ///
    /// # Errors
    /// What the key's limiter says; [`Reason::KeysFull`](crate::Reason::KeysFull) when the key is new
    /// and every place is taken by one in use; [`Reason::Misconfigured`](crate::Reason::Misconfigured)
    /// when no limiter can be made for it. Each carries the key.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, rate::{Quota, RateLimiter}};
    /// let logins = Keyed::builder("logins", |_: &String| RateLimiter::new(Quota::per_minute(3))).build()?;
    /// for _ in 0..3 {
    ///     logins.try_acquire("ada")?;
    /// }
    /// let refused = logins.try_acquire("ada").unwrap_err();
    /// assert_eq!((refused.limiter().as_str(), refused.key()), ("logins", Some("ada")));
    /// assert!(logins.try_acquire("bob").is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<L::Permit, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.try_acquire_at(key, clock::now())
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller that has read the clock already.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, keyed::Keyed, rate::{Quota, RateLimiter}};
    /// let logins = Keyed::builder("logins-at", |_: &u64| RateLimiter::new(Quota::per_minute(1))).build()?;
    /// let now = clock::now();
    /// assert!(logins.try_acquire_at(&7, now).is_ok() && logins.try_acquire_at(&7, now).is_err());
    /// assert!(logins.try_acquire_at(&7, now.after(Duration::from_secs(60))).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_at<Q>(&self, key: &Q, now: Instant) -> Result<L::Permit, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let table = &*self.0;
        table.visit(key, now, |entry, counts| match entry.limiter.try_acquire_owned_at(now) {
            Ok(permit) => {
                counts.admitted += 1;
                Ok(permit)
            }
            Err(rejected) => {
                counts.rejected[rejected.reason() as usize] += 1;
                Err(table.name_it(&rejected, &entry.label))
            }
        })?
    }

    /// Waits until `key` is admitted.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire), but for what waiting helps against. It does not wait for a
    /// place among the keys.
    ///
    /// # Cancel safety
    /// That of the key's limiter: dropping the future leaves its line.
    ///
    /// # Fairness
    /// That of the key's limiter, within the key; keys do not wait for each other.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let shards = Keyed::builder("acquire-doc", |_: &u64| Semaphore::new(1)).build()?;
    /// let permit = shards.acquire(&7).await?;
    /// assert!(shards.try_acquire(&7).is_err());
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire<Q>(&self, key: &Q) -> Result<L::Permit, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        L: Waiting,
    {
        let began = clock::now();
        let (limiter, label) = self.visit(key, began)?;
        let aside = &*self.0.aside;
        let _waits = Waits::new(&aside.waiting);
        let mut acquiring = pin!(limiter.acquire_owned());
        let mut waited = false;
        let decided = poll_fn(|cx| {
            let polled = acquiring.as_mut().poll(cx);
            waited |= polled.is_pending();
            polled
        })
        .await;
        aside.count(&decided);
        if waited && decided.is_ok() {
            aside.counters.waited(clock::now() - began);
        }
        decided.map_err(|rejected| self.0.name_it(&rejected, &label))
    }

    /// The limiter of `key`, which is not forgotten while the handle is held.
    ///
    /// # Errors
    /// [`Reason::KeysFull`](crate::Reason::KeysFull) and
    /// [`Reason::Misconfigured`](crate::Reason::Misconfigured), as [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("handles", |_: &String| Semaphore::new(8)).build()?;
    /// let acme = tenants.get("acme")?;
    /// let permit = acme.limiter().try_acquire_many(5)?;
    /// assert_eq!((acme.key(), acme.limiter().available()), ("acme", 3));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Result<Handle<L>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (limiter, label) = self.visit(key, clock::now())?;
        Ok(Handle { limiter, label, name: self.0.name, aside: Arc::clone(&self.0.aside) })
    }

    /// The limiter of `key`, and the key as it is shown.
    fn visit<Q>(&self, key: &Q, now: Instant) -> Result<(L, Arc<str>), Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.0.visit(key, now, |entry, _| (entry.limiter.clone(), entry.label.clone()))
    }

    /// Changes the limiter of one key, whether the key is known yet or not.
    ///
    /// A key whose settings are not those that it was made with is **not forgotten**, since the
    /// change would be lost; it keeps its place until it has them again. This is for the few keys
    /// whose settings an operator changes while they are in use.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("update-doc", |_: &String| Semaphore::new(1)).build()?;
    /// tenants.update("acme", |limiter| limiter.resize(2))??;
    /// let two = (tenants.try_acquire("acme")?, tenants.try_acquire("acme")?);
    /// # drop(two);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<Q, R>(&self, key: &Q, change: impl FnOnce(&L) -> R) -> Result<R, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.visit(key, clock::now()).map(|(limiter, _)| change(&limiter))
    }
}

impl<K: Send + 'static, L: Limiter, S: Send + Sync + 'static> fmt::Debug for Keyed<K, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("name", &self.name())
            .field("keys", &self.len())
            .field("keys_max", &self.keys_max())
            .finish_non_exhaustive()
    }
}

/// The limiter of one key, made by [`Keyed::get`]: the key is not forgotten while this, or a clone
/// of the limiter, is held.
///
/// ```
/// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
/// let tenants = Keyed::builder("kept", |_: &String| Semaphore::new(1)).build()?;
/// let acme = tenants.get("acme")?; // of a session: looked up once
/// let permit = acme.try_acquire()?;
/// assert_eq!(acme.try_acquire().unwrap_err().to_string(), "kept acme: 1 of 1 in use, 0 waiting");
/// drop(permit);
/// assert!(acme.try_acquire().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle<L> {
    limiter: L,
    label: Arc<str>,
    name: Name,
    aside: Arc<Aside>,
}

impl<L: Limiter> Handle<L> {
    /// The limiter itself, whose rejections do not carry the key, and whose decisions are not counted
    /// among those of all keys.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("handle-limiter", |plan: &u64| Semaphore::new(*plan)).build()?;
    /// assert_eq!(tenants.get(&16)?.limiter().limit(), 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn limiter(&self) -> &L {
        &self.limiter
    }

    /// The key as it is shown: its first 64 characters.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("handle-key", |_: &String| Semaphore::new(1)).build()?;
    /// assert_eq!(tenants.get("acme")?.key(), "acme");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key(&self) -> &str {
        &self.label
    }

    /// Admits or refuses, now, without looking the key up.
    ///
    /// # Errors
    /// What the limiter says, with the key.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("handle-acquire", |_: &String| Semaphore::new(1)).build()?;
    /// let acme = tenants.get("acme")?;
    /// let permit = acme.try_acquire()?;
    /// assert_eq!(acme.try_acquire().unwrap_err().key(), Some("acme"));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Result<L::Permit, Rejected> {
        let decided = self.limiter.try_acquire_owned();
        self.aside.count(&decided);
        decided.map_err(|rejected| name_it(self.name, &rejected, &self.label))
    }
}

impl<L> fmt::Debug for Handle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("name", &self.name).field("key", &self.label).finish_non_exhaustive()
    }
}

/// One that waits, counted until it is dropped.
struct Waits<'a>(&'a AtomicU64);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
