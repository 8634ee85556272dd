//! What a formula may be given.

use std::fmt;
use std::time::Duration;

use crate::{Invalid, Name};

/// The longest time that is taken for a service or waiting time.
const YEAR: Duration = Duration::from_secs(366 * 86_400);
/// The largest rate, concurrency or count that is taken for one.
const LARGEST: f64 = 1e12;

pub(super) fn refuse(field: &'static str, value: impl fmt::Display, allowed: &'static str) -> Invalid {
    match Name::new("sizing") {
        Ok(name) => Invalid::new(name, field, value, allowed),
        Err(no_name_left) => no_name_left,
    }
}

/// A rate or a count: above zero, and a number.
pub(super) fn positive(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if value > 0.0 && value <= LARGEST {
        return Ok(value);
    }
    Err(refuse(field, value, "a number above 0, at most 1e12"))
}

/// A share of one.
pub(super) fn ratio(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(refuse(field, value, "0 to 1"))
}

/// A time in seconds, above zero.
pub(super) fn seconds(field: &'static str, value: Duration) -> Result<f64, Invalid> {
    if !value.is_zero() && value <= YEAR {
        return Ok(value.as_secs_f64());
    }
    Err(refuse(field, format_args!("{value:?}"), "above 0, at most 366 days"))
}

/// A time that a formula gave; what does not fit is the end of time.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
