//! The adaptive limiter as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::knee::Knee;
use super::permit::{OwnedPermit, Permit};
use super::state::State;
use crate::clock::{self, Instant};
use crate::limiter::{Limiter, Observable, Waiting, is_only_handle};
use crate::registry::{Bound, Snapshot};
use crate::semaphore::Semaphore;
use crate::{Invalid, Name, Rejected};

/// As many at once as the other side serves well, found by how it goes; a cheap handle, whose clones
/// share one state.
///
/// See the [module](crate::adaptive) for which algorithm to use and what it costs.
///
/// ```
/// use plimsoll::{Outcome, adaptive::Adaptive};
/// let search = Adaptive::builder("search-handle").initial(2).build()?;
/// let (first, second) = (search.try_acquire()?, search.try_acquire()?);
/// assert!(search.clone().try_acquire().is_err(), "clones share one limit");
/// first.finish(Outcome::Success);
/// second.finish(Outcome::Success);
/// assert_eq!((search.in_use(), search.snapshot().rejected), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Adaptive(pub(super) Arc<State>);

/// Making and seeing.
impl Adaptive {
    /// A limiter without a name that nobody sees in the [registry](crate::registry), with the default
    /// algorithm and limits: a value of a [keyed](crate::keyed) limiter. With other settings it is made
    /// by [`build_unregistered`](Builder::build_unregistered); use [`builder`](Self::builder) for one
    /// of its own.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// assert_eq!(Adaptive::new().limit(), 20);
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "20 is a limit that a semaphore takes")]
    pub fn new() -> Self {
        let semaphore = Semaphore::new(20).expect("20 permits are within the range of a semaphore");
        Self(Arc::new(State::new(Name::UNNAMED, semaphore, Box::new(Knee::new()), (1, 1_000), None)))
    }

    /// Begins a limiter that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::builder("adaptive-doc").initial(10).limits(2, 200).build()?;
    /// assert_eq!((search.limit(), search.limit_min(), search.limit_max()), (10, 2, 200));
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, adaptive::Adaptive};
    /// assert_eq!(Adaptive::builder("search-name").build()?.name().as_str(), "search-name");
    /// assert_eq!(Adaptive::new().name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The limit in force.
    ///
    /// ```
    /// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
    /// let search = Adaptive::builder("search-limit").algorithm(Aimd::new()).initial(20).build()?;
    /// search.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(search.limit(), 18); // a tenth less
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.semaphore.limit()
    }

    /// The limit that it never goes below.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// assert_eq!(Adaptive::builder("search-min").limits(5, 200).build()?.limit_min(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit_min(&self) -> u64 {
        self.0.range().0
    }

    /// The limit that it never goes above.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// assert_eq!(Adaptive::builder("search-max").limits(5, 200).build()?.limit_max(), 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit_max(&self) -> u64 {
        self.0.range().1
    }

    /// How many permits are out; above the limit only after it fell, by what was out already.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::new();
    /// let permit = search.try_acquire()?;
    /// assert_eq!(search.in_use(), 1);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.0.semaphore.in_use()
    }

    /// How many callers wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::builder("search-waiting").initial(1).build()?;
    /// let held = search.acquire().await;
    /// let release = async {
    ///     assert_eq!(search.waiting(), 1);
    ///     drop(held);
    /// };
    /// tokio::join!(search.acquire(), release);
    /// assert_eq!(search.waiting(), 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.semaphore.waiting()
    }

    /// The numbers as they are now; its details hold the latency without a queue, as far as the
    /// algorithm knows it.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::new();
    /// let permit = search.try_acquire()?;
    /// let now = search.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted), (20, 1, 1));
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

