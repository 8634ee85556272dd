//! The group itself.

use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime;

use super::builder::check_limit;
use super::child::Child;
use super::state::{Membership, Place, Policy, Shared, Wanted};
use super::{Builder, Ending, Error, Failure, Refused};
use crate::scope::{inherited, within};
use crate::{Invalid, Name, clock, registry};

/// Tasks that live and end together, at most so many at once; `O` is what a child returns.
///
/// A group is its children's owner, so it is not cloned. Dropping it aborts them: each is dropped
/// at its next wake-up. If a child has panicked and the group was not joined, dropping the group
/// resumes the panic (unless the thread is panicking already): none is ever swallowed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::group::Group;
/// let mut group = Group::new(16)?;
/// let alive = std::sync::Arc::new(());
/// for _ in 0..3 {
///     let alive = alive.clone();
///     group.spawn(async move { std::future::pending::<()>().await; drop(alive) }).await;
/// }
/// assert_eq!(group.len(), 3);
/// drop(group); // and its children with it
/// tokio::task::yield_now().await;
/// assert_eq!(std::sync::Arc::strong_count(&alive), 1);
/// # Ok(()) }
/// ```
#[must_use = "dropping a group ends its children"]
pub struct Group<O: Ending> {
    shared: Arc<Shared<O>>,
}

/// Whether a child was started.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::group::{Group, Spawned};
/// let mut group = Group::new(4)?;
/// assert_eq!(group.spawn(async {}).await, Spawned::Started);
/// group.cancel();
/// assert_eq!(group.spawn(async {}).await, Spawned::Ended);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spawned {
    /// It runs.
    Started,
    /// It was dropped unpolled: the group has failed, has its quorum, or was cancelled, which `join`
    /// tells.
    Ended,
}

impl Group<()> {
    /// Begins a group with a name. What its children return is seen from the first that is
    /// spawned.
    ///
    /// ```
    /// use plimsoll::group::Group;
    /// let group: Group<Result<u32, String>> = Group::builder("refresh-doc").limit(16).build()?;
    /// assert_eq!(group.name().as_str(), "refresh-doc");
    /// assert!(Group::builder("refresh-doc").build::<()>().is_err()); // there is no default limit
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }
}

impl<O: Ending> Group<O> {
    /// A group of at most `limit` children at once that has no name and is not in the registry.
    ///
    /// # Errors
    /// When the limit is not 1 to 16,777,216.
    ///
    /// ```
    /// use plimsoll::group::Group;
    /// assert_eq!(Group::<()>::new(16).map(|group| group.limit()), Ok(16));
    /// assert_eq!(Group::<()>::new(0).unwrap_err().field(), "limit");
    /// ```
    pub fn new(limit: usize) -> Result<Self, Invalid> {
        check_limit(Name::UNNAMED, limit)?;
        Ok(Self { shared: Arc::new(Shared::new(Name::UNNAMED, limit, Policy::FailFast, None)) })
    }

    pub(super) fn registered(name: Name, limit: usize, policy: Policy) -> Self {
        let shared = Arc::new_cyclic(|shared: &Weak<Shared<O>>| {
            Shared::new(name, limit, policy, Some(registry::register(shared.clone())))
        });
        Self { shared }
    }

    /// Waits for a slot, then starts `future` as a task, in the current [scope](crate::scope).
    ///
    /// In a group that has failed, has its quorum, or was cancelled, the future is dropped and
    /// [`Spawned::Ended`] returned at once, also when that happens while it waits: a loop of spawns
    /// may run to its end and leave the error to [`join`](Self::join).
    ///
    /// # Cancel safety
    /// Dropping it drops the future, not started.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// use plimsoll::group::{Group, Spawned};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let mut group = Group::new(1)?;
    /// assert_eq!(group.spawn(async { Err("disk full") }).await, Spawned::Started);
    /// // Waits for the first to end; it fails, so this one is not started.
    /// assert_eq!(group.spawn(async { Ok(7) }).await, Spawned::Ended);
    /// assert_eq!(group.join().await.unwrap_err().into_first(), Some("disk full"));
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn spawn<F>(&mut self, future: F) -> Spawned
    where
        F: Future<Output = O> + Send + 'static,
    {
        let mut since = None;
        poll_fn(|cx| {
            let polled = self.shared.poll_wanted(Wanted::Slot, cx);
            if polled.is_pending() {
                since.get_or_insert_with(clock::now);
            }
            polled
        })
        .await;
        // There is one owner, so that the slot is still free: if there is none, the group has ended.
        let Ok(place) = self.shared.reserve() else { return Spawned::Ended };
        if let Some(since) = since {
            self.shared.counters.waited(clock::now() - since);
        }
        self.start(place, future);
        Spawned::Started
    }

    /// Starts `future` as a task if a slot is free.
    ///
    /// # Errors
    /// Hands the future back: [`Reason::Full`](crate::Reason::Full) when every slot is in use,
    /// [`Reason::Draining`](crate::Reason::Draining) when the group has failed, has its quorum, or was
    /// cancelled.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::new(2)?;
    /// let accepted = (0..5).filter(|id| { let id = *id; group.try_spawn(async move { Ok::<_, ()>(id) }).is_ok() }).count();
    /// assert_eq!(accepted, 2);
    /// assert_eq!(group.join().await, Ok(vec![0, 1]));
    /// # Ok(()) }
    /// ```
    pub fn try_spawn<F>(&mut self, future: F) -> Result<(), Refused<F>>
    where
        F: Future<Output = O> + Send + 'static,
    {
        match self.shared.reserve() {
            Ok(place) => {
                self.start(place, future);
                Ok(())
            }
            Err(rejected) => Err(Refused { future, rejected }),
        }
    }

