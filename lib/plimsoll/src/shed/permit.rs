//! Proof of admission.

use std::fmt;
use std::sync::Arc;

use super::state::State;
use crate::Outcome;
use crate::clock::Instant;

/// A place of a [`Shed`](super::Shed), given back when this is dropped.
///
/// How long it was held is what the expected time to wait is made of.
///
/// ```
/// use plimsoll::{Outcome, shed::{Priority, Shed}};
/// let api = Shed::builder("shed-permit").concurrency(1).build()?;
/// let permit = api.try_acquire(Priority::CRITICAL)?;
/// assert!(api.try_acquire(Priority::CRITICAL).is_err());
/// permit.finish(Outcome::Success);
/// assert!(api.try_acquire(Priority::CRITICAL).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit gives its place back when it is dropped"]
pub struct Permit {
    state: Arc<State>,
    began: Instant,
}

impl Permit {
    /// Owns a place that was taken at `began`.
    pub(super) const fn new(state: Arc<State>, began: Instant) -> Self {
        Self { state, began }
    }

    /// Gives the place back and says how the work went. Nothing is learned from it: a place that was held
    /// is a place that was held, whatever came of it.
    ///
    /// ```
    /// use plimsoll::{Outcome, shed::{Priority, Shed}};
    /// let api = Shed::unnamed().concurrency(64).build()?;
    /// api.try_acquire(Priority::CRITICAL)?.finish(Outcome::Failure);
    /// assert_eq!((api.in_use(), api.limit()), (0, 64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, outcome: Outcome) {
        let _ = outcome;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.end(self.began);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("shed", &self.state.name()).finish_non_exhaustive()
    }
}
