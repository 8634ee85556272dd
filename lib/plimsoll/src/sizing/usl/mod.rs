//! The universal scalability law: where more at once serves less.
//!
//! Neil J. Gunther's law (1993; *Guerrilla Capacity Planning*, 2007) says what `N` workers, or `N`
//! calls at once, get done in a second:
//!
//! `X(N) = λ N / (1 + σ (N − 1) + κ N (N − 1))`
//!
//! `λ` is what one gets done alone, `σ` is the share for which they queue (contention; with it alone
//! this is [Amdahl's law](super::Amdahl)), and `κ` is what each pays for every other (coherency: locks
//! that bounce, caches that are told, retries). With any `κ` there is a *knee* at `sqrt((1 − σ) / κ)`:
//! beyond it, more at once gets **less** done. A concurrency limit belongs below it.
//!
//! ```
//! use plimsoll::sizing::usl::{self, Sample};
//!
//! // Measured with a load generator: calls at once, and answers a second.
//! let measured = [(1.0, 990.0), (2.0, 1_941.0), (4.0, 3_497.0), (8.0, 5_900.0),
//!     (16.0, 8_098.0), (24.0, 8_821.0), (32.0, 8_549.0), (48.0, 7_686.0)];
//! let samples = measured.map(|(concurrency, per_second)| Sample { concurrency, per_second });
//! let fit = usl::fit(&samples)?;
//! let knee = fit.knee()?;
//! // About 25 at once get the most done, some 8,700 a second; 48 at once get less done than 16.
//! assert!((24.5..26.5).contains(&knee.concurrency.value), "{knee:?}");
//! assert!(knee.concurrency.low > 23.0 && knee.concurrency.high < 28.0);
//! assert!((8_500.0..8_900.0).contains(&knee.per_second));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is fitted
//!
//! Turned over, the law is a straight sum: `N / X = a + b (N − 1) + c N (N − 1)` with `λ = 1/a`,
//! `σ = b/a` and `κ = c/a`. It is fitted by least squares of the *relative* errors (a measurement is
//! good to so many per cent, whatever its size), none of the three below zero. The bounds are 95 %
//! confidence bounds: Student's t and, for the quotients, E. C. Fieller's theorem (1954), which gives
//! no bound at all where the data cannot say that the divisor is not zero. No knee is named unless
//! `κ` is well above zero: see [`NoKnee`]. The same samples always give the same answer.
//!
//! # When it does not hold
//!
//! For one kind of load on one configuration, each sample the average of a time in which nothing
//! changed. Not across different hardware, not with a limiter that cuts the load (it would find the
//! limiter), and not where two workers do more than twice the work of one: `σ` is then zero, and the
//! bounds are wide.

mod error;
mod fit;
mod least_squares;
mod sample;

pub use error::{Error, NoKnee};
pub use fit::{Estimate, Fit, Knee, fit};
pub use sample::Sample;
