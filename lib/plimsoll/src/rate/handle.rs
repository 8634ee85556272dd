//! The rate limiter as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::builder::Builder;
use super::hold::Hold;
use super::line::Turn;
use super::quota::Quota;
use super::reservation::Reservation;
use super::state::{Charge, State};
use super::wait::{Failed, wait};
use crate::clock::{self, Instant};
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::registry::{Bound, Snapshot};
use crate::waiters::up_to;
use crate::{Invalid, Name, Rejected};

/// At most so many in a time; a cheap handle, whose clones share one state.
///
/// See the [module](crate::rate) for which call to use, for exactness and fairness.
///
/// ```
/// use plimsoll::rate::{Quota, RateLimiter};
/// let calls = RateLimiter::new(Quota::per_hour(100).burst(2))?;
/// let ours = calls.clone();
/// assert!(ours.try_acquire().is_ok() && calls.try_acquire().is_ok());
/// assert!(ours.try_acquire().is_err(), "clones share one bucket");
/// assert_eq!((calls.snapshot().admitted, calls.snapshot().rejected), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter(pub(super) Arc<State>);

/// Making, seeing and changing.
impl RateLimiter {
    /// A limiter without a name that nobody sees in the [registry](crate::registry): a value of a
    /// [keyed](crate::keyed) limiter, or a part of another bound. Use [`builder`](Self::builder) for
    /// one of its own. It begins with its burst unspent.
    ///
    /// # Errors
    /// When the quota is out of its range.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// assert!(RateLimiter::new(Quota::per_second(100)).is_ok());
    /// assert!(RateLimiter::new(Quota::per_second(0)).is_err());
    /// let closed = RateLimiter::new(Quota::none())?;
    /// assert!(closed.try_acquire().is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, Invalid> {
        quota.check(Name::UNNAMED)?;
        Ok(Self(Arc::new(State::new(Name::UNNAMED, quota, None))))
    }

    /// Begins a limiter that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::builder("mails-out").quota(Quota::per_minute(1)).build()?;
    /// mails.try_acquire()?;
    /// let refused = mails.try_acquire().unwrap_err();
    /// assert!(refused.to_string().starts_with("mails-out: over the rate, a burst of 1 is used up, retry after"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, rate::{Quota, RateLimiter}};
    /// let mails = RateLimiter::builder("mails-name").quota(Quota::per_minute(30)).build()?;
    /// assert_eq!(mails.name().as_str(), "mails-name");
    /// assert_eq!(RateLimiter::new(Quota::per_minute(30))?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The quota in force.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(30))?;
    /// mails.clone().set_quota(Quota::per_minute(60))?;
    /// assert_eq!(mails.quota(), Quota::per_minute(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn quota(&self) -> Quota {
        let turn = Turn::begin(&self.0);
        let quota = turn.quota();
        turn.end();
        quota
    }

    /// How many tokens could be taken at once, now; those who wait have them first.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_hour(30).burst(5))?;
    /// mails.try_acquire_many(2)?;
    /// assert_eq!(mails.available(), 3);
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
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(30).burst(1))?;
    /// mails.acquire().await?;
    /// let (second, waiting) = tokio::join!(mails.acquire(), async { mails.waiting() });
    /// second?;
    /// assert_eq!((waiting, mails.waiting()), (1, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    /// The numbers as they are now: the limit is the burst, in use is what of it is spent.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_hour(30).burst(5))?;
    /// mails.try_acquire_many(2)?;
    /// assert!(mails.try_acquire_many(4).is_err());
    /// let now = mails.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.rejected), (5, 2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes rate and burst, for all clones.
    ///
    /// What is spent stays spent: with 15 of a burst of 20 spent, a new burst of 30 leaves 15, and one
    /// of 10 leaves none until 5 have come back at the new rate. Waiters keep their order and wait
    /// for the new rate; one that asks for more than the new burst is refused with
    /// [`Reason::TooLarge`](crate::Reason::TooLarge). Times that were already promised by
    /// [`reserve`](Self::reserve) are kept.
    ///
    /// # Errors
    /// When the quota is out of its range; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_hour(20))?;
    /// limiter.try_acquire_many(15)?;
    /// limiter.set_quota(Quota::per_hour(30))?;
    /// assert_eq!(limiter.available(), 15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), Invalid> {
        self.set_quota_at(quota, clock::now())
    }

    /// As [`set_quota`](Self::set_quota), for a caller that has read the clock already.
    ///
    /// # Errors
    /// As [`set_quota`](Self::set_quota).
    ///
    /// ```
    /// use plimsoll::{clock, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_hour(20))?;
    /// let now = clock::now();
    /// limiter.try_acquire_many_at(15, now)?;
    /// limiter.set_quota_at(Quota::per_hour(30), now)?;
    /// assert!(limiter.try_acquire_many_at(16, now).is_err() && limiter.try_acquire_many_at(15, now).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_quota_at(&self, quota: Quota, now: Instant) -> Result<(), Invalid> {
        let mut turn = Turn::begin(&self.0);
        let changed = turn.set_quota(quota, now);
        turn.end();
        changed
    }

    /// From now on counts what it would reject or make wait, and admits everything, at once: how a
    /// quota is tried out. Whoever waits is let through, but for those who were promised a time by a
    /// [`reserve`](Self::reserve) behind them.
    ///
    /// What is admitted over the quota spends nothing: what the quota would admit is what it admits.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_minute(1))?;
    /// limiter.observe();
    /// assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_ok());
    /// assert_eq!(limiter.snapshot().would_reject, 1);
    /// # Ok::<(), plimsoll::Invalid>(())
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
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_hour(1))?;
    /// limiter.set_enforced_ratio(0.0)?;
    /// for _ in 0..10 {
    ///     limiter.try_acquire()?;
    /// }
    /// assert_eq!(limiter.snapshot().would_reject, 9);
    /// limiter.set_enforced_ratio(1.0)?;
    /// assert!(limiter.try_acquire().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    /// The share of its rejections that it carries out.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(30))?;
    /// assert_eq!(mails.enforced_ratio(), 1.0);
    /// mails.set_enforced_ratio(0.1)?;
    /// assert_eq!(mails.enforced_ratio(), 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }
}

