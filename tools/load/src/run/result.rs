//! What a run has shown.

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::mix::Tenants;
use crate::profile::Stage;
use crate::tally::{Counts, Quantiles, Summary, Tally, TenantTally, histogram};

/// What goes out within this time of when it was due is on time.
pub const ON_TIME: Duration = Duration::from_millis(100);
/// A thread that comes round so much later than something was due was away.
pub const PAUSE: Duration = Duration::from_millis(10);

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
    /// Those of them that went out within [`ON_TIME`](super::ON_TIME) of when they were due.
    pub on_time: u64,
    /// Requests that were known in it to be later than that, or not to be sent at all, for the target's
    /// sake: they waited for connections that it was slow to take, or did not take.
    pub held_up: u64,
    /// The same for the generator's own bound: as many connections as it may have were in use, or the
    /// machine gave it no more. What the target did with more is not known.
    pub capped: u64,
    /// How late those were that were due in it, by the generator's own doing.
    pub lateness: Quantiles,
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
    /// How late the generator itself was with them, in microseconds.
    pub lateness: Histogram<u64>,
    /// How many of them the generator's own bound on connections held up or back.
    pub capped: u64,
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
    /// How late the generator itself was with each request, in microseconds: from when it was due to
    /// the actual send where a connection was free, and to when it was put in line where none was.
    pub lateness: Histogram<u64>,
    /// How much later than asked its timers went off, in microseconds: how long its threads were
    /// busy with something else, or did not get a processor.
    pub lag: Histogram<u64>,
    /// How often a thread was not run, or did not come round, for more than
    /// [`PAUSE`](super::PAUSE) when something was due.
    pub pauses: u64,
    /// The longest of these.
    pub longest_pause: Duration,
    /// Processor time of its threads.
    pub cpu: Duration,
    /// The largest share of a second that one thread was on a processor.
    pub busiest_ratio: f64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Those that the target did not take.
    pub connections_failed: u64,
    /// Why the first of them was not.
    pub first_failure: Option<String>,
    /// Those that this machine did not give: no descriptor, no port, no memory was left for them.
    pub connections_denied: u64,
    /// Why the first of them was not given.
    pub first_denial: Option<String>,
    /// Addresses of the target that were left out of the run: before it, they took no connection and
    /// others did.
    pub left_out: Vec<SocketAddr>,
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
    /// When nothing fell due any more, where that was before the profile's end: told enough, or
    /// cancelled.
    pub arrivals_stopped: Option<Duration>,
    /// Whether what was out was left undone too.
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

impl Generator {
    /// One of so many threads that has done nothing yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            lateness: histogram(2),
            lag: histogram(2),
            pauses: 0,
            longest_pause: Duration::ZERO,
            cpu: Duration::ZERO,
            busiest_ratio: 0.0,
            connections_opened: 0,
            connections_failed: 0,
            first_failure: None,
            connections_denied: 0,
            first_denial: None,
            left_out: Vec::new(),
        }
    }
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

    /// Requests that were due, in line or under way when it was cancelled.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.stages.iter().map(|stage| stage.tally.unfinished.len()).sum()
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
