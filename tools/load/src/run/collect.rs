//! Puts together what the workers saw: seconds, stages, and how the generator fared.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::books::{Batch, StageBatch};
use super::result::{Generator, Run, Second, Snapshot, StageRun, TenantRun};
use crate::mix::Tenants;
use crate::profile::Profile;
use crate::tally::{Counts, Quantiles, Summary, Tally, TenantTally, add, histogram};

/// What is known so far.
pub(super) struct Collected {
    profile: Profile,
    tenants: Option<Tenants>,
    /// Seconds that some worker has told of.
    pending: BTreeMap<u32, Pending>,
    /// How far each worker has told.
    told: Vec<u32>,
    stages: Vec<Stage>,
    by_tenant: Vec<TenantTally>,
    seconds: Vec<Second>,
    slow: Option<Tally>,
    generator: Generator,
    arrivals_stopped: Option<Duration>,
}

#[derive(Default)]
struct Pending {
    second: Second,
    tally: Tally,
    lateness: Option<Histogram<u64>>,
}

struct Stage {
    due: u64,
    tally: Tally,
    tenants: Vec<TenantTally>,
    summary: Summary,
    lateness: Histogram<u64>,
    capped: u64,
}

impl Collected {
    pub(super) fn new(profile: Profile, tenants: Option<Tenants>, workers: usize) -> Self {
        let places = tenants.as_ref().map_or(0, |tenants| tenants.names().len() + 1);
        let none = || vec![TenantTally::default(); places];
        let stage = || Stage {
            due: 0,
            tally: Tally::default(),
            tenants: none(),
            summary: Summary::default(),
            lateness: histogram(2),
            capped: 0,
        };
        Self {
            pending: BTreeMap::new(),
            told: vec![0; workers],
            stages: profile.stages().iter().map(|_| stage()).collect(),
            by_tenant: none(),
            seconds: Vec::new(),
            slow: None,
            generator: Generator::new(workers),
            arrivals_stopped: None,
            profile,
            tenants,
        }
    }

    /// Addresses of the target are left out.
    pub(super) fn leave_out(&mut self, mut deaf: Vec<SocketAddr>) {
        deaf.sort_unstable();
        deaf.dedup();
        self.generator.left_out = deaf;
    }

    /// Takes what a worker saw; says whether a second is complete with it.
    pub(super) fn take(&mut self, batch: Batch) -> bool {
        self.told[batch.worker] = batch.second;
        self.add_to_second(&batch);
        for (number, due) in batch.due.iter().enumerate() {
            self.stages[number].due += due;
        }
        for (number, stage) in batch.stages.iter().enumerate() {
            if let Some(stage) = stage {
                self.add_to_stage(number, stage);
            }
        }
        if let Some(slow) = &batch.slow {
            self.slow.get_or_insert_default().merge(slow);
        }
        self.arrivals_stopped = self.arrivals_stopped.max(batch.arrivals_stopped);
        self.generator.take(batch);
        self.complete()
    }

    fn add_to_second(&mut self, batch: &Batch) {
        let pending = self.pending.entry(batch.second).or_default();
        let second = &mut pending.second;
        second.due += batch.due.iter().sum::<u64>();
        second.sent += batch.sent;
        second.in_flight += batch.in_flight;
        second.waiting += batch.waiting;
        second.connections += batch.connections;
        second.cpu += batch.cpu;
        second.on_time += batch.on_time;
        second.held_up += batch.held_up;
        for stage in batch.stages.iter().flatten() {
            pending.tally.merge(&stage.tally);
            second.capped += stage.capped;
            add(pending.lateness.get_or_insert_with(|| histogram(2)), &stage.lateness);
        }
    }

    fn add_to_stage(&mut self, number: usize, batch: &StageBatch) {
        let stage = &mut self.stages[number];
        stage.tally.merge(&batch.tally);
        stage.summary = stage.tally.summary();
        stage.capped += batch.capped;
        add(&mut stage.lateness, &batch.lateness);
        add(&mut self.generator.lateness, &batch.lateness);
        let totals = stage.tenants.iter_mut().zip(&mut self.by_tenant);
        for ((stage, total), tenant) in totals.zip(&batch.tenants) {
            stage.merge(tenant);
            total.merge(tenant);
        }
    }

    /// Closes the seconds of which every worker has told.
    fn complete(&mut self) -> bool {
        let all_told = self.told.iter().copied().min().unwrap_or_default();
        let before = self.seconds.len();
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() <= all_told
        {
            let (number, Pending { mut second, tally, lateness }) = entry.remove_entry();
            second.ends = Duration::from_secs(number.into());
            second.stage = self.profile.stage_at(second.ends.saturating_sub(Duration::from_nanos(1)));
            second.completed = tally.summary();
            second.lateness = lateness.as_ref().map(Quantiles::of).unwrap_or_default();
            self.seconds.push(second);
        }
        self.seconds.len() > before
    }

    /// How the run stands.
    pub(super) fn snapshot(&self) -> Snapshot {
        let second = self.seconds.last().copied().unwrap_or_default();
        Snapshot {
            elapsed: second.ends,
            rate: self.profile.rate_at(second.ends),
            seconds: self.seconds.len(),
            second,
            stages: self.stages[..=second.stage].iter().map(|stage| stage.summary).collect(),
            tenants: self.by_tenant.iter().map(seen).collect(),
        }
    }

    /// The result, once every worker has told all.
    pub(super) fn finish(mut self, took: Duration, cancelled: bool) -> Run {
        // A worker may have been done a second before another.
        self.told.fill(u32::MAX);
        self.complete();
        if let Some(last) = self.seconds.last_mut() {
            last.ends = last.ends.min(took);
        }
        let Self { profile, tenants, stages, seconds, slow, generator, arrivals_stopped, .. } = self;
        let stages = profile.stages().iter().cloned().zip(stages).map(|(plan, stage)| StageRun {
            stage: plan,
            due: stage.due,
            tally: stage.tally,
            tenants: TenantRun::named(tenants.as_ref(), stage.tenants),
            lateness: stage.lateness,
            capped: stage.capped,
        });
        Run { stages: stages.collect(), seconds, slow, generator, took, arrivals_stopped, cancelled }
    }
}

impl Generator {
    /// Adds what a worker saw of itself.
    fn take(&mut self, batch: Batch) {
        self.cpu += batch.cpu;
        // A short rest of a second says little.
        if batch.span >= Duration::from_millis(500) {
            let ratio = batch.cpu.as_secs_f64() / batch.span.as_secs_f64();
            self.busiest_ratio = self.busiest_ratio.max(ratio);
        }
        self.connections_opened += batch.opened;
        self.connections_failed += batch.failed;
        self.connections_denied += batch.denied;
        self.pauses += batch.pauses;
        self.longest_pause = self.longest_pause.max(batch.longest_pause);
        add(&mut self.lag, &batch.lag);
        self.first_failure = self.first_failure.take().or(batch.first_failure);
        self.first_denial = self.first_denial.take().or(batch.first_denial);
    }
}

fn seen(tally: &TenantTally) -> (Counts, Quantiles) {
    (tally.counts, Quantiles::of(&tally.latency))
}
