//! The semaphore as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::builder::Builder;
use super::permit::{OwnedPermit, Permit};
use super::state::State;
use super::wait::Wait;
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::registry::{Bound, Snapshot};
use crate::waiters::up_to;
use crate::{Invalid, Name, Reason, Rejected, clock};

/// At most so many permits at once; a cheap handle, whose clones share one state.
///
/// See the [module](crate::semaphore) for which call to use, for fairness and for its one trap.
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// let connections = Semaphore::builder("connections").limit(10).build()?;
/// let ours = connections.clone();
/// let permit = ours.try_acquire_many(4)?;
/// assert_eq!((connections.in_use(), connections.available(), connections.waiting()), (4, 6, 0));
/// drop(permit);
/// assert_eq!((connections.snapshot().admitted, connections.snapshot().high_water), (1, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Semaphore(pub(super) Arc<State>);

/// Making, seeing and resizing.
impl Semaphore {
    /// A semaphore without a name that nobody sees in the [registry](crate::registry): a value of a
    /// [keyed](crate::keyed) limiter, or a part of another bound. Use [`builder`](Self::builder) for
    /// one of its own.
    ///
    /// # Errors
    /// When `limit` is zero or above 4,398,046,511,103.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(16)?;
    /// assert_eq!(semaphore.limit(), 16);
    /// assert!(Semaphore::new(0).is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn new(limit: u64) -> Result<Self, Invalid> {
        State::check(Name::UNNAMED, limit)?;
        Ok(Self(Arc::new(State::new(Name::UNNAMED, limit, None))))
    }

    /// Begins a semaphore that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let uploads = Semaphore::builder("semaphore-doc").limit(16).build()?;
    /// assert_eq!(uploads.name().as_str(), "semaphore-doc");
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, semaphore::Semaphore};
    /// assert_eq!(Semaphore::builder("uploads-name").limit(16).build()?.name().as_str(), "uploads-name");
    /// assert_eq!(Semaphore::new(16)?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The limit in force.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(16)?;
    /// semaphore.clone().resize(20)?;
    /// assert_eq!(semaphore.limit(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit()
    }

    /// How many permits are out; above the limit only after a shrink, by what was out already, and
    /// while it [observes](Self::observe).
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let body = memory.try_acquire_many(300)?;
    /// assert_eq!(memory.in_use(), 300);
    /// drop(body);
    /// assert_eq!(memory.in_use(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.0.in_use()
    }

    /// How many permits are free. While somebody waits they are theirs.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let body = memory.try_acquire_many(300)?;
    /// assert_eq!(memory.available(), 700);
    /// # drop(body);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn available(&self) -> u64 {
        self.0.available()
    }

    /// How many callers wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let held = semaphore.acquire().await;
    /// let release = async {
    ///     assert_eq!(semaphore.waiting(), 1);
    ///     drop(held);
    /// };
    /// tokio::join!(semaphore.acquire(), release);
    /// assert_eq!(semaphore.waiting(), 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    /// The numbers as they are now.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.try_acquire()?;
    /// assert!(semaphore.try_acquire().is_err());
    /// let now = semaphore.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted, now.rejected), (1, 1, 1, 1));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes the limit, for all clones and while permits are out.
    ///
    /// Growing admits waiters at once. Shrinking takes nothing back: when more is in use than the
    /// new limit, nobody is admitted until enough was released. A waiter that asks for more than
    /// the new limit is refused at once with [`Reason::TooLarge`].
    ///
    /// # Errors
    /// When `limit` is zero or above 4,398,046,511,103; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(2)?;
    /// let both = semaphore.try_acquire_many(2)?;
    /// semaphore.resize(1)?;
    /// assert_eq!((semaphore.in_use(), semaphore.limit()), (2, 1));
    /// drop(both);
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&self, limit: u64) -> Result<(), Invalid> {
        self.0.resize(limit)
    }

    /// From now on counts what it would reject or make wait, and admits everything, at once: how a
    /// limit is tried out. Whoever waits is let through.
    ///
    /// What is admitted over the limit holds its permits, so that [`in_use`](Self::in_use) shows what
    /// the limit would have to be. Only where more would be out than the largest limit, a permit
    /// [of none](Permit::permits) is given.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// semaphore.observe();
    /// let three = semaphore.try_acquire_many(3)?;
    /// assert_eq!((semaphore.in_use(), semaphore.snapshot().would_reject), (3, 1));
    /// # drop(three);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(&self) {
        Observable::observe(self);
    }

    /// Which share of its rejections, and of its making wait, it carries out: 0 observes only, 1 (the
    /// default) enforces the limit. Which ones is left to chance; those who wait are asked for anew.
    ///
    /// # Errors
    /// When `ratio` is not 0 to 1; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let first = semaphore.try_acquire()?;
    /// semaphore.set_enforced_ratio(0.0)?;
    /// let second = semaphore.try_acquire()?; // let through, and counted
    /// semaphore.set_enforced_ratio(1.0)?;
    /// assert!(semaphore.try_acquire().is_err());
    /// assert_eq!(semaphore.snapshot().would_reject, 1);
    /// assert!(semaphore.set_enforced_ratio(1.5).is_err());
    /// # drop((first, second));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    /// The share of its rejections that it carries out.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// assert_eq!(semaphore.enforced_ratio(), 1.0);
    /// semaphore.observe();
    /// assert_eq!(semaphore.enforced_ratio(), 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }
}

