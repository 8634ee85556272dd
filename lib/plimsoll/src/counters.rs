//! The counts that every bound keeps, apart from those that its hot path carries for nothing.
//!
//! # Invariants
//! - A bound that never rejects, observes or makes anybody wait holds two pointers: the counts are
//!   allocated by the first event of these kinds, none of which is on the hot path. So a keyed
//!   limiter of 100,000 quiet keys pays for none.
//! - Counting is one relaxed addition. The reason that comes up often gets a [`Tally`] then, in which
//!   threads that reject at once do not meet: a bound in overload refuses as fast as each of them can.
//! - A count that has moved to a tally is the sum of both.
//! - What is read together may be a few events apart.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Reason;
use crate::registry::Snapshot;
use crate::tally::Tally;

/// Bucket `n` holds waits below `2^n` microseconds; the last holds everything longer.
const BUCKETS: usize = 33;

/// Which rejection for one reason makes that reason one that comes up often: by then half a kibibyte is
/// little beside the work that was turned away. Few enough for a model of interleavings to get there, and
/// more than the models of limiters reject, whose subject it is not.
const OFTEN: u64 = if cfg!(plimsoll_loom) { 16 } else { 1_024 };

/// Rejections by reason, what observing would have rejected, and how long the admitted waited.
pub(crate) struct Counters {
    often: OnceLock<Box<Often>>,
    cold: OnceLock<Box<Cold>>,
}

/// The first reason that came up often, which for most bounds stays the only one.
struct Often {
    reason: Reason,
    rejected: Tally,
}

