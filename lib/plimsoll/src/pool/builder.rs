//! Making a pool.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc;

use super::core::{Core, Parts, Settings, Start};
use super::directory::{ByKey, Directory, OneLane};
use super::elastic::Elastic;
use super::failures::{Failures, Letters, Retry, Ways};
use super::inline::MakeRun;
use super::seat::{Factory, Seat, work};
use super::{DeadLetter, Pool, Worker};
use crate::retry::{Decision, Policy};
use crate::scope::enter;
use crate::{Invalid, Name};

const WORKERS_MAX: usize = 10_000;
const QUEUE_MAX: usize = 1 << 24;
const PANICS_MAX: u32 = 1_000;
const DWELL: Duration = Duration::from_secs(5);
const DWELLS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// What is done with a job for which there is no room, be it in the queue or in its lane.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{Reason, pool::{JobError, OnFull, Pool}};
/// // One worker that has not begun yet, and a queue of one.
/// let build = |on_full| Pool::builder("full", |n: u32| async move { n }).workers(1).queue(1).on_full(on_full).build();
/// let rejects = build(OnFull::Reject)?;
/// let first = rejects.submit(1).await?;
/// assert_eq!(rejects.submit(2).await.unwrap_err().rejected.reason(), Reason::QueueFull);
/// let drops = build(OnFull::DropOldest)?;
/// let (oldest, newest) = (drops.submit(1).await?, drops.submit(2).await?);
/// assert!(matches!(oldest.await, Err(JobError::Dropped)));
/// assert_eq!((first.await?, newest.await?), (1, 2));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OnFull {
    /// The submitter waits for room: back-pressure on whoever makes the jobs. First come, first
    /// served in each lane.
    Wait,
    /// The submitter waits this long for room, then the job is handed back.
    WaitUpTo(Duration),
    /// The job is handed back at once.
    Reject,
    /// The oldest job makes room: of the same lane, or of the longest if this one has none. Its
    /// ticket ends with [`JobError::Dropped`](super::JobError::Dropped).
    DropOldest,
    /// The new job is dropped: its ticket ends with
    /// [`JobError::Dropped`](super::JobError::Dropped).
    DropNewest,
    /// The submitter does the job itself, with a worker made for it, and gets a ticket that is
    /// ready. It is back-pressure too, and more work done at once than there are workers.
    RunInCaller,
}

/// Builds a [`Pool`]; made by [`Pool::builder`] and [`Pool::builder_with`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::pool::{OnFull, Pool};
/// let mails = || Pool::builder("mails", |n: u32| async move { n });
/// let pool = mails()
///     .workers(8).queue(1_024).on_full(OnFull::WaitUpTo(Duration::from_millis(50)))
///     .lanes(|n: &u32| n % 10).lane_depth(100)
///     .job_timeout(Duration::from_secs(30))
///     .build()?;
/// assert_eq!((pool.name().as_str(), pool.workers()), ("mails", 8));
/// let refused = mails().workers(8).queue(10).lane_depth(11).build().unwrap_err();
/// assert_eq!(refused.to_string(), "mails: lane_depth is 11, allowed is 1 up to the length of the queue");
/// # Ok(()) }
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<J, W: Worker<J>> {
    name: String,
    factory: Factory<W>,
    workers: usize,
    between: Option<(usize, usize)>,
    dwell: Option<Duration>,
    queue: usize,
    lane_depth: Option<usize>,
    delayed: Option<usize>,
    directory: Option<Box<dyn Directory<J>>>,
    on_full: OnFull,
    job_timeout: Option<Duration>,
    ways: Option<Ways<J, W::Output>>,
    retry: Option<Retry<W::Output>>,
    letters: Option<Letters<J, W::Output>>,
    panics_max: Option<u32>,
}