/// Without waiting.
impl Semaphore {
    /// One permit, now.
    ///
    /// # Errors
    /// [`Reason::Full`] when none is free, or when somebody waits for it already.
    ///
    /// ```
    /// use plimsoll::{Reason, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.try_acquire()?;
    /// assert_eq!(semaphore.try_acquire().unwrap_err().reason(), Reason::Full);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        if self.0.try_take(1) {
            Ok(Permit::new(&self.0, 1))
        } else {
            self.0.refuse(1).map(|held| Permit::new(&self.0, held))
        }
    }

    /// `permits` permits, now, all or none. Asking for none is always admitted and takes nothing.
    ///
    /// # Errors
    /// [`Reason::Full`] when not so many are free, or when somebody waits; [`Reason::TooLarge`] when
    /// there are not so many at all.
    ///
    /// ```
    /// use plimsoll::{Reason, semaphore::Semaphore};
    /// let memory = Semaphore::new(1_000)?;
    /// let body = memory.try_acquire_many(700)?;
    /// assert_eq!(memory.try_acquire_many(301).unwrap_err().reason(), Reason::Full);
    /// assert_eq!(memory.try_acquire_many(1_001).unwrap_err().reason(), Reason::TooLarge);
    /// # drop(body);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, permits: u64) -> Result<Permit<'_>, Rejected> {
        if permits == 0 || self.0.try_take(permits) {
            Ok(Permit::new(&self.0, permits))
        } else {
            self.0.refuse(permits).map(|held| Permit::new(&self.0, held))
        }
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit to move into a task.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.try_acquire_owned()?;
    /// let task = tokio::task::JoinSet::from_iter([async move { permit.permits() }]); // held until the task ends
    /// assert_eq!((task.join_all().await, semaphore.in_use()), (vec![1], 0));
    /// # Ok(()) }
    /// ```
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), for a permit to move into a task.
    ///
    /// # Errors
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let permit = memory.try_acquire_many_owned(300)?;
    /// assert_eq!((permit.permits(), memory.available()), (300, 700));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire_many_owned(&self, permits: u64) -> Result<OwnedPermit, Rejected> {
        self.try_acquire_many(permits).map(|permit| self.own(permit))
    }
}

