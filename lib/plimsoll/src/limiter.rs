//! What every limiter can do, for code that is written over any of them.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use crate::{Invalid, Rejected, clock};

/// A bound that admits or refuses: a semaphore, a rate, a breaker, or one of your own.
///
/// This is what [`keyed::Keyed`](crate::keyed::Keyed) keeps one of per key. An implementor is a
/// **handle**: cloning it is cheap and all clones share one state (an `Arc` inside).
///
/// ```
/// use plimsoll::limiter::Limiter;
/// use plimsoll::semaphore::Semaphore;
///
/// fn admit<L: Limiter>(limiter: &L) -> Option<L::Permit> {
///     limiter.try_acquire_owned().ok()
/// }
/// let semaphore = Semaphore::new(1)?;
/// let permit = admit(&semaphore);
/// assert!(permit.is_some() && admit(&semaphore).is_none());
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
///
/// One of your own, of which [`Keyed`](crate::keyed::Keyed) then keeps one for each key: so many in all,
/// and never again.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
/// use plimsoll::{Name, Reason, Rejected, clock, keyed::Keyed, limiter::Limiter};
///
/// #[derive(Clone)]
/// struct Trial { left: Arc<AtomicU64> }
///
/// impl Limiter for Trial {
///     type Permit = ();
///
///     fn try_acquire_owned_at(&self, _now: clock::Instant) -> Result<(), Rejected> {
///         let taken = self.left.try_update(Relaxed, Relaxed, |left| left.checked_sub(1));
///         taken.map(drop).map_err(|_| Rejected::new(Name::UNNAMED, Reason::Full).with_use(3, 3, 0))
///     }
///
///     fn is_forgettable(&self, _now: clock::Instant) -> bool {
///         Arc::strong_count(&self.left) == 1 && self.left.load(Relaxed) == 3
///     }
/// }
///
/// let trials = Keyed::builder("trials", |_: &String| Trial { left: Arc::new(AtomicU64::new(3)) }).build()?;
/// for _ in 0..3 {
///     trials.try_acquire("acme")?;
/// }
/// assert_eq!(trials.try_acquire("acme").unwrap_err().to_string(), "trials acme: 3 of 3 in use, 0 waiting");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Limiter: Clone + Send + Sync + 'static {
    /// Proof of admission, which gives its place back by `Drop`; `()` where there is nothing to
    /// give back.
    ///
    /// A permit that gives something back must hold a handle of its limiter, so that
    /// [`is_forgettable`](Self::is_forgettable) sees it.
    type Permit: Send + 'static;

    /// Admits or refuses, without waiting, for a caller that has read the clock already.
    ///
    /// It is called under a lock when the limiter is [keyed](crate::keyed): it must not block, nor
    /// call back into what holds it.
    ///
    /// # Errors
    /// When it does not admit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, limiter::Limiter, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_second(1))?;
    /// let now = clock::now();
    /// limiter.try_acquire_owned_at(now)?;
    /// assert!(limiter.try_acquire_owned_at(now).is_err());
    /// assert!(limiter.try_acquire_owned_at(now + Duration::from_secs(1)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn try_acquire_owned_at(&self, now: clock::Instant) -> Result<Self::Permit, Rejected>;

    /// Admits or refuses, without waiting.
    ///
    /// # Errors
    /// When it does not admit.
    ///
    /// ```
    /// use plimsoll::{limiter::Limiter, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = Limiter::try_acquire_owned(&semaphore)?;
    /// assert!(Limiter::try_acquire_owned(&semaphore).is_err());
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn try_acquire_owned(&self) -> Result<Self::Permit, Rejected> {
        self.try_acquire_owned_at(clock::now())
    }

    /// True when forgetting this limiter and making it anew would change no decision: it is as it
    /// was made, nothing is in use, nobody waits, nothing was learned or spent that still counts,
    /// its settings are those it was built with, **and no other handle of it exists**.
    ///
    /// A keyed limiter asks this of its own handle, under the lock by which alone new handles are
    /// made; it drops the key when the answer is true. A second handle somewhere (a clone, a permit,
    /// a waiter) could still change the state, so that the answer must be false while there is one:
    /// compare `Arc::strong_count` with 1, then `fence(Acquire)`, then look at the state. When in
    /// doubt the answer is false.
    ///
    /// ```
    /// use plimsoll::{clock, limiter::Limiter, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(2)?;
    /// assert!(semaphore.is_forgettable(clock::now()));
    /// let permit = semaphore.try_acquire_owned()?;
    /// assert!(!semaphore.is_forgettable(clock::now()));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn is_forgettable(&self, now: clock::Instant) -> bool;
}

