//! N at once over an iterator or a stream.
//!
//! [`map`](fn@map) does the same work on many items, at most so many at once, and returns the values
//! in input order; the first error ends the rest. When it returns, nothing of it is left running.
//!
//! ```
//! use plimsoll::map::Error;
//!
//! async fn fetch(url: &str) -> Result<usize, String> {
//!     if url.ends_with("/gone") { Err(format!("{url}: 410")) } else { Ok(url.len()) }
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let urls = ["https://a.example/", "https://b.example/gone", "https://c.example/c"];
//! let each = plimsoll::map(urls, 64, fetch).collect_all().await.unwrap();
//! assert_eq!((&each[0], &each[2]), (&Ok(18), &Ok(19)));
//! let failed = plimsoll::map(urls, 64, fetch).await.unwrap_err();
//! assert_eq!(failed.to_string(), "https://b.example/gone: 410");
//! assert_eq!(plimsoll::map(urls, 64, fetch).quorum(2).await, Ok(vec![18, 19]));
//! # }
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | every value, or the first error | `map(…).await` |
//! | every result, whatever fails | [`map(…).collect_all()`](Map::collect_all) |
//! | k of n replicas | [`map(…).quorum(k)`](Map::quorum) |
//! | whichever mirror answers first | [`map(…).first_success()`](Map::first_success) |
//! | results as they come, for as long as you like | [`map(…).unordered()`](Map::unordered) |
//! | only the effect, over any number of items | [`each`](fn@each) |
//! | the items of a stream | [`map_stream`] |
//! | items that lead to more items | [`crawl`] |
//! | to borrow, or futures that are not `Send` | [`map_local`] |
//!
//! - For different tasks, spawned by hand as they come up, a [`Group`](crate::group::Group).
//! - For work that arrives for as long as the process lives, a [`Pool`](crate::pool::Pool).
//!
//! Compared to `buffer_unordered` of the `futures` crate, a map runs on all workers, goes on while
//! nobody polls it, and refuses a limit of zero; compared to a task and a permit per item, it starts
//! a task only where an item waits, and at most as many as the limit.
//!
//! # How it works
//! A *lane* is a task that takes one item after the other. A map starts with one, and starts another
//! when an item makes its lane wait, or has kept it busy for 50 µs: items that are ready at once
//! cost no task each. An item is taken from the iterator or stream when a lane begins with it,
//! never ahead. The children inherit the [scope](crate::scope) in which the map was first polled.
//!
//! # Fairness
//! Items begin in input order. A lane gives its thread to other tasks after 128 items, or 50 µs.
mod core;
mod engine;
mod error;
mod flags;
mod frontier;
mod gauge;
mod handle;
mod lane;
mod local;
mod ordered;
mod policy;
mod run;
mod slots;
mod source;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use frontier::Frontier;
pub use handle::{Map, crawl, each, map, map_stream};
pub use local::{MapLocal, RunLocal, UnorderedLocal, map_local, map_local_stream};
pub use policy::{CollectAll, Each, FirstSuccess, InOrder, Policy, Quorum};
pub use run::{Run, Unordered};
pub use source::{Items, Source, Streamed, Takes};
