//! One call per key: whoever asks while it runs shares its result.
//!
//! ```
//! use plimsoll::singleflight::{Error, Singleflight};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let loads: Singleflight<u64, String, std::io::ErrorKind> = Singleflight::builder("profiles").build()?;
//! let load = || async {
//!     tokio::task::yield_now().await; // as a database would
//!     Ok("Ada".to_owned())
//! };
//! // Ten callers want profile 7 at the same time: it is loaded once.
//! let callers = (0..10).map(|_| loads.run(7, load));
//! let names = futures_util::future::join_all(callers).await;
//! assert!(names.iter().all(|name| name.as_deref() == Ok("Ada")));
//! assert_eq!(loads.snapshot().admitted, 1);
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | the same question asked many times at once to be asked once | this |
//! | the answer kept for the next one too | a cache, with this in front of its misses: see the cookbook's page on caches |
//! | a few at once, whatever they ask | [`semaphore`](crate::semaphore) |
//! | a few at once for each key | [`keyed`](crate::keyed) |
//!
//! # Who runs it
//!
//! The first to ask **leads**: it runs its own closure, in its own task and [scope](crate::scope), so
//! that its deadline counts. The others **follow**. Nothing is spawned.
//!
//! | the leader | its followers |
//! | --- | --- |
//! | succeeds | get a clone of the value |
//! | fails | get a clone of the error ([`Errors::Share`]), or try themselves, one after the other ([`Errors::Each`]) |
//! | panics (which goes on in the leader) | get [`Error::Panicked`]; or try themselves, with [`Errors::Each`] |
//! | is cancelled or dropped | one of them takes over and runs its own closure |
//!
//! # Fairness
//!
//! Who takes over is whoever is polled first, or comes by first: a follower whose future is kept
//! but not polled cannot hold up the rest. Different keys never wait for each other.
//!
//! # Cost
//!
//! A call that nobody shares costs a hash, an allocation, and its shard's lock twice, each time for
//! a look-up. A key's `Hash` and `Eq` run under that lock; closures, clones and drops of keys and
//! values do not.

mod builder;
mod error;
mod flight;
mod handle;
mod run;
mod table;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use builder::{Builder, Errors};
pub use error::Error;
pub use handle::Singleflight;
pub use run::{Lazy, Run};
