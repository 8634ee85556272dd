//! Why a closure has no result.

use std::error;
use std::fmt;

use crate::Rejected;
use crate::pool::JobError;

/// Why a closure that was to [run](super::CpuPool::run) has no result.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::cpu::{CpuPool, Error};
/// let cpu = CpuPool::closures("ended").threads(1).queue(8).build()?;
/// cpu.drain(Duration::from_secs(1)).await;
/// match cpu.run(|| 7).await {
///     Err(Error::Rejected(why)) => assert_eq!(why.to_string(), "ended: draining, nothing new is admitted"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It was not admitted.
    Rejected(Rejected),
    /// It was admitted, and not done: it panicked, was cancelled before it began, or dropped.
    Job(JobError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Job(error) => error.fmt(f),
        }
    }
}

impl error::Error for Error {}
