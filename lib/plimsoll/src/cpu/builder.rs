//! Making a pool of threads.

use std::fmt::{self, Display};
use std::future::ready;
use std::hash::Hash;
use std::sync::Arc;
use std::thread::available_parallelism;

use rayon::ThreadPoolBuilder;
use tokio::sync::mpsc;

use super::CpuPool;
use super::runner::Runner;
use crate::pool::{self, DeadLetter, OnFull, Worker};
use crate::retry::{Decision, Policy};
use crate::{Invalid, Name};

const THREADS_MAX: usize = 1_024;

/// The worker of a [`CpuPool`]: calls one function, which all threads share.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::cpu::{Computes, CpuPool};
/// use plimsoll::pool::Worker;
///
/// fn is_worker<J, W: Worker<J>>() {}
/// is_worker::<u32, Computes<fn(u32) -> u32>>();
/// let pool = CpuPool::builder("computes", |n: u32| n * 2).threads(1).queue(8).build()?;
/// assert_eq!(pool.submit(4).await?.await?, 8);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Computes<F>(Arc<F>);

impl<J, T, F> Worker<J> for Computes<F>
where
    T: Send + 'static,
    F: Fn(J) -> T + Send + Sync + 'static,
{
    type Output = T;

    fn run(&mut self, job: J) -> impl Future<Output = T> + Send {
        ready((self.0)(job))
    }
}

/// Builds a [`CpuPool`]; made by [`CpuPool::builder`] and [`CpuPool::closures`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{cpu::CpuPool, pool::OnFull};
/// let hashes = || CpuPool::builder("hashes", |n: u64| n.wrapping_mul(31));
/// let pool = hashes().threads(2).queue(256).on_full(OnFull::Reject).build()?;
/// assert_eq!((pool.name().as_str(), pool.threads()), ("hashes", 2));
/// assert_eq!(hashes().threads(2_000).queue(256).build().unwrap_err().field(), "threads");
/// assert_eq!(hashes().queue(256).on_full(OnFull::RunInCaller).build().unwrap_err().field(), "on_full");
/// # Ok(()) }
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<J, F>
where
    Computes<F>: Worker<J>,
{
    name: String,
    function: Arc<F>,
    threads: Option<usize>,
    on_full: OnFull,
    pool: pool::Builder<J, Computes<F>>,
}

