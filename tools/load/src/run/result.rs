//! What a run has shown.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::mix::Tenants;
use crate::profile::Stage;
use crate::tally::{Counts, Quantiles, Summary, Tally, TenantTally};

/// One second of a run, or what was left of one at its end.
///
/// Answers count in the second in which they are complete: one that took ten seconds shows ten
/// seconds after it was due, with its whole latency. (In the tallies of the stages each request
/// counts in the stage in which it was due.)
#[derive(Clone, Copy, PartialEq, Default, Debug, serde::Serialize)]
pub struct Second {
    /// When it ends, from the beginning of the run.
    pub ends: Duration,
    /// The stage that was at work at its end.
    pub stage: usize,
    /// Requests that were due in it.
    pub due: u64,
    /// Requests that were sent in it.
    pub sent: u64,
    /// What was completed in it.
    pub completed: Summary,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// Requests that waited for a connection at its end.
    pub waiting: u64,
    /// Connections at its end.
    pub connections: u64,
    /// Processor time of the generator's threads in it.
    pub cpu: Duration,
}

/// A stage that was run.
#[derive(Clone, Debug)]
pub struct StageRun {
    /// What it was to be.
    pub stage: Stage,
    /// How many requests were due in it.
    pub due: u64,
    /// What became of them, whenever that was.
    pub tally: Tally,
    /// The same by tenant; empty without tenants.
    pub tenants: Vec<TenantRun>,
}

/// What became of a tenant's requests.
#[derive(Clone, Debug)]
pub struct TenantRun {
    /// Its name; `None` for the sum of those that are not kept apart.
    pub name: Option<String>,
    /// How many tenants these are: 1, or those that are summed.
    pub tenants: usize,
    /// What became of them.
    pub tally: TenantTally,
}

/// How the generator itself fared.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Threads that sent.
    pub workers: usize,
    /// From the intended to the actual send, of requests for which a connection was free: how late
    /// the generator itself was, in microseconds.
    pub lateness: Histogram<u64>,
    /// How much later than asked its timers went off, in microseconds: how long its threads were
    /// busy with something else, or did not get a processor.
    pub lag: Histogram<u64>,
    /// Processor time of its threads.
    pub cpu: Duration,
    /// The largest share of a second that one thread was on a processor.
    pub busiest_ratio: f64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Those that could not be opened, and why, the first of it.
    pub connections_failed: u64,
    /// The reason of the first that could not be opened.
    pub first_failure: Option<String>,
}

/// All that a run has shown.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its stages, in order.
    pub stages: Vec<StageRun>,
    /// Its seconds, in order.
    pub seconds: Vec<Second>,
    /// What became of the slow clients, where there were any: by itself, and from their actual
    /// sends.
    pub slow: Option<Tally>,
    /// How the generator fared.
    pub generator: Generator,
    /// How long it took.
    pub took: Duration,
    /// Requests that were due, or under way, when it was ended before its time. They count nowhere.
    pub unfinished: u64,
    /// Whether it was ended before its time.
    pub cancelled: bool,
}

/// How a run stands: told once a second.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Snapshot {
    /// Since its beginning.
    pub elapsed: Duration,
    /// The rate that the profile asks for now.
    pub rate: f64,
    /// How many seconds there were so far: whoever sees this grow by more than one has missed some,
    /// which are in the result.
    pub seconds: usize,
    /// The last second.
    pub second: Second,
    /// The stages so far, the one at work the last of them.
    pub stages: Vec<Summary>,
    /// The tenants over all stages, by [`Tenants::names`], the sum of the others behind them.
    pub tenants: Vec<(Counts, Quantiles)>,
}

impl Run {
    /// What became of all requests.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for stage in &self.stages {
            total.merge(&stage.tally);
        }
        total
    }

    /// Requests that were due.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.stages.iter().map(|stage| stage.due).sum()
    }
}

impl TenantRun {
    /// The tenants of these tallies, which stand in the order of the names.
    pub(crate) fn named(tenants: Option<&Tenants>, tallies: Vec<TenantTally>) -> Vec<Self> {
        let Some(tenants) = tenants else { return Vec::new() };
        let names = tenants.names().iter().cloned().map(Some).chain([None]);
        let named = names.zip(tallies).map(|(name, tally)| Self {
            tenants: if name.is_some() { 1 } else { tenants.others() },
            name,
            tally,
        });
        named.filter(|tenant| tenant.tenants > 0).collect()
    }
}