/// All the rest.
struct Cold {
    rejected: [AtomicU64; Reason::ALL.len()],
    would_reject: AtomicU64,
    waits: [AtomicU64; BUCKETS],
    waited_nanos: AtomicU64,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self { often: OnceLock::new(), cold: OnceLock::new() }
    }

    /// One was rejected.
    #[inline]
    pub(crate) fn reject(&self, reason: Reason) {
        self.reject_many(reason, 1);
    }

    #[inline]
    pub(crate) fn reject_many(&self, reason: Reason, count: u64) {
        match self.often.get() {
            Some(often) if often.reason == reason => often.rejected.add(count),
            _ => self.reject_not_often(reason, count),
        }
    }

    fn reject_not_often(&self, reason: Reason, count: u64) {
        let before = self.cold().rejected[reason as usize].fetch_add(count, Ordering::Relaxed);
        // True of one addition, so that one thread allocates.
        if before < OFTEN && before.saturating_add(count) >= OFTEN {
            // Another reason may have been first: then this one goes on as it is.
            drop(self.often.set(Box::new(Often { reason, rejected: Tally::new() })));
        }
    }

    /// One was let through that would have been rejected, or made to wait.
    pub(crate) fn would_reject(&self) {
        self.cold().would_reject.fetch_add(1, Ordering::Relaxed);
    }

    /// One was admitted after it had waited.
    pub(crate) fn waited(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let cold = self.cold();
        cold.waits[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        cold.waited_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many were rejected, for whatever reason.
    pub(crate) fn rejected(&self) -> u64 {
        Reason::ALL.into_iter().map(|reason| self.rejected_for(reason)).sum()
    }

    fn rejected_for(&self, reason: Reason) -> u64 {
        let often = self.often.get().filter(|often| often.reason == reason);
        let often = often.map_or(0, |often| often.rejected.sum());
        self.cold.get().map_or(0, |cold| load(&cold.rejected[reason as usize])) + often
    }

    /// How many were let through that would have been rejected, or made to wait.
    pub(crate) fn waived(&self) -> u64 {
        self.cold.get().map_or(0, |cold| load(&cold.would_reject))
    }

    /// Writes what is kept here into the snapshot: the total of rejections too.
    pub(crate) fn show(&self, snapshot: &mut Snapshot) {
        let by = Reason::ALL.into_iter().map(|reason| (reason, self.rejected_for(reason)));
        snapshot.rejected_by = by.filter(|(_, count)| *count > 0).collect();
        snapshot.rejected = snapshot.rejected_by.iter().map(|(_, count)| count).sum();
        let Some(cold) = self.cold.get() else { return };
        snapshot.would_reject = load(&cold.would_reject);
        snapshot.waits = WaitTimes {
            buckets: std::array::from_fn(|bucket| load(&cold.waits[bucket])),
            nanos: load(&cold.waited_nanos),
        };
    }

    #[cold]
    fn cold(&self) -> &Cold {
        self.cold.get_or_init(|| {
            Box::new(Cold {
                rejected: [const { AtomicU64::new(0) }; Reason::ALL.len()],
                would_reject: AtomicU64::new(0),
                waits: [const { AtomicU64::new(0) }; BUCKETS],
                waited_nanos: AtomicU64::new(0),
            })
        })
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

const fn bucket_of(nanos: u64) -> usize {
    let bits = (u64::BITS - (nanos / 1_000).leading_zeros()) as usize;
    if bits < BUCKETS { bits } else { BUCKETS - 1 }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").field("rejected", &self.rejected()).finish_non_exhaustive()
    }
}

/// How long those waited that had to: a histogram in powers of two of a microsecond.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), plimsoll::Invalid> {
/// use plimsoll::semaphore::Semaphore;
/// let semaphore = Semaphore::new(1)?;
/// drop(semaphore.acquire().await); // it was free: nobody waited
/// assert_eq!(semaphore.snapshot().waits.count(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WaitTimes {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

impl WaitTimes {
    /// Nobody waited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::registry::WaitTimes;
    /// assert_eq!((WaitTimes::NONE.count(), WaitTimes::NONE.total()), (0, Duration::ZERO));
    /// ```
    pub const NONE: Self = Self { buckets: [0; BUCKETS], nanos: 0 };

    /// Those of both, as when bounds of one name are shown as one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{registry::WaitTimes, semaphore::Semaphore};
    /// let replicas = [Semaphore::new(1)?, Semaphore::new(1)?];
    /// let mut both = WaitTimes::NONE;
    /// for replica in &replicas {
    ///     let held = replica.acquire().await;
    ///     tokio::join!(replica.acquire(), async { drop(held) });
    ///     both.add(&replica.snapshot().waits);
    /// }
    /// assert_eq!(both.count(), 2);
    /// # Ok(()) }
    /// ```
    pub fn add(&mut self, more: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(more.buckets) {
            *count = count.saturating_add(more);
        }
        self.nanos = self.nanos.saturating_add(more.nanos);
    }

    /// How many waited.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// let held = semaphore.acquire().await;
    /// tokio::join!(semaphore.acquire(), async { drop(held) });
    /// assert_eq!(semaphore.snapshot().waits.count(), 1);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they waited in all.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(60).burst(1))?;
    /// mails.acquire().await?;
    /// mails.acquire().await?; // a second later
    /// assert_eq!(mails.snapshot().waits.total().as_secs_f64().round(), 1.0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// A time that at least the share `quantile` (0 to 1) of them did not wait longer than: exact to
    /// a factor of two. `None` when nobody waited.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(1)?;
    /// assert_eq!(semaphore.snapshot().waits.quantile(0.5), None);
    /// let held = semaphore.acquire().await;
    /// let release = async { tokio::time::sleep(Duration::from_millis(3)).await; drop(held) };
    /// tokio::join!(semaphore.acquire(), release);
    /// assert!(semaphore.snapshot().waits.quantile(0.99) >= Some(Duration::from_millis(2)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts far below 2^52"
    )]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        if count == 0 { None } else { found.map(|(below, _)| below) }
    }

    /// The buckets: up to how long, and how many waited so long but longer than the one before. The
    /// last, of more than an hour, has no end: it says [`Duration::MAX`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let mails = RateLimiter::new(Quota::per_minute(60).burst(1))?;
    /// mails.acquire().await?;
    /// mails.acquire().await?; // a second later
    /// let waits = mails.snapshot().waits;
    /// let (up_to, count) = waits.buckets().find(|(_, count)| *count > 0).unwrap();
    /// assert_eq!((up_to, count), (Duration::from_micros(1 << 20), 1)); // up to 1.05 s
    /// # Ok(()) }
    /// ```
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let below = |bucket| {
            if bucket == BUCKETS - 1 { Duration::MAX } else { Duration::from_micros(1u64 << bucket) }
        };
        self.buckets.iter().enumerate().map(move |(bucket, count)| (below(bucket), *count))
    }
}

