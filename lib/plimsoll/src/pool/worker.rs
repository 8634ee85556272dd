//! What does the jobs.

use std::sync::Arc;

/// Does one job after the other, and may keep a state between them: a connection, a buffer.
///
/// Every `FnMut(J) -> Future` is one. A worker is made by the factory of
/// [`Pool::builder_with`](super::Pool::builder_with), and made anew after a job has panicked.
///
/// ```
/// use plimsoll::pool::{Pool, Worker};
///
/// struct Resizer { buffer: Vec<u8> }
///
/// impl Worker<usize> for Resizer {
///     type Output = usize;
///
///     async fn run(&mut self, bytes: usize) -> usize {
///         self.buffer.resize(bytes.max(self.buffer.len()), 0);
///         self.buffer.len()
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let pool = Pool::builder_with("resize", || Resizer { buffer: Vec::new() }).workers(1).queue(8).build()?;
/// let (large, small) = (pool.submit(100).await.unwrap(), pool.submit(10).await.unwrap());
/// assert_eq!((large.await.unwrap(), small.await.unwrap()), (100, 100));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
pub trait Worker<J>: Send + 'static {
    /// What a job yields; mostly a `Result`.
    type Output: Send + 'static;

    /// Does one job.
    ///
    /// # Cancel safety
    /// The future is dropped when the job's time is over, its scope ends, or the pool does. The
    /// worker goes on with the next job, so what is kept in `self` must be whole at every await
    /// point.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::Worker;
    /// let mut double = |n: u32| async move { n * 2 };
    /// assert_eq!(double.run(7).await, 14);
    /// # Ok(()) }
    /// ```
    fn run(&mut self, job: J) -> impl Future<Output = Self::Output> + Send;
}

impl<J, F, Fut> Worker<J> for F
where
    F: FnMut(J) -> Fut + Send + 'static,
    Fut: Future + Send,
    Fut::Output: Send + 'static,
{
    type Output = Fut::Output;

    fn run(&mut self, job: J) -> impl Future<Output = Fut::Output> + Send {
        self(job)
    }
}

/// The worker of [`Pool::builder`](super::Pool::builder): calls one function, which all share.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pool::{Builder, Calls, Pool};
/// let builder: Builder<u32, Calls<_>> = Pool::builder("calls", |n: u32| async move { n * 2 });
/// assert_eq!(builder.workers(1).queue(8).build()?.submit(4).await?.await?, 8);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Calls<F>(Arc<F>);

impl<F> Calls<F> {
    pub(super) const fn new(function: Arc<F>) -> Self {
        Self(function)
    }
}

impl<J, F, Fut> Worker<J> for Calls<F>
where
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: Send + 'static,
{
    type Output = Fut::Output;

    fn run(&mut self, job: J) -> impl Future<Output = Fut::Output> + Send {
        (self.0)(job)
    }
}
