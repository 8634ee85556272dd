//! What operators see of jobs: bounds in the registry, numbers on the metrics page.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use plimsoll::Name;
use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::engine::Engine;
use crate::schedule::{Census, Limits};

/// One bound of the schedule, as the registry shows it.
pub(crate) struct ScheduleBound {
    name: Name,
    engine: Arc<Engine>,
    read: Read,
    _registration: Registration,
}

type Read = fn(&Limits, &Census) -> (u64, u64);

impl Bound for ScheduleBound {
    fn snapshot(&self) -> Snapshot {
        let schedule = self.engine.lock();
        let (limit, in_use) = (self.read)(schedule.limits(), &schedule.census());
        drop(schedule);
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = limit;
        snapshot.in_use = in_use;
        snapshot
    }
}

/// Registers the bounds of the schedule, for as long as what is returned lives.
pub(crate) fn register(engine: &Arc<Engine>) -> Result<Vec<Arc<ScheduleBound>>, plimsoll::Invalid> {
    let columns: [(&str, Read); 7] = [
        ("jobs.backlog", |limits, census| (limits.backlog, census.unfinished)),
        // The one that is nearest to the bound.
        ("jobs.tenant_backlog", |limits, census| (limits.tenant_backlog, census.tenant_unfinished_max)),
        ("jobs.tenants", |limits, census| (limits.tenants as u64, census.tenants as u64)),
        ("jobs.lanes", |limits, census| (limits.lanes as u64, census.lanes as u64)),
        ("jobs.claims", |limits, census| (limits.claims as u64, census.claims as u64)),
        ("jobs.polls", |limits, census| (limits.polls as u64, census.polls as u64)),
        ("jobs.window", |limits, census| (limits.window_total as u64, census.in_memory as u64)),
    ];
    columns
        .into_iter()
        .map(|(name, read)| {
            let name = Name::new(name)?;
            Ok(Arc::new_cyclic(|weak: &Weak<ScheduleBound>| ScheduleBound {
                name,
                engine: Arc::clone(engine),
                read,
                _registration: registry::register(weak.clone()),
            }))
        })
        .collect()
}

/// The numbers of jobs, for the metrics page.
#[derive(Clone)]
pub struct Numbers {
    pub(crate) engine: Arc<Engine>,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.engine.metrics;
        for (name, help, counter) in [
            ("jobs_accepted", "Jobs that were made durable", &metrics.accepted),
            ("jobs_refused", "Jobs that were refused because too much waits", &metrics.refused),
            ("jobs_finished", "Jobs that were done", &metrics.finished),
            ("jobs_retried", "Runs that failed and are made again", &metrics.retried),
            ("jobs_lost", "Runs whose worker crashed and that are made again", &metrics.lost),
            ("jobs_dead_failed", "Jobs that failed for the last time", &metrics.failed),
            ("jobs_dead_crashed", "Jobs whose workers crashed too often", &metrics.crashed),
            ("jobs_cancelled", "Jobs that were cancelled", &metrics.cancelled),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(counter.load(Ordering::Relaxed)).encode(encoder)?;
        }
        let census = self.engine.lock().census();
        let age = census.oldest.map_or(0, |oldest| (self.engine.clock.now() - oldest).max(0) / 1_000);
        let waiting = census.unfinished.saturating_sub(census.in_flight as u64);
        for (name, help, value) in [
            ("jobs_unfinished", "Jobs that are not over", census.unfinished),
            ("jobs_waiting", "Jobs that no worker has", waiting),
            ("jobs_in_flight", "Jobs that a worker has", census.in_flight as u64),
            ("jobs_claims", "Those that workers over HTTP have", census.claims as u64),
            ("jobs_polls", "Workers that wait over HTTP", census.polls as u64),
            ("jobs_tenants", "Tenants with unfinished jobs", census.tenants as u64),
            ("jobs_lanes", "Tenants, kinds and shares of keys with jobs that are ready", census.lanes as u64),
            ("jobs_in_memory", "Jobs that wait in memory", census.in_memory as u64),
            (
                "jobs_oldest_seconds",
                "For how long the first of all lanes has been ready",
                age.cast_unsigned(),
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?;
        }
        Ok(())
    }
}
