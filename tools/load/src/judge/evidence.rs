//! What was seen of the target, in the few numbers that it is judged by.

use std::time::Duration;

use crate::run::{Run, Second};
use crate::tally::{Counts, Summary, Tally};
use crate::vitals::Vitals;

/// When the recovery has lasted so many good seconds it is one.
const GOOD_SECONDS: usize = 2;
/// Starts of a process that are told so far apart are of two: the page tells to parts of a second, and
/// of an uptime to when it was asked.
const STARTS_APART_SECONDS: f64 = 3.0;

/// What became of the requests of a phase.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Phase {
    pub(super) counts: Counts,
    /// The time within which 99 of 100 of those were that were not refused: what failed or was never
    /// answered counts with all of its time.
    pub(super) p99_ms: f64,
}

/// The highest numbers of the target in a phase.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Peaks {
    pub(super) memory_bytes: Option<f64>,
}

/// What is known of the target's own numbers.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Known {
    /// Before the load.
    pub(super) before: Option<Vitals>,
    /// After it, the last.
    pub(super) after: Option<Vitals>,
    pub(super) peaks: [Peaks; 3],
    /// Since when it says it runs, at first.
    started: Option<f64>,
    /// Whether that has changed.
    pub(super) restarted: bool,
}

/// How the recovery went so far.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Recovery {
    /// From the beginning of the phase to the first of the good seconds.
    pub(super) back_after: Option<Duration>,
    good: usize,
    began: Option<Duration>,
    first_good: Duration,
    /// The last p99, for who waits.
    pub(super) last_p99_ms: Option<f64>,
}

impl Phase {
    /// Of a summary, in which the times of what succeeded and of what failed are apart: at most as
    /// good as it was.
    pub(super) fn of_summary(summary: &Summary) -> Self {
        let (answered, failed) = (summary.latency.count, summary.failed.count);
        let mut p99 = summary.latency.p99_micros;
        if failed * 100 > answered + failed {
            p99 = p99.max(summary.failed.p99_micros);
        }
        Self { counts: summary.counts, p99_ms: p99 as f64 / 1_000.0 }
    }

    /// Of a tally, exactly.
    pub(super) fn of_tally(tally: &Tally) -> Self {
        let mut all = tally.latency.clone();
        // Both hold up to an hour, so that there is nothing that does not fit.
        let _ = all.add(&tally.failed);
        Self { counts: tally.counts, p99_ms: all.value_at_quantile(0.99) as f64 / 1_000.0 }
    }

    /// The phases of a run that has ended.
    pub(super) fn of_run(run: &Run) -> Vec<Self> {
        run.stages.iter().map(|stage| Self::of_tally(&stage.tally)).collect()
    }
}

impl Known {
    /// What was read before the load, in the phase with this number, or after the load.
    pub(super) fn read(&mut self, when: When, vitals: Vitals) {
        match when {
            When::Before => self.before = Some(vitals),
            When::In(phase) => {
                let peak = &mut self.peaks[phase.min(2)].memory_bytes;
                *peak = max(*peak, vitals.memory_bytes);
            }
            When::After => self.after = Some(vitals),
        }
        if let Some(now) = vitals.started_seconds {
            let first = *self.started.get_or_insert(now);
            self.restarted |= (now - first).abs() > STARTS_APART_SECONDS;
        }
    }

    /// Whether it is known since when it runs.
    pub(super) const fn tells_start(&self) -> bool {
        self.started.is_some()
    }
}

/// When the target's numbers were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Before the load.
    Before,
    /// In the phase of this number, from 0.
    In(usize),
    /// After the load.
    After,
}

impl Recovery {
    /// A second of the last phase; good when it is about as fast as `p99_ms` and nothing fails.
    pub(super) fn see(&mut self, second: &Second, phase_began: Duration, p99_ms: f64) {
        let summary = &second.completed;
        if self.back_after.is_some() || summary.counts.total() == 0 {
            return;
        }
        self.began.get_or_insert(phase_began);
        let p99 = Phase::of_summary(summary).p99_ms;
        self.last_p99_ms = Some(p99);
        // Refusals of the phase before may still be among them.
        if summary.counts.success() == 0 || p99 > p99_ms {
            self.good = 0;
            return;
        }
        if self.good == 0 {
            self.first_good = second.ends.saturating_sub(Duration::from_secs(1)).max(phase_began);
        }
        self.good += 1;
        if self.good >= GOOD_SECONDS {
            self.back_after = Some(self.first_good - phase_began);
        }
    }
}

fn max(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}
