//! Whether the store takes what is written, as a probe is told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use plimsoll_store::{Stats, Store};

/// How long a failure is told where nothing is written afterwards: who gets no requests because of
/// it must be tried again.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// Remembers between two looks what was written and what failed.
#[derive(Default)]
pub(crate) struct Health {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    commits: u64,
    failed: u64,
    told_until: Option<Instant>,
}

impl Health {
    /// # Errors
    /// Says why nothing can be written.
    pub(crate) fn check(&self, store: &Store) -> Result<(), String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.check(&store.stats(), clock::now())
    }
}

impl Seen {
    fn check(&mut self, stats: &Stats, now: Instant) -> Result<(), String> {
        let (free, min) = (stats.disk_free_bytes, stats.disk_free_bytes_min);
        if free < min {
            return Err(format!(
                "{free} bytes are free on the disk and {min} are kept for what was accepted"
            ));
        }
        let (failed, committed) = (stats.calls_failed > self.failed, stats.commits > self.commits);
        (self.failed, self.commits) = (stats.calls_failed, stats.commits);
        match (failed, committed) {
            (true, false) => self.told_until = Some(now.after(TOLD_FOR)),
            (false, true) => self.told_until = None,
            // One call may fail by itself among others that do not.
            (true, true) | (false, false) => {}
        }
        match self.told_until {
            Some(until) if now < until => Err("what was last written failed".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(commits: u64, calls_failed: u64) -> Stats {
        let mut stats = Stats::default();
        (stats.commits, stats.calls_failed) = (commits, calls_failed);
        stats
    }

    #[test]
    fn writes_that_fail_are_told_until_one_succeeds_or_for_a_while() {
        let (mut seen, now) = (Seen::default(), clock::now());
        assert!(seen.check(&stats(5, 0), now).is_ok());
        assert!(seen.check(&stats(5, 1), now).is_err());
        assert!(seen.check(&stats(5, 1), now).is_err(), "nothing new");
        assert!(seen.check(&stats(6, 1), now).is_ok());
        assert!(seen.check(&stats(6, 2), now).is_err());
        assert!(seen.check(&stats(6, 2), now.after(TOLD_FOR)).is_ok(), "to be tried again");
        assert!(seen.check(&stats(9, 3), now.after(TOLD_FOR)).is_ok(), "one failed among others");
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told() {
        let mut stats = stats(1, 0);
        (stats.disk_free_bytes, stats.disk_free_bytes_min) = (5, 9);
        let why = Seen::default().check(&stats, clock::now()).unwrap_err();
        assert_eq!(why, "5 bytes are free on the disk and 9 are kept for what was accepted");
    }
}
