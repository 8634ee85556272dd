//! Why a pipeline stopped, and what it went on without.

use std::error;
use std::fmt;

use crate::scope::Ended;
use crate::{Name, Rejected};

/// Why a pipeline stopped before its source had ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pipeline::{Error, Pipeline};
/// let parse = Pipeline::builder("parse")
///     .items(["1", "two"])
///     .stage("number", 1, |text| async move { text.parse::<u8>() })
///     .build()?;
/// match parse.collect().await {
///     Err(Error::Failed { stage, .. }) => assert_eq!(stage.as_str(), "number"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// A stage failed. What was in the pipeline was dropped.
    #[non_exhaustive]
    Failed {
        /// The stage that failed; `source` for the source.
        stage: Name,
        /// Its error, the first.
        error: E,
    },
    /// The scope it was started in ended.
    ScopeEnded(Ended),
    /// A CPU pool that a stage computes on did not take an item, or gave it up: it rejects rather than
    /// waits, or has ended.
    Rejected(Rejected),
    /// The runtime it was started on was shut down.
    Cancelled,
}

/// An item that failed, where the pipeline goes on without it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pipeline::{DeadLetter, Pipeline};
/// let (dead, mut letters) = tokio::sync::mpsc::channel::<DeadLetter<String>>(16);
/// let odd = Pipeline::builder("odd")
///     .items(1..=4_u32)
///     .stage("check", 1, |n| async move { if n % 2 == 1 { Ok(n) } else { Err(format!("{n} is even")) } })
///     .dead_letters(dead)
///     .build()?;
/// assert_eq!(odd.collect().await, Ok(vec![1, 3]));
/// let letter = letters.recv().await.expect("two have failed");
/// assert_eq!((letter.stage.as_str(), letter.error.as_str()), ("check", "2 is even"));
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DeadLetter<E> {
    /// The stage in which it failed; `source` for the source.
    pub stage: Name,
    /// Why. The item itself was the stage's: an error that should tell of it carries it.
    pub error: E,
}

impl<E> Error<E> {
    /// The error of the stage that failed, if one did.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pipeline::{Error, Pipeline};
    /// let check = |n: u32| async move { if n < 3 { Ok(n) } else { Err("too many") } };
    /// let failed = Pipeline::builder("into-failure").items(1..=4).stage("check", 1, check).build()?.run().await;
    /// assert_eq!(failed.unwrap_err().into_failure(), Some("too many"));
    /// assert_eq!(Error::<&str>::Cancelled.into_failure(), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_failure(self) -> Option<E> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::ScopeEnded(_) | Self::Rejected(_) | Self::Cancelled => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { stage, error } => write!(f, "stage {stage} failed: {error}"),
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::Rejected(rejected) => write!(f, "a stage was not admitted by {rejected}"),
            Self::Cancelled => f.write_str("the runtime of the pipeline was shut down"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Failed { error, .. } => error.source(),
            Self::ScopeEnded(_) | Self::Rejected(_) | Self::Cancelled => None,
        }
    }
}
