//! At most so many in *any* window of a length of time.
//!
//! ```
//! use plimsoll::rate::{Quota, Sliding};
//!
//! // No minute, wherever it begins, sees more than 3 password resets.
//! let resets = Sliding::builder("password-resets").quota(Quota::per_minute(3)).build()?;
//! for _ in 0..3 {
//!     resets.try_acquire()?;
//! }
//! let refused = resets.try_acquire().unwrap_err();
//! assert!(refused.retry_after().unwrap().as_secs() >= 59);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | never more than N in any window, N up to 65,536 | [`Sliding`], which is exact |
//! | about that, with a larger N or in less memory | [`Sliding::approximate`] |
//! | a rate in the long run, and a burst | [`RateLimiter`](super::RateLimiter), the cheapest |
//!
//! A token bucket of N a minute admits up to 2 × N in a minute: the burst, and what flows in after it.
//! A partner's contract ("100 in any 60 seconds") means a sliding window. A fixed window, whose count
//! begins anew with every minute, would admit 2 × N around the full minute.
//!
//! # How exact
//!
//! [`Sliding::new`] keeps the time of each admission until it has left the window: 8 bytes each, at
//! most N of them, and none while there is no traffic. Not one more than N is admitted in any window,
//! to the nanosecond, and [`retry_after`](crate::Rejected::retry_after) is exact for a caller that is
//! alone.
//!
//! [`Sliding::approximate`] keeps two counts, that of the window's length of time under way and that
//! of the one before, of which it counts the share that is still in the window, as if it had been
//! spread evenly. That is the counter of Cloudflare's rate limiter (2017). It is right where traffic is
//! even; at worst, when what was admitted before came all at its end, a window holds fewer than 2 × N.
//! It also refuses what it need not when that came all at its beginning.
//!
//! # Fairness
//!
//! Waiters are served in the order of their first poll, each woken when its turn has come;
//! [`try_acquire`](Sliding::try_acquire) does not pass them. An admission counts from the moment it is
//! granted, which may be a little before its task runs. What comes late by the timer (a millisecond or
//! two) is not made up for, as it is in a token bucket: that would be one too many in some window.

mod builder;
mod counts;
mod handle;
mod line;
mod log;
#[cfg(test)]
mod tests;
mod window;

pub use builder::Builder;
pub use handle::Sliding;
