//! The counts that every bound keeps, apart from those that its hot path carries for nothing.
//!
//! # Invariants
//! - A bound that never rejects, observes or makes anybody wait holds one pointer: the counts are
//!   allocated by the first event of these kinds, none of which is on the hot path. So a keyed
//!   limiter of 100,000 quiet keys pays for none.
//! - Counting is one relaxed addition, and for the reason that it first rejected for not even that
//!   (see [`tally`](crate::tally)); what is read together may be a few events apart.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Reason;
use crate::registry::Snapshot;
use crate::tally::Tally;

/// Bucket `n` holds waits below `2^n` microseconds; the last holds everything longer.
const BUCKETS: usize = 33;

/// Rejections by reason, what observing would have rejected, and how long the admitted waited.
pub(crate) struct Counters {
    first: OnceLock<Box<First>>,
    cold: OnceLock<Box<Cold>>,
}

/// The reason that it first rejected for, which for most bounds stays the only one.
struct First {
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
        Self { first: OnceLock::new(), cold: OnceLock::new() }
    }

    /// One was rejected.
    #[inline]
    pub(crate) fn reject(&self, reason: Reason) {
        self.reject_many(reason, 1);
    }

    #[inline]
    pub(crate) fn reject_many(&self, reason: Reason, count: u64) {
        let first = self.first.get_or_init(|| Box::new(First { reason, rejected: Tally::new() }));
        if first.reason == reason {
            first.rejected.add(count);
        } else {
            self.cold().rejected[reason as usize].fetch_add(count, Ordering::Relaxed);
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
        match self.first.get() {
            Some(first) if first.reason == reason => first.rejected.sum(),
            _ => self.cold.get().map_or(0, |cold| load(&cold.rejected[reason as usize])),
        }
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
        assert!(counters.first.get().is_none() && counters.cold.get().is_none());
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
