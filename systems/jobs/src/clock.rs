//! The wall clock of a running system.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use plimsoll_store::{UnixMillis, wall_clock};

/// Follows a wall clock that is set forward, and runs on where one is set back. Work that was due
/// stays due: who sets a clock back by an hour must not wait an hour for it.
pub(crate) struct Clock {
    /// Milliseconds by which the wall clock was ahead of the monotonic one, at the most.
    ahead: AtomicI64,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self { ahead: AtomicI64::new(i64::MIN) }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.shown(clock::now(), wall_clock())
    }

    /// So long after now.
    pub(crate) fn later(&self, delay: Duration) -> UnixMillis {
        self.now().saturating_add(UnixMillis::try_from(delay.as_millis()).unwrap_or(UnixMillis::MAX))
    }

    fn shown(&self, at: Instant, unix: UnixMillis) -> UnixMillis {
        let monotonic = i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let by = unix.saturating_sub(monotonic);
        let most = self.ahead.fetch_max(by, Ordering::Relaxed).max(by);
        monotonic.saturating_add(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_runs_on_and_one_that_is_set_forward_is_followed() {
        let clock = Clock::new();
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        assert_eq!(clock.shown(at(10), 1_000), 1_000);
        assert_eq!(clock.shown(at(20), 500), 1_010);
        assert_eq!(clock.shown(at(30), 9_000), 9_000);
        assert_eq!(clock.shown(at(40), 1_030), 9_010);
    }
}