/// Waiting.
impl Semaphore {
    /// One permit, when it is this caller's turn. It cannot fail: a limit is never below one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line; a permit that was already granted to it passes to the
    /// next in line. The place in the line is lost.
    ///
    /// # Fairness
    /// First come, first served, from the first poll on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), plimsoll::Invalid> {
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(4)?;
    /// let permit = semaphore.acquire().await;
    /// assert_eq!(semaphore.in_use(), 1);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Permit<'_> {
        consume_budget().await;
        if self.0.try_take(1) {
            return Permit::new(&self.0, 1);
        }
        let Ok(held) = Wait::new(&self.0, 1).await else {
            unreachable!("a semaphore's limit is never below one");
        };
        Permit::new(&self.0, held)
    }

    /// `permits` permits at once, when it is this caller's turn. Asking for none is admitted at once.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], at once, when there are not so many permits at all, or no longer are
    /// after a [`resize`](Self::resize).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire): those who come after this caller wait, even if they ask for
    /// less, so that it gets what it asks for as soon as enough was released.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, semaphore::Semaphore};
    /// let memory = Semaphore::new(1_000)?;
    /// let permit = memory.acquire_many(600).await?;
    /// assert_eq!(memory.available(), 400);
    /// // It could wait for ever, and is refused at once.
    /// assert_eq!(memory.acquire_many(1_001).await.unwrap_err().reason(), Reason::TooLarge);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many(&self, permits: u64) -> Result<Permit<'_>, Rejected> {
        consume_budget().await;
        if permits == 0 || self.0.try_take(permits) {
            return Ok(Permit::new(&self.0, permits));
        }
        match Wait::new(&self.0, permits).await {
            Ok(held) => Ok(Permit::new(&self.0, held)),
            Err(reason) => Err(self.0.refuse_for(reason)),
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
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, semaphore::Semaphore};
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.acquire().await;
    /// let late = semaphore.acquire_within(1, Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(late.reason(), Reason::WaitTimedOut);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, permits: u64, within: Duration) -> Result<Permit<'_>, Rejected> {
        consume_budget().await;
        if permits == 0 || self.0.try_take(permits) {
            return Ok(Permit::new(&self.0, permits));
        }
        let turn = up_to(within, Wait::new(&self.0, permits)).await;
        match turn.unwrap_or(Err(Reason::WaitTimedOut)) {
            Ok(held) => Ok(Permit::new(&self.0, held)),
            Err(reason) => Err(self.0.refuse_for(reason)),
        }
    }

    /// As [`acquire`](Self::acquire), for a permit to move into a task.
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.acquire_owned().await;
    /// let task = tokio::task::JoinSet::from_iter([async move { permit.permits() }]);
    /// let next = semaphore.acquire_owned().await; // when the task has ended
    /// assert_eq!((task.join_all().await, next.permits()), (vec![1], 1));
    /// # Ok(()) }
    /// ```
    pub async fn acquire_owned(&self) -> OwnedPermit {
        self.own(self.acquire().await)
    }

    /// As [`acquire_many`](Self::acquire_many), for a permit to move into a task.
    ///
    /// # Errors
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::semaphore::Semaphore;
    /// let memory = Semaphore::new(1_000)?;
    /// let permit = memory.acquire_many_owned(600).await?;
    /// assert_eq!((permit.permits(), memory.in_use()), (600, 600));
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many_owned(&self, permits: u64) -> Result<OwnedPermit, Rejected> {
        Ok(self.own(self.acquire_many(permits).await?))
    }

    /// As [`acquire_within`](Self::acquire_within), for a permit to move into a task.
    ///
    /// # Errors
    /// As [`acquire_within`](Self::acquire_within).
    ///
    /// # Panics
    /// As [`acquire_within`](Self::acquire_within).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let permit = semaphore.acquire_within_owned(1, Duration::from_millis(1)).await?;
    /// let late = semaphore.acquire_within_owned(1, Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(late.in_use(), 1);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within_owned(
        &self,
        permits: u64,
        within: Duration,
    ) -> Result<OwnedPermit, Rejected> {
        Ok(self.own(self.acquire_within(permits, within).await?))
    }

    fn own(&self, permit: Permit<'_>) -> OwnedPermit {
        OwnedPermit::new(self.clone(), permit.into_permits())
    }
}

impl Limiter for Semaphore {
    type Permit = OwnedPermit;

    fn try_acquire_owned_at(&self, _now: clock::Instant) -> Result<OwnedPermit, Rejected> {
        self.try_acquire_owned()
    }

    fn is_forgettable(&self, _now: clock::Instant) -> bool {
        is_only_handle(&self.0) && self.0.is_as_built()
    }
}

impl Waiting for Semaphore {
    async fn acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        Ok(Self::acquire_owned(self).await)
    }
}

impl Observable for Semaphore {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }

    fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.rebase_enforced_ratio(ratio)
    }

    fn would_reject(&self) -> u64 {
        self.0.would_reject()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
