//! How often to try, and after what delay; pure.

use std::sync::Arc;
use std::time::Duration;

use super::{Budget, Classified};
use crate::{Invalid, Name};

const DAY: Duration = Duration::from_secs(86_400);
const ATTEMPTS_MAX: u32 = 1_000;
const MAX_DELAY_DEFAULT: Duration = Duration::from_secs(30);

/// How often to try, and after what delay.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::retry::Policy;
/// let policy = Policy::exponential(Duration::from_millis(50)).attempts(4).max_delay(Duration::from_millis(150));
/// // Full jitter: from zero up to 50, 100 and 150 ms; the second argument takes off that share.
/// assert_eq!(policy.delay(1, 0.0), Some(Duration::from_millis(50)));
/// assert_eq!(policy.delay(2, 0.5), Some(Duration::from_millis(50)));
/// assert_eq!(policy.delay(3, 0.0), Some(Duration::from_millis(150)));
/// assert_eq!(policy.delay(4, 0.0), None);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing until something is run by it"]
pub struct Policy {
    delays: Delays,
    attempts: u32,
    jitter_ratio: f64,
    max_delay: Option<Duration>,
    retry_after_max: Duration,
    budget: Option<Budget>,
    /// Kept up to date by whatever sets a field, so that a run need not look at all of them.
    fault: Option<Fault>,
}

#[derive(Clone, Debug)]
enum Delays {
    Exponential { first: Duration },
    Schedule { delays: Arc<[Duration]>, longest: Duration, attempts_max: u32 },
}

/// The field that is out of its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Exponential(Duration),
    Schedule(Duration),
    Attempts,
    ScheduledAttempts,
    JitterRatio,
    MaxDelay(Duration),
    RetryAfterMax,
}

impl Policy {
    /// Waits up to `first` after the first attempt and twice as long after each other, with full
    /// jitter: `first` is 1 µs to a day. Three attempts, unless said otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let policy = Policy::exponential(Duration::from_millis(100));
    /// assert_eq!(policy.delay(1, 0.0), Some(Duration::from_millis(100)));
    /// assert_eq!(policy.delay(2, 0.0), Some(Duration::from_millis(200)));
    /// assert_eq!(policy.delay(2, 0.9), Some(Duration::from_millis(20)), "full jitter");
    /// assert_eq!(policy.delay(3, 0.0), None, "three attempts");
    /// ```
    pub const fn exponential(first: Duration) -> Self {
        Self {
            delays: Delays::Exponential { first },
            attempts: 3,
            jitter_ratio: 1.0,
            max_delay: None,
            retry_after_max: Duration::from_secs(60),
            budget: None,
            fault: None,
        }
        .looked_over()
    }

    /// Waits these delays, one after each attempt, so that there is one attempt more than delays
    /// (at most 1,000 in all); without jitter, unless said otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let webhooks = Policy::schedule([5, 300, 1_800].map(Duration::from_secs)).jitter_ratio(0.2);
    /// assert_eq!(webhooks.delay(2, 0.0), Some(Duration::from_secs(300)));
    /// assert_eq!(webhooks.delay(2, 0.5), Some(Duration::from_secs(270)));
    /// assert_eq!(webhooks.delay(4, 0.0), None);
    /// ```
    pub fn schedule(delays: impl Into<Arc<[Duration]>>) -> Self {
        let delays = delays.into();
        let attempts = u32::try_from(delays.len()).unwrap_or(u32::MAX).saturating_add(1);
        let longest = delays.iter().copied().max().unwrap_or(Duration::ZERO);
        Self {
            delays: Delays::Schedule { delays, longest, attempts_max: attempts },
            attempts,
            jitter_ratio: 0.0,
            ..Self::exponential(Duration::from_secs(1))
        }
        .looked_over()
    }

