//! How much in how long.

use std::fmt;
use std::time::Duration;

use crate::{Invalid, Name};

/// The longest period, and the longest time in which an empty bucket may fill: nine years.
const FILL_MAX: u64 = 1 << 58;

/// A rate and a burst: what a [`RateLimiter`](super::RateLimiter) enforces.
///
/// No rate and no limit have names of their own: [`Quota::none`] and [`Quota::unlimited`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::rate::Quota;
/// let quota = Quota::per_second(100).burst(20);
/// assert_eq!(quota.to_string(), "100 per 1s, burst 20");
/// assert_eq!(Quota::per(Duration::from_secs(10), 5).to_string(), "5 per 10s, burst 5");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Quota(pub(super) Kind);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    None,
    Unlimited,
    Rate { tokens: u64, period: Duration, burst: u64 },
}

impl Quota {
    /// `tokens` in every `period`, spread evenly; the burst is `tokens` until it is
    /// [set](Self::burst).
    ///
    /// At least 1, at most one per nanosecond; a limiter refuses to be built otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::rate::Quota;
    /// assert_eq!(Quota::per(Duration::from_secs(60), 30), Quota::per_minute(30));
    /// assert_eq!(Quota::per(Duration::from_secs(60), 30).burst_max(), 30);
    /// ```
    #[must_use]
    pub const fn per(period: Duration, tokens: u64) -> Self {
        Self(Kind::Rate { tokens, period, burst: tokens })
    }

    /// `tokens` a second.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::rate::Quota;
    /// assert_eq!(Quota::per_second(100), Quota::per(Duration::from_secs(1), 100));
    /// assert_eq!(Quota::per_second(100).burst_max(), 100);
    /// ```
    #[must_use]
    pub const fn per_second(tokens: u64) -> Self {
        Self::per(Duration::from_secs(1), tokens)
    }

    /// `tokens` a minute.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::rate::Quota;
    /// assert_eq!(Quota::per_minute(30), Quota::per(Duration::from_secs(60), 30));
    /// ```
    #[must_use]
    pub const fn per_minute(tokens: u64) -> Self {
        Self::per(Duration::from_secs(60), tokens)
    }

    /// `tokens` an hour.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::rate::Quota;
    /// assert_eq!(Quota::per_hour(5_000), Quota::per(Duration::from_secs(3_600), 5_000));
    /// ```
    #[must_use]
    pub const fn per_hour(tokens: u64) -> Self {
        Self::per(Duration::from_secs(3_600), tokens)
    }

    /// Nothing is ever admitted.
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Quota, RateLimiter}};
    /// let closed = RateLimiter::new(Quota::none())?;
    /// assert_eq!(closed.try_acquire().unwrap_err().reason(), Reason::TooLarge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// Everything is admitted.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let open = RateLimiter::new(Quota::unlimited())?;
    /// assert!(open.try_acquire_many(1_000_000_000).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(Kind::Unlimited)
    }

    /// How much may be taken at once after a time of rest; 1 means evenly spaced. It changes
    /// nothing in [`none`](Self::none) and [`unlimited`](Self::unlimited).
    ///
    /// At least 1, and no more than nine years of the rate.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let spaced = RateLimiter::new(Quota::per_minute(60).burst(1))?;
    /// assert!(spaced.try_acquire().is_ok());
    /// assert!(spaced.try_acquire().unwrap_err().retry_after().unwrap().as_millis() <= 1_000);
    /// assert!(RateLimiter::new(Quota::per_minute(60).burst(0)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn burst(self, burst: u64) -> Self {
        match self.0 {
            Kind::Rate { tokens, period, .. } => Self(Kind::Rate { tokens, period, burst }),
            Kind::None | Kind::Unlimited => self,
        }
    }

    /// The most that can be taken at once: 0 of [`none`](Self::none), `u64::MAX` of
    /// [`unlimited`](Self::unlimited).
    ///
    /// ```
    /// use plimsoll::rate::Quota;
    /// assert_eq!(Quota::per_second(100).burst(20).burst_max(), 20);
    /// assert_eq!((Quota::none().burst_max(), Quota::unlimited().burst_max()), (0, u64::MAX));
    /// ```
    #[must_use]
    pub const fn burst_max(self) -> u64 {
        match self.0 {
            Kind::None => 0,
            Kind::Unlimited => u64::MAX,
            Kind::Rate { burst, .. } => burst,
        }
    }

    /// Checks what was given, as a limiter does when it is built.
    pub(super) fn check(self, name: Name) -> Result<(), Invalid> {
        let Kind::Rate { tokens, period, burst } = self.0 else { return Ok(()) };
        let refuse = |allowed| Err(Invalid::new(name, "quota", self, allowed));
        let nanos = period.as_nanos();
        if tokens == 0 {
            return refuse("at least 1 per period (Quota::none() admits nothing)");
        }
        if nanos > u128::from(FILL_MAX) {
            return refuse("a period of at most 9 years");
        }
        if u128::from(tokens) > nanos {
            return refuse("at most one per nanosecond (Quota::unlimited() admits everything)");
        }
        if burst == 0 {
            return refuse("a burst of at least 1");
        }
        if u128::from(burst) * (nanos / u128::from(tokens)) > u128::from(FILL_MAX) {
            return refuse("a burst of at most 9 years of the rate");
        }
        Ok(())
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::None => f.write_str("none"),
            Kind::Unlimited => f.write_str("unlimited"),
            Kind::Rate { tokens, period, burst } => write!(f, "{tokens} per {period:?}, burst {burst}"),
        }
    }
}
