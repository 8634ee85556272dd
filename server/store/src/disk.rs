//! How much room there is on the file system of the data directory.
//!
//! Below the bound nothing new is taken in, so that what was accepted can be delivered and recorded
//! in what is left.
//!
//! # Invariants
//! - Nobody is told of room that was looked for longer ago than [`LOOK_EVERY`] or [`LOOK_BYTES`]: who
//!   asks next looks.
//! - Once low it is low until an eighth more than the bound is free: it does not flap.

use std::path::PathBuf;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::Name;
use plimsoll::clock::{self, Instant};
use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};

use crate::Error;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes taken in between two looks at the most.
const LOOK_BYTES: u64 = 8 << 20;

pub(crate) struct Disk {
    name: Name,
    directory: PathBuf,
    since: Instant,
    /// Milliseconds from `since` to the last look; `u64::MAX` where there was none.
    looked: AtomicU64,
    /// Bytes taken in since then.
    taken: AtomicU64,
    min: AtomicU64,
    free: AtomicU64,
    total: AtomicU64,
    low: AtomicBool,
    refused: AtomicU64,
    _registration: Registration,
}

impl Disk {
    /// The file system that the directory is on; without a bound.
    pub(crate) fn new(name: Name, directory: PathBuf) -> std::sync::Arc<Self> {
        std::sync::Arc::new_cyclic(|this: &Weak<Self>| Self {
            name,
            directory,
            since: clock::now(),
            looked: AtomicU64::new(u64::MAX),
            taken: AtomicU64::new(0),
            min: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            total: AtomicU64::new(u64::MAX),
            low: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            _registration: registry::register(this.clone()),
        })
    }

    /// So many bytes are to stay free.
    pub(crate) fn keep_free(&self, bytes: u64) {
        self.min.store(bytes, Ordering::Relaxed);
        self.looked.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn min(&self) -> u64 {
        self.min.load(Ordering::Relaxed)
    }

    /// Bytes free at the last look.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether so many bytes more may be taken in.
    pub(crate) fn room_for(&self, bytes: usize) -> Result<(), Error> {
        let min = self.min();
        if min == 0 {
            return Ok(());
        }
        let taken = self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        if taken >= LOOK_BYTES || self.look_is_due() {
            self.look();
        }
        if !self.low.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::DiskLow { free: self.free(), min })
    }

    fn look_is_due(&self) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        looked == u64::MAX || self.millis().saturating_sub(looked) >= LOOK_EVERY.as_millis() as u64
    }

    fn millis(&self) -> u64 {
        u64::try_from((clock::now() - self.since).as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// Asks the system. Where it does not tell, what was known holds: the engine tells of a disk
    /// that is full.
    pub(crate) fn look(&self) {
        self.looked.store(self.millis(), Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        let Ok(found) = rustix::fs::statvfs(&self.directory) else { return };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        self.free.store(free, Ordering::Relaxed);
        self.total.store(found.f_blocks.saturating_mul(found.f_frsize), Ordering::Relaxed);
        let (min, before) = (self.min(), self.low.load(Ordering::Relaxed));
        let low = is_low(before, free, min);
        self.low.store(low, Ordering::Relaxed);
        match (before, low) {
            (false, true) => tracing::error!(free, min, "the disk is nearly full: nothing new is accepted"),
            (true, false) => tracing::info!(free, min, "the disk has room again"),
            _ => {}
        }
    }
}

impl Bound for Disk {
    fn snapshot(&self) -> Snapshot {
        self.look();
        let (free, total) = (self.free(), self.total.load(Ordering::Relaxed));
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = total.saturating_sub(self.min());
        snapshot.in_use = total.saturating_sub(free);
        snapshot.rejected = self.refused.load(Ordering::Relaxed);
        snapshot.details = vec![
            ("free_bytes", free),
            ("free_bytes_min", self.min()),
            ("low", u64::from(self.low.load(Ordering::Relaxed))),
        ];
        snapshot
    }
}

const fn is_low(was: bool, free: u64, min: u64) -> bool {
    let enough = if was { min.saturating_add(min / 8) } else { min };
    free < enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_until_there_is_a_little_more_than_enough() {
        assert!(!is_low(false, 800, 800));
        assert!(is_low(false, 799, 800));
        assert!(is_low(true, 899, 800));
        assert!(!is_low(true, 900, 800));
        assert!(is_low(true, u64::MAX - 1, u64::MAX));
    }

    #[test]
    fn no_more_is_taken_in_than_leaves_what_is_to_stay_free() {
        let directory = tempfile::TempDir::new().unwrap();
        let disk = Disk::new(Name::new("store.test-disk").unwrap(), directory.path().to_path_buf());
        disk.room_for(1).unwrap();
        disk.keep_free(u64::MAX);
        let refused = disk.room_for(1).unwrap_err();
        assert!(matches!(refused, Error::DiskLow { min: u64::MAX, free } if free < u64::MAX), "{refused}");
        disk.keep_free(1);
        disk.room_for(1).unwrap();
        assert_eq!(disk.snapshot().rejected, 1);
    }
}
