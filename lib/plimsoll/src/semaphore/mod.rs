//! At most so much at once: a weighted semaphore, first come first served, resizable.
//!
//! ```
//! use plimsoll::semaphore::Semaphore;
//!
//! let uploads = Semaphore::builder("uploads").limit(2).build()?;
//! let first = uploads.try_acquire()?;
//! let second = uploads.try_acquire()?;
//! let refused = uploads.try_acquire().unwrap_err();
//! assert_eq!(refused.to_string(), "uploads: 2 of 2 in use, 0 waiting");
//!
//! drop(first); // a permit gives its place back when it is dropped
//! assert_eq!(uploads.available(), 1);
//! # drop(second);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call?
//!
//! | you want | use |
//! | --- | --- |
//! | an answer now | [`try_acquire`](Semaphore::try_acquire) |
//! | to wait for as long as it takes | [`acquire`](Semaphore::acquire) |
//! | to wait, but not for ever | [`acquire_within`](Semaphore::acquire_within) |
//! | more than one permit (bytes, connections) | the same with `_many` |
//! | a permit to move into a task | the same with `_owned` |
//!
//! # Fairness
//!
//! First come, first served, by the first poll of the waiting future. Once somebody waits, everybody
//! who comes later waits behind them, [`try_acquire`](Semaphore::try_acquire) is refused even if what it asks for
//! is free, and so a waiter for 10 permits is never starved by a stream of waiters for one.
//!
//! # A permit granted to a future that nobody polls
//!
//! A permit is handed to the first waiter when it becomes free, before that waiter runs. When its
//! future is kept but never polled again (it lost a `select!` by reference, or waits in a stream
//! whose consumer is busy), the permit is held until that future is polled or dropped; if the
//! consumer then waits for the same semaphore, it waits for itself ("futurelock"). Drop a waiting
//! future that is not polled, or give it a task of its own. Dropping it passes its permit on.
//!
//! # Trying a limit out
//!
//! [`observe`](Semaphore::observe) makes it count what it would reject, and admit everything;
//! [`set_enforced_ratio`](Semaphore::set_enforced_ratio) then enforces it for a share, up to all. Both
//! while it is in use.
//!
//! # Cost
//!
//! Admission is one compare-and-swap and release one addition on a single word while nobody waits;
//! the waiters' lock is touched only when somebody does. The number admitted is counted in the same
//! word, so that being seen costs nothing.

mod builder;
mod handle;
#[cfg(test)]
mod model;
#[cfg(test)]
mod observing;
mod permit;
mod state;
#[cfg(test)]
mod tests;
mod wait;
mod word;

pub use builder::Builder;
pub use handle::Semaphore;
pub use permit::{OwnedPermit, Permit};
