//! At most so many a second: a token bucket, exact in burst and rate, first come first served.
//!
//! ```
//! use plimsoll::rate::{Quota, RateLimiter};
//!
//! // 100 a second in the long run, at most 2 at once.
//! let sms = RateLimiter::builder("sms").quota(Quota::per_second(100).burst(2)).build()?;
//! sms.try_acquire()?;
//! sms.try_acquire()?;
//! let refused = sms.try_acquire().unwrap_err();
//! assert!(refused.retry_after().unwrap() <= std::time::Duration::from_millis(10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call?
//!
//! | you want | use |
//! | --- | --- |
//! | an answer now | [`try_acquire`](RateLimiter::try_acquire) |
//! | to wait for your turn | [`acquire`](RateLimiter::acquire) |
//! | to wait, but only if it is soon | [`acquire_within`](RateLimiter::acquire_within) |
//! | to be told when, and to do the waiting yourself | [`reserve`](RateLimiter::reserve) |
//! | more than one token (bytes, messages) | the same with `_many` |
//! | to pay what it cost, known only afterwards | [`try_hold`](RateLimiter::try_hold), [`hold`](RateLimiter::hold), and [`settle`](Hold::settle) |
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | a rate, and a burst after a time of rest | [`RateLimiter`], a token bucket |
//! | evenly spaced, and no more than so many that wait | [`Leaky`] |
//! | never more than so many in any window of a length of time | [`Sliding`] |
//!
//! # Exactness
//!
//! What is refused is not charged. The burst is exact, and so is
//! [`retry_after`](crate::Rejected::retry_after): a caller that is alone succeeds after waiting just
//! that long. The rate does not drift, also where it is not a whole number of nanoseconds (3 a
//! second): time is scaled so that a token costs a whole number of units, once and for all, instead
//! of rounding the time between tokens. Instants are rounded to the nanosecond.
//!
//! Waiting is as fine as tokio's timer, one millisecond. What falls due while the timer is late is
//! not lost: waiters may come up to 2 ms late and in a bunch, and the long-run rate is kept also
//! with a burst of 1 and a rate of 10,000 a second.
//!
//! # Fairness
//!
//! Waiters are served in the order of their first poll, each woken when its turn has come.
//! [`try_acquire`](RateLimiter::try_acquire) does not pass them. A waiter is charged when its turn
//! comes: one that leaves before gives those behind it its turn.
//!
//! # Trying a quota out
//!
//! [`observe`](RateLimiter::observe) makes it count what it would reject, and admit everything;
//! [`set_enforced_ratio`](RateLimiter::set_enforced_ratio) then enforces it for a share, up to all.
//! Both while it is in use.
//!
//! # Compared to
//!
//! [`semaphore`](crate::semaphore) bounds how much runs *at once*, whatever its speed; a rate bounds
//! how much *begins* in a time, whatever it leaves running. What protects a slow dependency is the
//! first; what a contract or an upstream's quota asks for is the second.
//!
//! The algorithm is the generic cell rate algorithm (ITU-T I.371), in one atomic word.

mod builder;
mod gcra;
mod handle;
mod hold;
pub mod leaky;
mod line;
#[cfg(test)]
mod observing;
mod quota;
mod reservation;
pub mod sliding;
mod state;
#[cfg(test)]
mod tests;
mod wait;
mod word;

pub use builder::Builder;
pub use handle::RateLimiter;
pub use hold::Hold;
pub use leaky::Leaky;
pub use quota::Quota;
pub use reservation::Reservation;
pub use sliding::Sliding;
