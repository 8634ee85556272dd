//! Many streams into one: bounded, fair, cancellable.
//!
//! A [`Merge`] polls its inputs within the task that polls it, and tells what each gave and when it
//! ended. Inputs come and go while it runs, from this task or, by a [`Handle`], from others.
//!
//! ```
//! use futures_util::stream;
//! use plimsoll::merge::{Event, Merge};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let mut merge = Merge::builder("partitions").inputs_max(1_000).build()?;
//! let endless = merge.add(stream::iter(0..u64::MAX))?;
//! let short = merge.add(stream::iter(70..71))?;
//!
//! // In turns, however much the other has.
//! assert_eq!(merge.next().await, Some((endless, Event::Item(0))));
//! assert_eq!(merge.next().await, Some((short, Event::Item(70))));
//! assert_eq!(merge.next().await, Some((endless, Event::Item(1))));
//! assert_eq!(merge.next().await, Some((short, Event::Ended)));
//!
//! let left = merge.remove(endless); // cancelled: here it is back, not polled any more
//! assert_eq!((left.is_some(), merge.next().await), (true, None));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | streams that come and go, as one | a [`Merge`] |
//! | streams of different types | a [`Merge`] of `Pin<Box<dyn Stream<Item = T> + Send>>` |
//! | the newest value of many `tokio::sync::watch` | a [`Merge`] of [`watched`] |
//! | channels | a [`Merge`] of [`from_fn`], or clones of one sender |
//! | each input its share by weight, and a bounded queue for it | a [`Fair`](crate::fair::Fair) queue |
//! | inputs that go on while the items are worked on | a [`Group`](crate::group::Group) of tasks and one channel |
//!
//! Compared to `tokio_stream::StreamMap`, which polls every input whenever one of them has something,
//! only those are polled here that were woken: ten thousand idle inputs cost an item nothing.
//! Compared to `futures::stream::SelectAll` the number of inputs has a bound, their ends are told, and
//! each can be taken out.
//!
//! # Bounds
//!
//! There is no buffer: an input is polled when an item is wanted from it, and holds no item of its
//! own meanwhile. The number of inputs is bounded; each costs a slot and its waker.
//!
//! # Fairness
//!
//! Inputs that have something take turns, an item each, in the order in which they were woken; an
//! input that has always something waits for every other that has, once. After 128 polls without a
//! pause the task yields to the runtime, so that endless inputs do not starve other tasks.

mod adapter;
mod builder;
mod error;
mod handle;
mod inputs;
mod shared;

#[cfg(test)]
mod tests;

pub use adapter::{FromFn, Watched, from_fn, watched};
pub use builder::Builder;
pub use error::Refused;
pub use handle::Handle;
pub use inputs::{Event, Merge};
pub use shared::InputId;
