//! Jobs that failed for good.

use std::fmt;

use crate::{Rejected, retry};

/// A job that failed for good, why, and how often it was tried.
///
/// Letters come out of the receiver whose sender was given to
/// [`Builder::dead_letters`](super::Builder::dead_letters).
///
/// ```
/// use plimsoll::pool::{Cause, Pool};
/// use tokio::sync::mpsc;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let (sender, mut letters) = mpsc::channel(100);
/// let parse = |text: String| async move { text.parse::<u32>() };
/// let pool = Pool::builder("parse", parse).workers(2).queue(16).dead_letters(sender).build()?;
/// assert!(pool.submit("seven".into()).await.unwrap().await.unwrap().is_err());
/// let letter = letters.recv().await.unwrap();
/// assert_eq!((letter.job.as_str(), letter.cause, letter.attempts), ("seven", Cause::Failed, 1));
/// assert_eq!(letter.error, "invalid digit found in string");
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[non_exhaustive]
pub struct DeadLetter<J> {
    /// The job, as it was submitted.
    pub job: J,
    /// How the last attempt failed.
    pub cause: Cause,
    /// What the last attempt failed with, as text: the error, or what the panic said.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not tried again.
    pub gave_up: GaveUp,
}

/// How an attempt failed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pool::{Cause, Pool};
/// # std::panic::set_hook(Box::new(|_| {}));
/// let (sender, mut letters) = tokio::sync::mpsc::channel(8);
/// let parse = |text: &'static str| async move {
///     assert!(!text.is_empty(), "no text");
///     text.parse::<u8>()
/// };
/// let pool = Pool::builder("causes", parse).workers(1).queue(8).dead_letters(sender).build()?;
/// for text in ["x", ""] {
///     drop(pool.submit(text).await?);
/// }
/// let (first, second) = (letters.recv().await.unwrap(), letters.recv().await.unwrap());
/// assert_eq!((first.cause, second.cause, second.error.as_str()), (Cause::Failed, Cause::Panicked, "no text"));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It took longer than the pool's [`job_timeout`](super::Builder::job_timeout).
    TimedOut,
}

/// Why a job was not tried again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::pool::{GaveUp, Pool};
/// use plimsoll::retry::{Decision, Policy};
/// let (sender, mut letters) = tokio::sync::mpsc::channel(8);
/// let policy = Policy::exponential(Duration::from_millis(1)).attempts(2);
/// let pool = Pool::builder("gives-up", |n: u32| async move { Err::<(), _>(n) })
///     .workers(1).queue(8).retry(policy, |_| Decision::Retry).dead_letters(sender)
///     .build()?;
/// assert_eq!(pool.submit(7).await?.await?, Err(7));
/// let letter = letters.recv().await.expect("it has failed");
/// assert!(matches!(letter.gave_up, GaveUp::Policy(_)));
/// assert_eq!(letter.attempts, 2);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GaveUp {
    /// The pool tries nothing again.
    NoRetry,
    /// As the retry policy says.
    Policy(retry::Stop),
    /// It panicked as often as [`panics_max`](super::Builder::panics_max) allows: it is poison.
    Poison,
    /// Too many other jobs wait for their time already.
    NoRoom(Rejected),
}

impl Cause {
    /// A short, stable word for metrics and logs.
    ///
    /// ```
    /// use plimsoll::pool::Cause;
    /// let words = [Cause::Failed, Cause::Panicked, Cause::TimedOut].map(Cause::as_str);
    /// assert_eq!(words, ["failed", "panicked", "timed_out"]);
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
        }
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRetry => f.write_str("nothing is tried again"),
            Self::Policy(stop) => stop.fmt(f),
            Self::Poison => f.write_str("it panicked too often"),
            Self::NoRoom(rejected) => rejected.fmt(f),
        }
    }
}

impl<J> fmt::Debug for DeadLetter<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("cause", &self.cause)
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .field("gave_up", &self.gave_up)
            .finish_non_exhaustive()
    }
}

impl<J> fmt::Display for DeadLetter<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, error, attempts, gave_up, .. } = self;
        write!(f, "{}: {error} (attempt {attempts}, {gave_up})", cause.as_str())
    }
}
