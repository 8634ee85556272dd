//! What is looked at while it runs, a few times a second.

use std::collections::VecDeque;
use std::time::Duration;

use super::load::Sent;
use crate::receiver::{Stats, Summary};
use crate::stage::ServerView;
use crate::stage::number::per_second;

/// How many seconds of rates are kept, to be drawn.
const HISTORY_SECONDS: usize = 120;
/// Rates are taken over this time.
const RATE_OVER: Duration = Duration::from_secs(1);

/// One look at everything.
#[derive(Clone, Default, Debug)]
pub(super) struct Sample {
    /// Since the first event was due.
    pub(super) at: Duration,
    /// The senders' side.
    pub(super) sent: Sent,
    /// The receivers' side.
    pub(super) fleet: Stats,
    /// Deliveries to healthy and slow endpoints that are due and have not arrived.
    pub(super) backlog: u64,
    /// Latencies of healthy endpoints over the last seconds.
    pub(super) recent: Summary,
    /// What the server shows of itself; the last that was seen while it is away.
    pub(super) server: ServerView,
    /// Whether the server is there.
    pub(super) up: bool,
    /// The most memory that the server had, in bytes.
    pub(super) rss_peak: u64,
}

/// The rates of a run, from its samples.
#[derive(Default)]
pub(super) struct Rates {
    // Of the last second or so: at most a handful.
    window: VecDeque<(Duration, u64, u64)>,
    history: VecDeque<u64>,
    history_at: Option<(Duration, u64)>,
}

impl Rates {
    /// Adds a sample.
    pub(super) fn add(&mut self, sample: &Sample) {
        let delivered = sample.fleet.healthy + sample.fleet.slow;
        while self.window.len() > 1 && self.window.get(1).is_some_and(|(at, ..)| sample.at - *at >= RATE_OVER)
        {
            self.window.pop_front();
        }
        self.window.push_back((sample.at, sample.sent.accepted, delivered));
        let (since, before) = *self.history_at.get_or_insert((sample.at, delivered));
        if sample.at - since >= RATE_OVER / 2 {
            if self.history.len() == HISTORY_SECONDS * 2 {
                self.history.pop_front();
            }
            let rate = per_second(delivered - before, (sample.at - since).as_secs_f64());
            self.history.push_back(rate as u64);
            self.history_at = Some((sample.at, delivered));
        }
    }

    /// Accepted and delivered a second, over the last second.
    pub(super) fn now(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.window.front(), self.window.back()) else { return (0.0, 0.0) };
        let seconds = (last.0 - first.0).as_secs_f64();
        (per_second(last.1 - first.1, seconds), per_second(last.2 - first.2, seconds))
    }

    /// Delivered a second, each half second since the start, oldest first.
    pub(super) fn history(&self) -> Vec<u64> {
        self.history.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, accepted: u64, healthy: u64) -> Sample {
        Sample {
            at: Duration::from_millis(millis),
            sent: Sent { accepted, ..Sent::default() },
            fleet: Stats { healthy, ..Stats::default() },
            ..Sample::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_last_second() {
        let mut rates = Rates::default();
        assert_eq!(rates.now(), (0.0, 0.0));
        for quarter in 0..=8 {
            let accepted = if quarter <= 4 { 0 } else { (quarter - 4) * 25 };
            rates.add(&sample(quarter * 250, accepted, quarter * 50));
        }
        assert_eq!(rates.now(), (100.0, 200.0));
        assert_eq!(rates.history(), [200, 200, 200, 200]);
    }
}
