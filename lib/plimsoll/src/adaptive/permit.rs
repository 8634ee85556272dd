//! Proof of admission by an adaptive limiter.

use std::fmt;
use std::sync::Arc;

use super::state::State;
use crate::clock::Instant;
use crate::{Outcome, semaphore};

/// Proof that an [`Adaptive`](super::Adaptive) limiter admitted work.
///
/// Tell it how the work went with [`finish`](Permit::finish): that is what the limit is found by.
/// Dropping it gives the place back and teaches nothing.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
/// let search = Adaptive::builder("search-permit").algorithm(Aimd::new().backoff(0.5)).initial(20).build()?;
/// drop(search.try_acquire()?); // teaches nothing
/// assert_eq!(search.limit(), 20);
/// search.try_acquire()?.finish(Outcome::Failure);
/// assert_eq!(search.limit(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit gives its place back when it is dropped"]
pub struct Permit<'a> {
    state: &'a State,
    place: semaphore::Permit<'a>,
    began: Began,
}

/// How it was when work was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    pub(super) at: Instant,
    pub(super) in_flight: u64,
}

impl<'a> Permit<'a> {
    pub(super) const fn new(state: &'a State, place: semaphore::Permit<'a>, began: Began) -> Self {
        Self { state, place, began }
    }

    /// Gives the place back, and says how the work went and that it ends now.
    ///
    /// ```
    /// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
    /// let search = Adaptive::builder("search-finish").algorithm(Aimd::new()).initial(1).build()?;
    /// search.try_acquire()?.finish(Outcome::Success);
    /// assert_eq!((search.limit(), search.in_use()), (2, 0)); // one more after a success
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        drop(self.place);
        self.state.learn(self.began, outcome);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("adaptive", &self.state.name()).finish_non_exhaustive()
    }
}

/// A [`Permit`] that holds a handle of its limiter, for a task of its own.
///
/// ```
/// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
/// let search = Adaptive::builder("search-owned").algorithm(Aimd::new().backoff(0.5)).initial(8).build()?;
/// let permit = search.try_acquire_owned()?;
/// std::thread::scope(|threads| drop(threads.spawn(|| permit.finish(Outcome::Failure))));
/// assert_eq!((search.in_use(), search.limit()), (0, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit gives its place back when it is dropped"]
pub struct OwnedPermit {
    state: Arc<State>,
    place: semaphore::OwnedPermit,
    began: Began,
}

impl OwnedPermit {
    pub(super) const fn new(state: Arc<State>, place: semaphore::OwnedPermit, began: Began) -> Self {
        Self { state, place, began }
    }

    /// Gives the place back, and says how the work went and that it ends now.
    ///
    /// ```
    /// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
    /// let search = Adaptive::builder("search-owned-finish").algorithm(Aimd::new()).initial(10).build()?;
    /// let permit = search.try_acquire_owned()?;
    /// permit.finish(Outcome::Failure);
    /// assert_eq!((search.limit(), search.in_use()), (9, 0)); // a tenth less after a failure
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, outcome: Outcome) {
        drop(self.place);
        self.state.learn(self.began, outcome);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("adaptive", &self.state.name()).finish_non_exhaustive()
    }
}
