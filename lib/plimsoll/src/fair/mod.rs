//! A queue in which every key gets its share: weighted deficit round robin.
//!
//! One queue for all customers serves whoever sends most. A [`Fair`] queue gives every key that has
//! items its turn, however many the others have, and each turn is worth the same cost times the
//! key's weight. It is bounded for each key and as a whole.
//!
//! ```
//! use plimsoll::Reason;
//! use plimsoll::fair::Fair;
//!
//! let queue = Fair::builder("deliveries")
//!     .depth(1_000)
//!     .depth_per_key(3)
//!     .weight(|tenant: &&str| if *tenant == "gold" { 2 } else { 1 })
//!     .build()?;
//! for number in 1..=3 {
//!     queue.try_push("noisy", format!("noisy {number}"))?;
//!     queue.try_push("gold", format!("gold {number}"))?;
//! }
//! let refused = queue.try_push("noisy", "noisy 4".into()).unwrap_err();
//! assert_eq!(refused.rejected.to_string(), "deliveries noisy: queue full, 3 of 3 waiting");
//! queue.try_push("quiet", "quiet 1".into())?;
//!
//! let served: Vec<_> = std::iter::from_fn(|| queue.try_pop()).collect();
//! assert_eq!(served, ["noisy 1", "gold 1", "gold 2", "quiet 1", "noisy 2", "gold 3", "noisy 3"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | consumers of your own, each key its share of them | a [`Fair`] queue |
//! | workers too, and every job of equal cost | a [`Pool`](crate::pool::Pool) with lanes |
//! | each key no more than so many a second, however idle the rest | [`keyed`](crate::keyed) rates: a share is no limit |
//! | the important before the rest | [`shed`](crate::shed): a share is no priority |
//! | no keys | `tokio::sync::mpsc` |
//!
//! # Fairness
//!
//! Over any stretch of time in which it always has items, a key is served its exact share of the
//! cost, its weight by the weights of all busy keys, but for one turn (the quantum times its weight)
//! and what unequal items carry over from one turn to the next (less than one item of each key). Items
//! of cost 1 carry nothing over.
//!
//! A key that had nothing to be served has no claim to more later: its deficit is forgotten with its
//! last item. Nor does it gain by leaving: it comes back to the end of the round.
//!
//! # Cost
//!
//! A push and a pop take constant time whatever the number of keys, as long as no item costs more
//! than its key's turn; a larger one must save up for several, which takes at most two looks at
//! every busy key. A key without items is not there at all: only those are kept, and counted by
//! [`keys_max`](Builder::keys_max), that have something queued or waiting.
//!
//! The scheduler is that of Shreedhar and Varghese, "Efficient Fair Queueing using Deficit Round
//! Robin", 1996.

mod builder;
mod drr;
mod error;
mod handle;
mod queue;
mod shared;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use error::Refused;
pub use handle::Fair;
