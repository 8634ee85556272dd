//! The fit, and what it says.

use super::least_squares::{Equation, Solution, TERMS, solve};
use super::{Error, NoKnee, Sample};
use crate::sizing::input::{positive, refuse};
use crate::sizing::student::t_975;

const SAMPLES: std::ops::RangeInclusive<usize> = 6..=100_000;
/// Fewer different concurrencies than these do not show three coefficients.
const CONCURRENCIES_MIN: usize = 4;
/// Further from the curve than this, on average, and it is not the curve.
const ERROR_RATIO_MAX: f64 = 0.25;
/// A knee is named when the coherency is so many times the reach of its 95 % bounds above zero: one
/// false alarm in forty fits would be too many.
const BENDS: f64 = 2.0;
/// A knee beyond so many times the largest concurrency that was measured is not named.
const KNEE_REACH: f64 = 2.0;

/// A number with its 95 % confidence bounds.
///
/// ```
/// use plimsoll::sizing::usl::{self, Sample};
/// let measured = [(1.0, 99.0), (2.0, 185.0), (4.0, 310.0), (8.0, 470.0), (16.0, 625.0), (32.0, 740.0)];
/// let fit = usl::fit(&measured.map(|(concurrency, per_second)| Sample { concurrency, per_second }))?;
/// let alone = fit.per_second_alone;
/// assert!(alone.low < alone.value && alone.value < alone.high);
/// assert!((90.0..110.0).contains(&alone.value), "{alone:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Estimate {
    /// The best estimate.
    pub value: f64,
    /// It is hardly below this.
    pub low: f64,
    /// It is hardly above this; infinite where the samples set no bound.
    pub high: f64,
}

/// The law, fitted to samples by [`fit`].
///
/// ```
/// use plimsoll::sizing::usl::{self, Sample};
/// // A tenth of the work is one after another, and nothing else: Amdahl's law.
/// let samples = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
///     .map(|n| Sample { concurrency: n, per_second: 100.0 * n / (1.0 + 0.1 * (n - 1.0)) });
/// let fit = usl::fit(&samples)?;
/// assert!((fit.contention.value - 0.1).abs() < 1e-6 && fit.coherency.value < 1e-6);
/// assert!(fit.error_ratio < 0.001);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Fit {
    /// What one gets done in a second, alone: `λ`.
    pub per_second_alone: Estimate,
    /// The share for which they queue: `σ`.
    pub contention: Estimate,
    /// What each pays for every other: `κ`.
    pub coherency: Estimate,
    /// How far the samples are from the curve, as a share of themselves.
    pub error_ratio: f64,
    measured: f64,
    bends: bool,
    knee: Estimate,
}

/// Where more at once gets less done.
///
/// ```
/// use plimsoll::sizing::usl::{self, Sample};
/// let law = |n: f64| Sample { concurrency: n, per_second: 1_000.0 * n / (1.0 + 0.01 * (n - 1.0) + 0.0011 * n * (n - 1.0)) };
/// let knee = usl::fit(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0].map(law))?.knee()?;
/// assert!((knee.concurrency.value - 30.0).abs() < 0.1); // the square root of 0.99 / 0.0011
/// assert!(law(60.0).per_second < knee.per_second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Knee {
    /// How many at once get the most done.
    pub concurrency: Estimate,
    /// How much that is, in a second.
    pub per_second: f64,
}

/// Fits the law to 6 or more samples of 4 or more different concurrencies.
///
/// # Errors
/// [`Error::Invalid`] when a sample is not a number above zero (a concurrency: at least 1), or they
/// are too few or more than 100,000; [`Error::TooNoisy`] when they are further than 25 % from any
/// such curve, or do not tell one from another.
///
/// ```
/// use plimsoll::sizing::usl::{self, NoKnee, Sample};
/// // Twice the workers, twice the work: there is nothing to warn of.
/// let samples = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|n| Sample { concurrency: n, per_second: 100.0 * n });
/// assert_eq!(usl::fit(&samples)?.knee(), Err(NoKnee::NeverBends));
/// assert!(usl::fit(&samples[..3]).is_err());
/// # Ok::<(), usl::Error>(())
/// ```
pub fn fit(samples: &[Sample]) -> Result<Fit, Error> {
    check(samples)?;
    let equations: Vec<Equation> = samples
        .iter()
        .map(|&Sample { concurrency, per_second }| Equation {
            terms: [1.0, concurrency - 1.0, concurrency * (concurrency - 1.0)],
            target: concurrency / per_second,
        })
        .collect();
    let no_curve = Error::TooNoisy { error_ratio: f64::INFINITY };
    let solution = solve(&equations).ok_or(no_curve.clone())?;
    if solution.error_ratio.is_nan() || solution.error_ratio > ERROR_RATIO_MAX {
        return Err(Error::TooNoisy { error_ratio: solution.error_ratio });
    }
    let measured = samples.iter().map(|sample| sample.concurrency).fold(1.0, f64::max);
    let t = t_975(samples.len() - TERMS);
    fitted(&solution, t, measured).ok_or(no_curve)
}

fn check(samples: &[Sample]) -> Result<(), Error> {
    if !SAMPLES.contains(&samples.len()) {
        return Err(refuse("samples", samples.len(), "6 to 100,000 samples").into());
    }
    for sample in samples {
        positive("per_second", sample.per_second)?;
        if positive("concurrency", sample.concurrency)? < 1.0 {
            return Err(refuse("concurrency", sample.concurrency, "at least 1").into());
        }
    }
    let mut concurrencies: Vec<f64> = samples.iter().map(|sample| sample.concurrency).collect();
    concurrencies.sort_by(f64::total_cmp);
    concurrencies.dedup();
    if concurrencies.len() < CONCURRENCIES_MIN {
        return Err(refuse("samples", concurrencies.len(), "4 or more different concurrencies").into());
    }
    Ok(())
}

