//! Proof of admission by a breaker.

use std::fmt;
use std::sync::Arc;

use super::handle::Inner;
use super::state::Word;
use crate::Outcome;
use crate::clock::Instant;

/// How a call was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    pub(super) word: Word,
    /// When it began; not read from the clock unless slow calls count.
    pub(super) began: Instant,
}

/// Proof that a [`Breaker`](super::Breaker) let a call pass.
///
/// Tell it how the call went with [`finish`](Permit::finish). Dropping it says nothing about the
/// dependency, and gives the probe back if it was one.
///
/// ```
/// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
/// let bank = Breaker::new(Policy::consecutive(1))?;
/// drop(bank.try_acquire()?); // a caller that went away says nothing
/// assert_eq!(bank.state(), State::Closed);
/// bank.try_acquire()?.finish(Outcome::Failure);
/// assert_eq!(bank.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the call is admitted for as long as the permit is kept"]
pub struct Permit<'a> {
    breaker: &'a Inner,
    admission: Option<Admission>,
}

impl<'a> Permit<'a> {
    pub(super) const fn new(breaker: &'a Inner, admission: Admission) -> Self {
        Self { breaker, admission: Some(admission) }
    }

    /// True once the call has run for as long as one that the policy calls slow.
    pub(crate) fn is_slow(&self) -> bool {
        self.admission.is_some_and(|admission| self.breaker.is_slow(admission))
    }

    /// Tells the breaker how the call went.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::consecutive(2))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// bank.try_acquire()?.finish(Outcome::Ignored); // says nothing, the row goes on
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            self.breaker.settle(admission, outcome);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.breaker.settle(admission, Outcome::Ignored);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}

/// A [`Permit`] that holds a handle of its breaker, for a task of its own.
///
/// ```
/// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
/// let bank = Breaker::new(Policy::ratio(1.0).calls_min(2))?;
/// let (first, second) = (bank.try_acquire_owned()?, bank.try_acquire_owned()?);
/// first.finish(Outcome::Failure);
/// assert_eq!(bank.state(), State::Closed, "one call is too few to judge by");
/// second.finish(Outcome::Failure);
/// assert_eq!(bank.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the call is admitted for as long as the permit is kept"]
pub struct OwnedPermit {
    breaker: Arc<Inner>,
    admission: Option<Admission>,
}

impl OwnedPermit {
    pub(super) const fn new(breaker: Arc<Inner>, admission: Admission) -> Self {
        Self { breaker, admission: Some(admission) }
    }

    /// Tells the breaker how the call went.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::consecutive(1))?;
    /// bank.try_acquire_owned()?.finish(Outcome::Success);
    /// assert_eq!(bank.state(), State::Closed);
    /// bank.try_acquire_owned()?.finish(Outcome::Failure);
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(mut self, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            self.breaker.settle(admission, outcome);
        }
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.breaker.settle(admission, Outcome::Ignored);
        }
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}
