//! The limiter as its users hold it.

use std::fmt;
use std::sync::Arc;

use tokio::task::coop::consume_budget;

use super::builder::{Builder, check_concurrency};
use super::permit::Permit;
use super::priority::Priority;
use super::queue::Queue;
use super::state::State;
use super::wait::admitted;
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::registry::{Bound, Snapshot};
use crate::{Invalid, Name, Rejected, clock, scope};

/// A concurrency limit whose queue never stands; a cheap handle, whose clones share one state.
///
/// See the [module](crate::shed) for what is shed and in what order.
///
/// ```
/// use plimsoll::shed::{Priority, Shed};
/// let api = Shed::builder("shed-handle").concurrency(2).build()?;
/// let permits = (api.try_acquire(Priority::CRITICAL)?, api.clone().try_acquire(Priority::CRITICAL)?);
/// assert_eq!((api.in_use(), api.waiting(), api.is_standing()), (2, 0, false));
/// let refused = api.try_acquire(Priority::CRITICAL_PLUS).unwrap_err();
/// assert_eq!(refused.to_string(), "shed-handle: 2 of 2 in use, 0 waiting");
/// # drop(permits);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Shed(pub(super) Arc<State>);

impl Shed {
    /// Begins one that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::shed::Shed;
    /// let api = Shed::builder("shed-builder").concurrency(64).queue(256).build()?;
    /// assert_eq!((api.name().as_str(), api.limit()), ("shed-builder", 64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(Some(name))
    }

    /// Begins one that has no name, and is not in the registry: for one key of a [keyed](crate::keyed)
    /// limiter, which is one entry whatever its keys.
    ///
    /// ```
    /// use plimsoll::keyed::Keyed;
    /// use plimsoll::shed::Shed;
    /// let tenants = Keyed::builder("shed-doc-tenants", |_: &String| Shed::unnamed().concurrency(8).build())
    ///     .keys_max(1_000)
    ///     .build()?;
    /// let permit = tenants.try_acquire("acme")?;
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unnamed() -> Builder {
        Builder::new(None)
    }

    /// A place, now.
    ///
    /// # Errors
    /// [`Reason::Full`](crate::Reason::Full) when there is none for that priority, or somebody at least
    /// as important waits for it; [`Reason::DeadlineTooNear`](crate::Reason::DeadlineTooNear) when the
    /// deadline of the scope has passed.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let shed = Shed::builder("shed-doc-try").concurrency(2).threshold(Priority::SHEDDABLE, 0.5).build()?;
    /// let first = shed.try_acquire(Priority::SHEDDABLE)?;
    /// assert!(shed.try_acquire(Priority::SHEDDABLE).is_err()); // the other place is kept
    /// assert!(shed.try_acquire(Priority::CRITICAL).is_ok());
    /// # drop(first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit, Rejected> {
        self.try_acquire_at(priority, clock::now())
    }

    /// A place, when it is this caller's turn, if that is soon enough.
    ///
    /// # Errors
    /// - [`Reason::Shed`](crate::Reason::Shed) when it waited as long as anybody may, or made room for
    ///   something more important;
    /// - [`Reason::QueueFull`](crate::Reason::QueueFull), at once, when too many wait, none of them less
    ///   important;
    /// - [`Reason::DeadlineTooNear`](crate::Reason::DeadlineTooNear), at once, when it is not expected to
    ///   begin before the deadline of the scope; or later, when that has passed.
    ///
    /// # Panics
    /// When it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line; a place that was already granted to it passes to the next.
    ///
    /// # Fairness
    /// First come, first served within a priority; what is more important goes before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::Reason;
    /// use plimsoll::shed::{Priority, Shed};
    /// let shed = Shed::builder("shed-doc-acquire").concurrency(1).interval(Duration::from_millis(10)).build()?;
    /// let held = shed.acquire(Priority::CRITICAL).await?;
    /// let refused = shed.acquire(Priority::CRITICAL).await.unwrap_err();
    /// assert_eq!(refused.reason(), Reason::Shed); // after 10 ms
    /// # drop(held);
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self, priority: Priority) -> Result<Permit, Rejected> {
        consume_budget().await;
        match admitted(&self.0, priority).await {
            Ok(began) => Ok(Permit::new(self.0.clone(), began)),
            Err(reason) => Err(self.0.refuse(priority, reason)),
        }
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, shed::Shed};
    /// assert_eq!(Shed::builder("shed-name").concurrency(64).build()?.name().as_str(), "shed-name");
    /// assert_eq!(Shed::unnamed().concurrency(64).build()?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// How many may run at once.
    ///
    /// ```
    /// use plimsoll::shed::Shed;
    /// let api = Shed::unnamed().concurrency(64).build()?;
    /// api.clone().resize(80)?;
    /// assert_eq!(api.limit(), 80);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.read(|queue| queue.settings().concurrency)
    }

    /// How many run.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let api = Shed::unnamed().concurrency(64).build()?;
    /// let permit = api.try_acquire(Priority::CRITICAL)?;
    /// assert_eq!(api.in_use(), 1);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.0.read(Queue::in_use)
    }

    /// How many wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::shed::{Priority, Shed};
    /// let api = Shed::unnamed().concurrency(1).build()?;
    /// let held = api.try_acquire(Priority::CRITICAL)?;
    /// let release = async {
    ///     assert_eq!(api.waiting(), 1);
    ///     drop(held);
    /// };
    /// let (permit, ()) = tokio::join!(api.acquire(Priority::CRITICAL), release);
    /// assert!(permit.is_ok() && api.waiting() == 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.read(|queue| queue.waiting() as u64)
    }

    /// Whether the line of any priority stands: whatever has waited longer than the target is shed.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let api = Shed::unnamed().concurrency(1).build()?;
    /// let permit = api.try_acquire(Priority::CRITICAL)?;
    /// assert!(!api.is_standing()); // full, but nobody waits
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_standing(&self) -> bool {
        self.0.read(|queue| queue.standing(clock::now()) > 0)
    }

    /// The numbers as they are now.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let api = Shed::unnamed().concurrency(1).build()?;
    /// let permit = api.try_acquire(Priority::CRITICAL)?;
    /// assert!(api.try_acquire(Priority::CRITICAL).is_err());
    /// let now = api.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted, now.rejected), (1, 1, 1, 1));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes how many run at once, for all clones and while permits are out.
    ///
    /// # Errors
    /// When it is not 1 to 1,000,000; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let api = Shed::builder("shed-resize").concurrency(1).build()?;
    /// let first = api.try_acquire(Priority::CRITICAL)?;
    /// api.resize(2)?;
    /// assert!(api.try_acquire(Priority::CRITICAL).is_ok());
    /// assert!(api.resize(0).is_err() && api.limit() == 2);
    /// # drop(first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&self, concurrency: u64) -> Result<(), Invalid> {
        check_concurrency(self.name(), concurrency)?;
        self.0.resize(concurrency);
        Ok(())
    }

    fn try_acquire_at(&self, priority: Priority, now: clock::Instant) -> Result<Permit, Rejected> {
        let deadline = scope::inherited_deadline();
        self.0.try_begin(now, priority, deadline)?;
        Ok(Permit::new(self.0.clone(), now))
    }
}

/// At [`Priority::CRITICAL`], the default.
impl Limiter for Shed {
    type Permit = Permit;

    fn try_acquire_owned_at(&self, now: clock::Instant) -> Result<Permit, Rejected> {
        self.try_acquire_at(Priority::default(), now)
    }

    fn is_forgettable(&self, now: clock::Instant) -> bool {
        is_only_handle(&self.0) && self.0.is_as_built(now)
    }
}

/// At [`Priority::CRITICAL`], the default.
impl Waiting for Shed {
    async fn acquire_owned(&self) -> Result<Permit, Rejected> {
        self.acquire(Priority::default()).await
    }
}

/// While it observes nobody waits. Those who waited already are served or shed as before.
impl Observable for Shed {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.enforcement().set_ratio(self.name(), ratio)
    }

    fn enforced_ratio(&self) -> f64 {
        self.0.enforcement().ratio()
    }
}

impl fmt::Debug for Shed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shed")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
