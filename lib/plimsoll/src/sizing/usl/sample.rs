//! What was measured.

/// What was measured at one concurrency, on average over some time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// How many workers, or calls at once: at least 1.
    pub concurrency: f64,
    /// How many were done a second.
    pub per_second: f64,
}
