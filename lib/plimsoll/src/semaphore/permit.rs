//! Proof of admission.

use super::handle::Semaphore;
use super::state::State;
use crate::Outcome;

/// Permits of a [`Semaphore`], given back when this is dropped.
///
/// ```
/// use plimsoll::{Outcome, semaphore::Semaphore};
/// let memory = Semaphore::new(1_000)?;
/// let permit = memory.try_acquire_many(300)?;
/// assert_eq!((permit.permits(), memory.in_use()), (300, 300));
/// permit.finish(Outcome::Success);
/// assert_eq!(memory.in_use(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit gives its place back when it is dropped"]
pub struct Permit<'a> {
    state: &'a State,
    permits: u64,
}

impl<'a> Permit<'a> {
    /// Owns `permits` that were taken from the word.
    pub(super) const fn new(state: &'a State, permits: u64) -> Self {
        Self { state, permits }
    }

    /// How many permits this is: what was asked for, or none if it was let through where no more could
    /// be [counted](Semaphore::observe).
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// assert_eq!(memory.try_acquire_many(300)?.permits(), 300);
    /// assert_eq!(memory.try_acquire_many(0)?.permits(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn permits(&self) -> u64 {
        self.permits
    }

    /// Takes `permits` out of this one, as a permit of its own; none when this has fewer.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let mut whole = memory.try_acquire_many(300)?;
    /// let part = whole.split(100).unwrap();
    /// drop(whole);
    /// assert_eq!(memory.in_use(), 100);
    /// # drop(part);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn split(&mut self, permits: u64) -> Option<Permit<'a>> {
        if permits > self.permits {
            return None;
        }
        self.permits -= permits;
        Some(Self { state: self.state, permits })
    }

    /// The permits, which the caller now owns.
    pub(super) fn into_permits(self) -> u64 {
        let permits = self.permits;
        std::mem::forget(self);
        permits
    }

    /// Gives the permits back and says how the work went. A semaphore learns nothing from it; the
    /// word is the one that all limiters share, so that one can be put for another.
    ///
    /// ```
    /// use plimsoll::{Outcome, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// semaphore.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!((semaphore.in_use(), semaphore.limit()), (0, 1)); // nothing learnt
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, outcome: Outcome) {
        let _ = outcome;
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.state.release(self.permits);
    }
}

/// Permits that hold a handle of their [`Semaphore`], to be moved into a task; given back when
/// this is dropped.
///
/// ```
/// use plimsoll::{Outcome, semaphore::Semaphore};
/// let memory = Semaphore::new(1_000)?;
/// let mut head = memory.try_acquire_many_owned(300)?;
/// let body = head.split(250).expect("300 are there");
/// assert!(head.split(51).is_none());
/// head.finish(Outcome::Success);
/// assert_eq!((body.permits(), memory.in_use()), (250, 250));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit gives its place back when it is dropped"]
pub struct OwnedPermit {
    semaphore: Semaphore,
    permits: u64,
}

impl OwnedPermit {
    /// Owns `permits` that were taken from the word.
    pub(super) const fn new(semaphore: Semaphore, permits: u64) -> Self {
        Self { semaphore, permits }
    }

    /// How many permits this is: what was asked for, or none if it was let through where no more could
    /// be [counted](Semaphore::observe).
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// assert_eq!(memory.try_acquire_many_owned(300)?.permits(), 300);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn permits(&self) -> u64 {
        self.permits
    }

    /// Takes `permits` out of this one, as a permit of its own; none when this has fewer.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let mut body = memory.try_acquire_many_owned(300)?;
    /// drop(body.split(100)); // a part is done with
    /// assert_eq!((body.permits(), memory.in_use()), (200, 200));
    /// assert!(body.split(201).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(&mut self, permits: u64) -> Option<Self> {
        if permits > self.permits {
            return None;
        }
        self.permits -= permits;
        Some(Self { semaphore: self.semaphore.clone(), permits })
    }

    /// Gives the permits back and says how the work went; see [`Permit::finish`].
    ///
    /// ```
    /// use plimsoll::{Outcome, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.try_acquire_owned()?;
    /// permit.finish(Outcome::Success);
    /// assert_eq!(semaphore.in_use(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, outcome: Outcome) {
        let _ = outcome;
    }
}

impl Drop for OwnedPermit {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.0.release(self.permits);
    }
}