/// Without waiting.
impl RateLimiter {
    /// One token, now.
    ///
    /// # Errors
    /// [`Reason::RateExceeded`](crate::Reason::RateExceeded) with the time to wait, which is exact
    /// for a caller that is alone; [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is
    /// [`Quota::none`].
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_minute(1))?;
    /// limiter.try_acquire()?;
    /// let refused = limiter.try_acquire().unwrap_err();
    /// assert_eq!(refused.reason(), Reason::RateExceeded);
    /// assert_eq!(refused.retry_after().unwrap().as_secs_f64().round(), 60.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Rejected> {
        self.try_acquire_many_at(1, clock::now())
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
    /// use plimsoll::{clock, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_second(1))?;
    /// let now = clock::now();
    /// assert!(limiter.try_acquire_at(now).is_ok() && limiter.try_acquire_at(now).is_err());
    /// assert!(limiter.try_acquire_at(now.after(Duration::from_secs(1))).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_at(&self, now: Instant) -> Result<(), Rejected> {
        self.try_acquire_many_at(1, now)
    }

    /// `tokens` tokens, now, all or none. Asking for none is always admitted.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire), and [`Reason::TooLarge`](crate::Reason::TooLarge) for
    /// more than the burst.
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Quota, RateLimiter}};
    /// let bytes = RateLimiter::new(Quota::per_hour(1_000))?;
    /// bytes.try_acquire_many(900)?;
    /// assert_eq!(bytes.try_acquire_many(200).unwrap_err().reason(), Reason::RateExceeded);
    /// assert_eq!(bytes.try_acquire_many(1_001).unwrap_err().reason(), Reason::TooLarge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, tokens: u64) -> Result<(), Rejected> {
        self.try_acquire_many_at(tokens, clock::now())
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), for a caller that has read the clock already.
    ///
    /// # Errors
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, rate::{Quota, RateLimiter}};
    /// let bytes = RateLimiter::new(Quota::per_second(1_000))?;
    /// let now = clock::now();
    /// bytes.try_acquire_many_at(1_000, now)?;
    /// assert!(bytes.try_acquire_many_at(500, now.after(Duration::from_millis(499))).is_err());
    /// assert!(bytes.try_acquire_many_at(500, now.after(Duration::from_millis(500))).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_many_at(&self, tokens: u64, now: Instant) -> Result<(), Rejected> {
        if tokens == 0 {
            return Ok(());
        }
        let taken = self.0.try_take(tokens, now);
        // By reference: a move is a copy in larger pieces than it was just written in, and stalls.
        if let Err(short) = &taken
            && !self.0.waives()
        {
            return self.0.refuse(short);
        }
        self.0.admit();
        Ok(())
    }

    /// One token, spent now, to be used after a delay that is told.
    ///
    /// # Errors
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is [`Quota::none`].
    ///
    /// # Fairness
    /// Behind everybody who waits. It fixes the time of each of them: should one leave then, its
    /// time is no longer given to those behind it.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_second(10).burst(1))?;
    /// assert!(limiter.reserve()?.delay().is_zero());
    /// let delay = limiter.reserve()?.delay().as_millis();
    /// assert!((90..=100).contains(&delay));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> Result<Reservation, Rejected> {
        self.reserve_many(1)
    }

    /// `tokens` tokens, spent now, to be used after a delay that is told.
    ///
    /// # Errors
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) for more than the burst.
    ///
    /// # Fairness
    /// As [`reserve`](Self::reserve).
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let bytes = RateLimiter::new(Quota::per_minute(600))?;
    /// assert!(bytes.reserve_many(600)?.delay().is_zero());
    /// let later = bytes.reserve_many(300)?;
    /// assert_eq!(later.delay().as_secs_f64().round(), 30.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve_many(&self, tokens: u64) -> Result<Reservation, Rejected> {
        let now = clock::now();
        let mut turn = Turn::begin(&self.0);
        let reserved = turn.reserve(tokens, now);
        turn.end();
        match reserved {
            Ok((charge, at)) => {
                self.0.admit();
                Ok(Reservation::new(self.clone(), tokens, charge, now, at))
            }
            Err(short) => self.0.refuse(&short),
        }
    }
}

