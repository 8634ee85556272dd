//! The pool itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::clockwork::keep_time;
use super::core::Core;
use super::entry::More;
use super::gone::Gone;
use super::submit::{submit, try_submit};
use super::{Builder, Calls, Refused, Ticket, Worker};
use crate::clock::{self, Instant};
use crate::{Invalid, Name};

/// How long a drain waits for cancelled jobs to be gone, which takes one that yields no time.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// Workers behind a bounded queue; a handle, cheap to clone. `J` is a job, `T` what it yields.
///
/// When the last handle is dropped the pool ends at once: running jobs are dropped at their next
/// wake-up, queued ones right away, and their tickets say so. Use [`drain`](Pool::drain) to end it
/// in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::pool::Pool;
/// let squares: Pool<u64, u64> = Pool::builder("squares", |n: u64| async move { n * n }).workers(2).queue(64).build()?;
/// let ours = squares.clone();
/// let (first, second) = (squares.submit(3).await?, ours.submit(4).await?);
/// assert_eq!((first.await?, second.await?), (9, 16));
/// assert!(squares.drain(Duration::from_secs(1)).await.is_empty() && ours.submit(5).await.is_err());
/// # Ok(()) }
/// ```
pub struct Pool<J: Send + 'static, T: Send + 'static> {
    owner: Arc<Owner<J, T>>,
}

struct Owner<J: Send + 'static, T: Send + 'static> {
    core: Arc<Core<J, T>>,
    clockwork: AbortHandle,
}

/// What a [drain](Pool::drain) left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::pool::Pool;
/// let stuck = |_: u32| std::future::pending::<()>();
/// let pool = Pool::builder("left", stuck).workers(1).queue(8).build()?;
/// for job in [1, 2, 3] {
///     drop(pool.submit(job).await?);
/// }
/// drop(pool.submit_after(4, Duration::from_secs(60))?);
/// let left = pool.drain(Duration::from_millis(5)).await;
/// assert_eq!((left.abandoned, left.not_started, left.not_due), (1, vec![2, 3], vec![4]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it holds the jobs that were not started"]
pub struct Left<J> {
    /// The jobs that were not started, in the order in which they would have been.
    pub not_started: Vec<J>,
    /// The jobs whose time had not come, earliest first: submitted for later, or to be tried again.
    /// Behind those, the ones that failed during the drain and would have been tried again.
    pub not_due: Vec<J>,
    /// How many jobs were cut off while they ran.
    pub abandoned: usize,
    /// The lanes' keys of those, where the pool has lanes.
    pub abandoned_keys: Vec<Arc<str>>,
}

impl<J> Left<J> {
    /// Whether everything that was admitted was finished.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("left-empty", |n: u32| async move { n }).workers(1).queue(64).build()?;
    /// let late = pool.submit_after(7, Duration::from_secs(60))?;
    /// let left = pool.drain(Duration::from_secs(1)).await;
    /// assert!(!left.is_empty() && left.not_due == [7]);
    /// # drop(late);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.not_started.is_empty() && self.not_due.is_empty() && self.abandoned == 0
    }
}

