//! A promise for later.

use std::time::Duration;

use super::handle::RateLimiter;
use super::hold::settle;
use super::line::Turn;
use super::state::Charge;
use crate::clock::{self, Instant};

/// Tokens that are the caller's from a certain time on; made by [`RateLimiter::reserve`].
///
/// They are spent already. Dropping the reservation keeps them spent (the caller went ahead);
/// [`cancel`](Self::cancel) gives them back.
///
/// ```
/// use plimsoll::rate::{Quota, RateLimiter};
/// let mails = RateLimiter::new(Quota::per_minute(2).burst(1))?;
/// let (first, second, third) = (mails.reserve()?, mails.reserve()?, mails.reserve()?);
/// assert!(first.delay().is_zero());
/// assert_eq!((third.ready_at() - second.ready_at()).as_secs_f64().round(), 30.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the tokens are spent, to be used after the delay or cancelled"]
pub struct Reservation {
    limiter: RateLimiter,
    tokens: u64,
    /// None when nothing was spent.
    charge: Option<Charge>,
    at: Instant,
    delay: Duration,
}

impl Reservation {
    pub(super) fn new(
        limiter: RateLimiter,
        tokens: u64,
        charge: Option<Charge>,
        now: Instant,
        at: Instant,
    ) -> Self {
        Self { limiter, tokens, charge, at, delay: at - now }
    }

    /// How long to wait, from when it was made; zero when the work may begin at once.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(2).burst(1))?;
    /// let (first, second) = (mails.reserve()?, mails.reserve()?);
    /// assert_eq!((first.delay().as_secs_f64().round(), second.delay().as_secs_f64().round()), (0.0, 30.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// When the work may begin.
    ///
    /// ```
    /// use plimsoll::{clock, rate::{Quota, RateLimiter}};
    /// let mails = RateLimiter::new(Quota::per_minute(2).burst(1))?;
    /// let (first, second) = (mails.reserve()?, mails.reserve()?);
    /// assert!(first.ready_at() <= clock::now() && second.ready_at() > clock::now());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn ready_at(&self) -> Instant {
        self.at
    }

    /// Charges what it truly cost instead of what was reserved, as [`Hold::settle`](super::Hold::settle)
    /// does.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let bytes = RateLimiter::new(Quota::per_minute(60_000))?;
    /// let reserved = bytes.reserve_many(60_000)?;
    /// reserved.settle(20_000);
    /// assert!(bytes.available() >= 40_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(self, actual: u64) {
        settle(&self.limiter, self.charge, self.tokens, actual);
    }

    /// Gives the tokens back, for work that is not done after all.
    ///
    /// What is given back is what cannot have been used by somebody else in the meantime: all of it
    /// while the reservation lies ahead, less as time passes, and nothing when somebody was promised
    /// a later time on top of this reservation, or the quota was changed.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let limiter = RateLimiter::new(Quota::per_minute(1))?;
    /// limiter.try_acquire()?;
    /// let later = limiter.reserve()?;
    /// assert!(later.delay().as_secs() >= 59);
    /// later.cancel();
    /// let again = limiter.reserve()?;
    /// assert!(again.delay().as_secs() <= 60, "not 120");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(self) {
        let Some(charge) = self.charge else { return };
        let mut turn = Turn::begin(&self.limiter.0);
        turn.give_back(charge, clock::now());
        turn.end();
    }
}