/// For work whose cost is known only when it is done: tokens of a language model, bytes of an answer.
impl RateLimiter {
    /// Takes what it will probably cost, now; [`settle`](Hold::settle) it when it is known.
    ///
    /// An estimate of zero is taken as one: it has to be admitted like any other.
    ///
    /// # Errors
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// // 90,000 tokens of a language model a minute.
    /// let tokens = RateLimiter::builder("model").quota(Quota::per_minute(90_000)).build()?;
    /// let hold = tokens.try_hold(4_000)?; // the prompt, and the longest answer
    /// hold.settle(1_250); // what the answer says it used
    /// assert!(tokens.available() >= 90_000 - 1_250);
    ///
    /// let hold = tokens.try_hold(1_000)?;
    /// hold.settle(120_000); // more than there was: nobody is admitted until it is paid
    /// assert!(tokens.try_hold(1).unwrap_err().retry_after().unwrap().as_secs() >= 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_hold(&self, estimate: u64) -> Result<Hold, Rejected> {
        let tokens = estimate.max(1);
        let charge = match self.0.try_take(tokens, clock::now()) {
            Ok(charge) => Some(charge),
            Err(_) if self.0.waives() => None,
            Err(short) => return self.0.refuse(&short),
        };
        self.0.admit();
        Ok(Hold::new(self.clone(), tokens, charge))
    }

    /// Takes what it will probably cost, when it is this caller's turn; [`settle`](Hold::settle) it when
    /// it is known.
    ///
    /// # Errors
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire_many`](Self::acquire_many). A debt puts off everybody who waits, in order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let tokens = RateLimiter::new(Quota::per_hour(90_000))?;
    /// let hold = tokens.hold(4_000).await?;
    /// assert_eq!((hold.estimate(), tokens.available()), (4_000, 86_000));
    /// hold.settle(1_250);
    /// assert!((88_750..=88_760).contains(&tokens.available()));
    /// # Ok(()) }
    /// ```
    pub async fn hold(&self, estimate: u64) -> Result<Hold, Rejected> {
        let tokens = estimate.max(1);
        let charge = if let Ok(charge) = self.0.try_take(tokens, clock::now()) {
            self.0.admit();
            Some(charge)
        } else {
            self.wait(tokens, Instant::from_nanos(u64::MAX)).await?
        };
        Ok(Hold::new(self.clone(), tokens, charge))
    }
}