impl<J: Send + 'static, W: Worker<J>> Builder<J, W> {
    pub(crate) fn new(name: &str, factory: Factory<W>) -> Self {
        Self {
            name: name.into(),
            factory,
            workers: 0,
            between: None,
            dwell: None,
            queue: 0,
            lane_depth: None,
            delayed: None,
            directory: None,
            on_full: OnFull::Wait,
            job_timeout: None,
            ways: None,
            retry: None,
            letters: None,
            panics_max: None,
        }
    }

    /// How many jobs are done at once: 1 to 10,000. There is no default: say this, or
    /// [`workers_between`](Self::workers_between).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-workers", |n: u32| async move { n }).workers(4).queue(64).build()?;
    /// assert_eq!(pool.workers(), 4);
    /// # Ok(()) }
    /// ```
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many workers there are at least and at most, 1 to 10,000, instead of a fixed number. It
    /// begins with the least, doubles when at least 80 % were busy for a whole
    /// [`dwell`](Self::dwell), and halves when at most 20 % were.
    ///
    /// A load that swings faster than the dwell changes nothing, and two changes are a dwell apart.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let builder = Pool::builder("thumbnails", |n: u32| async move { n });
    /// let pool = builder.workers_between(2, 64).dwell(Duration::from_secs(5)).queue(1_024).build()?;
    /// assert_eq!(pool.workers(), 2);
    /// pool.resize(16)?; // a load that is known of in advance
    /// assert_eq!(pool.workers(), 16);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub const fn workers_between(mut self, min: usize, max: usize) -> Self {
        self.between = Some((min, max));
        self
    }

    /// For how long a share of busy workers must have been high or low before their number follows:
    /// 1 ms to an hour. Default 5 s; only with [`workers_between`](Self::workers_between).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// let pool = || Pool::builder("pool-dwell", |n: u32| async move { n }).queue(64).dwell(Duration::from_secs(30));
    /// assert!(pool().workers_between(2, 64).build().is_ok());
    /// assert_eq!(pool().workers(2).build().unwrap_err().field(), "dwell"); // nothing to follow the load with
    /// # Ok(()) }
    /// ```
    pub const fn dwell(mut self, dwell: Duration) -> Self {
        self.dwell = Some(dwell);
        self
    }

    /// How many jobs can be queued, those being done and those delayed not counted: 1 to 16,777,216.
    /// There is no default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, pool::{OnFull, Pool}};
    /// let pool = Pool::builder("pool-queue", |_: u32| std::future::pending::<()>())
    ///     .workers(1).queue(2).on_full(OnFull::Reject).build()?;
    /// let queued = (pool.submit(1).await?, pool.submit(2).await?); // no worker has begun yet
    /// assert_eq!(pool.submit(3).await.unwrap_err().rejected.reason(), Reason::QueueFull);
    /// # drop(queued);
    /// # Ok(()) }
    /// ```
    pub const fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs;
        self
    }

    /// How many jobs can wait for their time, be it that they were
    /// [submitted for later](Pool::submit_after) or are to be [tried again](Self::retry): 1 to
    /// 16,777,216. Default as many as can be queued.
    ///
    /// A job counts here until a worker takes it, also while it is queued because it is due: it needs
    /// no room in the queue. So the pool never holds more than both bounds together.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::pool::Pool;
    /// let pool = Pool::builder("pool-delayed", |n: u32| async move { n }).workers(1).queue(64).delayed(1).build()?;
    /// let first = pool.submit_after(1, Duration::from_secs(60))?;
    /// assert!(pool.submit_after(2, Duration::from_secs(60)).is_err());
    /// # drop(first);
    /// # Ok(()) }
    /// ```
    pub const fn delayed(mut self, jobs: usize) -> Self {
        self.delayed = Some(jobs);
        self
    }

    /// What is done with a job for which there is no room. Default [`OnFull::Wait`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::{JobError, OnFull, Pool};
    /// let pool = Pool::builder("pool-on-full", |n: u32| async move { n })
    ///     .workers(1).queue(1).on_full(OnFull::DropOldest).build()?;
    /// let (old, new) = (pool.submit(1).await?, pool.submit(2).await?); // no worker has begun yet
    /// assert!(matches!(old.await, Err(JobError::Dropped)));
    /// assert_eq!(new.await?, 2);
    /// # Ok(()) }
    /// ```
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Gives each key a lane of its own; lanes are served in turn. By default there is one lane.
    ///
    /// `key_of` is called for each submission under the pool's lock: it should be short, and not
    /// use the pool.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let (done, mut order) = tokio::sync::mpsc::channel(8);
    /// let work = move |job: (&'static str, u32)| { let done = done.clone(); async move { drop(done.try_send(job.1)) } };
    /// let pool = Pool::builder("fair", work).workers(1).queue(16).lanes(|job: &(&str, u32)| job.0).build()?;
    /// for job in [("acme", 1), ("acme", 2), ("acme", 3), ("globex", 70)] {
    ///     drop(pool.submit(job).await?);
    /// }
    /// let order = [order.recv().await, order.recv().await, order.recv().await, order.recv().await];
    /// assert_eq!(order, [Some(1), Some(70), Some(2), Some(3)]);
    /// # Ok(()) }
    /// ```
    pub fn lanes<K, F>(mut self, key_of: F) -> Self
    where
        F: Fn(&J) -> K + Send + 'static,
        K: Hash + Eq + Clone + Display + Send + 'static,
    {
        self.directory = Some(Box::new(ByKey::new(key_of)));
        self
    }

    /// How many jobs of one lane can be queued: 1 up to the length of the queue. Default a quarter
    /// of the queue, so that no single customer fills it; with one lane only, all of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Pool;
    /// let lanes = |depth| Pool::builder("pool-depth", |n: u32| async move { n })
    ///     .workers(1).queue(64).lanes(|n| n % 2).lane_depth(depth);
    /// let pool = lanes(1).build()?;
    /// let first = pool.try_submit(1)?; // no worker has begun yet
    /// assert!(pool.try_submit(3).is_err() && pool.try_submit(2).is_ok());
    /// # drop(first);
    /// assert_eq!(lanes(65).build().unwrap_err().field(), "lane_depth");
    /// # Ok(()) }
    /// ```
    pub const fn lane_depth(mut self, jobs: usize) -> Self {
        self.lane_depth = Some(jobs);
        self
    }

    /// How long a job may take, 1 ms to a day; then it is dropped. It does not count the time in
    /// the queue. By default there is no limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::pool::{JobError, Pool};
    /// let stuck = |_: u32| std::future::pending::<()>();
    /// let pool = Pool::builder("stuck", stuck).workers(1).queue(8).job_timeout(Duration::from_millis(2)).build()?;
    /// let late = pool.submit(7).await?.await.unwrap_err();
    /// assert_eq!(late.to_string(), "the job took longer than 2ms");
    /// # assert!(matches!(late, JobError::TimedOut { .. }));
    /// # Ok(()) }
    /// ```
    pub const fn job_timeout(mut self, limit: Duration) -> Self {
        self.job_timeout = Some(limit);
        self
    }

    /// How often a job may panic before it counts as poison and is not tried again: 1 to 1,000.
    /// Default 1; only with [`retry`](Self::retry), whose attempts panics use up as well.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    /// use plimsoll::{pool::Pool, retry::{Decision, Policy}};
    /// let tries = std::sync::Arc::new(AtomicU32::new(0));
    /// let second = move |n: u32| {
    ///     let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
    ///     async move { assert!(!first); Ok::<_, ()>(n) }
    /// };
    /// let policy = Policy::exponential(Duration::from_millis(1));
    /// let pool = Pool::builder("pool-panics", second)
    ///     .workers(1).queue(64).retry(policy, |_| Decision::Retry).panics_max(2).build()?;
    /// assert_eq!(pool.submit(7).await?.await?, Ok(7)); // the first try panicked
    /// # Ok(()) }
    /// ```
    pub const fn panics_max(mut self, panics: u32) -> Self {
        self.panics_max = Some(panics);
        self
    }

    /// Makes the pool, starts its workers, and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field is not set, out of its range,
    /// or contradicts another.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{pool::Pool, registry};
    /// let pool = Pool::builder("pool-built", |n: u32| async move { n }).workers(1).queue(64).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == pool.name()));
    /// assert_eq!(Pool::builder("pool-built", |n: u32| async move { n }).workers(1).build().unwrap_err().field(), "queue");
    /// # Ok(()) }
    /// ```
    pub fn build(self) -> Result<Pool<J, W::Output>, Invalid> {
        // Before there is a need of a runtime.
        self.check(Name::new(&self.name)?)?;
        let factory = Arc::clone(&self.factory);
        let runtime = runtime::Handle::current();
        self.build_on(Box::new(move |core, number| {
            let scope = core.scope_of(None);
            let work = work(Seat::new(core, number), Arc::clone(&factory));
            Some(runtime.spawn(enter(scope, work)).abort_handle())
        }))
    }

    /// Makes the pool with workers that are started by `start`.
    pub(crate) fn build_on(self, start: Start<J, W::Output>) -> Result<Pool<J, W::Output>, Invalid> {
        let name = Name::new(&self.name)?;
        self.check(name)?;
        let share = if self.directory.is_some() { 4 } else { 1 };
        let settings = Settings {
            name,
            workers: self.between.map_or(self.workers, |(min, _)| min),
            queue: self.queue,
            lane_depth: self.lane_depth.unwrap_or_else(|| (self.queue / share).max(1)),
            delayed: self.delayed.unwrap_or(self.queue),
            on_full: self.on_full,
            job_timeout: self.job_timeout,
        };
        let Self { factory, directory, between, ways, retry, letters, panics_max, .. } = self;
        let make_run: MakeRun<J, W::Output> = Arc::new(move |job| {
            let mut worker = factory();
            Box::pin(async move { worker.run(job).await })
        });
        let dwell = self.dwell.unwrap_or(DWELL);
        let parts = Parts {
            directory: directory.unwrap_or_else(|| Box::new(OneLane)),
            make_run,
            start,
            failures: ways.map(|ways| Failures::new(ways, retry, letters, panics_max.unwrap_or(1))),
            elastic: between.map(|(min, max)| Elastic::new(min, max, dwell)),
        };
        let core = Arc::new_cyclic(|this: &Weak<Core<J, W::Output>>| Core::new(this, settings, parts));
        Ok(Pool::start(core))
    }

    pub(crate) fn check(&self, name: Name) -> Result<(), Invalid> {
        self.check_workers(name)?;
        if !(1..=QUEUE_MAX).contains(&self.queue) {
            return Err(Invalid::new(name, "queue", self.queue, "1 to 16,777,216"));
        }
        if let Some(jobs) = self.delayed.filter(|jobs| !(1..=QUEUE_MAX).contains(jobs)) {
            return Err(Invalid::new(name, "delayed", jobs, "1 to 16,777,216"));
        }
        if let Some(depth) = self.lane_depth.filter(|depth| !(1..=self.queue).contains(depth)) {
            return Err(Invalid::new(name, "lane_depth", depth, "1 up to the length of the queue"));
        }
        if let Some(limit) = self.job_timeout.filter(|limit| !TIMEOUT.contains(limit)) {
            return Err(Invalid::new(name, "job_timeout", format_args!("{limit:?}"), "1 ms to a day"));
        }
        match (&self.retry, self.panics_max) {
            (None, Some(panics)) => Err(Invalid::new(name, "panics_max", panics, "none without `retry`")),
            (Some(_), Some(panics)) if !(1..=PANICS_MAX).contains(&panics) => {
                Err(Invalid::new(name, "panics_max", panics, "1 to 1,000"))
            }
            (Some(retry), _) => retry.policy.check(),
            (None, None) => Ok(()),
        }
    }

    fn check_workers(&self, name: Name) -> Result<(), Invalid> {
        const ALLOWED: &str = "from 1 up to a maximum of 10,000";
        match self.between {
            None if !(1..=WORKERS_MAX).contains(&self.workers) => {
                return Err(Invalid::new(name, "workers", self.workers, "1 to 10,000"));
            }
            Some(_) if self.workers > 0 => {
                return Err(Invalid::new(name, "workers", self.workers, "none beside `workers_between`"));
            }
            Some((min, max)) if min == 0 || min > max || max > WORKERS_MAX => {
                let value = format_args!("{min} to {max}");
                return Err(Invalid::new(name, "workers_between", value, ALLOWED));
            }
            _ => {}
        }
        match self.dwell {
            Some(dwell) if self.between.is_none() => {
                let allowed = "none without `workers_between`";
                Err(Invalid::new(name, "dwell", format_args!("{dwell:?}"), allowed))
            }
            Some(dwell) if !DWELLS.contains(&dwell) => {
                Err(Invalid::new(name, "dwell", format_args!("{dwell:?}"), "1 ms to an hour"))
            }
            _ => Ok(()),
        }
    }
}

