//! Try again, without making an outage worse.
//!
//! A [`Policy`] says how often and after what delay; what may be retried at all is said by the
//! error ([`Retryable`]) or by a closure ([`Policy::retry_if`]): nothing is retried by default. A
//! [`Budget`], shared by all callers of one dependency, bounds the share of extra load that
//! retries make: without one, three attempts triple the load on what is already down.
//!
//! Delays are exponential with full jitter, after Marc Brooker's *Exponential Backoff And Jitter*
//! (AWS, 2015), or a list of your own. The budget is that of Finagle: a share of the calls, plus a
//! few a second so that a quiet client can retry too.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::retry::{self, Decision};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let budget = retry::Budget::builder("inventory retries").ratio(0.1).build()?;
//! let policy = retry::Policy::exponential(Duration::from_millis(1)).attempts(3).budget(&budget);
//! let tries = std::cell::Cell::new(0);
//! let answer = policy
//!     .retry_if(|status: &u16| if *status >= 500 { Decision::Retry } else { Decision::GiveUp })
//!     .run(|| {
//!         tries.set(tries.get() + 1);
//!         async { if tries.get() < 3 { Err(503) } else { Ok("in stock") } }
//!     })
//!     .await;
//! assert_eq!(answer, Ok("in stock"));
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # What it keeps to
//! - No more attempts than said, and none that the budget has nothing left for.
//! - It does not sleep past the [scope's](crate::scope) deadline: it gives up at once instead.
//! - A `retry_after` is waited for in full, or not at all.
//! - Nothing is held while it sleeps: acquire permits inside of the operation, so that each attempt takes
//!   its own and gives it back before the wait.
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | errors that say themselves whether another try is worth it | [`Policy::run`] with [`Retryable`] |
//! | to say so in a closure | [`Policy::retry_if`] |
//! | delays of your own, as a webhook's | [`Policy::schedule`] |
//! | to make the attempts yourself | [`Policy::record_call`] and [`Policy::wait_after`] |
//! | many callers of one dependency not to make its outage worse | one [`Budget`] for all of them |
//! | a second try before the first has failed | [`hedge`](crate::hedge), on the same budget |

mod budget;
mod decision;
mod error;
mod policy;
mod run;

#[cfg(test)]
mod tests;

pub use budget::{Budget, BudgetBuilder};
pub use decision::{Decision, Retryable};
pub use error::{Error, Stop};
pub use policy::Policy;
pub use run::Classified;
