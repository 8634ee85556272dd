//! When a second try is begun, and what pays for it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::seen::GENERATION;
use crate::retry::Budget;
use crate::{Invalid, Name};

const DELAY: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(3_600);
const ALLOWED: &str = "1 µs to an hour";

/// When a second try is begun, how many at once, and what pays for them.
///
/// It is checked where it is used: by [`Hedge::new`](super::Hedge::new) and
/// [`Builder::build`](super::Builder::build).
///
/// ```
/// use std::time::Duration;
/// use plimsoll::hedge::{Hedge, Policy};
/// use plimsoll::retry::Budget;
///
/// let budget = Budget::builder("search extra").ratio(0.05).build()?;
/// let policy = Policy::percentile(0.95)
///     .samples_min(200)
///     .delay_min(Duration::from_millis(5))
///     .delay_max(Duration::from_millis(400))
///     .extra_max(20)
///     .budget(&budget);
/// assert!(Hedge::new(policy).is_ok());
///
/// let refused = Hedge::new(Policy::percentile(95.0)).unwrap_err();
/// assert_eq!(refused.to_string(), "unnamed: percentile is 95, allowed is 0.5 to 0.9999");
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing until a hedge is built with it"]
pub struct Policy {
    delay: Delay,
    samples_min: Option<u32>,
    delay_min: Option<Duration>,
    delay_max: Option<Duration>,
    extra_max: u32,
    budget: Option<Payer>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Delay {
    Fixed(Duration),
    Percentile(f64),
}

/// What pays for second tries.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    pub(super) budget: Budget,
    pub(super) counted_by: CountedBy,
}

/// Who tells the budget of a call, which earns it a share of a second try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CountedBy {
    Hedge,
    Retry,
}

/// What a hedge needs to know to set its delay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Terms {
    Fixed(Duration),
    Percentile { percentile: f64, samples_min: u32, min: Duration, max: Duration },
}