/// A limiter for which waiting makes sense.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{Rejected, limiter::Waiting, rate::{Quota, RateLimiter}, semaphore::Semaphore};
///
/// async fn in_turn<L: Waiting>(limiter: &L, work: impl Future<Output = u32>) -> Result<u32, Rejected> {
///     let _permit = limiter.acquire_owned().await?;
///     Ok(work.await)
/// }
/// assert_eq!(in_turn(&Semaphore::new(1)?, async { 7 }).await, Ok(7));
/// assert!(in_turn(&RateLimiter::new(Quota::none())?, async { 7 }).await.is_err());
/// # Ok(()) }
/// ```
pub trait Waiting: Limiter {
    /// Waits until it is admitted.
    ///
    /// # Errors
    /// When waiting would never end.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line and passes on what it was already given.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{limiter::Waiting, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_second(1_000).burst(1))?;
    /// Waiting::acquire_owned(&limiter).await?;
    /// Waiting::acquire_owned(&limiter).await?; // a millisecond later
    /// assert_eq!(limiter.snapshot().waits.count(), 1);
    /// # Ok(()) }
    /// ```
    fn acquire_owned(&self) -> impl Future<Output = Result<Self::Permit, Rejected>> + Send;
}

/// A rate or concurrency limiter that can be rolled out: set to count what it *would* reject and to
/// admit everything, then to reject a share, then all; switched at runtime, for all clones.
///
/// It is not for what protects memory: keys, queues and bytes are always enforced.
///
/// ```
/// use plimsoll::limiter::Observable;
/// use plimsoll::semaphore::Semaphore;
///
/// let semaphore = Semaphore::new(1)?;
/// semaphore.observe();
/// let (first, second) = (semaphore.try_acquire()?, semaphore.try_acquire()?);
/// assert_eq!((semaphore.in_use(), semaphore.snapshot().would_reject), (2, 1));
///
/// semaphore.set_enforced_ratio(1.0)?; // what is out stays out; nothing more is admitted
/// assert!(semaphore.try_acquire().is_err());
/// # drop((first, second));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observable: Limiter {
    /// Which share of its rejections it carries out: 0 observes only, 1 (as it is built) rejects
    /// whatever is over the limit. Which ones fall into the share is left to chance.
    ///
    /// # Errors
    /// When `ratio` is not 0 to 1; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::{limiter::{Limiter, Observable}, semaphore::Semaphore};
    ///
    /// fn try_out<L: Observable>(limiter: &L) -> Result<(), plimsoll::Invalid> {
    ///     limiter.set_enforced_ratio(0.0)
    /// }
    /// let semaphore = Semaphore::new(1)?;
    /// try_out(&semaphore)?;
    /// let two = (Limiter::try_acquire_owned(&semaphore)?, Limiter::try_acquire_owned(&semaphore)?);
    /// assert_eq!(Observable::would_reject(&semaphore), 1);
    /// assert!(Observable::set_enforced_ratio(&semaphore, f64::NAN).is_err());
    /// # drop(two);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid>;

    /// The share of its rejections that it carries out.
    ///
    /// ```
    /// use plimsoll::{limiter::Observable, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// assert_eq!(Observable::enforced_ratio(&semaphore), 1.0);
    /// Observable::set_enforced_ratio(&semaphore, 0.1)?;
    /// assert_eq!(Observable::enforced_ratio(&semaphore), 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn enforced_ratio(&self) -> f64;

    /// Sets the share as the one that it was built with, so that being set so does not keep it from
    /// [being forgotten](Limiter::is_forgettable): what a [keyed](crate::keyed) limiter does to all
    /// of its keys, and what a factory that makes limiters which only observe should call.
    ///
    /// # Errors
    /// As [`set_enforced_ratio`](Self::set_enforced_ratio).
    ///
    /// ```
    /// use plimsoll::{Invalid, clock, limiter::{Limiter, Observable}, semaphore::Semaphore};
    /// let (set, rebased) = (Semaphore::new(1)?, Semaphore::new(1)?);
    /// set.set_enforced_ratio(0.0)?;
    /// rebased.rebase_enforced_ratio(0.0)?;
    /// let now = clock::now();
    /// assert_eq!((set.is_forgettable(now), rebased.is_forgettable(now)), (false, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.set_enforced_ratio(ratio)
    }

    /// How many it let through that it would have rejected, or made to wait. A keyed limiter sums
    /// them up.
    ///
    /// ```
    /// use plimsoll::{limiter::Observable, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// Observable::observe(&semaphore);
    /// let over = (semaphore.try_acquire()?, semaphore.try_acquire()?);
    /// assert_eq!(Observable::would_reject(&semaphore), 1);
    /// # drop(over);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn would_reject(&self) -> u64 {
        0
    }

    /// From now on counts what it would reject, and admits everything.
    ///
    /// ```
    /// use plimsoll::{limiter::Observable, rate::{Quota, RateLimiter}};
    /// let mails = RateLimiter::new(Quota::none())?;
    /// assert!(mails.try_acquire().is_err());
    /// Observable::observe(&mails);
    /// assert!(mails.try_acquire().is_ok());
    /// assert_eq!(Observable::would_reject(&mails), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn observe(&self) {
        let set = self.set_enforced_ratio(0.0);
        debug_assert!(set.is_ok(), "zero is a share");
    }
}