impl<J: Send + 'static, T: Send + 'static> Pool<J, T> {
    /// Begins a pool whose workers all call `function`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("lengths", |text: String| async move { text.len() }).workers(4).queue(64).build()?;
    /// assert_eq!(pool.submit("seven".into()).await?.await?, 5);
    /// # Ok(()) }
    /// ```
    pub fn builder<F, Fut>(name: &str, function: F) -> Builder<J, Calls<F>>
    where
        F: Fn(J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = T> + Send,
    {
        let function = Arc::new(function);
        Builder::new(name, Arc::new(move || Calls::new(Arc::clone(&function))))
    }

    /// Begins a pool whose workers each have a state, made by `factory`: one per worker when it
    /// takes its first job, and another after a job of it has panicked.
    ///
    /// ```
    /// use plimsoll::pool::Pool;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let counting = || {
    ///     let mut done = 0;
    ///     move |add: u32| {
    ///         done += add;
    ///         std::future::ready(done)
    ///     }
    /// };
    /// let pool = Pool::builder_with("counting", counting).workers(1).queue(8).build()?;
    /// assert_eq!(pool.submit(2).await.unwrap().await.unwrap(), 2);
    /// assert_eq!(pool.submit(3).await.unwrap().await.unwrap(), 5);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn builder_with<W>(name: &str, factory: impl Fn() -> W + Send + Sync + 'static) -> Builder<J, W>
    where
        W: Worker<J, Output = T>,
    {
        Builder::new(name, Arc::new(factory))
    }

    pub(super) fn start(core: Arc<Core<J, T>>) -> Self {
        let clockwork = runtime::Handle::current().spawn(keep_time(Arc::clone(&core))).abort_handle();
        core.adjust();
        Self { owner: Arc::new(Owner { core, clockwork }) }
    }

    /// Submits a job, in the current [scope](crate::scope); where there is no room for it, what
    /// happens is said by [`OnFull`](super::OnFull).
    ///
    /// From inside of a job of this pool it never waits for room: the job is run here instead.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason: [`QueueFull`](crate::Reason::QueueFull),
    /// [`WaitTimedOut`](crate::Reason::WaitTimedOut) or [`Draining`](crate::Reason::Draining).
    ///
    /// # Cancel safety
    /// When it is dropped the job was either admitted, or is dropped with it; never half. Use
    /// [`try_submit`](Self::try_submit) to keep the job.
    ///
    /// # Fairness
    /// In a lane, first come first served, those that wait included; lanes take turns.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("doubles", |n: u32| async move { n * 2 }).workers(1).queue(1).build()?;
    /// let mut tickets = Vec::new();
    /// for n in 0..5 {
    ///     tickets.push(pool.submit(n).await?); // waits while the queue is full
    /// }
    /// assert_eq!(tickets.pop().expect("five tickets").await?, 8);
    /// # Ok(()) }
    /// ```
    pub async fn submit(&self, job: J) -> Result<Ticket<T>, Refused<J>> {
        submit(&self.owner.core, job).await
    }

    /// Submits a job without waiting: where [`submit`](Self::submit) would wait, or do the job
    /// itself, the job is handed back.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("try-doubles", |n: u32| async move { n * 2 }).workers(1).queue(1).build()?;
    /// let ticket = pool.try_submit(1)?;
    /// assert_eq!(pool.try_submit(2).unwrap_err().job, 2);
    /// assert_eq!(ticket.await?, 2);
    /// # Ok(()) }
    /// ```
    pub fn try_submit(&self, job: J) -> Result<Ticket<T>, Refused<J>> {
        try_submit(&self.owner.core, job)
    }

    /// Submits a job that nobody waits for: as [`submit`](Self::submit), without a [`Ticket`], which
    /// makes it cheaper by half. How it ended is counted in the [registry](crate::registry), and where
    /// the pool has [dead letters](Builder::dead_letters) a job that failed for good is one; its
    /// output is dropped.
    ///
    /// One that [`OnFull`](super::OnFull) drops, or that the pool's end cuts off, tells nobody:
    /// `dropped` and `cancelled` count it in the registry, and [`Left`] has it where it was not
    /// started.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// # Cancel safety
    /// When it is dropped the job was either admitted, or is dropped with it; never half. Use
    /// [`try_execute`](Self::try_execute) to keep the job.
    ///
    /// # Fairness
    /// As [`submit`](Self::submit), with which it shares the queue.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let bytes = Arc::new(AtomicU64::new(0));
    /// let seen = Arc::clone(&bytes);
    /// let count = move |page: &'static str| {
    ///     seen.fetch_add(page.len() as u64, Ordering::Relaxed);
    ///     std::future::ready(())
    /// };
    /// let pool = Pool::builder("page-bytes", count).workers(4).queue(64).build()?;
    /// for page in ["/", "/help", "/about"] {
    ///     pool.execute(page).await.expect("a pool that waits for room refuses nothing");
    /// }
    /// assert!(pool.drain(Duration::from_secs(5)).await.is_empty());
    /// assert_eq!(bytes.load(Ordering::Relaxed), 12);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn execute(&self, job: J) -> Result<(), Refused<J>> {
        submit(&self.owner.core, job).await
    }

    /// Submits a job that nobody waits for, without waiting: where [`execute`](Self::execute) would
    /// wait, or do the job itself, the job is handed back.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-try-execute", |n: u32| async move { drop(n) }).workers(1).queue(1).build()?;
    /// pool.try_execute(1)?; // no worker has begun yet
    /// assert_eq!(pool.try_execute(2).unwrap_err().job, 2);
    /// # Ok(()) }
    /// ```
    pub fn try_execute(&self, job: J) -> Result<(), Refused<J>> {
        try_submit(&self.owner.core, job)
    }

