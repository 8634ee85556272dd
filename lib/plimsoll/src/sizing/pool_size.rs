//! How many workers keep the cores busy.

use std::time::Duration;

use super::input::{positive, ratio, refuse, seconds};
use crate::Invalid;

/// How many workers keep the cores as busy as you want them: `cores × utilisation × (1 + wait /
/// compute)`.
///
/// Brian Goetz et al., *Java Concurrency in Practice*, 8.2, 2006. It holds for jobs of one kind whose
/// waiting does not grow with their number. Where they wait for something that is itself bounded (a
/// database of 20 connections), that bound is the size; where they wait for one another, no size
/// helps.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::sizing::PoolSize;
/// // Pure computing: a worker for each core.
/// let hashing = PoolSize {
///     cores: 4.0,
///     utilisation_ratio: 1.0,
///     wait: Duration::ZERO,
///     compute: Duration::from_millis(3),
/// };
/// assert_eq!(hashing.workers()?, 4);
/// // Nine parts of waiting to one of computing, and half of the cores are somebody else's.
/// let calls = PoolSize { utilisation_ratio: 0.5, wait: Duration::from_millis(27), ..hashing };
/// assert_eq!(calls.workers()?, 20);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PoolSize {
    /// How many cores there are: a share of one where a cgroup grants no more.
    pub cores: f64,
    /// How busy they shall be, above 0, at most 1.
    pub utilisation_ratio: f64,
    /// How long a job waits for something else than a core.
    pub wait: Duration,
    /// How long it computes.
    pub compute: Duration,
}

impl PoolSize {
    /// The number of workers, rounded to the nearest, and at least one.
    ///
    /// # Errors
    /// When a field is not a number, or zero (all but `wait`), or out of its range; or when the waiting
    /// is so long that it says more than a million workers, which threads are not the answer to.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::sizing::PoolSize;
    /// let thumbnails = PoolSize {
    ///     cores: 8.0,
    ///     utilisation_ratio: 0.75,
    ///     wait: Duration::from_millis(10), // the upload
    ///     compute: Duration::from_millis(30),
    /// };
    /// assert_eq!(thumbnails.workers()?, 8);
    /// assert_eq!(PoolSize { cores: 0.0, ..thumbnails }.workers().unwrap_err().field(), "cores");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn workers(self) -> Result<u32, Invalid> {
        let cores = positive("cores", self.cores)?;
        let utilisation = positive("utilisation_ratio", ratio("utilisation_ratio", self.utilisation_ratio)?)?;
        let compute = seconds("compute", self.compute)?;
        let wait = if self.wait.is_zero() { 0.0 } else { seconds("wait", self.wait)? };
        let workers = (cores * utilisation * (1.0 + wait / compute)).round().max(1.0);
        if workers > 1e6 {
            return Err(refuse("wait", format_args!("{:?}", self.wait), "what a million workers can fill"));
        }
        Ok(workers as u32)
    }
}
