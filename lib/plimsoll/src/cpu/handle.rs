//! The pool itself.

use std::fmt;
use std::time::Duration;

use super::Builder;
use crate::Name;
use crate::clock::Instant;
use crate::pool::{Left, Pool, Refused, Ticket};

/// Threads that compute, behind a bounded queue; a handle, cheap to clone. `J` is a job, `T` what it
/// yields.
///
/// When the last handle is dropped, queued jobs are dropped and their tickets say so; a job that runs
/// is finished, and its ticket answered. Use [`drain`](CpuPool::drain) to end it in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::cpu::CpuPool;
/// let squares: CpuPool<u64, u64> = CpuPool::builder("cpu-squares", |n: u64| n * n).threads(2).queue(64).build()?;
/// let (three, four) = (squares.submit(3).await?, squares.clone().submit(4).await?);
/// assert_eq!((three.await?, four.await?), (9, 16));
/// assert!(squares.drain(Duration::from_secs(1)).await.is_empty());
/// # Ok(()) }
/// ```
pub struct CpuPool<J: Send + 'static, T: Send + 'static> {
    pool: Pool<J, T>,
}

impl<J: Send + 'static, T: Send + 'static> CpuPool<J, T> {
    /// Begins a pool whose threads all call `function`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let lengths = CpuPool::builder("cpu-lengths", |text: String| text.len()).threads(1).queue(64).build()?;
    /// assert_eq!(lengths.submit("seven".into()).await?.await?, 5);
    /// # Ok(()) }
    /// ```
    pub fn builder<F>(name: &str, function: F) -> Builder<J, F>
    where
        F: Fn(J) -> T + Send + Sync + 'static,
    {
        Builder::new(name, function)
    }

    pub(super) const fn new(pool: Pool<J, T>) -> Self {
        Self { pool }
    }

    /// Submits a job, in the current [scope](crate::scope); where there is no room for it, what
    /// happens is said by [`OnFull`](crate::pool::OnFull).
    ///
    /// A job of this pool that submits to it never waits for room: it does the new job itself.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason.
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
    /// use plimsoll::cpu::CpuPool;
    /// let doubles = CpuPool::builder("cpu-doubles", |n: u32| n * 2).threads(1).queue(1).build()?;
    /// let mut tickets = Vec::new();
    /// for n in 0..5 {
    ///     tickets.push(doubles.submit(n).await?); // waits while the queue is full
    /// }
    /// assert_eq!(tickets.pop().expect("five tickets").await?, 8);
    /// # Ok(()) }
    /// ```
    pub async fn submit(&self, job: J) -> Result<Ticket<T>, Refused<J>> {
        self.pool.submit(job).await
    }

    /// Submits a job without waiting: where [`submit`](Self::submit) would wait, the job is handed
    /// back.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-try", |n: u64| n * n).threads(1).queue(64).build()?;
    /// assert_eq!(squares.try_submit(7)?.await?, 49);
    /// # squares.drain(std::time::Duration::from_secs(1)).await;
    /// assert_eq!(squares.try_submit(8).unwrap_err().job, 8); // drained: it is handed back
    /// # Ok(()) }
    /// ```
    pub fn try_submit(&self, job: J) -> Result<Ticket<T>, Refused<J>> {
        self.pool.try_submit(job)
    }

    /// Submits a job that nobody waits for, without a ticket; see [`Pool::execute`].
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
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// use plimsoll::cpu::CpuPool;
    /// let total = Arc::new(AtomicU64::new(0));
    /// let sum = Arc::clone(&total);
    /// let pool = CpuPool::builder("sum", move |n: u64| { sum.fetch_add(n, Ordering::Relaxed); })
    ///     .threads(1).queue(64).build()?;
    /// pool.execute(3).await?;
    /// pool.execute(4).await?;
    /// # pool.drain(std::time::Duration::from_secs(1)).await;
    /// assert_eq!(total.load(Ordering::Relaxed), 7); // once it is drained
    /// # Ok(()) }
    /// ```
    pub async fn execute(&self, job: J) -> Result<(), Refused<J>> {
        self.pool.execute(job).await
    }

