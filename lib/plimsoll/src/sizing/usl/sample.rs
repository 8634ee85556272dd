//! What was measured.

/// What was measured at one concurrency, on average over some time.
///
/// ```
/// use plimsoll::sizing::usl::{self, Sample};
/// let none = Sample { concurrency: 0.0, per_second: 100.0 };
/// let wrong = usl::fit(&[none; 6]).unwrap_err();
/// assert!(wrong.to_string().contains("concurrency"), "{wrong}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// How many workers, or calls at once: at least 1.
    pub concurrency: f64,
    /// How many were done a second.
    pub per_second: f64,
}
