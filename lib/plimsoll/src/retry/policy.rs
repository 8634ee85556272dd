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
}

#[derive(Clone, Debug)]
enum Delays {
    Exponential { first: Duration },
    Schedule { delays: Arc<[Duration]> },
}

impl Policy {
    /// Waits up to `first` after the first attempt and twice as long after each other, with full
    /// jitter: `first` is 1 µs to a day. Three attempts, unless said otherwise.
    pub const fn exponential(first: Duration) -> Self {
        Self {
            delays: Delays::Exponential { first },
            attempts: 3,
            jitter_ratio: 1.0,
            max_delay: None,
            retry_after_max: Duration::from_secs(60),
            budget: None,
        }
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
        Self {
            delays: Delays::Schedule { delays },
            attempts,
            jitter_ratio: 0.0,
            ..Self::exponential(Duration::from_secs(1))
        }
    }

    /// How many attempts there are in all, the first included: 1 to 1,000. Default 3; for a
    /// schedule one more than delays, which is also the most it can have.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The longest delay, 1 µs to a day. Default 30 s, or the first delay if that is longer; none
    /// for a schedule.
    pub const fn max_delay(mut self, max: Duration) -> Self {
        self.max_delay = Some(max);
        self
    }

    /// How much of a delay is left to chance, 0 to 1: the wait is between `1 - ratio` and 1 times
    /// the delay. Default 1 for exponential delays (full jitter), 0 for a schedule.
    pub const fn jitter_ratio(mut self, ratio: f64) -> Self {
        self.jitter_ratio = ratio;
        self
    }

    /// The longest that the other side may ask to wait, at most a day; it is not tried again when
    /// it asks for more. Default 60 s.
    pub const fn retry_after_max(mut self, max: Duration) -> Self {
        self.retry_after_max = max;
        self
    }

    /// Takes every retry from `budget`, which other policies may share. Without one, only the
    /// number of attempts bounds what retries add to the load.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// This policy with a closure that says which errors are worth another try, for errors that do
    /// not say so themselves.
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
        const ALLOWED: &str = "1 µs to a day";
        let refuse = |field, value: Duration, allowed| {
            Err(Invalid::new(Name::new("retry")?, field, format_args!("{value:?}"), allowed))
        };
        let in_range = |delay: Duration| delay >= Duration::from_micros(1) && delay <= DAY;
        match &self.delays {
            Delays::Exponential { first } if !in_range(*first) => {
                return refuse("exponential", *first, ALLOWED);
            }
            Delays::Schedule { delays } => {
                if let Some(long) = delays.iter().find(|delay| **delay > DAY * 366) {
                    return refuse("schedule", *long, "delays of at most 366 days");
                }
            }
            Delays::Exponential { .. } => {}
        }
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts) {
            return Err(Invalid::new(Name::new("retry")?, "attempts", self.attempts, "1 to 1,000"));
        }
        if !(0.0..=1.0).contains(&self.jitter_ratio) {
            return Err(Invalid::new(Name::new("retry")?, "jitter_ratio", self.jitter_ratio, "0 to 1"));
        }
        match self.max_delay {
            Some(max) if !in_range(max) => return refuse("max_delay", max, ALLOWED),
            _ => {}
        }
        if self.retry_after_max > DAY {
            return refuse("retry_after_max", self.retry_after_max, "at most a day");
        }
        Ok(())
    }

    /// How long to wait after that many attempts have failed; `None` when there is no other.
    ///
    /// `random` is 0 to 1 and takes off that share of the jitter: 0 is the longest wait. Pure, so
    /// that a queue of due work can be kept by it as well.
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
            Delays::Schedule { delays } => {
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

fn part_of(delay: Duration, share: f64) -> Duration {
    // NaN, as from a broken source of chance, takes off nothing.
    Duration::try_from_secs_f64(delay.as_secs_f64() * share).unwrap_or(Duration::ZERO)
}