impl Policy {
    /// Begins the second try after `delay`: 1 µs to an hour.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// assert_eq!(Hedge::new(Policy::fixed(Duration::from_millis(50)))?.delay(), Duration::from_millis(50));
    /// assert_eq!(Hedge::new(Policy::fixed(Duration::ZERO)).unwrap_err().field(), "fixed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn fixed(delay: Duration) -> Self {
        Self::new(Delay::Fixed(delay))
    }

    /// Begins the second try when the first has taken longer than this share of calls do: 0.5 to
    /// 0.9999. 0.95 hedges one call in twenty, if the budget has as much.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let search = Hedge::new(Policy::percentile(0.95).samples_min(16))?;
    /// for _ in 0..64 {
    ///     search.call(|| async { Ok::<_, ()>(tokio::time::advance(Duration::from_millis(20)).await) })
    ///         .await.unwrap();
    /// }
    /// assert!((18..=25).contains(&search.delay().as_millis())); // 10 s at first
    /// # Ok(()) }
    /// ```
    pub const fn percentile(percentile: f64) -> Self {
        Self::new(Delay::Percentile(percentile))
    }

    const fn new(delay: Delay) -> Self {
        Self { delay, samples_min: None, delay_min: None, delay_max: None, extra_max: 100, budget: None }
    }

    /// Waits [`delay_max`](Self::delay_max) until this many calls were seen: 1 to 1,024. Default 100.
    /// For a percentile only.
    ///
    /// ```
    /// use plimsoll::hedge::{Hedge, Policy};
    /// assert!(Hedge::new(Policy::percentile(0.95).samples_min(200)).is_ok());
    /// assert_eq!(Hedge::new(Policy::percentile(0.95).samples_min(0)).unwrap_err().field(), "samples_min");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn samples_min(mut self, samples: u32) -> Self {
        self.samples_min = Some(samples);
        self
    }

    /// The shortest delay, whatever was seen: 1 µs to an hour. Default 1 ms, which is as fine as
    /// tokio's timer is. For a percentile only.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let search = Hedge::new(Policy::percentile(0.95).samples_min(16).delay_min(Duration::from_millis(50)))?;
    /// for _ in 0..64 {
    ///     search.call(|| async { Ok::<_, ()>(tokio::time::advance(Duration::from_millis(20)).await) })
    ///         .await.unwrap();
    /// }
    /// assert_eq!(search.delay(), Duration::from_millis(50)); // not 20
    /// # Ok(()) }
    /// ```
    pub const fn delay_min(mut self, min: Duration) -> Self {
        self.delay_min = Some(min);
        self
    }

    /// The longest delay, whatever was seen, and the delay while too little was: at least
    /// [`delay_min`](Self::delay_min), at most an hour. Default 10 s. For a percentile only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let search = Hedge::new(Policy::percentile(0.95).delay_max(Duration::from_millis(400)))?;
    /// assert_eq!(search.delay(), Duration::from_millis(400)); // too little was seen
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn delay_max(mut self, max: Duration) -> Self {
        self.delay_max = Some(max);
        self
    }

    /// How many second tries may run at once: 1 to 1,000,000. Default 100.
    ///
    /// ```
    /// use plimsoll::hedge::{Hedge, Policy};
    /// assert_eq!(Hedge::new(Policy::percentile(0.95).extra_max(20))?.snapshot().limit, 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn extra_max(mut self, extra: u32) -> Self {
        self.extra_max = extra;
        self
    }

    /// Takes every second try from `budget`, and counts every call in it. Without one, the hedge has
    /// a budget of its own: 10 % of the calls and one a second, over 10 s.
    ///
    /// Use [`budget_of_retry`](Self::budget_of_retry) within a retry that has the same budget.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{hedge::{Hedge, Policy}, retry::Budget};
    /// let shared = Budget::new(0.1, 1)?;
    /// let search = Hedge::new(Policy::fixed(Duration::from_millis(20)).budget(&shared))?;
    /// assert_eq!(search.call(|| async { Ok::<_, ()>(7) }).await, Ok(7));
    /// assert!(shared.snapshot().details.contains(&("window_calls", 1))); // which earns a tenth of a second try
    /// # Ok(()) }
    /// ```
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(Payer { budget: budget.clone(), counted_by: CountedBy::Hedge });
        self
    }

    /// Takes every second try from `budget`, in which the retry around this hedge counts the calls:
    /// one call would otherwise earn twice, and an attempt that is itself a retry would earn too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{hedge::{self, Hedge}, retry};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let extra = retry::Budget::new(0.1, 1)?;
    /// let hedge = Hedge::new(hedge::Policy::fixed(Duration::from_millis(50)).budget_of_retry(&extra))?;
    /// let retry = retry::Policy::exponential(Duration::from_millis(10)).budget(&extra);
    /// let answer = retry
    ///     .retry_if(|_: &std::io::Error| retry::Decision::Retry)
    ///     .run(|| hedge.call(|| async { Ok("in stock") }))
    ///     .await;
    /// assert_eq!(answer.unwrap(), "in stock");
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn budget_of_retry(mut self, budget: &Budget) -> Self {
        self.budget = Some(Payer { budget: budget.clone(), counted_by: CountedBy::Retry });
        self
    }

    /// Draws on the budget of the retry around it, unless it has another; the retry counts the calls.
    pub(crate) fn within_retry(self, budget: &Budget) -> Self {
        match &self.budget {
            Some(payer) if !payer.budget.is(budget) => self,
            _ => self.budget_of_retry(budget),
        }
    }

    /// Checks the policy, and says what of it decides the delay.
    pub(super) fn terms(&self, name: Name) -> Result<Terms, Invalid> {
        if !(1..=1_000_000).contains(&self.extra_max) {
            return Err(Invalid::new(name, "extra_max", self.extra_max, "1 to 1,000,000"));
        }
        match self.delay {
            Delay::Fixed(delay) => self.check_fixed(name, delay),
            Delay::Percentile(percentile) => self.check_percentile(name, percentile),
        }
    }

    fn check_fixed(&self, name: Name, delay: Duration) -> Result<Terms, Invalid> {
        let set = [
            ("samples_min", self.samples_min.is_some()),
            ("delay_min", self.delay_min.is_some()),
            ("delay_max", self.delay_max.is_some()),
        ];
        if let Some((field, _)) = set.into_iter().find(|(_, set)| *set) {
            return Err(Invalid::new(name, field, "set", "a percentile's only: the delay is fixed"));
        }
        check_delay(name, "fixed", delay)?;
        Ok(Terms::Fixed(delay))
    }

    fn check_percentile(&self, name: Name, percentile: f64) -> Result<Terms, Invalid> {
        if !(0.5..=0.9999).contains(&percentile) {
            return Err(Invalid::new(name, "percentile", percentile, "0.5 to 0.9999"));
        }
        let samples_min = self.samples_min.unwrap_or(100);
        if !(1..=GENERATION).contains(&samples_min) {
            return Err(Invalid::new(name, "samples_min", samples_min, "1 to 1,024"));
        }
        let (default_min, default_max) = (Duration::from_millis(1), Duration::from_secs(10));
        // A default gives way to what was said: only what was said can be contradicted.
        let min = self.delay_min.unwrap_or_else(|| self.delay_max.unwrap_or(default_min).min(default_min));
        check_delay(name, "delay_min", min)?;
        let max = self.delay_max.unwrap_or_else(|| default_max.max(min));
        check_delay(name, "delay_max", max)?;
        if max < min {
            return Err(Invalid::new(name, "delay_max", format_args!("{max:?}"), "at least delay_min"));
        }
        Ok(Terms::Percentile { percentile, samples_min, min, max })
    }

    pub(super) const fn extra(&self) -> u32 {
        self.extra_max
    }

    /// What pays: the budget that was given, or one of the hedge's `own`.
    pub(super) fn into_payer(self, own: impl FnOnce() -> Result<Budget, Invalid>) -> Result<Payer, Invalid> {
        match self.budget {
            Some(payer) => Ok(payer),
            None => Ok(Payer { budget: own()?, counted_by: CountedBy::Hedge }),
        }
    }
}

fn check_delay(name: Name, field: &'static str, delay: Duration) -> Result<(), Invalid> {
    if DELAY.contains(&delay) {
        return Ok(());
    }
    Err(Invalid::new(name, field, format_args!("{delay:?}"), ALLOWED))
}
