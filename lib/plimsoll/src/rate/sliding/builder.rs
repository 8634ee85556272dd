//! Making a sliding window that can be seen.

use std::sync::{Arc, Weak};

use super::handle::Sliding;
use super::line::State;
use super::window::{Exactness, Window};
use crate::rate::quota::Quota;
use crate::{Invalid, Name, registry};

/// Builds a [`Sliding`] window with a name; made by [`Sliding::builder`].
///
/// ```
/// use plimsoll::rate::{Quota, Sliding};
/// let wide = Sliding::builder("requests").quota(Quota::per_minute(1_000_000));
/// assert_eq!(wide.clone().build().unwrap_err().field(), "quota"); // too many to be kept one by one
/// let requests = wide.approximate().enforced_ratio(0.5).build()?;
/// assert_eq!((requests.available(), requests.enforced_ratio()), (1_000_000, 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    quota: Option<Quota>,
    exactness: Exactness,
    enforced_ratio: f64,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), quota: None, exactness: Exactness::Exact, enforced_ratio: 1.0 }
    }

    /// How many in any window of its period, up to 65,536; its burst is not looked at. There is no
    /// default.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let resets = Sliding::builder("resets-quota").quota(Quota::per_minute(3)).build()?;
    /// assert_eq!(resets.available(), 3);
    /// assert_eq!(Sliding::builder("resets-quota").build().unwrap_err().field(), "quota"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Counts approximately, in constant memory and with no maximum; see the
    /// [module](crate::rate::sliding) for how far it is off.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let million = Sliding::builder("requests-approximate").quota(Quota::per_minute(1_000_000));
    /// assert!(million.clone().build().is_err()); // too many to be kept one by one
    /// assert_eq!(million.approximate().build()?.available(), 1_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn approximate(mut self) -> Self {
        self.exactness = Exactness::Approximate;
        self
    }

    /// Which share of its rejections, and of its making wait, it carries out, 0 (it only counts them)
    /// to 1; 1 by default.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, Sliding};
    /// let tried_out = Sliding::builder("resets-tried-out").quota(Quota::per_hour(1)).enforced_ratio(0.0).build()?;
    /// assert!(tried_out.try_acquire().is_ok() && tried_out.try_acquire().is_ok());
    /// assert_eq!(tried_out.snapshot().would_reject, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn enforced_ratio(mut self, ratio: f64) -> Self {
        self.enforced_ratio = ratio;
        self
    }

    /// Makes the window and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, the quota was not set or is out of its range,
    /// or the enforced ratio is not 0 to 1.
    ///
    /// ```
    /// use plimsoll::{registry, rate::{Quota, Sliding}};
    /// let resets = Sliding::builder("resets-built").quota(Quota::per_minute(3)).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == resets.name()));
    /// assert!(Sliding::builder("resets-built").quota(Quota::per_minute(65_537)).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Sliding, Invalid> {
        let name = Name::new(&self.name)?;
        let allowed = "a number per period, Quota::none() or Quota::unlimited()";
        let quota = self.quota.ok_or_else(|| Invalid::new(name, "quota", "not set", allowed))?;
        Window::check(name, quota, self.exactness)?;
        let sliding = Sliding(Arc::new_cyclic(|state: &Weak<State>| {
            State::new(name, quota, self.exactness, Some(registry::register(state.clone())))
        }));
        sliding.0.rebase_enforced_ratio(self.enforced_ratio)?;
        Ok(sliding)
    }
}
