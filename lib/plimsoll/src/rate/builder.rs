//! Making a rate limiter that can be seen.

use std::sync::Arc;

use super::handle::RateLimiter;
use super::quota::Quota;
use super::state::State;
use crate::{Invalid, Name, registry};

/// Builds a [`RateLimiter`] with a name; made by [`RateLimiter::builder`].
///
/// ```
/// use plimsoll::rate::{Quota, RateLimiter};
/// let mails = RateLimiter::builder("mails").quota(Quota::per_minute(600).burst(50)).build()?;
/// assert_eq!((mails.name().as_str(), mails.available()), ("mails", 50));
///
/// let refused = RateLimiter::builder("mails").quota(Quota::per_minute(0)).build().unwrap_err();
/// assert_eq!(refused.field(), "quota");
/// assert!(RateLimiter::builder("mails").quota(Quota::per_minute(1)).enforced_ratio(-0.1).build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    quota: Option<Quota>,
    enforced_ratio: f64,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), quota: None, enforced_ratio: 1.0 }
    }

    /// The rate and the burst. There is no default.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::builder("mails-quota").quota(Quota::per_minute(30).burst(5)).build()?;
    /// assert_eq!((mails.available(), mails.quota()), (5, Quota::per_minute(30).burst(5)));
    /// assert_eq!(RateLimiter::builder("mails-quota").build().unwrap_err().field(), "quota"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Which share of its rejections it carries out, 0 (it only counts them) to 1; 1 by default. It
    /// can be [changed](RateLimiter::set_enforced_ratio) while the limiter is in use.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let tried_out = RateLimiter::builder("mails-tried-out")
    ///     .quota(Quota::per_hour(1)).enforced_ratio(0.0).build()?;
    /// assert!(tried_out.try_acquire().is_ok() && tried_out.try_acquire().is_ok());
    /// assert_eq!(tried_out.snapshot().would_reject, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn enforced_ratio(mut self, ratio: f64) -> Self {
        self.enforced_ratio = ratio;
        self
    }

    /// Makes the limiter and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the quota was not set or is out of its
    /// range: at least one token per period, at most one per nanosecond, a burst of at least one. When
    /// the enforced ratio is not 0 to 1.
    ///
    /// ```
    /// use plimsoll::{registry, rate::{Quota, RateLimiter}};
    /// let mails = RateLimiter::builder("mails-built").quota(Quota::per_minute(30)).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == mails.name()));
    /// assert!(RateLimiter::builder("mails-built").quota(Quota::per_minute(0)).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<RateLimiter, Invalid> {
        let name = Name::new(&self.name)?;
        let allowed = "a rate, Quota::none() or Quota::unlimited()";
        let quota = self.quota.ok_or_else(|| Invalid::new(name, "quota", "not set", allowed))?;
        quota.check(name)?;
        let limiter = RateLimiter(Arc::new_cyclic(|state: &std::sync::Weak<State>| {
            State::new(name, quota, Some(registry::register(state.clone())))
        }));
        limiter.0.rebase_enforced_ratio(self.enforced_ratio)?;
        Ok(limiter)
    }
}