    fn start<F>(&self, place: Place, future: F)
    where
        F: Future<Output = O> + Send + 'static,
    {
        // From here on the slot is given back by whatever happens, a missing runtime included.
        let membership = Membership::new(Arc::clone(&self.shared), place);
        let child = Child::new(within(future, inherited(), None), membership);
        let task = runtime::Handle::current().spawn(child);
        self.shared.started(place, task.abort_handle());
    }

    /// Waits for every child, and returns their values in the order in which they were spawned.
    ///
    /// The group is as new afterwards. Children that are spawned while nobody joins are not lost:
    /// their values are kept until somebody does (nothing is kept of values without size).
    ///
    /// # Errors
    /// [`Error::Failed`] with the first error and those after it, or in a group with a quorum
    /// [`Error::OutOfReach`]; [`Error::ScopeEnded`] or [`Error::Cancelled`] when no child failed but
    /// some did not finish.
    ///
    /// # Panics
    /// Resumes the first panic of a child, after every child has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again. (The children end when the group is dropped, not when this
    /// is.)
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::new(2)?;
    /// for id in 0..3u32 {
    ///     group.spawn(async move {
    ///         for _ in id..3 {
    ///             tokio::task::yield_now().await;
    ///         }
    ///         Ok::<_, ()>(id)
    ///     }).await;
    /// }
    /// assert_eq!(group.join().await, Ok(vec![0, 1, 2])); // though they ended in another order
    /// assert_eq!(group.join().await, Ok(vec![]));
    /// # Ok(()) }
    /// ```
    pub async fn join(&mut self) -> Result<Vec<O::Value>, Error<O::Error>> {
        self.quiet().await;
        self.resume_panic();
        self.shared.join()
    }

    /// Waits for every child, and returns what became of each, in the order in which they were
    /// spawned; mostly for groups that [collect all](Builder::collect_all).
    ///
    /// # Panics
    /// Resumes the first panic of a child, after every child has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    ///
    /// ```
    /// use plimsoll::group::{Failure, Group};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let mut group = Group::builder("parse").limit(2).collect_all().build()?;
    /// for text in ["1", "x", "3"] {
    ///     group.spawn(async move { text.parse::<u8>().map_err(|_| text) }).await;
    /// }
    /// assert_eq!(group.join_each().await, [Ok(1), Err(Failure::Failed("x")), Ok(3)]);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn join_each(&mut self) -> Vec<Result<O::Value, Failure<O::Error>>> {
        self.quiet().await;
        self.resume_panic();
        self.shared.join_each()
    }

    /// Waits for the children for as long as `within`, then cancels those that still run, and
    /// returns how many those were.
    ///
    /// It returns when every child has ended: one that blocks its thread holds it up. What became
    /// of the children is for [`join`](Self::join) to tell.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::group::{Error, Group};
    /// let mut connections = Group::new(100)?;
    /// connections.spawn(async {}).await;
    /// connections.spawn(std::future::pending::<()>()).await;
    /// assert_eq!(connections.drain(Duration::from_millis(2)).await, 1);
    /// assert_eq!(connections.join().await, Err(Error::Cancelled));
    /// # Ok(()) }
    /// ```
    pub async fn drain(&mut self, within: Duration) -> usize {
        if tokio::time::timeout(within, self.quiet()).await.is_ok() {
            return 0;
        }
        let left = self.shared.running();
        self.cancel();
        self.quiet().await;
        left
    }

    /// Ends the group: the running children are dropped at their next wake-up and no other starts,
    /// until the group is joined.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::{Error, Group};
    /// let mut group = Group::new(4)?;
    /// group.spawn(std::future::pending::<()>()).await;
    /// group.cancel();
    /// assert_eq!(group.join().await, Err(Error::Cancelled));
    /// # Ok(()) }
    /// ```
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// How many children run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::new(4)?;
    /// group.spawn(std::future::pending::<()>()).await;
    /// group.spawn(std::future::pending()).await;
    /// assert_eq!(group.len(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.running()
    }

    /// Whether no child runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::new(4)?;
    /// group.spawn(async { Ok::<_, ()>(7) }).await;
    /// assert!(!group.is_empty());
    /// assert_eq!(group.join().await, Ok(vec![7]));
    /// assert!(group.is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many children may run at once.
    ///
    /// ```
    /// use plimsoll::group::Group;
    /// assert_eq!(Group::<()>::new(4)?.limit(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(&self) -> usize {
        self.shared.limit
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, group::Group};
    /// assert_eq!(Group::builder("group-name").limit(4).build::<()>()?.name().as_str(), "group-name");
    /// assert_eq!(Group::<()>::new(4)?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.shared.name
    }

    async fn quiet(&mut self) {
        poll_fn(|cx| self.shared.poll_wanted(Wanted::Quiet, cx)).await;
    }

    fn resume_panic(&self) {
        if let Some(payload) = self.shared.take_panic() {
            // The panic stands for all results: they go with it.
            let _ = self.shared.join();
            resume_unwind(payload);
        }
    }
}

impl<O: Ending> Drop for Group<O> {
    fn drop(&mut self) {
        self.shared.cancel();
        let panic = self.shared.take_panic();
        if let Some(payload) = panic.filter(|_| !std::thread::panicking()) {
            resume_unwind(payload);
        }
    }
}

impl<O: Ending> fmt::Debug for Group<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared } = self;
        f.debug_struct("Group")
            .field("name", &shared.name)
            .field("limit", &shared.limit)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
