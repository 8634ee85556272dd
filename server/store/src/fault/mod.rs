//! Faults on purpose, for the tests of a crash: in debug builds only.
//!
//! `PLIMSOLL_FAULT` holds `point:n=what`, more of them with commas between: at the n-th time (from 1)
//! that the point is passed, `what` happens.
//!
//! | point | is passed |
//! | --- | --- |
//! | `accept.before`, `record.before`, `change.before`, `release.before`, `jobs.before` | when a commit with such a call in it is to be made: nothing of it is in the log |
//! | `….between` | when it is in the log and nobody was answered |
//! | `….after` | when its callers were answered |
//!
//! `kill` is `kill -9`; `clock+SECONDS` and `clock-SECONDS` set the wall clock of the process.
//! A kill says on standard error which pages of the log are those of the last commit, so that a test
//! can do to them what the end of power would do to what was not yet synced.
//!
//! A release build has nothing of this, whatever the environment holds.

#[cfg(debug_assertions)]
mod armed;

use crate::sqlite::Write;

/// What a commit has in it.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Accept,
    Record,
    Change,
    /// A change that lets go of messages for later.
    Release,
    /// Whatever happens to jobs: they are taken in, claimed, finished.
    Jobs,
}

/// Where a commit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    Before,
    Between,
    After,
}

/// A commit on its way past the points.
pub(crate) struct Passage {
    #[cfg(debug_assertions)]
    kinds: Vec<Kind>,
    #[cfg(debug_assertions)]
    synced_pages: u64,
}

#[cfg(debug_assertions)]
impl Passage {
    /// The commit of these calls, on a log of so many pages.
    pub(crate) fn of<'w>(writes: impl Iterator<Item = &'w Write>, log_pages: u64) -> Self {
        let kinds = if armed::any() { writes.filter_map(Write::kind).collect() } else { Vec::new() };
        Self { kinds, synced_pages: log_pages }
    }

    /// It is there, and the log has so many pages.
    pub(crate) fn passes(&self, when: When, log_pages: u64) {
        armed::pass(&self.kinds, when, self.synced_pages, log_pages);
    }
}

#[cfg(not(debug_assertions))]
impl Passage {
    pub(crate) fn of<'w>(_: impl Iterator<Item = &'w Write>, _: u64) -> Self {
        Self {}
    }

    pub(crate) fn passes(&self, _: When, _: u64) {}
}

/// How far the wall clock was set, in milliseconds.
#[cfg(debug_assertions)]
pub(crate) fn clock_millis() -> i64 {
    armed::clock_millis()
}

#[cfg(not(debug_assertions))]
pub(crate) const fn clock_millis() -> i64 {
    0
}
