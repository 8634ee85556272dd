//! Proof of admission.

use super::share::Share;
use crate::Outcome;

/// Permits of a [`Share`], given back when this is dropped: first to whoever waits for what is theirs.
///
/// ```
/// use plimsoll::{Outcome, budget::Budget};
/// let database = Budget::builder("permits").limit(10).share("reads", 10).build()?;
/// let reads = database.share("reads")?;
/// let permit = reads.try_acquire_many(3)?;
/// assert_eq!((permit.permits(), reads.available()), (3, 7));
/// permit.finish(Outcome::Success);
/// assert_eq!(reads.available(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit gives its place back when it is dropped"]
pub struct Permit {
    share: Share,
    permits: u64,
}

impl Permit {
    /// Owns `permits` that were taken for `share`.
    pub(super) const fn new(share: Share, permits: u64) -> Self {
        Self { share, permits }
    }

    /// How many permits this is.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("permit-permits").limit(10).share("reads", 6).build()?;
    /// assert_eq!(database.share("reads")?.try_acquire_many(3)?.permits(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn permits(&self) -> u64 {
        self.permits
    }

    /// Gives the permits back and says how the work went. A budget learns nothing from it; the word is
    /// the one that all limiters share, so that one can be put for another.
    ///
    /// ```
    /// use plimsoll::{Outcome, budget::Budget};
    /// let database = Budget::builder("permit-finish").limit(10).share("reads", 6).build()?;
    /// database.share("reads")?.try_acquire_many(3)?.finish(Outcome::Failure);
    /// assert_eq!((database.in_use(), database.limit()), (0, 10)); // given back, nothing learnt
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, outcome: Outcome) {
        let _ = outcome;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.share.release(self.permits);
    }
}
