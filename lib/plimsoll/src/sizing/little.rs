//! Little's law.

use std::time::Duration;

use super::input::{duration, positive, seconds};
use crate::Invalid;

/// How many are inside at once, on average, when so many arrive a second and each stays
/// `time_inside`: `L = λ W`.
///
/// `time_inside` is from arrival to departure and so includes waiting; with the service time alone it
/// gives how many are being served. It is the smallest limit that does not cut into the average load:
/// leave headroom for what is above average.
///
/// John D. C. Little, *A Proof for the Queuing Formula L = λW*, Operations Research 9(3), 1961. It
/// holds for any order of service and any distribution, over a time in which as many leave as
/// arrive; it does not hold while a queue grows.
///
/// # Errors
/// When `per_second` is not a number above 0, or `time_inside` is zero or longer than 366 days.
///
/// ```
/// use std::time::Duration;
/// let inside = plimsoll::sizing::concurrency(1_000.0, Duration::from_millis(20))?;
/// assert_eq!(inside, 20.0);
/// assert_eq!(plimsoll::sizing::concurrency(f64::NAN, Duration::from_millis(20)).unwrap_err().field(), "per_second");
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
pub fn concurrency(per_second: f64, time_inside: Duration) -> Result<f64, Invalid> {
    Ok(positive("per_second", per_second)? * seconds("time_inside", time_inside)?)
}

/// How many leave a second, on average, when `concurrency` are inside at once and each stays
/// `time_inside`: `λ = L / W`. With a concurrency limit it is the most that passes.
///
/// # Errors
/// When `concurrency` is not a number above 0, or `time_inside` is zero or longer than 366 days.
///
/// ```
/// use std::time::Duration;
/// // 50 connections, 10 ms a query: 5,000 queries a second, and no more.
/// assert_eq!(plimsoll::sizing::throughput(50.0, Duration::from_millis(10))?, 5_000.0);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
pub fn throughput(concurrency: f64, time_inside: Duration) -> Result<f64, Invalid> {
    Ok(positive("concurrency", concurrency)? / seconds("time_inside", time_inside)?)
}

/// How many are inside at once, and how many pass a second.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::sizing::Flow;
/// // 30 wait or are served, 100 leave a second: each of them is here for 300 ms.
/// let flow = Flow { concurrency: 30.0, per_second: 100.0 };
/// assert_eq!(flow.time_inside()?, Duration::from_millis(300));
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Flow {
    /// How many are inside at once, on average.
    pub concurrency: f64,
    /// How many arrive, and leave, a second.
    pub per_second: f64,
}

impl Flow {
    /// How long each stays, on average, waiting included: `W = L / λ`.
    ///
    /// # Errors
    /// When a field is not a number above 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::sizing::Flow;
    /// assert_eq!(Flow { concurrency: 5.0, per_second: 1_000.0 }.time_inside()?, Duration::from_millis(5));
    /// assert!(Flow { concurrency: 5.0, per_second: 0.0 }.time_inside().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn time_inside(self) -> Result<Duration, Invalid> {
        let Self { concurrency, per_second } = self;
        Ok(duration(positive("concurrency", concurrency)? / positive("per_second", per_second)?))
    }
}
