//! The sliding window as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::builder::Builder;
use super::line::{Short, State};
use super::window::{Exactness, Window};
use crate::clock::{self, Instant};
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::rate::quota::Quota;
use crate::rate::wait::{Failed, wait};
use crate::registry::{Bound, Snapshot};
use crate::waiters::up_to;
use crate::{Invalid, Name, Rejected};

/// At most so many in any window of a length of time; a cheap handle, whose clones share one state.
///
/// See the [module](crate::rate::sliding) for when to use it, and how exact it is.
///
/// ```
/// use plimsoll::rate::{Quota, Sliding};
/// let resets = Sliding::new(Quota::per_minute(3))?;
/// let ours = resets.clone();
/// assert!(ours.try_acquire().is_ok() && resets.try_acquire().is_ok());
/// assert_eq!((resets.available(), resets.snapshot().in_use), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sliding(pub(super) Arc<State>);

/// Making, seeing and changing.
impl Sliding {
    /// An exact window without a name that nobody sees in the [registry](crate::registry): a value of
    /// a [keyed](crate::keyed) limiter, or a part of another bound.
    ///
    /// # Errors
    /// When the quota is out of its range, or above 65,536 per period.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let logins = Sliding::new(Quota::per_hour(2))?;
    /// assert!(logins.try_acquire().is_ok() && logins.try_acquire().is_ok());
    /// assert!(logins.try_acquire().is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, Invalid> {
        Self::unnamed(quota, Exactness::Exact)
    }

    /// An approximate window without a name, in constant memory: a window of it holds fewer than twice
    /// the limit in the worst case, and the limit where traffic is even.
    ///
    /// # Errors
    /// When the quota is out of its range.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let requests = Sliding::approximate(Quota::per_minute(1_000_000))?;
    /// assert!(requests.try_acquire().is_ok());
    /// assert!(Sliding::new(Quota::per_minute(1_000_000)).is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn approximate(quota: Quota) -> Result<Self, Invalid> {
        Self::unnamed(quota, Exactness::Approximate)
    }

    fn unnamed(quota: Quota, exactness: Exactness) -> Result<Self, Invalid> {
        Window::check(Name::UNNAMED, quota, exactness)?;
        Ok(Self(Arc::new(State::new(Name::UNNAMED, quota, exactness, None))))
    }

    /// Begins a window that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::builder("resets").quota(Quota::per_minute(3)).build()?;
    /// assert_eq!((resets.name().as_str(), resets.available()), ("resets", 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::builder("resets-name").quota(Quota::per_minute(3)).build()?;
    /// assert_eq!(resets.name().as_str(), "resets-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The quota in force.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(3))?;
    /// resets.clone().set_quota(Quota::per_minute(5))?;
    /// assert_eq!(resets.quota(), Quota::per_minute(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.0.quota()
    }

    /// How many would be admitted at once, now; none while somebody waits.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_hour(3))?;
    /// resets.try_acquire()?;
    /// assert_eq!(resets.available(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn available(&self) -> u64 {
        self.0.available(clock::now())
    }

    /// How many callers wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(1))?;
    /// resets.acquire().await?;
    /// let (second, waiting) = tokio::join!(resets.acquire(), async { resets.waiting() });
    /// second?;
    /// assert_eq!((waiting, resets.waiting()), (1, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    /// The numbers as they are now: in use is what the window that ends now holds.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_hour(1))?;
    /// resets.try_acquire()?;
    /// assert!(resets.try_acquire().is_err());
    /// let now = resets.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted, now.rejected), (1, 1, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes the quota, for all clones.
    ///
    /// What is in the window stays in it, so that a lower limit admits nobody until enough has left. A
    /// longer period does not bring back what the shorter one has forgotten. Waiters keep their order
    /// and wait for the new quota; with [`Quota::none`] they are refused.
    ///
    /// # Errors
    /// When the quota is out of its range; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(3))?;
    /// assert!(resets.try_acquire().is_ok() && resets.try_acquire().is_ok());
    /// resets.set_quota(Quota::per_minute(2))?;
    /// assert!(resets.try_acquire().is_err(), "two are in the window");
    /// resets.set_quota(Quota::per_minute(4))?;
    /// assert_eq!(resets.available(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), Invalid> {
        self.0.set_quota(quota, clock::now())
    }

    /// From now on counts what it would reject or make wait, and admits everything, at once; what is
    /// admitted over the limit takes no place in the window. Whoever waits is let through.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(1))?;
    /// resets.observe();
    /// assert!(resets.try_acquire().is_ok() && resets.try_acquire().is_ok());
    /// assert_eq!((resets.snapshot().would_reject, resets.snapshot().in_use), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(&self) {
        Observable::observe(self);
    }

    /// Which share of its rejections, and of its making wait, it carries out: 0 observes only, 1 (the
    /// default) enforces the quota. Which ones is left to chance; those who wait are asked for anew.
    ///
    /// # Errors
    /// When `ratio` is not 0 to 1; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(1))?;
    /// resets.set_enforced_ratio(0.0)?;
    /// assert!(resets.try_acquire().is_ok() && resets.try_acquire().is_ok());
    /// resets.set_enforced_ratio(1.0)?;
    /// assert!(resets.try_acquire().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    /// The share of its rejections that it carries out.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::new(Quota::per_minute(3))?;
    /// assert_eq!(resets.enforced_ratio(), 1.0);
    /// resets.set_enforced_ratio(0.1)?;
    /// assert_eq!(resets.enforced_ratio(), 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }
}

