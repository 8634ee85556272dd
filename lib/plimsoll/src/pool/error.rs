//! Why a job was not admitted, or not done.

use std::error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Rejected;
use crate::scope::Ended;
use crate::unwind::Payload;

/// A job that was not admitted, handed back, and why.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::{Reason, pool::Pool};
/// let pool = Pool::builder("closed", |n: String| async move { n.len() }).workers(1).queue(8).build()?;
/// pool.drain(Duration::ZERO).await;
/// let refused = pool.submit("a thumbnail".into()).await.unwrap_err();
/// assert_eq!((refused.job.as_str(), refused.rejected.reason()), ("a thumbnail", Reason::Draining));
/// assert_eq!(refused.to_string(), "closed: draining, nothing new is admitted");
/// # Ok(()) }
/// ```
pub struct Refused<J> {
    /// The job.
    pub job: J,
    /// Why it was not admitted.
    pub rejected: Rejected,
}

/// Why a job that was admitted has no output.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pool::{JobError, Pool};
/// use plimsoll::scope::{Ended, Scope};
/// let pool = Pool::builder("jobs", |n: u32| async move { n }).workers(1).queue(8).build()?;
/// let scope = Scope::new();
/// let ticket = scope.clone().enter(pool.submit(7)).await?;
/// scope.cancel(); // nobody wants it any more: it is not begun
/// assert!(matches!(ticket.await, Err(JobError::ScopeEnded(Ended::Cancelled))));
/// assert_eq!(JobError::Dropped.to_string(), "the job was dropped from a full queue");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// It took longer than the pool's [`job_timeout`](super::Builder::job_timeout).
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// It panicked.
    Panicked(Panic),
    /// It was dropped from a full queue, to make room or as the newest, as
    /// [`OnFull`](super::OnFull) says.
    Dropped,
    /// The pool ended, or was dropped, before the job did.
    Cancelled,
    /// The scope it was submitted in ended before the job did.
    ScopeEnded(Ended),
    /// It was waited for inside of its own pool, in too deep a nest of jobs to run it there.
    TooDeep {
        /// How deep a nest may be.
        max: u8,
    },
}

/// A panic that was caught in a job.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pool::{JobError, Pool};
/// # std::panic::set_hook(Box::new(|_| {}));
/// let divide = |n: u32| async move { 100_u32.checked_div(n).expect("a job divides by zero") };
/// let pool = Pool::builder("divide", divide).workers(1).queue(8).build()?;
/// let Err(JobError::Panicked(panic)) = pool.submit(0).await?.await else { unreachable!("it divides by zero") };
/// assert_eq!(panic.message(), "a job divides by zero");
/// assert_eq!(pool.submit(5).await?.await?, 20); // the worker lives on
/// # Ok(()) }
/// ```
pub struct Panic {
    // In a mutex because a payload may not be shared between threads, and an error should be.
    payload: Mutex<Payload>,
}

impl Panic {
    pub(super) const fn new(payload: Payload) -> Self {
        Self { payload: Mutex::new(payload) }
    }

    /// What the panic said, if it said it in text.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pool::{JobError, Pool};
    /// let pool = Pool::builder("panic-message", |n: u32| async move { assert!(n > 0, "{n} is no size") })
    ///     .workers(1).queue(64).build()?;
    /// let Err(JobError::Panicked(panic)) = pool.submit(0).await?.await else { unreachable!("it asserts") };
    /// assert_eq!(panic.message(), "0 is no size");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn message(&self) -> String {
        let payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
    }

    /// Goes on with the panic, here.
    ///
    /// # Panics
    /// Always.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    /// use plimsoll::pool::{JobError, Pool};
    /// let pool = Pool::builder("panic-resume", |n: u32| async move { assert!(n > 0, "{n} is no size") })
    ///     .workers(1).queue(64).build()?;
    /// let Err(JobError::Panicked(panic)) = pool.submit(0).await?.await else { unreachable!("it asserts") };
    /// let payload = catch_unwind(AssertUnwindSafe(|| panic.resume())).unwrap_err();
    /// assert_eq!(payload.downcast_ref::<String>().unwrap(), "0 is no size");
    /// # Ok(()) }
    /// ```
    pub fn resume(self) -> ! {
        resume_unwind(self.payload.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { after } => write!(f, "the job took longer than {after:?}"),
            Self::Panicked(panic) => write!(f, "the job panicked: {}", panic.message()),
            Self::Dropped => f.write_str("the job was dropped from a full queue"),
            Self::Cancelled => f.write_str("the pool ended before the job did"),
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::TooDeep { max } => write!(f, "waited for in its own pool, more than {max} jobs deep"),
        }
    }
}

impl error::Error for JobError {}

impl<J> fmt::Debug for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl<J> fmt::Display for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<J> error::Error for Refused<J> {}