/// Waiting.
impl RateLimiter {
    /// One token, when it is this caller's turn.
    ///
    /// # Errors
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is, or becomes,
    /// [`Quota::none`]: waiting would not end.
    ///
    /// # Panics
    /// When it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line and spends nothing; those behind move up. The place is
    /// lost.
    ///
    /// # Fairness
    /// First come, first served, from the first poll on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_second(1_000).burst(1))?;
    /// for _ in 0..3 {
    ///     limiter.acquire().await?; // the second and the third wait a millisecond each
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<(), Rejected> {
        self.acquire_many(1).await
    }

    /// `tokens` tokens at once, when it is this caller's turn. Asking for none is admitted at once.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), and at once for more than the burst.
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire): those who come later wait, even if they ask for less.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, rate::{Quota, RateLimiter}};
    /// let bytes = RateLimiter::new(Quota::per_second(100_000).burst(100))?;
    /// bytes.acquire_many(100).await?;
    /// bytes.acquire_many(100).await?; // after a millisecond
    /// assert_eq!(bytes.acquire_many(101).await.unwrap_err().reason(), Reason::TooLarge);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many(&self, tokens: u64) -> Result<(), Rejected> {
        consume_budget().await;
        if tokens == 0 || self.take(tokens, clock::now()) {
            return Ok(());
        }
        self.wait(tokens, Instant::from_nanos(u64::MAX)).await.map(drop)
    }

    /// `tokens` tokens at once, if it is this caller's turn `within` that time.
    ///
    /// # Errors
    /// At once when it can be seen that the turn would come too late, with
    /// [`Reason::RateExceeded`](crate::Reason::RateExceeded); with
    /// [`Reason::WaitTimedOut`](crate::Reason::WaitTimedOut) when it came to be too late (the quota
    /// was lowered); otherwise as [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, rate::{Quota, RateLimiter}};
    /// let limiter = RateLimiter::new(Quota::per_hour(1))?;
    /// limiter.acquire_within(1, Duration::from_millis(5)).await?;
    /// let refused = limiter.acquire_within(1, Duration::from_secs(60)).await.unwrap_err();
    /// assert_eq!(refused.reason(), Reason::RateExceeded); // at once: it would come in an hour
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, tokens: u64, within: Duration) -> Result<(), Rejected> {
        consume_budget().await;
        let now = clock::now();
        if tokens == 0 || self.take(tokens, now) {
            return Ok(());
        }
        match up_to(within, self.wait(tokens, now + within)).await {
            Some(waited) => waited.map(drop),
            None => Err(self.0.refuse_late()),
        }
    }

    /// Takes and counts, or does nothing.
    #[inline]
    fn take(&self, tokens: u64, now: Instant) -> bool {
        let taken = self.0.try_take(tokens, now).is_ok();
        if taken {
            self.0.admit();
        }
        taken
    }

    async fn wait(&self, tokens: u64, by: Instant) -> Result<Option<Charge>, Rejected> {
        match wait(&*self.0, tokens, by).await {
            Ok(charge) => {
                self.0.admit();
                Ok(charge)
            }
            Err(Failed::Short(short)) => self.0.refuse(&short),
            Err(Failed::TooLarge) => self.0.refuse_too_large(),
        }
    }
}

impl Limiter for RateLimiter {
    type Permit = ();

    fn try_acquire_owned_at(&self, now: Instant) -> Result<(), Rejected> {
        self.try_acquire_at(now)
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        is_only_handle(&self.0) && self.0.is_as_built(now)
    }
}

impl Waiting for RateLimiter {
    async fn acquire_owned(&self) -> Result<(), Rejected> {
        self.acquire().await
    }
}

impl Observable for RateLimiter {
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

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
