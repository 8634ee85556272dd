//! The budget as its users hold it.

use std::fmt;
use std::sync::Arc;

use super::builder::Builder;
use super::share::Share;
use super::state::State;
use crate::registry::{Bound, Snapshot};
use crate::{Invalid, Name};

/// One bound, shared out; a cheap handle, whose clones share one state.
///
/// See the [module](crate::budget) for what a share is promised.
///
/// ```
/// use plimsoll::budget::Budget;
/// let sockets = Budget::builder("sockets").limit(100).share("api", 70).share("crawl", 30).build()?;
/// let permit = sockets.share("api")?.try_acquire_many(25)?;
/// assert_eq!((sockets.limit(), sockets.in_use()), (100, 25));
/// assert!(sockets.snapshot().details.contains(&("api", 25)));
/// # drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Budget(pub(super) Arc<State>);

impl Budget {
    /// Begins a budget that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("database").limit(2).share("reads", 1).share("writes", 1).build()?;
    /// assert_eq!((database.name().as_str(), database.limit()), ("database", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The limiter of one share.
    ///
    /// # Errors
    /// When it was built without a share of that name.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("shares").limit(2).share("reads", 1).share("writes", 1).build()?;
    /// assert_eq!(database.share("reads")?.name().as_str(), "shares/reads");
    /// assert_eq!(database.share("raeds").unwrap_err().value(), "\"raeds\"");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn share(&self, share: &str) -> Result<Share, Invalid> {
        Ok(Share::new(self.0.clone(), self.0.find(share)?))
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("budget-name").limit(10).share("reads", 6).build()?;
    /// assert_eq!(database.name().as_str(), "budget-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The limit in force, for all shares together.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("budget-limit").limit(10).share("reads", 6).build()?;
    /// database.resize(12)?;
    /// assert_eq!(database.limit(), 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit()
    }

    /// How many permits are out, of all shares.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("budget-in-use").limit(10).share("reads", 6).share("writes", 4).build()?;
    /// let out = (database.share("reads")?.try_acquire_many(2)?, database.share("writes")?.try_acquire()?);
    /// assert_eq!(database.in_use(), 3);
    /// # drop(out);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.0.in_use()
    }

    /// The numbers as they are now; what each share has in use is in the details, by its name.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("budget-snapshot").limit(10).share("reads", 6).build()?;
    /// let permit = database.share("reads")?.try_acquire_many(2)?;
    /// let now = database.snapshot();
    /// assert_eq!((now.limit, now.in_use), (10, 2));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes the limit, for all clones and while permits are out.
    ///
    /// Shrinking takes nothing back. To shrink below what is shared out, change the
    /// [shares](Self::set_shares) first.
    ///
    /// # Errors
    /// When `limit` is zero, too large, or below the sum of the shares; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("resized").limit(10).share("reads", 6).build()?;
    /// let permit = database.share("reads")?.try_acquire_many(10)?;
    /// database.resize(8)?;
    /// assert_eq!((database.limit(), database.in_use()), (8, 10)); // nothing is taken back
    /// assert!(database.resize(5).is_err()); // 6 are given to the reads
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&self, limit: u64) -> Result<(), Invalid> {
        self.0.resize(limit)
    }

    /// Changes shares, all together or not at all; those that are not named stay as they are.
    ///
    /// A share that is cut below what it has out has borrowed the rest. A waiter that asks for more
    /// than its share can ever have now is refused with [`Reason::TooLarge`](crate::Reason::TooLarge).
    ///
    /// # Errors
    /// When there is no such share, one becomes zero, or they add up to more than the limit; nothing
    /// has changed then.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("budget-doc-set").limit(10).share("reads", 8).share("writes", 2).build()?;
    /// database.set_shares(&[("reads", 4), ("writes", 6)])?;
    /// assert_eq!(database.share("writes")?.limit(), 6);
    /// assert!(database.set_shares(&[("reads", 5)]).is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn set_shares(&self, shares: &[(&str, u64)]) -> Result<(), Invalid> {
        self.0.set_shares(shares)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}
