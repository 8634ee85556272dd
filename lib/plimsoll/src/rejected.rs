//! Why work was not admitted.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Name;

/// Why a limiter did not admit.
///
/// ```
/// use plimsoll::{Reason, semaphore::Semaphore};
/// let semaphore = Semaphore::new(1)?;
/// let status = match semaphore.try_acquire_many(2).unwrap_err().reason() {
///     Reason::Full | Reason::QueueFull | Reason::Shed => 503,
///     Reason::RateExceeded => 429,
///     Reason::TooLarge => 413,
///     _ => 500,
/// };
/// assert_eq!(status, 413);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Every place is in use.
    Full,
    /// More was asked for than the bound can ever give: waiting would never end.
    TooLarge,
    /// The rate is used up for now; see [`Rejected::retry_after`].
    RateExceeded,
    /// The circuit breaker is open, or its probes are all out.
    BreakerOpen,
    /// The keyed limiter remembers its maximum of keys and every one is busy.
    KeysFull,
    /// The queue is full.
    QueueFull,
    /// It waited as long as it was told to.
    WaitTimedOut,
    /// The retry budget is spent.
    BudgetSpent,
    /// Draining: nothing new is admitted.
    Draining,
    /// No limiter could be made for the key: its settings are invalid.
    Misconfigured,
    /// Shed: the queue stands, and this was the least important of what waits.
    Shed,
    /// It could not begin, or not end, before its deadline: it was not begun.
    DeadlineTooNear,
}

impl Reason {
    /// Every reason, in the order in which they are declared.
    pub(crate) const ALL: [Self; 12] = [
        Self::Full,
        Self::TooLarge,
        Self::RateExceeded,
        Self::BreakerOpen,
        Self::KeysFull,
        Self::QueueFull,
        Self::WaitTimedOut,
        Self::BudgetSpent,
        Self::Draining,
        Self::Misconfigured,
        Self::Shed,
        Self::DeadlineTooNear,
    ];

    /// A short, stable word for metrics and logs.
    ///
    /// ```
    /// assert_eq!(plimsoll::Reason::QueueFull.as_str(), "queue_full");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TooLarge => "too_large",
            Self::RateExceeded => "rate_exceeded",
            Self::BreakerOpen => "breaker_open",
            Self::KeysFull => "keys_full",
            Self::QueueFull => "queue_full",
            Self::WaitTimedOut => "wait_timed_out",
            Self::BudgetSpent => "budget_spent",
            Self::Draining => "draining",
            Self::Misconfigured => "misconfigured",
            Self::Shed => "shed",
            Self::DeadlineTooNear => "deadline_too_near",
        }
    }
}

/// Work that was not admitted: by which limiter, for which key, why, what stood in the way, and
/// when to try again.
///
/// One type for every limiter. It is cheap to make (an interned name and numbers), since refusing
/// must cost less than admitting.
///
/// ```
/// use plimsoll::{Name, Reason, Rejected};
/// let rejected = Rejected::new(Name::new("tenant")?, Reason::Full)
///     .with_key("acme".into())
///     .with_use(16, 16, 31);
/// assert_eq!(rejected.to_string(), "tenant acme: 16 of 16 in use, 31 waiting");
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    limiter: Name,
    reason: Reason,
    key: Option<Arc<str>>,
    /// Nanoseconds; `u64::MAX` stands for "not known".
    retry_after: u64,
    limit: u64,
    in_use: u64,
    waiting: u64,
}

