//! What a worker writes down: its own, handed over once a second, so that nothing is shared while it
//! sends.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::job::{Found, Job};
use super::result::ON_TIME;
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
    pub(super) on_time: u64,
    pub(super) held_up: u64,
    /// By the stage in which a request was due; most are nobody's.
    pub(super) stages: Vec<Option<Box<StageBatch>>>,
    pub(super) slow: Option<Box<Tally>>,
    pub(super) lag: Histogram<u64>,
    pub(super) pauses: u64,
    pub(super) longest_pause: Duration,
    pub(super) cpu: Duration,
    pub(super) span: Duration,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
    pub(super) connections: u64,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
    pub(super) denied: u64,
    pub(super) first_denial: Option<String>,
    /// When arrivals were stopped, from the beginning, where they were.
    pub(super) arrivals_stopped: Option<Duration>,
}

/// A stage in a batch.
#[derive(Clone, Debug)]
pub(super) struct StageBatch {
    pub(super) tally: Tally,
    pub(super) tenants: Vec<TenantTally>,
    pub(super) lateness: Histogram<u64>,
    pub(super) capped: u64,
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
            on_time: 0,
            held_up: 0,
            stages: vec![None; stages],
            slow: None,
            lag: histogram(2),
            pauses: 0,
            longest_pause: Duration::ZERO,
            cpu: Duration::ZERO,
            span: Duration::ZERO,
            in_flight: 0,
            waiting: 0,
            connections: 0,
            opened: 0,
            failed: 0,
            first_failure: None,
            denied: 0,
            first_denial: None,
            arrivals_stopped: None,
        }
    }

    /// A request came to its end; `places` is how many tenants have results, and `place` whose it
    /// was.
    pub(super) fn record(&mut self, job: &Job, class: Class, took: Took, (place, places): (usize, usize)) {
        let stage = self.stage(job, places);
        stage.tally.record(class, took.latency, took.service);
        stage.tally.bytes_read += took.bytes;
        if let Some(tenant) = stage.tenants.get_mut(place) {
            tenant.record(class, took.latency);
        }
        if matches!(class, Class::WaitedOut | Class::Unsent | Class::Withheld | Class::NotConnected) {
            self.kept_waiting(job, places);
        }
    }

    /// A request was left undone, so long after it was due.
    pub(super) fn leave(&mut self, job: &Job, age: Duration, (place, places): (usize, usize)) {
        let stage = self.stage(job, places);
        stage.tally.leave(age);
        if let Some(tenant) = stage.tenants.get_mut(place) {
            tenant.unfinished += 1;
        }
    }

    /// A request was left in line.
    pub(super) fn leave_in_line(&mut self, job: &Job, age: Duration, (place, places): (usize, usize)) {
        self.leave(job, age, (place, places));
        self.kept_waiting(job, places);
    }

    /// A slow client's request came to its end.
    pub(super) fn record_slow(&mut self, class: Class, took: Took) {
        let tally = self.slow.get_or_insert_default();
        tally.record(class, took.latency, took.service);
        tally.bytes_read += took.bytes;
    }

    /// The generator itself was so late with a request: until a free connection sent it, or until it
    /// was put in line.
    pub(super) fn late(&mut self, job: &Job, late: Duration, places: usize) {
        self.stage(job, places).lateness.saturating_record(micros(late));
    }

    /// A request goes out, so long after it was due.
    pub(super) fn sent(&mut self, job: &Job, after: Duration, places: usize) {
        self.sent += 1;
        if job.found == Found::Free {
            self.late(job, after, places);
        }
        if after <= ON_TIME {
            self.on_time += 1;
            return;
        }
        self.kept_waiting(job, places);
    }

    /// A request is late, or is not sent, for want of a connection.
    fn kept_waiting(&mut self, job: &Job, places: usize) {
        match job.found {
            // What was late before it was put in line would have been late without a line.
            _ if job.late > ON_TIME => {}
            Found::Free => {}
            Found::Busy => self.held_up += 1,
            Found::Capped => self.stage(job, places).capped += 1,
        }
    }

    fn stage(&mut self, job: &Job, places: usize) -> &mut StageBatch {
        self.stages[usize::from(job.stage)].get_or_insert_with(|| {
            Box::new(StageBatch {
                tally: Tally::default(),
                tenants: vec![TenantTally::default(); places],
                lateness: histogram(2),
                capped: 0,
            })
        })
    }
}