impl<J, W, O, E> Builder<J, W>
where
    J: Clone + Send + 'static,
    W: Worker<J, Output = Result<O, E>>,
{
    /// Tries failed jobs again, by `policy`: those that returned an error for which `classify` says
    /// so, and those that took longer than their [time](Self::job_timeout); those that panicked only
    /// up to [`panics_max`](Self::panics_max). So only jobs that may safely run twice.
    ///
    /// While a job waits for its next attempt it holds no worker, and counts against
    /// [`delayed`](Self::delayed); where there is no room for it, it has failed for good. Its ticket
    /// ends with the last attempt. Each attempt works on a clone of the job, and has the whole
    /// `job_timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use plimsoll::pool::Pool;
    /// use plimsoll::retry::{Decision, Policy};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// static TRIES: AtomicU32 = AtomicU32::new(0);
    /// let post = |url: &'static str| async move {
    ///     if TRIES.fetch_add(1, Ordering::Relaxed) < 2 { Err(503_u16) } else { Ok(url.len()) }
    /// };
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(5);
    /// let again = |status: &u16| if *status >= 500 { Decision::Retry } else { Decision::GiveUp };
    /// let pool = Pool::builder("posts", post).workers(8).queue(64).retry(policy, again).build()?;
    /// assert_eq!(pool.submit("https://a.example").await.unwrap().await.unwrap(), Ok(17));
    /// assert_eq!(TRIES.load(Ordering::Relaxed), 3);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn retry(
        mut self,
        policy: Policy,
        classify: impl Fn(&E) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.ways = Some(Ways::new());
        self.retry = Some(Retry::new(policy, classify));
        self
    }

    /// Sends jobs that failed for good to `sink`: that returned an error, panicked, or took longer
    /// than their [time](Self::job_timeout), and are not tried again. Not those that were dropped
    /// from a full queue, cancelled, or whose scope has ended: these have not failed.
    ///
    /// No worker ever waits for the sink. When it is full or closed the letter is dropped, and the
    /// [registry](crate::registry) counts it as `dead_letters_lost`; the ticket has the error in any
    /// case. It is given a clone of the job.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::{GaveUp, Pool};
    /// let (sender, mut letters) = tokio::sync::mpsc::channel(100);
    /// let refuse = |n: u32| async move { if n == 7 { Err("unlucky") } else { Ok(n) } };
    /// let pool = Pool::builder("numbers", refuse).workers(1).queue(16).dead_letters(sender).build()?;
    /// for n in [6, 7, 8] {
    ///     drop(pool.submit(n).await?);
    /// }
    /// let letter = letters.recv().await.expect("one has failed");
    /// assert_eq!((letter.job, letter.error.as_str(), letter.gave_up), (7, "unlucky", GaveUp::NoRetry));
    /// # Ok(()) }
    /// ```
    pub fn dead_letters(mut self, sink: mpsc::Sender<DeadLetter<J>>) -> Self
    where
        E: Display,
    {
        self.ways = Some(Ways::new());
        self.letters = Some(Letters::new(sink));
        self
    }
}

impl<J, W: Worker<J>> fmt::Debug for Builder<J, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("workers_between", &self.between)
            .field("queue", &self.queue)
            .field("on_full", &self.on_full)
            .finish_non_exhaustive()
    }
}
