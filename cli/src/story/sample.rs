//! What is seen of both sides, a few times a second.

use std::time::Duration;

use crate::stage::Usage;

/// One side at one time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Side {
    /// Events it has said yes to.
    pub(super) accepted: u64,
    /// Events it has said no to, for now.
    pub(super) refused: u64,
    /// Deliveries that have arrived.
    pub(super) delivered: u64,
    /// Memory in use.
    pub(super) rss_bytes: u64,
    /// The most there was.
    pub(super) rss_peak_bytes: u64,
    /// When it died, since the start.
    pub(super) died_at: Option<Duration>,
}

impl Side {
    /// Notes what the system says of its memory.
    pub(super) fn note(&mut self, usage: Option<Usage>) {
        self.rss_bytes = usage.map_or(0, |usage| usage.rss_bytes);
        self.rss_peak_bytes = self.rss_peak_bytes.max(usage.map_or(0, |usage| usage.rss_peak_bytes));
    }

    /// Deliveries that it has promised and not made.
    pub(super) fn owed(&self, endpoints: u64) -> u64 {
        (self.accepted * endpoints).saturating_sub(self.delivered)
    }
}

/// Both sides so far.
#[derive(Clone, Default, Debug)]
pub(super) struct Sample {
    /// Since the first event.
    pub(super) at: Duration,
    /// The dispatcher without a bound.
    pub(super) naive: Side,
    /// The server.
    pub(super) ours: Side,
    /// Seconds, and the memory of both then, in mebibytes.
    pub(super) history: History,
}

/// The memory of both over time, as it is drawn.
#[derive(Clone, Default, Debug)]
pub(super) struct History {
    /// The dispatcher without a bound.
    pub(super) naive: Vec<(f64, f64)>,
    /// The server.
    pub(super) ours: Vec<(f64, f64)>,
}

impl Sample {
    /// Adds what both have now to the history.
    pub(super) fn remember(&mut self) {
        let seconds = self.at.as_secs_f64();
        let point = |side: &Side| (seconds, side.rss_bytes as f64 / f64::from(1 << 20));
        if self.naive.died_at.is_none() {
            self.history.naive.push(point(&self.naive));
        }
        self.history.ours.push(point(&self.ours));
    }
}
