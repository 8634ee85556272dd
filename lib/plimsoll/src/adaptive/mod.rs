//! The limit finds itself: concurrency limited by what is measured, not by what is guessed.
//!
//! Every service has a number of calls at once above which it does no more, only slower. An
//! [`Adaptive`] limiter finds that number from how long calls take and how they end, and follows it
//! when it moves.
//!
//! ```
//! use plimsoll::Outcome;
//! use plimsoll::adaptive::Adaptive;
//!
//! // Begins at 20 and is never below 1 nor above 200.
//! let search = Adaptive::builder("search").limits(1, 200).build()?;
//! let permit = search.try_acquire()?; // refused, not queued, when the limit is reached
//! let answer: Result<u32, std::io::Error> = Ok(7); // of the call
//! permit.finish(Outcome::of(&answer));
//! assert_eq!((search.limit(), search.in_use()), (20, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one?
//!
//! | you have | use |
//! | --- | --- |
//! | a service that slows down, or refuses, or both, when it has too much: nearly all | [`Knee`], the default |
//! | one that refuses at once what is too much, and whose latency says nothing | [`Aimd`] |
//! | to do as another system does | [`Vegas`], [`Gradient2`], [`Windowed`] |
//! | a number that you know, and that does not change | a [`Semaphore`](crate::semaphore::Semaphore) |
//!
//! Say [`Outcome::Failure`](crate::Outcome::Failure) for what tells of too much load (a time-out, 429,
//! 503), and `Ignored` for what does not (404, a caller that went away): a permit that is dropped
//! teaches nothing.
//!
//! # How they compare
//!
//! Simulated services of independent calls, a limiter before them that begins at 20, half a minute each,
//! the average of four runs (November 2026; `tests/adaptive_scenarios`). *Goodput* is by what could be
//! served, *latency* is the mean by that of a call alone, and *power* (Kleinrock) is the one by the other:
//! 1 would be all of the throughput without any queue. Beside [`Knee`] stands whichever of [`Aimd`],
//! [`Vegas`], [`Gradient2`], and G, `Gradient2` over [`Windowed`] of 100 ms, does best in that scenario.
//!
//! | scenario | `Knee`: power | goodput | latency | best of the known: power | goodput | latency | which |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | knee at 20, twice the load | **0.82** | 0.98 | 1.19 | 0.73 | 1.00 | 1.37 | G |
//! | knee at 20, 1.1 of the load | **0.81** | 0.94 | 1.16 | 0.76 | 0.98 | 1.29 | G |
//! | knee at 200, shared cores | **0.89** | 0.96 | 1.07 | 0.35 | 0.35 | 1.00 | G |
//! | knee at 2 | **0.46** | 0.95 | 2.07 | 0.30 | 0.99 | 3.25 | Vegas |
//! | no variation | **0.76** | 0.99 | 1.30 | 0.72 | 1.00 | 1.38 | G |
//! | low traffic | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | Aimd |
//! | healthy, 80 % of capacity | 0.94 | 1.00 | 1.06 | 0.94 | 1.00 | 1.06 | G |
//! | capacity falls to a fifth | **0.85** | 0.98 | 1.14 | 0.76 | 0.96 | 1.26 | G |
//! | capacity falls and comes back | **0.80** | 0.91 | 1.14 | 0.70 | 0.86 | 1.23 | G |
//! | each call takes five times as long | **0.81** | 0.94 | 1.16 | 0.66 | 0.84 | 1.27 | G |
//! | slow for a while, with room | 0.91 | 0.91 | 1.00 | **1.00** | 1.00 | 1.00 | Aimd |
//! | bimodal, 1 to 50 | **0.86** | 0.92 | 1.07 | 0.80 | 0.99 | 1.24 | G |
//! | lognormal, deviation 1 | **0.81** | 0.98 | 1.20 | 0.75 | 1.00 | 1.32 | G |
//! | lognormal, deviation 1.5 | **0.88** | 0.95 | 1.09 | 0.75 | 1.00 | 1.33 | G |
//! | base drifts to three times | **0.84** | 0.88 | 1.04 | 0.68 | 0.70 | 1.02 | G |
//! | linear, knee at 50 | 0.50 | 1.00 | 1.99 | 0.49 | 0.81 | 1.65 | G |
//! | bursts | **0.95** | 1.00 | 1.05 | 0.89 | 0.90 | 1.01 | G |
//! | refuses above 50 | 0.96 | 0.96 | 1.00 | 0.95 | 0.96 | 1.00 | G |
//! | gives up after 50 ms | **0.84** | 0.98 | 1.17 | 0.75 | 0.99 | 1.32 | G |
//! | one in a hundred fails | **0.82** | 0.98 | 1.21 | 0.74 | 1.00 | 1.35 | G |
//! | 200 callers that wait | **0.82** | 0.98 | 1.20 | 0.72 | 1.00 | 1.40 | G |
//! | two limiters, one service | 0.45 | 1.00 | 2.23 | **0.67** | 1.00 | 1.49 | G |
//! | down for five seconds | **0.75** | 0.90 | 1.20 | 0.53 | 0.62 | 1.16 | G |
//!
//! It was tuned on these. In 250 scenarios drawn at random, which it was not tuned on (1 to 500 places, 0.2 ms
//! to 2 s, capacity that changes, pauses, drift, failures, bursts, one to eight limiters;
//! `DRAWN=1001..1251`), its power is 0.66 on average and 0.25 at the tenth percentile; `Vegas` has 0.48 and
//! 0.06, `Gradient2` 0.47 and 0.06, `Aimd` 0.35 and 0.01. It refused 2 % of the traffic that was at most four
//! fifths of what could be served; `Aimd` 1 %, `Gradient2` 5 %, `Vegas` 7 %.
//!
//! On a real server, eight workers of 10 ms behind TCP on one machine of two busy cores (some 710 calls a
//! second), called without regard to its answers (November 2026; `examples/adaptive_server.rs`; one run):
//!
//! | load | | `Knee` | `Aimd` | `Vegas` | `Gradient2` | G |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 400/s | goodput | 407/s | 405/s | 404/s | 390/s | 392/s |
//! | | p50, p99 in ms | 11, 18 | 11, 16 | 11, 15 | 11, 16 | 11, 16 |
//! | 800/s | goodput | 704/s | 715/s | 674/s | 664/s | 685/s |
//! | | p50, p99 in ms | 17, 25 | 536, 839 | 15, 30 | 22, 42 | 30, 44 |
//! | 2,400/s | goodput | 689/s | 345/s | 691/s | 710/s | 712/s |
//! | | p50, p99 in ms | 22, 36 | 352, 990 | 19, 39 | 27, 44 | 34, 44 |
//!
//! There `Knee`, `Vegas` and `Gradient2` are near one another: `Knee` has the lowest p99 under overload,
//! `Gradient2` 3 % more throughput at three times the load, `Vegas` the lowest median.
//!
//! Where it is not better:
//! - A service that takes longer while it has room to spare: an algorithm that never lowers its limit
//!   for latency loses nothing there (and has a latency of 50 in the first row). `Knee` has to try.
//! - Two limiters before one service: both are served alike, but let more queue than one would. What
//!   the one lets out the other lets in, so that a trial shows little. The more share a service, the
//!   less can any of them tell; a limiter at the service itself can.
//! - Many limiters before a service of a few places, all with more to send than it can do: whoever comes
//!   late takes a latency with a queue in it for the base, and a trial by one of six moves too little to
//!   show it. In the worst of those drawn the latency was 30 to 130 times the base, and with most of the
//!   known no better. Set a maximum.
//! - A service that stops again and again, for many times as long as a call takes or as its callers
//!   wait: `Aimd`, which does not mind latency, serves several times as much.
//! - A change is seen after some tens of calls: at ten calls a second, after seconds.
//!
//! # Cost
//!
//! Admission is that of a [`Semaphore`](crate::semaphore::Semaphore) and two readings of the clock. A
//! [`finish`](Permit::finish) takes a lock that nobody waits for: who finds it taken lets the sample go.
//!
//! # Fairness
//!
//! Those who wait are served first come, first served, as by the semaphore.

mod aimd;
mod algorithm;
mod builder;
mod gradient2;
mod handle;
mod knee;
mod permit;
mod queue;
mod state;
#[cfg(test)]
mod tests;
mod vegas;
mod window;
mod windowed;

pub use aimd::Aimd;
pub use algorithm::{Algorithm, Sample};
pub use builder::Builder;
pub use gradient2::Gradient2;
pub use handle::Adaptive;
pub use knee::Knee;
pub use permit::{OwnedPermit, Permit};
pub use vegas::Vegas;
pub use windowed::Windowed;