impl Rejected {
    /// Rejected by `limiter` for `reason`.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("api")?, Reason::Full);
    /// assert_eq!((refused.reason(), refused.key(), refused.retry_after()), (Reason::Full, None, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(limiter: Name, reason: Reason) -> Self {
        Self { limiter, reason, key: None, retry_after: u64::MAX, limit: 0, in_use: 0, waiting: 0 }
    }

    /// Says for whom: the key of a keyed limiter.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("tenant")?, Reason::Full).with_key("acme".into());
    /// assert_eq!(refused.key(), Some("acme"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_key(mut self, key: Arc<str>) -> Self {
        self.key = Some(key);
        self
    }

    /// Says what stood in the way: the limit, how much of it is in use, how many wait.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("api")?, Reason::Full).with_use(16, 16, 31);
    /// assert_eq!(refused.to_string(), "api: 16 of 16 in use, 31 waiting");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_use(mut self, limit: u64, in_use: u64, waiting: u64) -> Self {
        self.limit = limit;
        self.in_use = in_use;
        self.waiting = waiting;
        self
    }

    /// Says when it is worth another try.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("api")?, Reason::RateExceeded)
    ///     .with_use(20, 20, 0)
    ///     .with_retry_after(Duration::from_millis(1_500));
    /// assert_eq!(refused.to_string(), "api: over the rate, a burst of 20 is used up, retry after 1.5s");
    /// assert_eq!(refused.retry_after(), Some(Duration::from_millis(1_500)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        let nanos = after.as_nanos();
        self.retry_after = if nanos >= u64::MAX as u128 { u64::MAX - 1 } else { nanos as u64 };
        self
    }

    /// As [`with_retry_after`](Self::with_retry_after), for a limiter that counts in nanoseconds.
    pub(crate) const fn with_retry_after_nanos(mut self, nanos: u64) -> Self {
        self.retry_after = if nanos == u64::MAX { u64::MAX - 1 } else { nanos };
        self
    }

    /// The limiter that refused.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("api")?, Reason::Full);
    /// assert_eq!(refused.limiter().as_str(), "api");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn limiter(&self) -> Name {
        self.limiter
    }

    /// Why.
    ///
    /// ```
    /// use plimsoll::{Reason, semaphore::Semaphore};
    /// let refused = Semaphore::new(2)?.try_acquire_many(3).unwrap_err();
    /// assert_eq!(refused.reason(), Reason::TooLarge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// For whom, where the limiter is keyed.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, rate::{Quota, RateLimiter}};
    /// let tenants = Keyed::builder("tenants-key", |_: &String| RateLimiter::new(Quota::none()))
    ///     .keys_max(10).build()?;
    /// assert_eq!(tenants.try_acquire("acme").unwrap_err().key(), Some("acme"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// How long from now it is worth another try, where the limiter knows.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_hour(60).burst(1))?;
    /// mails.try_acquire()?;
    /// let after = mails.try_acquire().unwrap_err().retry_after().unwrap();
    /// assert_eq!(after.as_secs_f64().round(), 60.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.retry_after == u64::MAX { None } else { Some(Duration::from_nanos(self.retry_after)) }
    }

    /// The limit in force.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// assert_eq!(Semaphore::new(2)?.try_acquire_many(3).unwrap_err().limit(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// How much of the limit was in use.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(3)?;
    /// let permit = semaphore.try_acquire_many(2)?;
    /// assert_eq!(semaphore.try_acquire_many(2).unwrap_err().in_use(), 2);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn in_use(&self) -> u64 {
        self.in_use
    }

    /// How many were waiting.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// let refused = Rejected::new(Name::new("api")?, Reason::QueueFull).with_use(31, 16, 31);
    /// assert_eq!(refused.waiting(), 31);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limiter, limit, in_use, waiting, .. } = self;
        write!(f, "{limiter}")?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        match self.reason {
            Reason::Full => write!(f, ": {in_use} of {limit} in use, {waiting} waiting")?,
            Reason::TooLarge => write!(f, ": asked for more than the limit of {limit} can ever give")?,
            Reason::RateExceeded => write!(f, ": over the rate, a burst of {limit} is used up")?,
            Reason::BreakerOpen => write!(f, ": breaker open, {in_use} of {limit} probes out")?,
            Reason::KeysFull => write!(f, ": all {limit} keys are busy")?,
            Reason::QueueFull => write!(f, ": queue full, {waiting} of {limit} waiting")?,
            Reason::WaitTimedOut => {
                write!(f, ": waited in vain, {in_use} of {limit} in use, {waiting} waiting")?;
            }
            Reason::BudgetSpent => write!(f, ": retry budget of {limit} spent")?,
            Reason::Draining => write!(f, ": draining, nothing new is admitted")?,
            Reason::Misconfigured => write!(f, ": its settings are invalid, nothing is admitted")?,
            Reason::Shed => write!(f, ": shed, {in_use} of {limit} in use, {waiting} waiting")?,
            Reason::DeadlineTooNear => {
                write!(f, ": its deadline is too near, {in_use} of {limit} in use, {waiting} waiting")?;
            }
        }
        match self.retry_after() {
            Some(after) => write!(f, ", retry after {after:.1?}"),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_is_small_enough_to_return_by_value() {
        assert!(size_of::<Rejected>() <= 72, "{}", size_of::<Rejected>());
    }

    #[test]
    fn every_reason_is_counted_in_a_place_of_its_own() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
        let last = Reason::DeadlineTooNear;
        assert_eq!(Reason::ALL.len(), last as usize + 1, "a reason was added behind the last");
    }

    #[test]
    fn the_longest_retry_after_is_kept_as_known() {
        let rejected = Rejected::new(Name::UNNAMED, Reason::Full).with_retry_after(Duration::MAX);
        assert!(rejected.retry_after().is_some());
    }
}