/// `None` when not even what one gets done alone can be told from nothing.
fn fitted(solution: &Solution, t: f64, measured: f64) -> Option<Fit> {
    let [a, b, c] = solution.coefficients;
    let one = [1.0, 0.0, 0.0];
    let alone = quotient(solution, t, [0.0; TERMS], one, 1.0);
    let contention = quotient(solution, t, [0.0, 1.0, 0.0], one, 0.0);
    let coherency = quotient(solution, t, [0.0, 0.0, 1.0], one, 0.0);
    if a.is_nan() || a <= 0.0 || !contention.1.is_finite() {
        return None;
    }
    let square = quotient(solution, t, [1.0, -1.0, 0.0], [0.0, 0.0, 1.0], 0.0);
    let knee = |square: f64| square.max(1.0).sqrt();
    Some(Fit {
        per_second_alone: Estimate::around(1.0 / a, alone),
        contention: Estimate::around(b / a, contention),
        coherency: Estimate::around(c / a, coherency),
        error_ratio: solution.error_ratio,
        measured,
        bends: solution.free[2] > BENDS * t * solution.covariance[2][2].sqrt(),
        knee: Estimate::around(knee((a - b) / c), (knee(square.0), knee(square.1))),
    })
}

/// The 95 % bounds of `(constant + over · coefficients) / (under · coefficients)`, by Fieller's
/// theorem; none where the divisor may be zero, and none below zero.
fn quotient(
    solution: &Solution,
    t: f64,
    over: [f64; TERMS],
    under: [f64; TERMS],
    constant: f64,
) -> (f64, f64) {
    let value =
        |weights: [f64; TERMS]| -> f64 { (0..TERMS).map(|term| weights[term] * solution.free[term]).sum() };
    let covariance = |one: [f64; TERMS], other: [f64; TERMS]| -> f64 {
        let cell = |row: usize, column: usize| one[row] * solution.covariance[row][column] * other[column];
        (0..TERMS).map(|row| (0..TERMS).map(|column| cell(row, column)).sum::<f64>()).sum()
    };
    let (top, bottom, t2) = (constant + value(over), value(under), t * t);
    let square = bottom * bottom - t2 * covariance(under, under);
    if square.is_nan() || square <= 0.0 || bottom <= 0.0 {
        return (0.0, f64::INFINITY);
    }
    let mixed = top * bottom - t2 * covariance(over, under);
    let rest = top * top - t2 * covariance(over, over);
    let spread = (mixed * mixed - square * rest).max(0.0).sqrt();
    (((mixed - spread) / square).max(0.0), ((mixed + spread) / square).max(0.0))
}

impl Estimate {
    fn around(value: f64, (low, high): (f64, f64)) -> Self {
        Self { value, low: low.min(value), high: high.max(value) }
    }
}

impl Fit {
    /// What the curve says that so many get done in a second; zero for a concurrency that is not one.
    ///
    /// ```
    /// use plimsoll::sizing::usl::{self, Sample};
    /// let samples = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|n| Sample { concurrency: n, per_second: 100.0 * n });
    /// let fit = usl::fit(&samples)?;
    /// assert!((fit.per_second(10.0) - 1_000.0).abs() < 1e-6);
    /// # Ok::<(), usl::Error>(())
    /// ```
    #[must_use]
    pub fn per_second(&self, concurrency: f64) -> f64 {
        if concurrency.is_nan() || concurrency <= 0.0 {
            return 0.0;
        }
        let others = concurrency - 1.0;
        let slower = 1.0 + self.contention.value * others + self.coherency.value * concurrency * others;
        self.per_second_alone.value * concurrency / slower
    }

    /// Where more at once gets less done.
    ///
    /// # Errors
    /// [`NoKnee::NeverBends`] when the samples do not say for certain that there is one;
    /// [`NoKnee::BeyondMeasured`] when it is further than twice what was measured.
    ///
    /// ```
    /// use plimsoll::sizing::usl::{self, NoKnee, Sample};
    /// let linear = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|n| Sample { concurrency: n, per_second: 100.0 * n });
    /// assert_eq!(usl::fit(&linear)?.knee(), Err(NoKnee::NeverBends));
    /// let bent = |n: f64| Sample { concurrency: n, per_second: 100.0 * n / (1.0 + 0.01 * n * (n - 1.0)) };
    /// let knee = usl::fit(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(bent))?.knee()?;
    /// assert!((knee.concurrency.value - 10.0).abs() < 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn knee(&self) -> Result<Knee, NoKnee> {
        if self.contention.low >= 1.0 {
            // Each that joins costs the others more than it brings, whatever the coherency.
            let alone = Estimate { value: 1.0, low: 1.0, high: 1.0 };
            return Ok(Knee { concurrency: alone, per_second: self.per_second(1.0) });
        }
        let knee = self.knee;
        if !self.bends || !knee.value.is_finite() {
            return Err(NoKnee::NeverBends);
        }
        if knee.value > KNEE_REACH * self.measured {
            return Err(NoKnee::BeyondMeasured { knee: knee.value, measured: self.measured });
        }
        Ok(Knee { concurrency: knee, per_second: self.per_second(knee.value) })
    }
}