    /// How many attempts there are in all, the first included: 1 to 1,000. Default 3; for a
    /// schedule one more than delays, which is also the most it can have.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let twice = Policy::exponential(Duration::from_millis(100)).attempts(2);
    /// assert!(twice.delay(1, 0.0).is_some() && twice.delay(2, 0.0).is_none());
    /// ```
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self.looked_over()
    }

    /// The longest delay, 1 µs to a day. Default 30 s, or the first delay if that is longer; none
    /// for a schedule.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let policy = Policy::exponential(Duration::from_secs(1)).attempts(10).max_delay(Duration::from_secs(5));
    /// assert_eq!(policy.delay(3, 0.0), Some(Duration::from_secs(4)));
    /// assert_eq!(policy.delay(4, 0.0), Some(Duration::from_secs(5))); // not 8
    /// ```
    pub const fn max_delay(mut self, max: Duration) -> Self {
        self.max_delay = Some(max);
        self.looked_over()
    }

    /// How much of a delay is left to chance, 0 to 1: the wait is between `1 - ratio` and 1 times
    /// the delay. Default 1 for exponential delays (full jitter), 0 for a schedule.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let policy = Policy::exponential(Duration::from_secs(1)).jitter_ratio(0.0);
    /// assert_eq!(policy.delay(1, 0.9), Some(Duration::from_secs(1)));
    /// let half = policy.jitter_ratio(0.5);
    /// assert_eq!(half.delay(1, 0.5), Some(Duration::from_millis(750)));
    /// ```
    pub const fn jitter_ratio(mut self, ratio: f64) -> Self {
        self.jitter_ratio = ratio;
        self.looked_over()
    }

    /// The longest that the other side may ask to wait, at most a day; it is not tried again when
    /// it asks for more. Default 60 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy, Stop};
    /// let policy = Policy::exponential(Duration::from_millis(50)).retry_after_max(Duration::from_secs(10));
    /// assert!(policy.wait_after(1, Decision::RetryAfter(Duration::from_secs(10))).is_ok());
    /// let stop = policy.wait_after(1, Decision::RetryAfter(Duration::from_secs(11))).unwrap_err();
    /// assert!(matches!(stop, Stop::RetryAfterTooLong { .. }));
    /// ```
    pub const fn retry_after_max(mut self, max: Duration) -> Self {
        self.retry_after_max = max;
        self.looked_over()
    }

    /// Takes every retry from `budget`, which other policies may share. Without one, only the
    /// number of attempts bounds what retries add to the load.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Budget, Decision, Policy, Stop};
    /// let budget = Budget::new(0.2, 0)?; // one call alone earns no retry
    /// let policy = Policy::exponential(Duration::from_millis(1)).budget(&budget);
    /// let failed = policy.retry_if(|_| Decision::Retry).run(|| async { Err::<(), _>("down") }).await.unwrap_err();
    /// assert_eq!(failed.attempts(), 1);
    /// assert!(matches!(failed.stop(), Some(Stop::BudgetSpent(_))));
    /// # Ok(()) }
    /// ```
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// This policy with a closure that says which errors are worth another try, for errors that do
    /// not say so themselves.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy};
    /// let by_text = |error: &&str| if *error == "busy" { Decision::Retry } else { Decision::GiveUp };
    /// let policy = Policy::exponential(Duration::from_millis(1)).retry_if(by_text);
    /// let busy = policy.run(|| async { Err::<(), _>("busy") }).await.unwrap_err();
    /// let wrong = policy.run(|| async { Err::<(), _>("wrong password") }).await.unwrap_err();
    /// assert_eq!((busy.attempts(), wrong.attempts()), (3, 1));
    /// # Ok(()) }
    /// ```
    pub fn retry_if<E, C: Fn(&E) -> super::Decision>(&self, classify: C) -> Classified<C> {
        Classified::new(self.clone(), classify)
    }

    /// Checks the policy, as whoever keeps one should before it is used.
    ///
    /// # Errors
    /// When a field is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let policy = Policy::exponential(Duration::from_millis(50)).attempts(0);
    /// assert_eq!(policy.check().unwrap_err().to_string(), "retry: attempts is 0, allowed is 1 to 1,000");
    /// ```
    pub fn check(&self) -> Result<(), Invalid> {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(self.refused(Name::new("retry")?, fault)),
        }
    }

    /// As [`check`](Self::check), for the policy of a bound that has a name.
    pub(crate) fn check_for(&self, name: Name) -> Result<(), Invalid> {
        self.fault.map_or(Ok(()), |fault| Err(self.refused(name, fault)))
    }

    #[cold]
    fn refused(&self, name: Name, fault: Fault) -> Invalid {
        const ALLOWED: &str = "1 µs to a day";
        let time =
            |field, value: Duration, allowed| Invalid::new(name, field, format_args!("{value:?}"), allowed);
        match fault {
            Fault::Exponential(first) => time("exponential", first, ALLOWED),
            Fault::Schedule(longest) => time("schedule", longest, "delays of at most 366 days"),
            Fault::Attempts => Invalid::new(name, "attempts", self.attempts, "1 to 1,000"),
            Fault::ScheduledAttempts => {
                Invalid::new(name, "attempts", self.attempts, "at most one more than the schedule has delays")
            }
            Fault::JitterRatio => Invalid::new(name, "jitter_ratio", self.jitter_ratio, "0 to 1"),
            Fault::MaxDelay(max) => time("max_delay", max, ALLOWED),
            Fault::RetryAfterMax => time("retry_after_max", self.retry_after_max, "at most a day"),
        }
    }

    const fn looked_over(mut self) -> Self {
        self.fault = self.look_for_fault();
        self
    }

    const fn look_for_fault(&self) -> Option<Fault> {
        match &self.delays {
            Delays::Exponential { first } if !is_delay(*first) => return Some(Fault::Exponential(*first)),
            Delays::Schedule { longest, .. } if longest.as_nanos() > 366 * DAY.as_nanos() => {
                return Some(Fault::Schedule(*longest));
            }
            Delays::Schedule { attempts_max, .. } if self.attempts > *attempts_max => {
                return Some(Fault::ScheduledAttempts);
            }
            Delays::Exponential { .. } | Delays::Schedule { .. } => {}
        }
        if self.attempts == 0 || self.attempts > ATTEMPTS_MAX {
            return Some(Fault::Attempts);
        }
        // Written so that NaN is outside.
        if !(self.jitter_ratio >= 0.0 && self.jitter_ratio <= 1.0) {
            return Some(Fault::JitterRatio);
        }
        match self.max_delay {
            Some(max) if !is_delay(max) => return Some(Fault::MaxDelay(max)),
            _ => {}
        }
        if self.retry_after_max.as_nanos() > DAY.as_nanos() {
            return Some(Fault::RetryAfterMax);
        }
        None
    }

    /// How long to wait after that many attempts have failed; `None` when there is no other.
    ///
    /// `random` is 0 to 1 and takes off that share of the jitter: 0 is the longest wait. Pure, so
    /// that a queue of due work can be kept by it as well.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::retry::Policy;
    /// let policy = Policy::schedule([5, 60, 3_600].map(Duration::from_secs)).jitter_ratio(0.1);
    /// assert_eq!(policy.delay(2, 0.0), Some(Duration::from_secs(60)));
    /// assert_eq!(policy.delay(2, 1.0), Some(Duration::from_secs(54)));
    /// assert_eq!(policy.delay(4, 0.5), None);
    /// ```
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Option<Duration> {
        let Some(failed) = attempt.checked_sub(1) else { return Some(Duration::ZERO) };
        if attempt >= self.attempts {
            return None;
        }
        let delay = match &self.delays {
            Delays::Exponential { first } => {
                let max = self.max_delay.unwrap_or_else(|| MAX_DELAY_DEFAULT.max(*first));
                let factor = 1u32.checked_shl(failed).unwrap_or(u32::MAX);
                first.saturating_mul(factor).min(max)
            }
            Delays::Schedule { delays, .. } => {
                let delay = *delays.get(failed as usize)?;
                self.max_delay.map_or(delay, |max| delay.min(max))
            }
        };
        let off = self.jitter_ratio.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
        Some(delay.saturating_sub(part_of(delay, off)))
    }

    pub(super) const fn longest_retry_after(&self) -> Duration {
        self.retry_after_max
    }

    pub(crate) const fn shared_budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }
}

const fn is_delay(delay: Duration) -> bool {
    delay.as_nanos() >= 1_000 && delay.as_nanos() <= DAY.as_nanos()
}

fn part_of(delay: Duration, share: f64) -> Duration {
    // NaN, as from a broken source of chance, takes off nothing.
    Duration::try_from_secs_f64(delay.as_secs_f64() * share).unwrap_or(Duration::ZERO)
}
