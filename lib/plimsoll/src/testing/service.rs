//! How long calls take, and how they end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use crate::Outcome;

/// How long each call takes, and how it ends.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::testing::Service;
///
/// let second = Duration::from_secs(1);
/// // Ten at once, 20 ms each on average; from the fifth to the eighth second five times as slow, and
/// // down in the ninth.
/// let service = Service::places(10, Duration::from_millis(20))
///     .varying(7)
///     .slower(5.0, 5 * second..8 * second)
///     .failing(9 * second..10 * second);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a service does nothing until a limiter is run before it"]
pub struct Service {
    latency: Duration,
    /// When each place is free again; none: there is always one.
    places: Option<BinaryHeap<Reverse<Duration>>>,
    slower: Vec<(f64, Range<Duration>)>,
    failing: Vec<Range<Duration>>,
    random: Option<fastrand::Rng>,
}

impl Service {
    /// Every call takes so long, however many there are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let service = Service::constant(Duration::from_millis(20));
    /// let report = testing::run(&Semaphore::new(500)?, &Load::burst(500), service).await;
    /// assert_eq!(report.latency(1.0), Some(Duration::from_millis(20))); // however many there are
    /// # Ok(()) }
    /// ```
    pub const fn constant(latency: Duration) -> Self {
        Self { latency, places: None, slower: Vec::new(), failing: Vec::new(), random: None }
    }

    /// So many calls at once, each takes so long; the others wait before it, first come first served:
    /// 1 to 1,000,000.
    ///
    /// # Panics
    /// When the number of places is out of its range.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// // Two at once: a limit of four lets two of them wait in the service.
    /// let service = Service::places(2, Duration::from_millis(10));
    /// let report = testing::run(&Semaphore::new(4)?, &Load::burst(4), service).await;
    /// assert_eq!(report.latency(0.5), Some(Duration::from_millis(10)));
    /// assert_eq!(report.latency(1.0), Some(Duration::from_millis(20)));
    /// # Ok(()) }
    /// ```
    pub fn places(places: usize, latency: Duration) -> Self {
        assert!((1..=1_000_000).contains(&places), "a service of {places} places, allowed is 1 to 1,000,000");
        let free = std::iter::repeat_n(Reverse(Duration::ZERO), places).collect();
        Self { places: Some(free), ..Self::constant(latency) }
    }

    /// Calls take that long on average, and vary as widely as independent events do (exponentially);
    /// the same way for the same seed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let service = Service::constant(Duration::from_millis(100)).varying(7);
    /// let report = testing::run(&Semaphore::new(500)?, &Load::burst(500), service).await;
    /// let median = report.latency(0.5).unwrap().as_millis();
    /// assert!((55..85).contains(&median)); // ln 2 of the average, and some take far longer
    /// assert!(report.latency(1.0) > Some(Duration::from_millis(300)));
    /// # Ok(()) }
    /// ```
    pub fn varying(mut self, seed: u64) -> Self {
        self.random = Some(fastrand::Rng::with_seed(seed));
        self
    }

    /// Calls that begin in that time, from the beginning of the run, take so many times as long:
    /// above 0, at most 1,000,000.
    ///
    /// # Panics
    /// When the factor is out of its range.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{semaphore::Semaphore, testing::{self, Load, Service}};
    /// let second = Duration::from_secs(1);
    /// let service = Service::constant(second / 100).slower(5.0, second..2 * second);
    /// let report = testing::run(&Semaphore::new(10)?, &Load::steady(10.0, 2 * second), service).await;
    /// assert_eq!((report.latency(0.5), report.latency(1.0)), (Some(second / 100), Some(second / 20)));
    /// # Ok(()) }
    /// ```
    pub fn slower(mut self, factor: f64, during: Range<Duration>) -> Self {
        assert!(factor > 0.0 && factor <= 1e6, "slower by {factor}, allowed is above 0 to 1,000,000");
        self.slower.push((factor, during));
        self
    }

    /// Calls that come in that time fail at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::breaker::{Breaker, Policy};
    /// use plimsoll::testing::{self, Load, Service};
    /// let bank = Breaker::new(Policy::consecutive(10))?;
    /// let second = Duration::from_secs(1);
    /// let service = Service::constant(second / 100).failing(2 * second..4 * second);
    /// let load = Load::steady(100.0, 4 * second);
    /// let report = testing::run_learning(&bank, &load, service, |permit, how| permit.finish(how)).await;
    /// assert_eq!((report.failed(), report.rejected()), (10, 190));
    /// # Ok(()) }
    /// ```
    pub fn failing(mut self, during: Range<Duration>) -> Self {
        self.failing.push(during);
        self
    }

    /// When a call that comes at `at` ends, and how.
    pub(super) fn call(&mut self, at: Duration) -> (Duration, Outcome) {
        if self.failing.iter().any(|during| during.contains(&at)) {
            return (at, Outcome::Failure);
        }
        let free = self.places.as_mut().and_then(BinaryHeap::pop);
        let begins = free.map_or(at, |Reverse(free)| free.max(at));
        let factor: f64 = self
            .slower
            .iter()
            .filter(|(_, during)| during.contains(&begins))
            .map(|(factor, _)| factor)
            .product();
        let chance = self.random.as_mut().map_or(1.0, |random| -(1.0 - random.f64()).ln());
        let takes = Duration::try_from_secs_f64(self.latency.as_secs_f64() * factor * chance);
        let ends = begins.saturating_add(takes.unwrap_or(Duration::from_secs(86_400)));
        if let Some(places) = &mut self.places {
            places.push(Reverse(ends));
        }
        (ends, Outcome::Success)
    }
}
