//! Workers behind a bounded queue, fair between customers.
//!
//! A [`Pool`] has workers, which are tasks that do one job after the other, and a queue in front of
//! them that never holds more than it was built for. What happens when it is full is said by
//! [`OnFull`]; a job that is not admitted is handed back.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::pool::{OnFull, Pool};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! struct Job { tenant: u32, pixels: u64 }
//!
//! let pool = Pool::builder("thumbnails", |job: Job| async move { job.pixels / 64 })
//!     .workers(8)
//!     .queue(1_024)
//!     .on_full(OnFull::Reject)
//!     .lanes(|job: &Job| job.tenant)
//!     .job_timeout(Duration::from_secs(30))
//!     .build()?;
//! let ticket = pool.submit(Job { tenant: 7, pixels: 6_400 }).await.expect("there is room");
//! assert_eq!(ticket.await.expect("it succeeds"), 100);
//! let left = pool.drain(Duration::from_secs(20)).await;
//! assert!(left.not_started.is_empty());
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//! - Work of many kinds that belongs together, and ends together: a [`Group`](crate::group::Group).
//! - One function over many values, its results wanted here: [`map`](mod@crate::map).
//! - Jobs that come all the time, from many places: a pool.
//! - Jobs that compute for longer than about 100 µs without an await: the module `cpu`, behind the
//!   feature of that name, which has the same face.
//! - Jobs that must outlive the process: not here. What is queued is in memory only.
//!
//! # Lanes
//! With [`Builder::lanes`] the queue has a lane per key, and a worker that is free takes the next
//! job of the next lane: a customer with a thousand jobs waits behind himself, and one with a
//! single job waits for one round. A lane is bounded too ([`Builder::lane_depth`]). A key without a
//! job in the pool takes no memory.
//!
//! # Inside of a job
//! A job inherits the [scope](crate::scope) it was submitted in. One whose scope has ended is not
//! started. A job may submit to its own pool, or wait for a ticket of it, and never deadlocks:
//! - where it would have to wait for room, the new job is run in its place, by the submitter;
//! - where it waits for a job that is still queued, it takes that job out of the queue and runs it.
//!
//! That holds also from tasks that a job started in a [`Group`](crate::group::Group), and through
//! other pools. Beyond 32 jobs deep it is refused, or ends with [`JobError::TooDeep`].
//!
//! # When nobody waits for it
//! [`Pool::execute`] submits a job without a ticket, for half the price: what it comes to is seen in
//! the registry, and among the dead letters. Compared to `submit` and dropping the ticket there is
//! no other difference.
//!
//! # What can go wrong in a job
//! A job that panics, takes longer than its time, or is cancelled, tells it to its [`Ticket`]. The
//! worker lives on, with a state made anew after a panic. A ticket may be dropped: the job is done
//! nevertheless, and a panic is still counted in the [registry](crate::registry).
//!
//! # Jobs that fail
//! With [`Builder::retry`] a failed job is tried again by a [policy](crate::retry::Policy), and
//! holds no worker until then. With [`Builder::dead_letters`] what failed for good goes to a
//! channel: the job, the error, how often it was tried, and why not again. Both need the job once
//! more after a worker has consumed it: they ask for `J: Clone`, and clone each job.
//!
//! # Jobs for later
//! [`Pool::submit_after`] and [`Pool::submit_at`] delay a job. Those, and what waits to be tried
//! again, are bounded together by [`Builder::delayed`]; they are to the millisecond, as tokio's
//! timer is, and need a runtime that has one.
//!
//! # How many workers
//! As many as said; or between two numbers, by load ([`Builder::workers_between`]); or as many as
//! said while it runs ([`Pool::resize`]). For how many are enough, see [`sizing`](crate::sizing).
//!
//! # What is seen of it
//! Its [snapshot](crate::registry::Snapshot) counts rejections by reason, and how long jobs waited
//! for a worker; of one job in 16, since looking at the clock for each costs more than queueing it.
//!
//! # Cost
//! One short mutex per submission, one per job taken, one allocation per ticket, and one for the
//! scope where there is one. A worker that
//! has no job parks; a submission wakes at most one, and none while two are on their way already:
//! those wake the next when they find more to do. A busy pool wakes nobody.

mod attempt;
mod builder;
mod clockwork;
mod core;
mod delayed;
mod directory;
mod elastic;
mod entry;
mod error;
mod failures;
mod gone;
mod handle;
mod inline;
mod letter;
mod queue;
mod seat;
mod state;
mod submit;
mod ticket;
mod turns;
mod worker;

#[cfg(test)]
mod tests;

pub use builder::{Builder, OnFull};
pub use error::{JobError, Panic, Refused};
pub use handle::{Left, Pool};
pub use letter::{Cause, DeadLetter, GaveUp};
pub use ticket::Ticket;
pub use worker::{Calls, Worker};

#[cfg(feature = "cpu")]
pub(crate) use {self::core::Core, seat::Seat};