impl<J, T, F> Builder<J, F>
where
    J: Send + 'static,
    T: Send + 'static,
    F: Fn(J) -> T + Send + Sync + 'static,
{
    pub(super) fn new(name: &str, function: F) -> Self {
        let function = Arc::new(function);
        let shared = Arc::clone(&function);
        let pool = pool::Builder::new(name, Arc::new(move || Computes(Arc::clone(&shared))));
        Self { name: name.into(), function, threads: None, on_full: OnFull::Wait, pool }
    }

    /// How many jobs are done at once: 1 to 1,024. Default as many as the process may use processors,
    /// a container's quota included.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let hashes = CpuPool::builder("hashes-threads", |n: u64| n.wrapping_mul(31)).threads(3).queue(64).build()?;
    /// assert_eq!(hashes.threads(), 3);
    /// # Ok(()) }
    /// ```
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How many jobs can be queued, those being done not counted: 1 to 16,777,216. There is no
    /// default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let unset = CpuPool::builder("hashes-queue", |n: u64| n.wrapping_mul(31)).threads(1).build();
    /// assert_eq!(unset.unwrap_err().field(), "queue");
    /// assert!(CpuPool::builder("hashes-queue", |n: u64| n.wrapping_mul(31)).threads(1).queue(64).build().is_ok());
    /// # Ok(()) }
    /// ```
    pub fn queue(mut self, jobs: usize) -> Self {
        self.pool = self.pool.queue(jobs);
        self
    }

    /// What is done with a job for which there is no room. Default [`OnFull::Wait`]; not
    /// [`OnFull::RunInCaller`], which would hold up the caller's runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{cpu::CpuPool, pool::OnFull};
    /// let hashes = |on_full| CpuPool::builder("hashes-full", |n: u64| n.wrapping_mul(31))
    ///     .threads(1).queue(64).on_full(on_full);
    /// assert!(hashes(OnFull::Reject).build().is_ok());
    /// assert_eq!(hashes(OnFull::RunInCaller).build().unwrap_err().field(), "on_full");
    /// # Ok(()) }
    /// ```
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self.pool = self.pool.on_full(on_full);
        self
    }

    /// Gives each key a lane of its own; see [`pool::Builder::lanes`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let hashes = CpuPool::builder("hashes-lanes", |(_, n): (u64, u64)| n * 31)
    ///     .threads(1).queue(64).lanes(|job| job.0).build()?;
    /// assert_eq!(hashes.submit((7, 2)).await?.await?, 62); // in the lane of tenant 7
    /// # Ok(()) }
    /// ```
    pub fn lanes<K, L>(mut self, key_of: L) -> Self
    where
        L: Fn(&J) -> K + Send + 'static,
        K: Hash + Eq + Clone + Display + Send + 'static,
    {
        self.pool = self.pool.lanes(key_of);
        self
    }

    /// How many jobs of one lane can be queued; see [`pool::Builder::lane_depth`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let lanes = |depth| CpuPool::builder("hashes-depth", |n: u64| n * 31)
    ///     .threads(1).queue(64).lanes(|n| *n).lane_depth(depth);
    /// assert!(lanes(64).build().is_ok());
    /// assert_eq!(lanes(0).build().unwrap_err().field(), "lane_depth");
    /// # Ok(()) }
    /// ```
    pub fn lane_depth(mut self, jobs: usize) -> Self {
        self.pool = self.pool.lane_depth(jobs);
        self
    }

    /// How many jobs can wait for their time; see [`pool::Builder::delayed`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::cpu::CpuPool;
    /// let hashes = CpuPool::builder("hashes-delayed", |n: u64| n * 31).threads(1).queue(64).delayed(1).build()?;
    /// let first = hashes.submit_after(1, Duration::from_secs(60))?;
    /// assert!(hashes.submit_after(2, Duration::from_secs(60)).is_err());
    /// # drop(first);
    /// # Ok(()) }
    /// ```
    pub fn delayed(mut self, jobs: usize) -> Self {
        self.pool = self.pool.delayed(jobs);
        self
    }

    /// How often a job may panic before it counts as poison; see [`pool::Builder::panics_max`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    /// use plimsoll::{cpu::CpuPool, retry::{Decision, Policy}};
    /// let tries = AtomicU32::new(0);
    /// let second = move |n: u64| { assert!(tries.fetch_add(1, Ordering::Relaxed) > 0); Ok::<_, ()>(n) };
    /// let policy = Policy::exponential(Duration::from_millis(1));
    /// let pool = CpuPool::builder("hashes-panics", second)
    ///     .threads(1).queue(64).retry(policy, |_| Decision::Retry).panics_max(2).build()?;
    /// assert_eq!(pool.submit(7).await?.await?, Ok(7)); // the first try panicked
    /// # Ok(()) }
    /// ```
    pub fn panics_max(mut self, panics: u32) -> Self {
        self.pool = self.pool.panics_max(panics);
        self
    }

    /// Makes the pool, starts its threads, and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field is not set, out of its range,
    /// or contradicts another; also when the system cannot start that many threads.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{cpu::CpuPool, registry};
    /// let hashes = CpuPool::builder("hashes-built", |n: u64| n * 31).threads(1).queue(64).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == hashes.name()));
    /// # Ok(()) }
    /// ```
    pub fn build(self) -> Result<CpuPool<J, T>, Invalid> {
        let Self { name, function, threads, on_full, pool } = self;
        let name = Name::new(&name)?;
        if on_full == OnFull::RunInCaller {
            let allowed = "any but RunInCaller, which would block the caller's runtime";
            return Err(Invalid::new(name, "on_full", format_args!("{on_full:?}"), allowed));
        }
        let threads = match threads {
            Some(threads) if !(1..=THREADS_MAX).contains(&threads) => {
                return Err(Invalid::new(name, "threads", threads, "1 to 1,024"));
            }
            Some(threads) => threads,
            None => available_parallelism().map_or(1, |threads| threads.get().min(THREADS_MAX)),
        };
        let pool = pool.workers(threads);
        // Before any thread is started.
        pool.check(name)?;
        let named = move |number| format!("{name}-{number}");
        let started = ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build();
        let Ok(started) = started.map(Arc::new) else {
            return Err(Invalid::new(name, "threads", threads, "as many as the system can start"));
        };
        let start = move |core, number| {
            Runner::start(core, number, &function, &started);
            // Nothing can cut a thread off.
            None
        };
        pool.build_on(Box::new(start)).map(CpuPool::new)
    }
}

impl<J, F, O, E> Builder<J, F>
where
    J: Clone + Send + 'static,
    O: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Result<O, E> + Send + Sync + 'static,
{
    /// Tries failed jobs again, by `policy`; see [`pool::Builder::retry`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    /// use plimsoll::{cpu::CpuPool, retry::{Decision, Policy}};
    /// let tries = AtomicU32::new(0);
    /// let third = move |n: u64| if tries.fetch_add(1, Ordering::Relaxed) < 2 { Err("not yet") } else { Ok(n) };
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(3);
    /// let pool = CpuPool::builder("hashes-retry", third)
    ///     .threads(1).queue(64).retry(policy, |_| Decision::Retry).build()?;
    /// assert_eq!(pool.submit(7).await?.await?, Ok(7));
    /// # Ok(()) }
    /// ```
    pub fn retry(
        mut self,
        policy: Policy,
        classify: impl Fn(&E) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.pool = self.pool.retry(policy, classify);
        self
    }

    /// Sends jobs that failed for good to `sink`; see [`pool::Builder::dead_letters`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let (sink, mut dead) = tokio::sync::mpsc::channel(8);
    /// let pool = CpuPool::builder("hashes-dead", |n: u64| Err::<(), _>(format!("{n} is odd")))
    ///     .threads(1).queue(64).dead_letters(sink).build()?;
    /// pool.execute(7).await?;
    /// assert_eq!(dead.recv().await.unwrap().job, 7);
    /// # Ok(()) }
    /// ```
    pub fn dead_letters(mut self, sink: mpsc::Sender<DeadLetter<J>>) -> Self
    where
        E: Display,
    {
        self.pool = self.pool.dead_letters(sink);
        self
    }
}

impl<J, F> fmt::Debug for Builder<J, F>
where
    Computes<F>: Worker<J>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .field("on_full", &self.on_full)
            .finish_non_exhaustive()
    }
}
