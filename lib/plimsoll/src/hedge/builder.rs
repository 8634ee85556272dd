//! Making a hedge that can be seen.

use std::sync::{Arc, Weak};

use super::handle::{Hedge, Inner, OWN_PER_SECOND, OWN_RATIO};
use super::policy::Policy;
use crate::retry::Budget;
use crate::{Invalid, Name, registry};

/// Builds a [`Hedge`] with a name; made by [`Hedge::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::hedge::{Hedge, Policy};
/// let search = Hedge::builder("search").policy(Policy::fixed(Duration::from_millis(20)).extra_max(5)).build()?;
/// assert_eq!((search.delay(), search.snapshot().limit), (Duration::from_millis(20), 5));
/// let refused = Hedge::builder("search").policy(Policy::fixed(Duration::ZERO)).build().unwrap_err();
/// assert_eq!((refused.bound().as_str(), refused.field()), ("search", "fixed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    policy: Policy,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), policy: Policy::percentile(0.95) }
    }

    /// When a second try is begun, and what pays for it. Default: `Policy::percentile(0.95)`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let search = Hedge::builder("hedge-policy").policy(Policy::fixed(Duration::from_millis(20))).build()?;
    /// assert_eq!(search.delay(), Duration::from_millis(20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the hedge and puts it into the [registry](crate::registry); so is the budget that it
    /// has of its own when the policy names none, under the same name.
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field of the policy is out of its
    /// range.
    ///
    /// ```
    /// use plimsoll::{hedge::{Hedge, Policy}, registry};
    /// let search = Hedge::builder("hedge-built").build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == search.name()));
    /// assert!(Hedge::builder("hedge-built").policy(Policy::percentile(0.1)).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Hedge, Invalid> {
        let name = Name::new(&self.name)?;
        let terms = self.policy.terms(name)?;
        let extra_max = self.policy.extra();
        let own = || Budget::builder(&self.name).ratio(OWN_RATIO).min_per_second(OWN_PER_SECOND).build();
        let payer = self.policy.into_payer(own)?;
        Ok(Hedge(Arc::new_cyclic(|inner: &Weak<Inner>| {
            Inner::new(name, terms, extra_max, payer, Some(registry::register(inner.clone())))
        })))
    }
}
