//! A pool of threads for what computes rather than waits, on rayon; behind the feature `cpu`.
//!
//! A task that computes for long holds up every other task of its runtime thread. A [`CpuPool`] does
//! such jobs on threads of its own, as many as the process may use processors, behind the bounded
//! queue of a [`Pool`](crate::pool::Pool) and with the same face: [`OnFull`](crate::pool::OnFull),
//! [`Ticket`](crate::pool::Ticket), fair lanes, retries, dead letters, a two-phase drain.
//!
//! ```
//! use plimsoll::cpu::CpuPool;
//! use plimsoll::pool::OnFull;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let digest = |text: String| text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
//! let pool = CpuPool::builder("digests", digest).threads(2).queue(256).on_full(OnFull::Wait).build()?;
//! let ticket = pool.submit("abc".into()).await.expect("a pool that waits for room refuses nothing");
//! assert_eq!(ticket.await.expect("it does not panic"), 96_354);
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//! - The same work over and over: [`CpuPool::builder`].
//! - A piece of work here and there, its result wanted at once: [`CpuPool::closures`], and
//!   [`CpuPool::run`] where one would have used `spawn_blocking`, whose threads and queue are not
//!   bounded by what the processors can do.
//! - Work that waits, for a file or a lock: not here, where threads are as few as processors.
//! - Work that awaits: [`Pool`](crate::pool::Pool).
//!
//! # Inside of a job
//! A job runs in the [scope](crate::scope) it was submitted in, and is not started when that has
//! ended; once started it runs to its end, as nothing can stop a thread that computes. It may use
//! rayon's parallel iterators: they run on the threads of the pool. It may block on its own pool, and
//! never deadlocks: as in a [`Pool`](crate::pool::Pool), it does itself what it would have to wait
//! for. (`block_on` of tokio's `Handle` does for one job that blocks on another; where that one blocks
//! too it panics, as it does anywhere, and an executor is wanted that can be nested.)
//!
//! # Cost
//! That of a [`Pool`](crate::pool::Pool), and one rayon spawn for each job, which wakes a thread if
//! all sleep. Jobs of a few microseconds are not worth it.

mod builder;
mod closure;
mod error;
mod handle;
mod runner;

#[cfg(test)]
mod tests;

pub use builder::{Builder, Computes};
pub use closure::Closure;
pub use error::Error;
pub use handle::CpuPool;
