//! Latencies in slices by the time of sending, so that a part of the run can be looked at apart.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The most slices that are kept; what was sent later lands in the last one.
const SLICES_MAX: usize = 4_096;
/// Longer latencies count as this long, in microseconds.
const MICROS_MAX: u64 = 600_000_000;

/// Latencies of a run.
pub(crate) struct Latencies {
    started_at: u64,
    slice_micros: u64,
    // As many as were needed so far, at most `SLICES_MAX`.
    slices: Vec<Histogram<u32>>,
}

/// What a set of latencies looks like.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// How many.
    pub(crate) count: u64,
    /// Half were faster, in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99 of 100 were faster.
    pub(crate) p99_ms: f64,
    /// The slowest.
    pub(crate) max_ms: f64,
}

impl Latencies {
    /// None yet; slice 0 begins at `started_at`.
    pub(crate) fn new(started_at: u64, slice_micros: u64) -> Self {
        Self { started_at, slice_micros: slice_micros.max(1), slices: Vec::new() }
    }

    /// Adds one; both times in [`machine_micros`](super::machine_micros).
    pub(crate) fn record(&mut self, sent_at: u64, arrived_at: u64) {
        let slice = self.slice_of(sent_at);
        while self.slices.len() <= slice {
            self.slices.push(empty());
        }
        self.slices[slice].saturating_record(arrived_at.saturating_sub(sent_at));
    }

    /// Those sent in the slices that touch `from..=to`, and all others.
    pub(crate) fn split(&self, from: u64, to: u64) -> (Summary, Summary) {
        let window = self.slice_of(from)..=self.slice_of(to);
        let (mut inside, mut outside) = (empty(), empty());
        for (number, slice) in self.slices.iter().enumerate() {
            let side = if from <= to && window.contains(&number) { &mut inside } else { &mut outside };
            side.add(slice).expect("all slices have the same bounds");
        }
        (summary(&inside), summary(&outside))
    }

    fn slice_of(&self, at: u64) -> usize {
        let slice = at.saturating_sub(self.started_at) / self.slice_micros;
        usize::try_from(slice).unwrap_or(usize::MAX).min(SLICES_MAX - 1)
    }
}

fn empty() -> Histogram<u32> {
    Histogram::new_with_bounds(1, MICROS_MAX, 2).expect("the bounds are constant and valid")
}

fn summary(histogram: &Histogram<u32>) -> Summary {
    let millis = |micros: u64| micros as f64 / 1_000.0;
    Summary {
        count: histogram.len(),
        p50_ms: millis(histogram.value_at_quantile(0.50)),
        p99_ms: millis(histogram.value_at_quantile(0.99)),
        max_ms: millis(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_window_is_told_apart_from_the_rest() {
        let mut latencies = Latencies::new(100 * SECOND, SECOND);
        for second in 0..10 {
            let sent_at = (100 + second) * SECOND;
            let took = if second == 4 { 2 * SECOND } else { 1_000 };
            (0..100).for_each(|_| latencies.record(sent_at, sent_at + took));
        }
        let (inside, outside) = latencies.split(104 * SECOND + 10, 104 * SECOND + 20);
        assert_eq!((inside.count, outside.count), (100, 900));
        assert!((1_980.0..=2_020.0).contains(&inside.p50_ms), "{inside:?}");
        assert!((0.98..=1.02).contains(&outside.max_ms), "{outside:?}");
        let (none, all) = latencies.split(1, 0);
        assert_eq!((none, all.count), (Summary::default(), 1_000));
        assert!(all.p50_ms < 1.02 && all.p99_ms > 1_980.0, "{all:?}");
    }

    #[test]
    fn what_is_out_of_range_is_kept_at_the_edge() {
        let mut latencies = Latencies::new(SECOND, 1);
        latencies.record(0, u64::MAX);
        latencies.record(u64::MAX, 0);
        assert_eq!(latencies.split(0, u64::MAX).0.count, 2);
        assert_eq!(latencies.slices.len(), SLICES_MAX);
    }
}