/// Admission.
impl Adaptive {
    /// A permit, now.
    ///
    /// # Errors
    /// [`Reason::Full`](crate::Reason::Full) when none is free, or when somebody waits for it already.
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::builder("adaptive-doc-try").initial(1).build()?;
    /// let permit = search.try_acquire()?;
    /// let refused = search.try_acquire().unwrap_err();
    /// assert_eq!(refused.to_string(), "adaptive-doc-try: 1 of 1 in use, 0 waiting");
    /// permit.finish(Outcome::Success);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        match self.0.semaphore.try_acquire() {
            Ok(place) => Ok(Permit::new(&self.0, place, self.0.begin(clock::now()))),
            Err(full) => Err(self.0.refuse(&full)),
        }
    }

    /// A permit, when it is this caller's turn. It cannot fail: a limit is never below one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line; a permit that was already granted to it passes to the
    /// next in line. The place in the line is lost.
    ///
    /// # Fairness
    /// First come, first served, from the first poll on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::adaptive::Adaptive;
    /// let search = Adaptive::new();
    /// let permit = search.acquire().await;
    /// assert_eq!(search.in_use(), 1);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Permit<'_> {
        let place = self.0.semaphore.acquire().await;
        Permit::new(&self.0, place, self.0.begin(clock::now()))
    }

    /// A permit, if it is this caller's turn `within` that time.
    ///
    /// # Errors
    /// [`Reason::WaitTimedOut`](crate::Reason::WaitTimedOut) when it was not.
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
    /// use plimsoll::{Reason, adaptive::Adaptive};
    /// let search = Adaptive::builder("search-within").initial(1).build()?;
    /// let permit = search.acquire_within(Duration::from_millis(1)).await?;
    /// let late = search.acquire_within(Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(late.reason(), Reason::WaitTimedOut);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, within: Duration) -> Result<Permit<'_>, Rejected> {
        match self.0.semaphore.acquire_within(1, within).await {
            Ok(place) => Ok(Permit::new(&self.0, place, self.0.begin(clock::now()))),
            Err(late) => Err(self.0.refuse(&late)),
        }
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit to move into a task.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use plimsoll::{Reason, adaptive::Adaptive};
    /// let search = Adaptive::builder("search-owned").initial(1).build()?;
    /// let permit = search.try_acquire_owned()?;
    /// assert_eq!(search.try_acquire_owned().unwrap_err().reason(), Reason::Full);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        self.try_acquire_owned_at(clock::now())
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
    /// use plimsoll::{Outcome, adaptive::Adaptive};
    /// let search = Adaptive::new();
    /// let permit = search.acquire_owned().await;
    /// tokio::task::JoinSet::from_iter([async move { permit.finish(Outcome::Success) }]).join_all().await;
    /// assert_eq!(search.in_use(), 0);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_owned(&self) -> OwnedPermit {
        let place = self.0.semaphore.acquire_owned().await;
        OwnedPermit::new(self.0.clone(), place, self.0.begin(clock::now()))
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
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, adaptive::Adaptive};
    /// let search = Adaptive::builder("search-within").initial(1).build()?;
    /// let permit = search.acquire_within_owned(Duration::ZERO).await?;
    /// let refused = search.acquire_within_owned(Duration::from_millis(50)).await.unwrap_err();
    /// assert_eq!(refused.reason(), Reason::WaitTimedOut);
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within_owned(&self, within: Duration) -> Result<OwnedPermit, Rejected> {
        match self.0.semaphore.acquire_within_owned(1, within).await {
            Ok(place) => Ok(OwnedPermit::new(self.0.clone(), place, self.0.begin(clock::now()))),
            Err(late) => Err(self.0.refuse(&late)),
        }
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter for Adaptive {
    type Permit = OwnedPermit;

    fn try_acquire_owned_at(&self, now: Instant) -> Result<OwnedPermit, Rejected> {
        match self.0.semaphore.try_acquire_owned() {
            Ok(place) => Ok(OwnedPermit::new(self.0.clone(), place, self.0.begin(now))),
            Err(full) => Err(self.0.refuse(&full)),
        }
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        is_only_handle(&self.0) && self.0.is_as_built(now)
    }
}

impl Waiting for Adaptive {
    async fn acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        Ok(Self::acquire_owned(self).await)
    }
}

impl Observable for Adaptive {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        let set = self.0.semaphore.set_enforced_ratio(ratio);
        set.map_err(|by| Invalid::new(self.name(), by.field(), by.value(), by.allowed()))
    }

    fn enforced_ratio(&self) -> f64 {
        self.0.semaphore.enforced_ratio()
    }
}

impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
