//! The target's numbers, read again and again beside the load.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::vitals::{Source, Vitals};

/// How often they are read.
const EVERY: Duration = Duration::from_millis(500);

/// Readings, one after the other, for as long as it is asked for them; none without a source. A
/// reading that takes long is not caught up with.
pub(super) fn readings(source: Option<Source>) -> impl Stream<Item = Result<Vitals, String>> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    unfold((source, ticks), async |(source, mut ticks): (Option<Source>, Interval)| {
        let Some(reader) = &source else { return std::future::pending().await };
        ticks.tick().await;
        let read = reader.read().await;
        Some((read, (source, ticks)))
    })
}
