//! One share, as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::permit::Permit;
use super::state::State;
use super::wait::Wait;
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::registry::Snapshot;
use crate::waiters::up_to;
use crate::{Invalid, Name, Reason, Rejected, clock};

/// The limiter of one share of a [`Budget`](super::Budget); a cheap handle, whose clones share one
/// state.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::budget::Budget;
/// let database = Budget::builder("share-doc").limit(3).share("reads", 2).share("writes", 1).build()?;
/// let writes = database.share("writes")?;
/// let permit = writes.acquire().await;
/// assert_eq!((writes.in_use(), writes.available()), (1, 0));
/// assert!(writes.try_acquire().is_err()); // reads keep theirs, though they use none
/// # drop(permit);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Share {
    state: Arc<State>,
    index: usize,
}

impl Share {
    pub(super) const fn new(state: Arc<State>, index: usize) -> Self {
        Self { state, index }
    }

    /// The budget's name and its own, as in `db/reads`.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-name").limit(10).share("reads", 6).build()?;
    /// assert_eq!(database.share("reads")?.name().as_str(), "db-name/reads");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.state.labels()[self.index].full
    }

    /// How much of the bound is its own.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-limit").limit(10).share("reads", 6).build()?;
    /// let reads = database.share("reads")?;
    /// database.set_shares(&[("reads", 8)])?;
    /// assert_eq!(reads.limit(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.state.account(self.index).share
    }

    /// How many of its permits are out, borrowed ones included.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-in-use").limit(10).share("reads", 6).share("writes", 4).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.try_acquire_many(2)?;
    /// assert_eq!((reads.in_use(), database.share("writes")?.in_use()), (2, 0));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.state.account(self.index).in_use
    }

    /// How much of its own it does not use; others may have it, if it lends.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-available").limit(10).share("reads", 6).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.try_acquire_many(2)?;
    /// assert_eq!(reads.available(), 4);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn available(&self) -> u64 {
        let account = self.state.account(self.index);
        account.share.saturating_sub(account.in_use)
    }

    /// How much it has out beyond its own.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-borrowed")
    ///     .limit(10).share("reads", 6).share("writes", 4).lending().build()?;
    /// let writes = database.share("writes")?;
    /// let permit = writes.try_acquire_many(7)?;
    /// assert_eq!(writes.borrowed(), 3);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn borrowed(&self) -> u64 {
        let account = self.state.account(self.index);
        account.in_use.saturating_sub(account.share)
    }

    /// How many callers wait for it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-waiting").limit(1).share("reads", 1).build()?;
    /// let reads = database.share("reads")?;
    /// let held = reads.acquire().await;
    /// let release = async {
    ///     assert_eq!(reads.waiting(), 1);
    ///     drop(held);
    /// };
    /// tokio::join!(reads.acquire(), release);
    /// assert_eq!(reads.waiting(), 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.state.waiting(self.index)
    }

    /// The numbers of this share as they are now.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("db-snapshot").limit(10).share("reads", 6).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.try_acquire_many(2)?;
    /// let now = reads.snapshot();
    /// assert_eq!((now.limit, now.in_use), (6, 2));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.share_snapshot(self.index)
    }

    /// One permit, now.
    ///
    /// # Errors
    /// [`Reason::Full`] when there is none, or when somebody waits for it already.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("one").limit(1).share("reads", 1).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.try_acquire()?;
    /// assert_eq!(reads.try_acquire().unwrap_err().to_string(), "one/reads: 1 of 1 in use, 0 waiting");
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        self.try_acquire_many(1)
    }

    /// `permits` permits, now, all or none. Asking for none is always admitted and takes nothing.
    ///
    /// # Errors
    /// [`Reason::Full`] when not so many are free, or when somebody waits; [`Reason::TooLarge`] when
    /// the share can never have so many, with all that is lent to it.
    ///
    /// ```
    /// use plimsoll::{Reason, budget::Budget};
    /// let database = Budget::builder("many").limit(10).share("reads", 6).share("writes", 4).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.try_acquire_many(6)?;
    /// assert_eq!(reads.try_acquire_many(1).unwrap_err().reason(), Reason::Full);
    /// assert_eq!(reads.try_acquire_many(7).unwrap_err().reason(), Reason::TooLarge);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire_many(&self, permits: u64) -> Result<Permit, Rejected> {
        self.state.try_take(self.index, permits)?;
        Ok(self.permit(permits))
    }

    /// One permit, when it is this caller's turn. It cannot fail: a share is never below one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line; a permit that was already granted to it passes to the
    /// next. The place in the line is lost.
    ///
    /// # Fairness
    /// First come, first served within the share, from the first poll on; between the shares as the
    /// [module](crate::budget) says.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("waits").limit(1).share("reads", 1).build()?;
    /// let (reads, next) = (database.share("reads")?, database.share("reads")?);
    /// let permit = reads.acquire().await;
    /// let task = tokio::task::JoinSet::from_iter([async move { next.acquire().await.permits() }]);
    /// tokio::task::yield_now().await;
    /// assert_eq!(reads.waiting(), 1);
    /// drop(permit);
    /// assert_eq!(task.join_all().await, [1]);
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Permit {
        consume_budget().await;
        let Ok(()) = Wait::new(&self.state, self.index, 1).await else {
            unreachable!("a share is never below one");
        };
        self.permit(1)
    }

    /// `permits` permits at once, when it is this caller's turn. Asking for none is admitted at once.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], at once, when the share can never have so many, or no longer can after a
    /// change.
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, budget::Budget};
    /// let memory = Budget::builder("memory").limit(1_000).share("bodies", 600).share("caches", 400).build()?;
    /// let bodies = memory.share("bodies")?;
    /// let permit = bodies.acquire_many(500).await?;
    /// assert_eq!(bodies.available(), 100);
    /// assert_eq!(bodies.acquire_many(601).await.unwrap_err().reason(), Reason::TooLarge);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many(&self, permits: u64) -> Result<Permit, Rejected> {
        consume_budget().await;
        match Wait::new(&self.state, self.index, permits).await {
            Ok(()) => Ok(self.permit(permits)),
            Err(reason) => Err(self.state.refuse(self.index, reason)),
        }
    }

    /// `permits` permits at once, if it is this caller's turn `within` that time.
    ///
    /// # Errors
    /// [`Reason::WaitTimedOut`] when it was not; [`Reason::TooLarge`] as
    /// [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    /// When it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, budget::Budget};
    /// let database = Budget::builder("late").limit(1).share("reads", 1).build()?;
    /// let reads = database.share("reads")?;
    /// let permit = reads.acquire_within(1, Duration::from_millis(1)).await?;
    /// let late = reads.acquire_within(1, Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(late.reason(), Reason::WaitTimedOut);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, permits: u64, within: Duration) -> Result<Permit, Rejected> {
        consume_budget().await;
        let turn = up_to(within, Wait::new(&self.state, self.index, permits)).await;
        match turn.unwrap_or(Err(Reason::WaitTimedOut)) {
            Ok(()) => Ok(self.permit(permits)),
            Err(reason) => Err(self.state.refuse(self.index, reason)),
        }
    }

    pub(super) fn release(&self, permits: u64) {
        self.state.release(self.index, permits);
    }

    fn permit(&self, permits: u64) -> Permit {
        Permit::new(self.clone(), permits)
    }
}

impl Limiter for Share {
    type Permit = Permit;

    fn try_acquire_owned_at(&self, _now: clock::Instant) -> Result<Permit, Rejected> {
        self.try_acquire()
    }

    fn is_forgettable(&self, _now: clock::Instant) -> bool {
        is_only_handle(&self.state) && self.state.is_as_built()
    }
}

impl Waiting for Share {
    async fn acquire_owned(&self) -> Result<Permit, Rejected> {
        Ok(self.acquire().await)
    }
}

/// Observing is of the whole budget: what one share took beyond the limit is not there for the others.
impl Observable for Share {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.state.set_enforced_ratio(ratio)
    }

    fn enforced_ratio(&self) -> f64 {
        self.state.enforcement().ratio()
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}
