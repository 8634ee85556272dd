//! One dependency with all its bounds, in the one right order.
//!
//! A service, a database or an interface that is called from many places wants the same care at each: a
//! timeout, a limit on how much is asked of it at once and how often, a breaker, retries that do not
//! make an outage worse. Stacked by hand, these are easily put in an order that is wrong without
//! looking so. A [`Downstream`] holds them for one dependency, and every call goes through it.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::downstream::{Downstream, Error};
//! use plimsoll::{breaker, rate::Quota, retry};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! struct Inventory { downstream: Downstream }
//!
//! let inventory = Inventory {
//!     downstream: Downstream::builder("inventory")
//!         .timeout(Duration::from_millis(250))
//!         .concurrency(50)
//!         .rate(Quota::per_second(100).burst(20))
//!         .breaker(breaker::Policy::ratio(0.5).calls_min(20).window(Duration::from_secs(10)))
//!         .retry(retry::Policy::exponential(Duration::from_millis(50)).attempts(3))
//!         .build()?,
//! };
//! let stock = inventory.downstream.call(|| async { Ok::<_, std::io::Error>(7) }).await;
//! assert!(matches!(stock, Ok(7)));
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # The order
//!
//! Outermost first; what was not asked for is left out.
//!
//! | part | why it stands there |
//! | --- | --- |
//! | [fallback](Builder::fallback) | told of what nothing within could mend; not itself bound by what failed |
//! | [deadline](Builder::deadline) | one for the whole call: tries, and the waits between and before them |
//! | [retry](Builder::retry) | holds nothing while it sleeps, and each attempt passes anew all that is within |
//! | [hedge](Builder::hedge) | each attempt may be hedged, and both tries pass all that is within |
//! | [breaker](Builder::breaker) | sees every try; when open, nothing is waited for or spent |
//! | [rate](Builder::rate) | what waits for its turn takes no place from others |
//! | [concurrency](Builder::concurrency) | held for just as long as the dependency works |
//! | [timeout](Builder::timeout) | of the dependency's work alone, not of the wait for a turn |
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | several bounds around one dependency | this |
//! | one of them | that one: [`semaphore`](crate::semaphore), [`rate`](crate::rate), [`breaker`](crate::breaker), [`retry`](crate::retry), [`hedge`](crate::hedge) |
//! | to call what may safely run twice | [`call`](Downstream::call) |
//! | to call what may not, or what cannot be made twice | [`call_once`](Downstream::call_once): within the same bounds, but never retried or hedged |
//!
//! # What counts as what
//!
//! A [`Judge`] says what the end of a try tells of the dependency, and whether to try again. Without
//! one ([`EveryError`]), each `Err` is a failure, each failure counts against the breaker, and is
//! retried if there is a retry. Beyond that:
//! - a timeout is a failure, and is retried;
//! - a call that is dropped counts as nothing: a caller that went away says nothing about the dependency;
//! - a try that a deadline ends, be it that of the [builder](Builder::deadline) or of the scope around the
//!   call, is a failure if it had run for as long as one that the breaker calls
//!   [slow](crate::breaker::Policy::slow_call), and else counts as nothing: it may have had a
//!   millisecond. So that a hang is not missed, a breaker and a deadline are refused without a timeout or
//!   a slow call below the deadline;
//! - what these bounds reject themselves counts as nothing for the breaker. It is retried if it may be
//!   admitted later, not before its `retry_after`, and not at all if that is beyond the deadline or the
//!   retry's [`retry_after_max`](crate::retry::Policy::retry_after_max).
//!
//! # Extra load
//!
//! Retries and second tries are paid for from one [budget](crate::retry::Budget): that of the retry's
//! policy. A policy without one is given one, of 20 % of the calls and 10 a second: without, three
//! attempts triple the load on what is down already.
//!
//! # Cost
//!
//! One type and no allocation: a part that was left out costs a branch.

mod builder;
mod error;
mod fallback;
mod handle;
mod judge;
mod parts;
mod tries;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use error::Error;
pub use fallback::{Fallback, LastGood, NoFallback, OtherCall, Value};
pub use handle::Downstream;
pub use judge::{EveryError, Judge};
