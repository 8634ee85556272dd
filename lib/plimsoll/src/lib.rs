//! Bounded, structured concurrency for tokio.
//!
//! A Plimsoll line is the mark on a hull that shows how deep a ship may be loaded. This crate
//! keeps a service above it: every piece of work has **a bound** (how much at once, how often,
//! how deep a queue), **an owner** (who waits for it, who cancels it), **an end** (deadline,
//! drain, no leak) and **a name** (an operator sees it, in numbers, now).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll::semaphore::Semaphore;
//! let uploads = Semaphore::builder("uploads").limit(2).build()?;
//! let bound = uploads.clone();
//! let sizes = plimsoll::map(["a", "bc", "def"], 64, move |name: &'static str| {
//!     let uploads = bound.clone();
//!     async move { uploads.acquire().await.finish(plimsoll::Outcome::Success); Ok::<_, ()>(name.len()) }
//! });
//! assert_eq!(sizes.await, Ok(vec![1, 2, 3]));
//! assert_eq!((uploads.snapshot().admitted, uploads.in_use()), (3, 0));
//! # Ok(()) }
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | at most N at once | [`semaphore::Semaphore`] |
//! | at most N a second | [`rate::RateLimiter`] |
//! | one at a time, evenly spaced; or never more than N in any window | [`rate::Leaky`], [`rate::Sliding`] |
//! | either, per tenant or address, with a cap on how many are remembered | [`keyed::Keyed`] |
//! | one bound shared out: so much for reads, so much for writes | [`budget::Budget`] |
//! | at most N at once, and nobody waits in vain: the least important is shed first | [`shed::Shed`] |
//! | as many at once as the other side serves well, found by how it goes | [`adaptive::Adaptive`] |
//! | to stop calling what is down | [`breaker::Breaker`] |
//! | to try again without making an outage worse | [`retry::Policy`] |
//! | to be rid of a slow tail, by a second try when the first is late | [`hedge::Hedge`] |
//! | several of these around one dependency, in the right order | [`downstream::Downstream`] |
//! | the same work on many items, N at once | [`map`](mod@map) |
//! | a few tasks that live and end together | [`group::Group`] |
//! | workers behind a bounded queue, fair between customers | [`pool::Pool`] |
//! | the same for what computes rather than waits, on threads of its own (feature `cpu`) | `cpu::CpuPool` |
//! | a queue in which every key gets its share | [`fair::Fair`] |
//! | one call per key, its result shared by all who ask meanwhile | [`singleflight::Singleflight`] |
//! | many streams that come and go, as one | [`merge::Merge`] |
//! | several steps that go on at once, bounded between | [`pipeline::Pipeline`] |
//! | labels, a deadline and cancellation that children inherit | [`scope::Scope`] |
//! | those labels and that deadline to cross to another process | [`scope::header`] |
//! | to know how large a bound should be | [`sizing`] |
//! | to see all of it | [`registry::snapshot`] |
//! | to test a limiter under a load, in virtual time (feature `test-util`) | `testing` |
//! | any of it as a tower layer | the crate `plimsoll-tower` |
//!
//! # Words
//!
//! A *limit* is a number; a *limiter* enforces it; a *permit* is proof of admission and gives its
//! place back when dropped; an [`Outcome`] says how the work went; [`Rejected`] says that work was
//! not admitted and why. Nothing here needs closing: a limiter's `acquire` never fails because
//! somebody closed it. Handles are cheap to clone and all clones share one state.

pub mod adaptive;
pub mod breaker;
pub mod budget;
pub mod clock;
mod counters;
#[cfg(feature = "cpu")]
pub mod cpu;
pub mod downstream;
pub mod fair;
pub mod group;
pub mod hedge;
mod invalid;
pub mod keyed;
mod label;
pub mod limiter;
pub mod map;
pub mod merge;
mod name;
mod observe;
mod outcome;
pub mod pipeline;
pub mod pool;
pub mod rate;
pub mod registry;
mod rejected;
pub mod retry;
pub mod scope;
pub mod semaphore;
pub mod shed;
pub mod singleflight;
pub mod sizing;
mod sync;
mod tally;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod unwind;
mod waiters;
mod window;

pub use invalid::Invalid;
pub use map::{crawl, each, map, map_local, map_local_stream, map_stream};
pub use name::Name;
pub use outcome::Outcome;
pub use rejected::{Reason, Rejected};
