//! The one clock of the library: read once per operation, fast, and virtual under test.
//!
//! [`now`] reads the processor's time stamp counter where it is usable (by the `quanta` crate) and
//! the operating system's monotonic clock where it is not. With the feature `test-util` it follows
//! tokio's clock instead, so that `tokio::time::pause` and `advance` move it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since the process first looked at it.
///
/// Differences never panic and never wrap: an earlier instant minus a later one is zero.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::clock::Instant;
/// let began = Instant::from_nanos(1_000);
/// let ended = began + Duration::from_micros(5);
/// assert_eq!(ended.as_nanos(), 6_000);
/// assert_eq!((ended - began, began - ended), (Duration::from_micros(5), Duration::ZERO));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` nanoseconds after the clock's zero; for state machines under test.
    ///
    /// ```
    /// use plimsoll::clock::Instant;
    /// assert_eq!(Instant::from_nanos(0), Instant::default());
    /// assert_eq!(Instant::from_nanos(7).as_nanos(), 7);
    /// ```
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::clock;
    /// let now = clock::now();
    /// assert_eq!((now + Duration::from_millis(1)).as_nanos() - now.as_nanos(), 1_000_000);
    /// ```
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::clock::Instant;
    /// let (early, late) = (Instant::from_nanos(10), Instant::from_nanos(25));
    /// assert_eq!(late.since(early), Duration::from_nanos(15));
    /// assert_eq!(early.since(late), Duration::ZERO);
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// As [`since`](Self::since), in nanoseconds.
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant moved `by` into the future; the end of time at the most (584 years).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::clock::Instant;
    /// let now = Instant::from_nanos(25);
    /// assert_eq!(now.after(Duration::from_secs(1)).since(now), Duration::from_secs(1));
    /// assert_eq!(now.after(Duration::MAX).as_nanos(), u64::MAX);
    /// ```
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        let nanos = by.as_nanos();
        let nanos = if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 };
        Self(self.0.saturating_add(nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        self.after(by)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// What time it is.
///
/// ```
/// use plimsoll::clock;
/// let before = clock::now();
/// assert!(clock::now() >= before);
/// ```
#[must_use]
#[inline]
pub fn now() -> Instant {
    source::now()
}

#[cfg(not(any(test, feature = "test-util")))]
mod source {
    use std::sync::LazyLock;

    use super::Instant;

    struct Source {
        clock: quanta::Clock,
        zero: u64,
    }

    static SOURCE: LazyLock<Source> = LazyLock::new(|| {
        let clock = quanta::Clock::new();
        let zero = clock.raw();
        Source { clock, zero }
    });

    #[inline]
    pub(super) fn now() -> Instant {
        let Source { clock, zero } = &*SOURCE;
        Instant(clock.delta_as_nanos(*zero, clock.raw()))
    }
}

#[cfg(any(test, feature = "test-util"))]
mod source {
    use std::sync::LazyLock;

    use super::Instant;

    // A day before the first look: a paused test runtime may start its clock before ours.
    const HEADROOM: u64 = 86_400_000_000_000;

    static ZERO: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);

    pub(super) fn now() -> Instant {
        let zero = *ZERO;
        let now = tokio::time::Instant::now();
        let nanos = match now.checked_duration_since(zero) {
            Some(later) => HEADROOM.saturating_add(later.as_nanos() as u64),
            None => HEADROOM.saturating_sub(zero.duration_since(now).as_nanos() as u64),
        };
        Instant(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_instant_minus_a_later_one_is_zero() {
        let (early, late) = (Instant::from_nanos(1), Instant::from_nanos(9));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(late - early, Duration::from_nanos(8));
        assert_eq!(late + Duration::MAX, Instant::from_nanos(u64::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_paused_time() {
        let before = now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(now() - before, Duration::from_secs(60));
    }
}
