//! What became of a load.

use std::time::Duration;

use crate::{Outcome, Reason, Rejected};

/// What became of a load: how much was offered, admitted and rejected, and when.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::{Reason, semaphore::Semaphore, testing::{self, Load, Service}};
/// let uploads = Semaphore::new(10)?;
/// let service = Service::constant(Duration::from_millis(100));
/// let report = testing::run(&uploads, &Load::burst(30), service).await;
/// assert_eq!((report.offered(), report.admitted(), report.rejected()), (30, 10, 20));
/// assert_eq!(report.rejected_for(Reason::Full), 20);
/// assert_eq!((report.in_flight_max(), report.latency(0.99)), (10, Some(Duration::from_millis(100))));
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    totals: Second,
    rejected_for: Vec<(Reason, u64)>,
    seconds: Vec<Second>,
    /// Of what succeeded, from admission on; sorted.
    latencies: Vec<Duration>,
    /// Of what was admitted; sorted.
    waits: Vec<Duration>,
    failed: u64,
    in_flight: u64,
}

/// What happened in one second of the load.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::{rate::{Quota, RateLimiter}, testing::{self, Load, Service}};
/// let calls = RateLimiter::new(Quota::per_second(10))?;
/// let load = Load::steady(20.0, Duration::from_secs(3));
/// let report = testing::run(&calls, &load, Service::constant(Duration::from_millis(5))).await;
/// let third = report.seconds()[2];
/// assert_eq!((third.offered, third.admitted, third.rejected, third.ended), (20, 10, 10, 10));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Second {
    /// How many came.
    pub offered: u64,
    /// How many were admitted.
    pub admitted: u64,
    /// How many were rejected.
    pub rejected: u64,
    /// How many of the admitted ended.
    pub ended: u64,
    /// The most that was in flight at once.
    pub in_flight_max: u64,
}

impl Report {
    /// How many calls came.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let report = testing::run(&Semaphore::new(10)?, &Load::burst(30), Service::constant(Duration::from_millis(5)))
    ///     .await;
    /// assert_eq!(report.offered(), 30);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn offered(&self) -> u64 {
        self.totals.offered
    }

    /// How many were admitted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let report = testing::run(&Semaphore::new(10)?, &Load::burst(30), Service::constant(Duration::from_millis(5)))
    ///     .await;
    /// assert_eq!(report.admitted(), 10);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn admitted(&self) -> u64 {
        self.totals.admitted
    }

    /// How many were rejected.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let report = testing::run(&Semaphore::new(10)?, &Load::burst(30), Service::constant(Duration::from_millis(5)))
    ///     .await;
    /// assert_eq!(report.rejected(), 20);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.totals.rejected
    }

    /// How many were rejected for that reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, semaphore::Semaphore, testing::{self, Load, Service}};
    /// let report = testing::run(&Semaphore::new(10)?, &Load::burst(30), Service::constant(Duration::from_millis(5)))
    ///     .await;
    /// assert_eq!((report.rejected_for(Reason::Full), report.rejected_for(Reason::Shed)), (20, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn rejected_for(&self, reason: Reason) -> u64 {
        self.rejected_for.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count)
    }

    /// How many were admitted and failed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let down = Service::constant(Duration::from_millis(5)).failing(Duration::ZERO..Duration::from_secs(1));
    /// let report = testing::run(&Semaphore::new(10)?, &Load::burst(1), down).await;
    /// assert_eq!((report.admitted(), report.failed()), (1, 1));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// How many still waited when nothing else could happen any more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let uploads = Semaphore::new(10)?;
    /// let service = Service::constant(Duration::from_millis(5));
    /// let leaks = |permit, _| std::mem::forget(permit); // nobody after it gets a place
    /// let report = testing::run_waiting(&uploads, &Load::burst(30), service, leaks).await;
    /// assert_eq!((report.admitted(), report.abandoned()), (10, 20));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn abandoned(&self) -> u64 {
        self.totals.offered - self.totals.admitted - self.totals.rejected
    }

    /// The most that was in flight at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{rate::{Quota, RateLimiter}, testing::{self, Load, Service}};
    /// let calls = RateLimiter::new(Quota::per_second(100).burst(7))?;
    /// let report = testing::run(&calls, &Load::burst(30), Service::constant(Duration::from_secs(1))).await;
    /// assert_eq!(report.in_flight_max(), 7);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn in_flight_max(&self) -> u64 {
        self.totals.in_flight_max
    }

    /// What happened in each second, from the first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let load = Load::steady(20.0, Duration::from_secs(3));
    /// let report = testing::run(&Semaphore::new(10)?, &load, Service::constant(Duration::from_millis(5))).await;
    /// assert_eq!(report.seconds().iter().map(|second| second.offered).collect::<Vec<_>>(), [20, 20, 20]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    /// The time that the share `quantile` (0 to 1) of what succeeded did not take longer than, from
    /// admission; `None` when nothing succeeded.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let service = Service::places(1, Duration::from_millis(10)); // the second waits for the first
    /// let report = testing::run(&Semaphore::new(2)?, &Load::burst(2), service).await;
    /// let millis = |quantile| report.latency(quantile).map(|latency| latency.as_millis());
    /// assert_eq!((millis(0.5), millis(1.0)), (Some(10), Some(20)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        at(&self.latencies, quantile)
    }

    /// The time that the share `quantile` (0 to 1) of the admitted did not wait longer than; `None` when
    /// nothing was admitted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let service = Service::constant(Duration::from_millis(10));
    /// let report = testing::run_waiting(&Semaphore::new(1)?, &Load::burst(2), service, |permit, how| permit.finish(how))
    ///     .await;
    /// let millis = |quantile| report.wait(quantile).map(|wait| wait.as_millis());
    /// assert_eq!((millis(0.5), millis(1.0)), (Some(0), Some(10))); // the second waits for the permit
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wait(&self, quantile: f64) -> Option<Duration> {
        at(&self.waits, quantile)
    }

    pub(super) fn offer(&mut self, now: Duration) {
        self.note(now, |second| second.offered += 1);
    }

    pub(super) fn admit(&mut self, now: Duration, waited: Duration) {
        self.in_flight += 1;
        self.waits.push(waited);
        let in_flight = self.in_flight;
        self.note(now, |second| {
            second.admitted += 1;
            second.in_flight_max = second.in_flight_max.max(in_flight);
        });
    }

    pub(super) fn reject(&mut self, now: Duration, rejected: &Rejected) {
        let reason = rejected.reason();
        match self.rejected_for.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejected_for.push((reason, 1)),
        }
        self.note(now, |second| second.rejected += 1);
    }

    pub(super) fn end(&mut self, now: Duration, took: Duration, outcome: Outcome) {
        self.in_flight -= 1;
        if outcome == Outcome::Success {
            self.latencies.push(took);
        } else {
            self.failed += 1;
        }
        self.note(now, |second| second.ended += 1);
    }

    pub(super) fn finished(mut self) -> Self {
        self.latencies.sort_unstable();
        self.waits.sort_unstable();
        self
    }

    fn note(&mut self, now: Duration, count: impl Fn(&mut Second)) {
        let second = usize::try_from(now.as_secs()).unwrap_or(usize::MAX).min(SECONDS_MAX - 1);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        count(&mut self.totals);
        count(&mut self.seconds[second]);
    }
}

/// What happens later is counted in the last.
const SECONDS_MAX: usize = 1_000_000;

fn at(sorted: &[Duration], quantile: f64) -> Option<Duration> {
    let rank = (quantile.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