    /// Submits a job that nobody waits for, without waiting: where [`execute`](Self::execute) would
    /// wait, the job is handed back.
    ///
    /// # Errors
    /// [`Refused`] hands the job back, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, cpu::CpuPool};
    /// let pool = CpuPool::builder("try-execute", |n: u64| assert!(n < 10)).threads(1).queue(64).build()?;
    /// pool.try_execute(3)?;
    /// # pool.drain(std::time::Duration::from_secs(1)).await;
    /// assert_eq!(pool.try_execute(4).unwrap_err().rejected.reason(), Reason::Draining); // after the drain
    /// # Ok(()) }
    /// ```
    pub fn try_execute(&self, job: J) -> Result<(), Refused<J>> {
        self.pool.try_execute(job)
    }

    /// Submits a job that is queued after `delay`; see [`Pool::submit_after`].
    ///
    /// # Errors
    /// [`Refused`] hands the job back when as many are delayed as can be, or the pool is ending.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::{Duration, Instant};
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-after", |n: u64| n * n).threads(1).queue(64).build()?;
    /// let began = Instant::now();
    /// assert_eq!(squares.submit_after(7, Duration::from_millis(5))?.await?, 49);
    /// assert!(began.elapsed() >= Duration::from_millis(4));
    /// # Ok(()) }
    /// ```
    pub fn submit_after(&self, job: J, delay: Duration) -> Result<Ticket<T>, Refused<J>> {
        self.pool.submit_after(job, delay)
    }

    /// Submits a job that is queued at the instant `at`; see [`Pool::submit_at`].
    ///
    /// # Errors
    /// As [`submit_after`](Self::submit_after).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{clock, cpu::CpuPool};
    /// let squares = CpuPool::builder("squares-at", |n: u64| n * n).threads(1).queue(64).build()?;
    /// let at = clock::now().after(Duration::from_millis(5));
    /// assert_eq!(squares.submit_at(7, at)?.await?, 49);
    /// # Ok(()) }
    /// ```
    pub fn submit_at(&self, job: J, at: Instant) -> Result<Ticket<T>, Refused<J>> {
        self.pool.submit_at(job, at)
    }

    /// Ends the pool in two phases, as [`Pool::drain`] does: nothing more is admitted and the queue is
    /// worked off for as long as `within`; then what is queued is handed back.
    ///
    /// A job that runs cannot be cut off: the drain goes without it after another second, counts it
    /// as abandoned, and it ends in its own time.
    ///
    /// # Cancel safety
    /// The pool stays closed, and goes on with its queue; call it again for the rest.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::cpu::CpuPool;
    /// let pool = CpuPool::builder("cpu-drained", |n: u32| n * 2).threads(1).queue(8).build()?;
    /// let ticket = pool.submit(7).await?;
    /// assert_eq!(pool.drain(Duration::from_secs(1)).await.abandoned, 0);
    /// assert_eq!(ticket.await?, 14);
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self, within: Duration) -> Left<J> {
        self.pool.drain(within).await
    }

    /// The name it was built with.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-name", |n: u64| n * n).threads(1).queue(64).build()?;
    /// assert_eq!(squares.name().as_str(), "squares-name");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.pool.name()
    }

    /// How many threads it has.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-threads", |n: u64| n * n).threads(2).queue(64).build()?;
    /// assert_eq!(squares.threads(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.workers()
    }

    /// How many jobs are queued; delayed ones are when they are due.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-len", |n: u64| n * n).threads(1).queue(64).build()?;
    /// let later = squares.submit_after(7, Duration::from_secs(60))?;
    /// assert_eq!(squares.len(), 0); // it is queued when it is due
    /// # drop(later);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Whether no job is queued.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let squares = CpuPool::builder("squares-empty", |n: u64| n * n).threads(1).queue(64).build()?;
    /// assert_eq!(squares.submit(7).await?.await?, 49);
    /// assert!(squares.is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }
}

impl<J: Send + 'static, T: Send + 'static> Clone for CpuPool<J, T> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<J: Send + 'static, T: Send + 'static> fmt::Debug for CpuPool<J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuPool")
            .field("name", &self.name())
            .field("threads", &self.threads())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
