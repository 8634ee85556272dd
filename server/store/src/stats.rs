//! What the committer did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of [`Stats::commit_buckets`], in seconds; a last bucket has none.
pub const COMMIT_SECONDS: [f64; 12] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];

/// What the store did since it was opened.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Commits that were made durable.
    pub commits: u64,
    /// Calls that they carried.
    pub calls: u64,
    /// Operations in those calls: messages, steps and changes.
    pub operations: u64,
    /// Bytes of content in those calls.
    pub bytes: u64,
    /// The most operations in one commit.
    pub operations_max: u64,
    /// Groups that failed as a whole and were tried again call by call.
    pub groups_failed: u64,
    /// Calls answered with an error of the engine or a full disk.
    pub calls_failed: u64,
    /// Seconds spent in commits, from their begin until they were durable.
    pub commit_seconds: f64,
    /// Commits by how long they took: one more than [`COMMIT_SECONDS`], not cumulative.
    pub commit_buckets: [u64; COMMIT_SECONDS.len() + 1],
    /// Times the log was written back into the table file.
    pub checkpoints: u64,
    /// Seconds that commits waited for that.
    pub checkpoint_seconds: f64,
    /// Pages of the log after the last commit.
    pub log_pages: u64,
    /// Rows that were purged in the background.
    pub purged: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Bytes that are free on the file system of the data directory.
    pub disk_free_bytes: u64,
    /// Bytes of them that are to stay free.
    pub disk_free_bytes_min: u64,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    calls: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
    operations_max: AtomicU64,
    groups_failed: AtomicU64,
    calls_failed: AtomicU64,
    commit_nanos: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_SECONDS.len() + 1],
    checkpoints: AtomicU64,
    checkpoint_nanos: AtomicU64,
    log_pages: AtomicU64,
    purged: AtomicU64,
    reads: AtomicU64,
}

/// A commit that was made durable.
pub(crate) struct Committed {
    pub(crate) calls: usize,
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
    pub(crate) took: Duration,
}

impl Counters {
    pub(crate) fn committed(&self, commit: &Committed) {
        let operations = commit.operations as u64;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(commit.calls as u64, Ordering::Relaxed);
        self.operations.fetch_add(operations, Ordering::Relaxed);
        self.bytes.fetch_add(commit.bytes as u64, Ordering::Relaxed);
        self.operations_max.fetch_max(operations, Ordering::Relaxed);
        self.commit_nanos.fetch_add(commit.took.as_nanos() as u64, Ordering::Relaxed);
        let seconds = commit.took.as_secs_f64();
        let bucket = COMMIT_SECONDS.iter().position(|bound| seconds <= *bound);
        self.commit_buckets[bucket.unwrap_or(COMMIT_SECONDS.len())].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn group_failed(&self) {
        self.groups_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_failed(&self) {
        self.calls_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn checkpointed(&self, took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.checkpoint_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn log_is(&self, pages: u64) {
        self.log_pages.store(pages, Ordering::Relaxed);
    }

    pub(crate) fn log_pages(&self) -> u64 {
        self.log_pages.load(Ordering::Relaxed)
    }

    pub(crate) fn purged(&self, rows: usize) {
        self.purged.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// What the registry shows beside the queue's own numbers.
    pub(crate) fn details(&self) -> Vec<(&'static str, u64)> {
        let stats = self.stats();
        vec![
            ("commits", stats.commits),
            ("operations", stats.operations),
            ("group_mean", stats.operations.checked_div(stats.commits).unwrap_or(0)),
            ("group_max", stats.operations_max),
            ("calls_failed", stats.calls_failed),
            ("log_pages", stats.log_pages),
            ("purged", stats.purged),
        ]
    }

    pub(crate) fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = |counter: &AtomicU64| Duration::from_nanos(get(counter)).as_secs_f64();
        Stats {
            commits: get(&self.commits),
            calls: get(&self.calls),
            operations: get(&self.operations),
            bytes: get(&self.bytes),
            operations_max: get(&self.operations_max),
            groups_failed: get(&self.groups_failed),
            calls_failed: get(&self.calls_failed),
            commit_seconds: seconds(&self.commit_nanos),
            commit_buckets: std::array::from_fn(|bucket| get(&self.commit_buckets[bucket])),
            checkpoints: get(&self.checkpoints),
            checkpoint_seconds: seconds(&self.checkpoint_nanos),
            log_pages: get(&self.log_pages),
            purged: get(&self.purged),
            reads: get(&self.reads),
            ..Stats::default()
        }
    }
}
