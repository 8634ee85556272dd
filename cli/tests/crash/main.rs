//! What was accepted is delivered, whatever happens to the process: `kill -9` at random moments and
//! at every boundary of a commit, a torn log, a clock that is set, SIGTERM, a second server on the
//! same data; and jobs that were accepted are done, whatever happens to their workers.
//!
//! `CRASH_SEED=n` repeats the moments of an earlier run; each prints its seed. `PLIMSOLL_CRASH_ROUNDS=100`
//! kills a hundred times instead of 36, a third of them at boundaries.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

#[cfg(debug_assertions)]
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod jobs;
mod kills;
mod signals;
mod world;
