//! Making a semaphore that can be seen.

use std::sync::{Arc, Weak};

use super::handle::Semaphore;
use super::state::State;
use crate::{Invalid, Name, registry};

/// Builds a [`Semaphore`] with a name; made by [`Semaphore::builder`].
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// let refused = Semaphore::builder("uploads").limit(0).build().unwrap_err();
/// assert_eq!((refused.bound().as_str(), refused.field(), refused.value()), ("uploads", "limit", "0"));
///
/// let uploads = Semaphore::builder("uploads").limit(16).enforced_ratio(0.25).build()?;
/// assert_eq!((uploads.limit(), uploads.enforced_ratio()), (16, 0.25));
/// assert!(Semaphore::builder("uploads").limit(16).enforced_ratio(25.0).build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    limit: u64,
    enforced_ratio: f64,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), limit: 0, enforced_ratio: 1.0 }
    }

    /// How many permits there are: 1 to 4,398,046,511,103 (4 TiB when permits are bytes). There is
    /// no default.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let uploads = Semaphore::builder("uploads-limit").limit(16);
    /// assert_eq!(uploads.build()?.limit(), 16);
    /// assert_eq!(Semaphore::builder("uploads-limit").build().unwrap_err().field(), "limit"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Which share of its rejections it carries out, 0 (it only counts them) to 1; 1 by default. It
    /// can be [changed](Semaphore::set_enforced_ratio) while the semaphore is in use.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let tried_out = Semaphore::builder("tried-out").limit(1).enforced_ratio(0.0).build()?;
    /// let over = (tried_out.try_acquire()?, tried_out.try_acquire()?); // one more than the limit
    /// assert_eq!((tried_out.in_use(), tried_out.snapshot().would_reject), (2, 1));
    /// # drop(over);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn enforced_ratio(mut self, ratio: f64) -> Self {
        self.enforced_ratio = ratio;
        self
    }

    /// Makes the semaphore and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the limit is zero, not set, or too
    /// large. A semaphore of zero would let everybody wait for ever. When the enforced ratio is not 0
    /// to 1.
    ///
    /// ```
    /// use plimsoll::{registry, semaphore::Semaphore};
    /// let uploads = Semaphore::builder("uploads-built").limit(16).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == uploads.name()));
    /// assert!(Semaphore::builder("").limit(16).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Semaphore, Invalid> {
        let name = Name::new(&self.name)?;
        State::check(name, self.limit)?;
        let semaphore = Semaphore(Arc::new_cyclic(|state: &Weak<State>| {
            State::new(name, self.limit, Some(registry::register(state.clone())))
        }));
        semaphore.0.rebase_enforced_ratio(self.enforced_ratio)?;
        Ok(semaphore)
    }
}
