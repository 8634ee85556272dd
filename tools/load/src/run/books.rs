//! What a worker writes down: its own, handed over once a second, so that nothing is shared while it
//! sends.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::job::{Found, Job};
use crate::tally::{Class, Tally, TenantTally, histogram, micros};

/// What one worker saw since it last told.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) worker: usize,
    /// How many seconds of the run have passed at its end; the last batch has the number of the
    /// second that was not over.
    pub(super) second: u32,
    pub(super) due: Vec<u64>,
    pub(super) sent: u64,
    /// By the stage in which a request was due; most are nobody's.
    pub(super) stages: Vec<Option<Box<StageBatch>>>,
    pub(super) slow: Option<Box<Tally>>,
    pub(super) lateness: Histogram<u64>,
    pub(super) lag: Histogram<u64>,
    pub(super) cpu: Duration,
    pub(super) span: Duration,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
    pub(super) connections: u64,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
    /// What an early end left undone.
    pub(super) unfinished: u64,
}

/// A stage in a batch.
#[derive(Clone, Debug)]
pub(super) struct StageBatch {
    pub(super) tally: Tally,
    pub(super) tenants: Vec<TenantTally>,
}

/// How long a request took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    /// From the intended send.
    pub(super) latency: Duration,
    /// From the actual send.
    pub(super) service: Duration,
    pub(super) bytes: u64,
}

impl Batch {
    /// An empty one.
    pub(super) fn new(worker: usize, stages: usize) -> Self {
        Self {
            worker,
            second: 0,
            due: vec![0; stages],
            sent: 0,
            stages: vec![None; stages],
            slow: None,
            lateness: histogram(2),
            lag: histogram(2),
            cpu: Duration::ZERO,
            span: Duration::ZERO,
            in_flight: 0,
            waiting: 0,
            connections: 0,
            opened: 0,
            failed: 0,
            first_failure: None,
            unfinished: 0,
        }
    }

    /// A request came to its end; `places` is how many tenants have results, and `place` whose it
    /// was.
    pub(super) fn record(&mut self, job: &Job, class: Class, took: Took, (place, places): (usize, usize)) {
        let stage = self.stages[usize::from(job.stage)].get_or_insert_with(|| {
            Box::new(StageBatch { tally: Tally::default(), tenants: vec![TenantTally::default(); places] })
        });
        stage.tally.record(class, took.latency, took.service);
        stage.tally.bytes_read += took.bytes;
        if let Some(tenant) = stage.tenants.get_mut(place) {
            tenant.record(class, took.latency);
        }
    }

    /// A slow client's request came to its end.
    pub(super) fn record_slow(&mut self, class: Class, took: Took) {
        let tally = self.slow.get_or_insert_default();
        tally.record(class, took.latency, took.service);
        tally.bytes_read += took.bytes;
    }

    /// A request goes out, so long after it was due.
    pub(super) fn sent(&mut self, job: &Job, late: Duration) {
        self.sent += 1;
        if job.found == Found::Free {
            self.lateness.saturating_record(micros(late));
        }
    }
}
