//! How large a bound should be: formulas, with units and sources.
//!
//! # Which one?
//!
//! | you know | you want | use | source |
//! | --- | --- | --- | --- |
//! | arrivals a second, and how long each stays | how many are inside at once | [`concurrency`] | Little, 1961 |
//! | how many are inside at once, and how long each stays | how many leave a second | [`throughput`] | Little, 1961 |
//! | both of these rates | how long each stays | [`Flow::time_inside`] | Little, 1961 |
//! | which part cannot be done side by side | what more workers can gain | [`Amdahl`] | Amdahl, 1967 |
//! | how long a job waits and how long it computes | how many threads or permits | [`PoolSize`] | Goetz et al., 2006 |
//! | arrivals, service time, servers | how long work waits in the queue | [`Station`] | Erlang, 1917 |
//! | throughput measured at several concurrencies | where more makes it worse | [`usl::fit`] | Gunther, 1993 |
//!
//! Begin with [`concurrency`], since it holds for anything that does not pile up; measure, and let
//! [`usl::fit`] say whether there is a point beyond which more at once serves less. Where the load
//! changes by itself, let the limit find itself: [`adaptive`](crate::adaptive).
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::sizing::{self, PoolSize, Station};
//!
//! // 400 requests a second that take 50 ms each are 20 at once.
//! let inside = sizing::concurrency(400.0, Duration::from_millis(50))?;
//! assert_eq!(inside, 20.0);
//!
//! // 4 cores, 90 % of them; a job waits 45 ms and computes for 5 ms: 36 threads.
//! let size = PoolSize {
//!     cores: 4.0,
//!     utilisation_ratio: 0.9,
//!     wait: Duration::from_millis(45),
//!     compute: Duration::from_millis(5),
//! };
//! assert_eq!(size.workers()?, 36);
//!
//! // 20 at once on average are not 20 servers: with 20 the queue would grow for ever.
//! let station = |servers| Station { per_second: 400.0, service: Duration::from_millis(50), servers };
//! assert!(station(20).waiting().is_err());
//! assert!(station(24).waiting()?.mean < Duration::from_millis(5));
//! # Ok::<(), plimsoll::Invalid>(())
//! ```
//!
//! # When they do not hold
//!
//! Each formula says so where it is. All of them speak of averages over a time in which nothing
//! changes: none sees a burst, a retry storm or a neighbour. What is not a number, is negative, or is
//! zero where that means nothing is refused with the name of the field.

mod amdahl;
mod input;
mod little;
mod pool_size;
mod station;
mod student;
pub mod usl;

#[cfg(test)]
mod tests;

pub use amdahl::Amdahl;
pub use little::{Flow, concurrency, throughput};
pub use pool_size::PoolSize;
pub use station::{Station, Waiting};
