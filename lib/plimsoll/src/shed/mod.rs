//! What is dropped when there is too much: the least important first, and before it has waited in vain.
//!
//! A [`Shed`] is a concurrency limit with a waiting line that never stands. Work says how important it is
//! ([`Priority`]); while there is room it begins, else it waits, and it is told *early* that it will not
//! be done:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use plimsoll::shed::{Priority, Shed};
//!
//! let requests = Shed::builder("requests")
//!     .concurrency(64)
//!     .queue(512)
//!     .target(Duration::from_millis(5))
//!     .interval(Duration::from_millis(100))
//!     .threshold(Priority::SHEDDABLE, 0.75) // begins only while less than 48 are in use
//!     .build()?;
//! let permit = requests.acquire(Priority::CRITICAL).await?;
//! assert_eq!(requests.in_use(), 1);
//! drop(permit);
//! # Ok(()) }
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | at most N at once, and everybody waits as long as it takes | a [semaphore](crate::semaphore) |
//! | at most N at once, and nobody waits in vain | [`Shed`] |
//! | N to be found by itself | an [adaptive](crate::adaptive) limiter |
//! | a guaranteed part of N for each kind of work | a [budget](crate::budget) |
//!
//! # What is shed, and why
//!
//! - **A queue that stands.** A queue that empties absorbs bursts; one that never empties only makes
//!   everything late. As in `CoDel` (Kathleen Nichols and Van Jacobson, *Controlling Queue Delay*, ACM
//!   Queue 10(5), 2012), a queue stands when what leaves it has waited longer than the target for a
//!   whole interval. From then on, until nobody has for as long, nobody waits longer than the target;
//!   at other times nobody longer than the interval: the two time-outs of Ben Maurer's *Fail at Scale*
//!   (ACM Queue 13(8), 2015). Both stretch where a place is held so long that fewer than two are given
//!   back in that time: a slow service is not made an idle one. `CoDel`'s own law, which drops a few packets and more by and by, is not used:
//!   it waits for senders that slow down, which callers do not.
//! - **The least important.** Each priority has a line and a delay of its own, and is served before the
//!   less important ones: under overload it is theirs that stand. When the queue is full, an arrival
//!   takes the place of the longest waiting of the least important, if there is any less important than
//!   itself. A [threshold](Builder::threshold) keeps places free for what is more important (the
//!   criticalities of *Site Reliability Engineering*, chapter 21, 2016).
//! - **What cannot begin before its deadline.** The deadline is that of the [scope](crate::scope). The
//!   time to wait is expected to be the number of those ahead, times the smoothed time that a place is
//!   held, by the number of places. What has passed its deadline while it waited is not begun.
//!
//! # Fairness
//!
//! Within a priority first come, first served, also under overload: with the wait cut to the target
//! there are no stale requests for a last-in-first-out order to pass over. Between priorities strict: what
//! is less important can be shed entirely, for as long as what is more important takes everything.
//!
//! # Cost
//!
//! One short lock to admit and one to give back, and the clock is read at both.

mod builder;
mod delay;
mod handle;
mod permit;
mod priority;
mod queue;
mod state;
mod wait;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use handle::Shed;
pub use permit::Permit;
pub use priority::Priority;
