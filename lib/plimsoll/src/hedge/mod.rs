//! A second try when the first is late, and the first answer wins.
//!
//! Of a hundred calls to a healthy service a few take ten times as long as the rest: a queue, a
//! pause for garbage, a lost packet. A [`Hedge`] begins the same call again once the first has
//! taken longer than nearly all do, and drops whichever loses. A tail of 5 % costs 5 % more load and
//! is gone; Jeffrey Dean and Luiz Barroso, *The Tail at Scale* (CACM, 2013).
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::hedge::{Hedge, Policy};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! // Begins again what takes longer than 95 % of calls do; while fewer than 100 were seen, after 1 s.
//! let policy = Policy::percentile(0.95).samples_min(100).delay_max(Duration::from_secs(1));
//! let replicas = Hedge::builder("replicas").policy(policy).build()?;
//! let tries = std::cell::Cell::new(0);
//! let answer = replicas
//!     .call(|| {
//!         tries.set(tries.get() + 1);
//!         let slow = tries.get() == 1;
//!         async move {
//!             tokio::time::sleep(Duration::from_millis(if slow { 60_000 } else { 20 })).await;
//!             Ok::<_, std::io::Error>("in stock")
//!         }
//!     })
//!     .await;
//! assert_eq!((answer.unwrap(), tries.get()), ("in stock", 2));
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | to be rid of a slow tail, of an operation that may safely run twice at once | this |
//! | to try again what has *failed* | [`retry`](crate::retry), around this |
//! | to give up on what is slow | a timeout, within this: [`downstream`](crate::downstream) |
//! | the first of several *different* sources | [`map`](mod@crate::map) |
//!
//! A hedge is for latency and never for errors: a first try that fails before the delay is over ends
//! the call at once, also when it was [rejected](crate::Rejected) and might be admitted later.
//!
//! # What it keeps to
//! - There are two tries at the most, both in the caller's task: nothing is spawned, and dropping the
//!   call drops both. The loser is dropped before the answer is returned.
//! - The first *success* wins. When one try fails while the other runs, the other is awaited; when
//!   both fail, the error is that of the first try, since the second may have failed only for being one
//!   too many.
//! - Every second try is paid for from a [`retry::Budget`](crate::retry::Budget), which retries may
//!   draw on too: when a service slows down as a whole, every call is late, and hedging all of them
//!   would double the load on what is overloaded already.
//! - None is begun that cannot be of use: not when less time is left to the [scope's](crate::scope)
//!   deadline than half of the calls take.
//!
//! # The percentile
//! It is taken over the 1,024 to 2,048 newest samples, and is too long by a sixteenth at the most. A
//! sample is how long a *first* try took to succeed. One that lost against its second try, or was
//! dropped by the caller after the delay, counts with the time it had run by then: hedging and
//! timeouts would otherwise hide the very tail that they are for, and the delay would sink.
//!
//! # Cost
//! A call that ends in time costs a few atomic additions, two readings of the clock, and an
//! uncontended lock that is skipped, with the sample, when it is taken. A timer is made only for a try
//! that is not done when it is first polled.

mod builder;
mod handle;
mod policy;
mod run;
mod seen;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use handle::Hedge;
pub use policy::Policy;
