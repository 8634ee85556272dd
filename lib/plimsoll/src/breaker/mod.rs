//! Stop calling what is down.
//!
//! A [`Breaker`] stands before one dependency. *Closed*, it passes every call and counts how they
//! go over a rolling window; when too large a share of them fails or is slow, or too many fail in a row, it *opens*
//! and rejects at once, which spares the caller a wait and the dependency the load. After a while it is
//! *half-open*: a few probes are let through, and how they go decides whether it closes or opens
//! again.
//!
//! The terms are those of Michael Nygard's *Release It!*; the failure ratio over a minimum volume
//! and the rolling window are Hystrix's.
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | to stop when a share of the calls fails | [`Policy::ratio`] |
//! | to stop after so many failures in a row, however seldom it is called | [`Policy::consecutive`] |
//! | to stop when calls become slow, though they succeed | either, with [`Policy::slow_call`] |
//! | to be told of every change | [`Builder::on_transition`] |
//! | to stop, or not to, whatever is counted | [`Breaker::force_open`], [`Breaker::force_closed`] |
//!
//! Compared to counting failures in a row, a ratio does not open on three unlucky calls of a thousand,
//! nor stay closed when every second call fails; but it needs calls enough to be a ratio of.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::Outcome;
//! use plimsoll::breaker::{self, Breaker, State};
//!
//! let policy = breaker::Policy::ratio(0.5).calls_min(4).window(Duration::from_secs(10));
//! let breaker = Breaker::builder("inventory").policy(policy).build()?;
//! for outcome in [Outcome::Success, Outcome::Success, Outcome::Failure, Outcome::Failure] {
//!     breaker.try_acquire().expect("closed").finish(outcome);
//! }
//! assert_eq!(breaker.state(), State::Open);
//! assert_eq!(breaker.try_acquire().unwrap_err().reason(), plimsoll::Reason::BreakerOpen);
//! # Ok::<(), plimsoll::Invalid>(())
//! ```
//!
//! # What counts
//! - Only a failure or a slow call is judged: a success never opens the breaker.
//! - A permit that is dropped, as when the caller went away, counts as nothing, and gives its
//!   probe back. So does a call that panics.
//! - A call that began before the last change of state counts as nothing: it tells of what was.
//! - A half-open breaker lets no more than its probes through, and needs every one to succeed.
//!   A probe that never ends keeps it half-open: give calls a timeout.
//!
//! # Cost
//! Closed, a call that succeeds takes no lock: it loads one word, reads the clock (twice, when slow
//! calls count) and adds to one counter. Changes of state, probes, and failures that open it take a
//! short mutex; the call itself runs outside of any lock.

mod builder;
mod error;
mod handle;
mod permit;
mod policy;
mod state;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use error::Error;
pub use handle::Breaker;
pub use permit::{OwnedPermit, Permit};
pub use policy::Policy;
pub use state::{State, Transition};