impl fmt::Debug for WaitTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitTimes")
            .field("count", &self.count())
            .field("total", &self.total())
            .field("p99", &self.quantile(0.99))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;
    use crate::registry::Kind;

    fn shown(counters: &Counters) -> Snapshot {
        let mut snapshot = Snapshot::new(Name::UNNAMED, Kind::Custom);
        counters.show(&mut snapshot);
        snapshot
    }

    #[test]
    fn what_was_never_rejected_allocates_nothing() {
        let counters = Counters::new();
        assert_eq!((shown(&counters).rejected, counters.rejected()), (0, 0));
        assert!(counters.often.get().is_none() && counters.cold.get().is_none());
    }

    #[test]
    fn rejections_are_told_apart_by_reason() {
        let counters = Counters::new();
        for reason in Reason::ALL {
            counters.reject(reason);
        }
        counters.reject_many(Reason::Full, 2);
        let snapshot = shown(&counters);
        assert_eq!(snapshot.rejected, Reason::ALL.len() as u64 + 2);
        assert_eq!(snapshot.rejected_by[0], (Reason::Full, 3));
        assert_eq!(snapshot.rejected_by.len(), Reason::ALL.len());
    }

    #[test]
    fn the_first_reason_that_comes_up_often_gets_a_tally_and_no_count_is_lost_on_the_way() {
        let counters = Counters::new();
        (0..OFTEN - 1).for_each(|_| counters.reject(Reason::Full));
        assert!(counters.often.get().is_none());
        counters.reject_many(Reason::RateExceeded, OFTEN + 5);
        assert_eq!(counters.often.get().map(|often| often.reason), Some(Reason::RateExceeded));
        (0..3).for_each(|_| counters.reject(Reason::Full));
        (0..4).for_each(|_| counters.reject(Reason::RateExceeded));
        assert_eq!(counters.often.get().map(|often| often.rejected.sum()), Some(4));
        let expected = [(Reason::Full, OFTEN + 2), (Reason::RateExceeded, OFTEN + 9)];
        assert_eq!(shown(&counters).rejected_by, expected);
        assert_eq!(counters.rejected(), 2 * OFTEN + 11);
    }

    #[test]
    fn threads_that_reject_together_as_a_reason_becomes_frequent_lose_no_count() {
        let counters = Counters::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..OFTEN).for_each(|_| counters.reject(Reason::Full)));
            }
        });
        assert!(counters.often.get().is_some());
        assert_eq!(counters.rejected(), 4 * OFTEN);
    }

    #[test]
    fn a_quantile_is_at_most_a_factor_of_two_too_long() {
        let counters = Counters::new();
        for micros in [1, 10, 100, 1_000] {
            counters.waited(Duration::from_micros(micros));
        }
        counters.waited(Duration::MAX);
        let waits = shown(&counters).waits;
        assert_eq!(waits.count(), 5);
        assert_eq!(waits.quantile(0.2), Some(Duration::from_micros(2)));
        assert_eq!(waits.quantile(0.4), Some(Duration::from_micros(16)));
        assert_eq!(waits.quantile(0.8), Some(Duration::from_micros(1_024)));
        assert_eq!(waits.quantile(1.0), Some(Duration::MAX));
        assert_eq!(WaitTimes::NONE.quantile(0.5), None);
        let mut both = waits.clone();
        both.add(&waits);
        assert_eq!((both.count(), both.quantile(0.2)), (10, waits.quantile(0.2)));
    }
}
