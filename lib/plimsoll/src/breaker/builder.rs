//! Making a breaker that can be seen.

use std::fmt;
use std::sync::{Arc, Weak};

use super::handle::{Inner, Observer};
use super::{Breaker, Policy, Transition};
use crate::{Invalid, Name, registry};

/// Builds a [`Breaker`] with a name; made by [`Breaker::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::breaker::{Breaker, Policy};
/// let policy = Policy::ratio(0.5).open_for(Duration::from_secs(5));
/// assert_eq!(Breaker::builder("bank").policy(policy).build()?.name().as_str(), "bank");
/// let refused = Breaker::builder("bank").policy(policy.open_for_max(Duration::from_secs(1))).build().unwrap_err();
/// assert_eq!(refused.to_string(), "bank: open_for_max is 1s, allowed is at least open_for");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    policy: Policy,
    observer: Option<Observer>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), policy: Policy::ratio(0.5), observer: None }
    }

    /// When it opens, for how long, and what closes it. Default: `Policy::ratio(0.5)`.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::builder("bank-policy").policy(Policy::consecutive(1)).build()?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Calls `observer` at every change of state, on the task that caused it and outside of any
    /// lock: it may use the breaker. It should be short: a call waits for it.
    ///
    /// If it panics, the panic goes on in the call; the breaker stays whole.
    ///
    /// Two changes close together may be told in the other order; their
    /// [`epoch`](Transition::epoch) says which was first.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use plimsoll::Outcome;
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// let (told, changes) = mpsc::sync_channel(16);
    /// let breaker = Breaker::builder("inventory-observed")
    ///     .policy(Policy::consecutive(1))
    ///     .on_transition(move |change| drop(told.try_send((change.from, change.to))))
    ///     .build()?;
    /// breaker.try_acquire().expect("closed").finish(Outcome::Failure);
    /// assert_eq!(changes.try_recv(), Ok((State::Closed, State::Open)));
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn on_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Makes the breaker and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field of the policy is out of its
    /// range.
    ///
    /// ```
    /// use plimsoll::{breaker::{Breaker, Policy}, registry};
    /// let bank = Breaker::builder("bank-built").build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == bank.name()));
    /// assert!(Breaker::builder("bank-built").policy(Policy::ratio(1.5)).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Breaker, Invalid> {
        let name = Name::new(&self.name)?;
        self.policy.check(name)?;
        Ok(Breaker(Arc::new_cyclic(|inner: &Weak<Inner>| {
            Inner::new(name, self.policy, self.observer, Some(registry::register(inner.clone())))
        })))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, policy, .. } = self;
        f.debug_struct("Builder").field("name", name).field("policy", policy).finish_non_exhaustive()
    }
}
