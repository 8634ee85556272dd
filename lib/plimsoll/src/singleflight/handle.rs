//! The single flight as its users hold it.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::builder::Builder;
use super::run::{Lazy, Run};
use super::table::Table;
use crate::Name;
use crate::registry::{Bound, Snapshot};

/// One call per key, shared by all who ask while it runs; a cheap handle, whose clones share one
/// state.
///
/// `T` and `E` are cloned for each follower: put what is large, or no `Clone`, into an
/// [`Arc`]. See the [module](crate::singleflight) for who runs the call and what its followers get.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::cell::Cell;
/// use plimsoll::singleflight::Singleflight;
/// let users = Singleflight::<u64, &str, ()>::builder("users-once").build()?;
/// let reads = Cell::new(0);
/// let read = || async {
///     reads.set(reads.get() + 1);
///     tokio::task::yield_now().await; // the database
///     Ok("Ada")
/// };
/// let (first, second) = tokio::join!(users.run(7, read), users.run(7, read));
/// assert_eq!((first, second, reads.get()), (Ok("Ada"), Ok("Ada"), 1));
/// # Ok(()) }
/// ```
pub struct Singleflight<K, T, E>(pub(super) Arc<Table<K, T, E>>);

impl<K, T, E> Singleflight<K, T, E> {
    /// Begins one that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::singleflight::Singleflight;
    /// let loads: Singleflight<String, u64, ()> = Singleflight::builder("singleflight-doc").build()?;
    /// assert_eq!(loads.name().as_str(), "singleflight-doc");
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn builder(name: &str) -> Builder<K, T, E> {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-name").build()?;
    /// assert_eq!(users.name().as_str(), "users-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }
}

impl<K, T, E> Singleflight<K, T, E>
where
    K: Hash + Eq + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// The result of `work` for `key`: of one's own if nobody runs one for it, or else of theirs.
    ///
    /// It begins, or joins, when the future is first polled. A call for the same key from inside of
    /// `work` waits for itself, as locking a lock twice does.
    ///
    /// # Errors
    /// [`Error::Inner`](super::Error::Inner) when the call failed, or a short while ago did and that is
    /// [remembered](Builder::negative_for); [`Error::Rejected`](super::Error::Rejected) when there is no room for another
    /// key; [`Error::Panicked`](super::Error::Panicked) when the call that was shared panicked.
    ///
    /// # Panics
    /// When `work`, run here, panics.
    ///
    /// # Cancel safety
    /// Dropping it ends `work` if it ran here; a follower, if there is one, takes over with its own.
    /// Dropping a follower changes nothing for the others.
    ///
    /// # Fairness
    /// Keys do not wait for each other; who follows gets its result in no particular order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-run").build()?;
    /// assert_eq!(users.run(7, async || Ok(1)).await, Ok(1));
    /// assert_eq!(users.run(7, async || Ok(2)).await, Ok(2), "nothing is remembered but errors, if asked for");
    /// # Ok(()) }
    /// ```
    pub fn run<F, Fut>(&self, key: K, work: F) -> Run<K, T, E, Lazy<F, Fut>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.share(key, Lazy::new(work))
    }

    /// As [`run`](Self::run), for a future that is at hand: it is polled only if it runs.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-share").build()?;
    /// let read = |value| async move { tokio::task::yield_now().await; Ok(value) };
    /// let both = tokio::join!(users.share(7, read(1)), users.share(7, read(2)));
    /// assert_eq!(both, (Ok(1), Ok(1)));
    /// # Ok(()) }
    /// ```
    pub fn share<Fut>(&self, key: K, work: Fut) -> Run<K, T, E, Fut>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        Run::new(Arc::clone(&self.0), key, work)
    }

    /// Forgets what runs or is remembered for `key`: who asks from now on begins anew. Those who
    /// wait for it already still get its result.
    ///
    /// For when what is being read has just been changed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::singleflight::{Error, Singleflight};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let loads = Singleflight::builder("forget-doc").negative_for(Duration::from_secs(5)).build()?;
    /// let missing = async || Err::<u64, _>("no such user");
    /// assert_eq!(loads.run(7, missing).await, Err(Error::Inner("no such user")));
    /// assert_eq!(loads.run(7, async || Ok(1)).await, Err(Error::Inner("no such user")));
    /// loads.forget(7); // user 7 has just signed up
    /// assert_eq!(loads.run(7, async || Ok(1)).await, Ok(1));
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn forget(&self, key: K) {
        self.0.forget(key);
    }

    /// The numbers as they are now: `admitted` counts the calls that ran, the details `shared` those
    /// that got the result of another, `taken_over` the calls that a follower ran because the one
    /// before gave up, `negative_hits` the answers out of memory.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-snapshot").build()?;
    /// let read = async || { tokio::task::yield_now().await; Ok(1) };
    /// let both = tokio::join!(users.run(7, read), users.run(7, read));
    /// assert_eq!(both, (Ok(1), Ok(1)));
    /// let now = users.snapshot();
    /// assert!(now.admitted == 1 && now.details.contains(&("shared", 1)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl<K, T, E> Clone for Singleflight<K, T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T, E> fmt::Debug for Singleflight<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Singleflight").field("name", &self.name()).finish_non_exhaustive()
    }
}
