//! What was seen of the target, in the few numbers that it is judged by.

use std::time::Duration;

use crate::run::{Run, Second};
use crate::tally::{Counts, Summary, Tally};
use crate::vitals::Vitals;

/// So many good seconds in a row are a recovery; as many bad ones end it.
const SECONDS_IN_A_ROW: usize = 2;
/// In a good second no more than this share of what came to its end was no success.
const FAILS_RATIO: f64 = 0.01;
/// In as many one may be none: less than one cannot fail.
const ONE_MAY_FAIL: u64 = 20;
/// Successes of a second may be fewer than what was due in it by this share and so many deviations of
/// chance: what is under way at its ends.
const UNDER_WAY_RATIO: f64 = 0.1;
const UNDER_WAY_DEVIATIONS: f64 = 3.0;
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
    /// Whether its process has ended.
    pub(super) ended: bool,
    /// Whether the last reading failed.
    pub(super) unread: bool,
}

/// How the recovery went so far.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Recovery {
    /// From the beginning of the phase to the first of the good seconds, where they have lasted since.
    pub(super) back_after: Option<Duration>,
    good: usize,
    bad: usize,
    first_good: Duration,
    /// The last second that says something, for who waits.
    pub(super) last: Option<LastSecond>,
    /// What was due since the first of the good seconds, and how much has succeeded.
    pub(super) due: u64,
    pub(super) succeeded: u64,
}

/// A second of the recovery.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct LastSecond {
    pub(super) p99_ms: f64,
    pub(super) ended: u64,
    pub(super) succeeded: u64,
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
        self.unread = false;
        if let Some(now) = vitals.started_seconds {
            let first = *self.started.get_or_insert(now);
            self.restarted |= (now - first).abs() > STARTS_APART_SECONDS;
        }
    }

    /// Whether it is known that it still runs since then.
    pub(super) const fn tells_start(&self) -> bool {
        self.started.is_some() && !self.unread
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
    /// A second that began in the last phase, which is from `begins` to `ends`; good when nearly
    /// everything that was due succeeded, 99 of 100 within `p99_ms`. Seconds after the phase only tell
    /// what became of what was due in it.
    pub(super) fn see(&mut self, second: &Second, (begins, ends): (Duration, Duration), p99_ms: f64) {
        let counts = &second.completed.counts;
        let seen = LastSecond {
            p99_ms: Phase::of_summary(&second.completed).p99_ms,
            ended: counts.total(),
            succeeded: counts.success(),
        };
        let whole = second.ends <= ends;
        let hangs = hangs(second.due, seen.succeeded);
        if whole && (seen.ended > 0 || hangs) {
            self.last = Some(seen);
            if hangs || fails(seen.ended, seen.succeeded) || seen.p99_ms > p99_ms {
                self.bad();
            } else {
                self.good(second.ends.saturating_sub(Duration::from_secs(1)).max(begins) - begins);
            }
        }
        if self.good > 0 {
            self.due += second.due;
            self.succeeded += seen.succeeded;
        }
    }

    fn good(&mut self, from: Duration) {
        if self.good == 0 {
            (self.first_good, self.due, self.succeeded) = (from, 0, 0);
        }
        self.bad = 0;
        self.good += 1;
        if self.good >= SECONDS_IN_A_ROW {
            self.back_after = Some(self.first_good);
        }
    }

    /// One bad second among good ones is an accident, if it was back before.
    fn bad(&mut self) {
        self.bad += 1;
        if self.back_after.is_none() || self.bad >= SECONDS_IN_A_ROW {
            (self.good, self.back_after) = (0, None);
        }
    }
}

/// Whether more than a few of those that came to their end were no success.
pub(super) fn fails(ended: u64, succeeded: u64) -> bool {
    let lost = ended.saturating_sub(succeeded);
    succeeded == 0 || lost as f64 > FAILS_RATIO * ended as f64 && (lost > 1 || ended < ONE_MAY_FAIL)
}

/// Whether so few of those that were due succeeded that the others must be waiting.
fn hangs(due: u64, succeeded: u64) -> bool {
    let missing = due.saturating_sub(succeeded) as f64;
    missing > UNDER_WAY_RATIO * due as f64 + UNDER_WAY_DEVIATIONS * (due as f64).sqrt()
}

fn max(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}