/// A limiter, or the attempt to make one: what the factory of a [keyed](crate::keyed) limiter may
/// return.
///
/// ```
/// use plimsoll::{Invalid, limiter::IntoLimiter, semaphore::Semaphore};
/// let sure = Semaphore::new(8)?;
/// let maybe: Result<Semaphore, Invalid> = Semaphore::new(0);
/// assert_eq!(sure.into_limiter()?.limit(), 8);
/// assert_eq!(maybe.into_limiter().unwrap_err().field(), "limit");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait IntoLimiter {
    /// The limiter.
    type Limiter: Limiter;

    /// The limiter, or why there is none.
    ///
    /// # Errors
    /// When the settings were refused.
    ///
    /// ```
    /// use plimsoll::{limiter::IntoLimiter, semaphore::Semaphore};
    /// assert_eq!(Semaphore::new(8).into_limiter()?.limit(), 8);
    /// assert_eq!(Semaphore::new(0).into_limiter().unwrap_err().field(), "limit");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn into_limiter(self) -> Result<Self::Limiter, Invalid>;
}

impl<L: Limiter> IntoLimiter for L {
    type Limiter = L;

    fn into_limiter(self) -> Result<L, Invalid> {
        Ok(self)
    }
}

impl<L: Limiter> IntoLimiter for Result<L, Invalid> {
    type Limiter = L;

    fn into_limiter(self) -> Result<L, Invalid> {
        self
    }
}

/// Whether no other handle of this state exists; what those that are gone did is seen by whoever asked.
pub(crate) fn is_only_handle<T>(state: &Arc<T>) -> bool {
    let is_only = Arc::strong_count(state) == 1;
    // Whoever held the others released them.
    fence(Ordering::Acquire);
    is_only
}