/// Admission.
impl Sliding {
    /// Admits one, now.
    ///
    /// # Errors
    /// [`Reason::RateExceeded`](crate::Reason::RateExceeded) with the time to wait, exact for a caller
    /// that is alone; [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is
    /// [`Quota::none`].
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Quota, Sliding}};
    /// let resets = Sliding::new(Quota::per_minute(1))?;
    /// resets.try_acquire()?;
    /// let refused = resets.try_acquire().unwrap_err();
    /// assert_eq!(refused.reason(), Reason::RateExceeded);
    /// assert_eq!(refused.retry_after().unwrap().as_secs_f64().round(), 60.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Rejected> {
        self.try_acquire_at(clock::now())
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller that has read the clock already.
    ///
    /// A clock that steps back gives nobody anything.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, rate::{Quota, Sliding}};
    /// let resets = Sliding::new(Quota::per_minute(2))?;
    /// let now = clock::now();
    /// resets.try_acquire_at(now)?;
    /// resets.try_acquire_at(now.after(Duration::from_secs(59)))?;
    /// assert!(resets.try_acquire_at(now.after(Duration::from_secs(59))).is_err());
    /// assert!(resets.try_acquire_at(now.after(Duration::from_secs(60))).is_ok(), "the first has left");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_at(&self, now: Instant) -> Result<(), Rejected> {
        self.0.try_acquire(now)
    }

    /// Waits for this caller's turn.
    ///
    /// # Errors
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is, or becomes,
    /// [`Quota::none`]: waiting would not end.
    ///
    /// # Panics
    /// When it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line and takes no place in the window; those behind move up.
    ///
    /// # Fairness
    /// First come, first served, from the first poll on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::rate::{Quota, Sliding};
    /// let window = Sliding::new(Quota::per(Duration::from_millis(5), 2))?;
    /// for _ in 0..5 {
    ///     window.acquire().await?; // two at once, two after 5 ms, one after 10 ms
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<(), Rejected> {
        self.wait(Instant::from_nanos(u64::MAX)).await
    }

    /// Waits for this caller's turn if it comes `within` that time.
    ///
    /// # Errors
    /// At once when it can be seen that the turn would come too late, with
    /// [`Reason::RateExceeded`](crate::Reason::RateExceeded); with
    /// [`Reason::WaitTimedOut`](crate::Reason::WaitTimedOut) when it came to be too late; otherwise as
    /// [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, rate::{Quota, Sliding}};
    /// let resets = Sliding::new(Quota::per_minute(1))?;
    /// resets.acquire_within(Duration::from_millis(5)).await?;
    /// let refused = resets.acquire_within(Duration::from_secs(1)).await.unwrap_err();
    /// assert_eq!(refused.reason(), Reason::RateExceeded); // at once: its turn is in a minute
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, within: Duration) -> Result<(), Rejected> {
        let by = clock::now() + within;
        up_to(within, self.wait(by)).await.unwrap_or_else(|| Err(self.0.refuse_late()))
    }

    async fn wait(&self, by: Instant) -> Result<(), Rejected> {
        consume_budget().await;
        match wait(&*self.0, (), by).await {
            Ok(_) => {
                self.0.admit();
                Ok(())
            }
            Err(Failed::Short(short)) => Err(self.0.refuse(short)),
            Err(Failed::TooLarge) => Err(self.0.refuse(Short::TooLarge)),
        }
    }
}

impl Limiter for Sliding {
    type Permit = ();

    fn try_acquire_owned_at(&self, now: Instant) -> Result<(), Rejected> {
        self.try_acquire_at(now)
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        is_only_handle(&self.0) && self.0.is_as_built(now)
    }
}

impl Waiting for Sliding {
    async fn acquire_owned(&self) -> Result<(), Rejected> {
        self.acquire().await
    }
}

impl Observable for Sliding {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }

    fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.rebase_enforced_ratio(ratio)
    }

    fn would_reject(&self) -> u64 {
        self.0.would_reject()
    }
}

impl fmt::Debug for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
