//! The wall clock, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{UnixMillis, fault};

/// What the wall clock shows, in milliseconds since the Unix epoch. Somebody may set it at any time:
/// what is kept for days and what others read is counted by it, never how long something took.
#[must_use]
pub fn wall_clock() -> UnixMillis {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// The same, as fine as it is.
pub(crate) fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let set = fault::clock_millis();
    let by = Duration::from_millis(set.unsigned_abs());
    if set < 0 { since.saturating_sub(by) } else { since + by }
}
