//! Virtual time for tests: drives a limiter through a load profile and tells what was admitted.
//!
//! A [`Load`] says when calls come, a [`Service`] how long each takes and how it ends, and the
//! [`Report`] what the limiter made of it. Seconds and hours pass at once, and the same test gives the
//! same numbers every time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), plimsoll::Invalid> {
//! use std::time::Duration;
//! use plimsoll::Reason;
//! use plimsoll::rate::{Quota, RateLimiter};
//! use plimsoll::testing::{self, Load, Service};
//!
//! let limiter = RateLimiter::builder("sms").quota(Quota::per_second(100).burst(20)).build()?;
//! // Three times what is allowed, for three seconds.
//! let load = Load::steady(300.0, Duration::from_secs(3));
//! let report = testing::run(&limiter, &load, Service::constant(Duration::from_millis(5))).await;
//!
//! assert_eq!(report.offered(), 900);
//! assert!((315..=320).contains(&report.admitted())); // 100 a second, and the burst
//! assert_eq!(report.rejected_for(Reason::RateExceeded), report.offered() - report.admitted());
//! assert_eq!(report.seconds()[2].admitted, 100);
//! # Ok(()) }
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | callers that are refused at once | [`run`] |
//! | callers that wait for their turn | [`run_waiting`] |
//! | a limiter that learns from how calls end | [`run_learning`] |
//!
//! In a test of your own the runtime must be one whose time stands still:
//! `#[tokio::test(start_paused = true)]`. The feature `test-util` switches this module on; it makes the
//! whole library read tokio's clock, and is for tests only.

mod load;
mod report;
mod run;
mod service;
#[cfg(test)]
mod tests;

pub use load::Load;
pub use report::{Report, Second};
pub use run::{run, run_learning, run_waiting};
pub use service::Service;
