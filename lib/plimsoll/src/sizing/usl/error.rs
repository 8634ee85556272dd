//! Why there is no fit, and why there is no knee.

use std::error;
use std::fmt;

use crate::Invalid;

/// Why nothing was fitted.
///
/// ```
/// use plimsoll::sizing::usl::{self, Error, Sample};
/// let noise = [900.0, 12.0, 700.0, 9.0, 800.0, 3.0];
/// let samples: Vec<_> = (1..).zip(noise).map(|(n, x)| Sample { concurrency: f64::from(n), per_second: x }).collect();
/// assert!(matches!(usl::fit(&samples), Err(Error::TooNoisy { .. })));
/// assert!(matches!(usl::fit(&samples[..2]), Err(Error::Invalid(_))));
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A sample is not one, or they are too few.
    Invalid(Invalid),
    /// The samples are not near any curve of this kind, or too near to each other to tell.
    TooNoisy {
        /// How far they are from the best curve, as a share of themselves; infinite when there is none.
        error_ratio: f64,
    },
}

/// Why no knee is named.
///
/// ```
/// use plimsoll::sizing::usl::{self, NoKnee, Sample};
/// // Bends at 100, but is measured only up to 32.
/// let law = |n: f64| Sample { concurrency: n, per_second: 1_000.0 * n / (1.0 + 0.01 * (n - 1.0) + 0.000_099 * n * (n - 1.0)) };
/// let fit = usl::fit(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(law))?;
/// let none = fit.knee().unwrap_err();
/// assert!(matches!(none, NoKnee::BeyondMeasured { measured: 32.0, .. }));
/// assert_eq!(none.to_string(), "the knee would be at 100, measured was only up to 32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum NoKnee {
    /// The throughput never bends: the samples do not say for certain (at twice the reach of a
    /// 95 % bound) that the coherency is not zero.
    NeverBends,
    /// The knee would be so far beyond what was measured that it is a guess: measure further.
    BeyondMeasured {
        /// Where it would be.
        knee: f64,
        /// The largest concurrency that was measured.
        measured: f64,
    },
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::TooNoisy { error_ratio } => {
                write!(f, "the samples are too noisy for a fit: {:.0} % off the best", error_ratio * 100.0)
            }
        }
    }
}

impl error::Error for Error {}

impl fmt::Display for NoKnee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBends => f.write_str("the throughput never bends within the samples"),
            Self::BeyondMeasured { knee, measured } => {
                write!(f, "the knee would be at {knee:.0}, measured was only up to {measured:.0}")
            }
        }
    }
}

impl error::Error for NoKnee {}