    /// Submits a job that is queued after `delay`, in the current [scope](crate::scope), and never
    /// waits for room: until it is taken it counts against [`delayed`](Builder::delayed), not
    /// against the queue. A drain does not wait for it; it is in [`Left`].
    ///
    /// # Errors
    /// [`Refused`] hands the job back: [`QueueFull`](crate::Reason::QueueFull) when as many are
    /// delayed as can be, or [`Draining`](crate::Reason::Draining).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let pool = Pool::builder("reminders", |n: u32| async move { n }).workers(1).queue(8).build()?;
    /// let late = pool.submit_after(7, Duration::from_millis(2)).expect("there is room");
    /// assert_eq!(late.await.unwrap(), 7);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn submit_after(&self, job: J, delay: Duration) -> Result<Ticket<T>, Refused<J>> {
        self.submit_at(job, clock::now() + delay)
    }

    /// Submits a job that is queued at the instant `at`, as [`submit_after`](Self::submit_after)
    /// does; one that has passed is now.
    ///
    /// # Errors
    /// As [`submit_after`](Self::submit_after).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{clock, pool::Pool};
    /// let pool = Pool::builder("reminders-at", |n: u32| async move { n }).workers(1).queue(8).build()?;
    /// let late = pool.submit_at(7, clock::now() + Duration::from_millis(2))?;
    /// assert_eq!(pool.submit_at(8, clock::now())?.await?, 8);
    /// assert_eq!(late.await?, 7);
    /// # Ok(()) }
    /// ```
    pub fn submit_at(&self, job: J, at: Instant) -> Result<Ticket<T>, Refused<J>> {
        self.owner.core.submit_at(job, More::inherited(), at)
    }

    /// Sets how many jobs are done at once, from now on. New workers start at once; those that are
    /// too many go when they are idle. A pool that follows its load goes on from there.
    ///
    /// # Errors
    /// When it is not 1 to 10,000, or not
    /// [within what the pool may have](Builder::workers_between).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-resize", |n: u32| async move { n }).workers(2).queue(64).build()?;
    /// pool.resize(8)?;
    /// assert_eq!(pool.workers(), 8);
    /// assert!(pool.resize(0).is_err());
    /// # Ok(()) }
    /// ```
    pub fn resize(&self, workers: usize) -> Result<(), Invalid> {
        self.owner.core.resize(workers)
    }

    /// How many workers there are to be: as many as it was built with, unless it was
    /// [resized](Self::resize) or follows its load.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-between", |n: u32| async move { n }).workers_between(2, 64).queue(64).build()?;
    /// assert_eq!(pool.workers(), 2); // it begins with the least
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn workers(&self) -> usize {
        self.owner.core.lock().wanted
    }

    /// Ends the pool in two phases: nothing more is admitted, and the queue is worked off for as
    /// long as `within`; then what still runs is cut off. Returns what was left.
    ///
    /// Submitters that wait for room get their job back. The queued jobs that were not started are
    /// in [`Left`]; their tickets, and those of the jobs that were cut off, end with
    /// [`JobError::Cancelled`](super::JobError::Cancelled). A job that blocks its thread cannot be
    /// cut off: the drain goes without it after another second. It should not be called from a job
    /// of the pool itself, which it would wait for.
    ///
    /// # Cancel safety
    /// The pool stays closed, and goes on with its queue; call it again for the rest.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("drained", |n: u32| async move { n }).workers(1).queue(8).build()?;
    /// let ticket = pool.submit(7).await?;
    /// assert!(pool.drain(Duration::from_secs(1)).await.is_empty());
    /// assert_eq!(ticket.await?, 7); // it was worked off
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self, within: Duration) -> Left<J> {
        let core = &self.owner.core;
        core.close();
        if timeout(within, Gone::new(core)).await.is_err() {
            core.put_aside();
            core.abort();
            // A worker that does not yield is not waited for: it has been told.
            let _ = timeout(CANCEL_GRACE, Gone::new(core)).await;
        }
        core.take_left()
    }

    /// The name it was built with.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-name", |n: u32| async move { n }).workers(2).queue(64).build()?;
    /// assert_eq!(pool.name().as_str(), "pool-name");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.owner.core.settings.name
    }

    /// How many jobs are queued; delayed ones are when they are due.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-len", |n: u32| async move { n }).workers(1).queue(64).build()?;
    /// let tickets = (pool.submit(1).await?, pool.submit(2).await?);
    /// assert_eq!(pool.len(), 2); // no worker has begun yet
    /// assert_eq!((tickets.0.await?, tickets.1.await?, pool.len()), (1, 2, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.owner.core.lock().queue.ready()
    }

    /// Whether no job is queued.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-empty", |n: u32| async move { n }).workers(1).queue(64).build()?;
    /// let ticket = pool.submit(1).await?;
    /// assert!(!pool.is_empty()); // no worker has begun yet
    /// assert_eq!((ticket.await?, pool.is_empty()), (1, true));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<J: Send + 'static, T: Send + 'static> Clone for Pool<J, T> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<J: Send + 'static, T: Send + 'static> Drop for Owner<J, T> {
    fn drop(&mut self) {
        self.core.put_aside();
        self.core.abort();
        drop(self.core.take_left());
        self.clockwork.abort();
    }
}

impl<J: Send + 'static, T: Send + 'static> fmt::Debug for Pool<J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.owner.core.settings;
        f.debug_struct("Pool")
            .field("name", &settings.name)
            .field("workers", &settings.workers)
            .field("queue", &settings.queue)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
