//! What operators see of hooks: its bounds in the registry, its numbers on the metrics page.

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

use crate::backlog::BacklogBound;
use crate::dispatch::{BUCKETS_MS, Dispatch, Histogram, View};

/// One bound of the schedule, as the registry shows it.
pub(crate) struct ScheduleBound {
    name: Name,
    dispatch: Dispatch,
    read: fn(&View) -> (usize, usize),
    _registration: Registration,
}

impl Bound for ScheduleBound {
    fn snapshot(&self) -> Snapshot {
        let (limit, in_use) = (self.read)(&self.dispatch.view());
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = limit as u64;
        snapshot.in_use = in_use as u64;
        snapshot
    }
}

type Column = (&'static str, fn(&View) -> (usize, usize));

/// Registers the bounds of the schedule, for as long as what is returned lives.
pub(crate) fn register(dispatch: &Dispatch) -> Result<Vec<Arc<ScheduleBound>>, plimsoll::Invalid> {
    let columns: [Column; 3] = [
        ("hooks.concurrency", |view| (view.limits.concurrency, view.in_flight)),
        ("hooks.window_bytes", |view| (view.limits.window_bytes_total, view.bytes)),
        ("hooks.unrecorded", |view| (view.limits.unrecorded, view.unrecorded)),
    ];
    columns
        .into_iter()
        .map(|(name, read)| {
            let name = Name::new(name)?;
            Ok(Arc::new_cyclic(|weak: &Weak<ScheduleBound>| ScheduleBound {
                name,
                dispatch: dispatch.clone(),
                read,
                _registration: registry::register(weak.clone()),
            }))
        })
        .collect()
}

/// The numbers of hooks, for the metrics page.
#[derive(Clone)]
pub struct Numbers {
    pub(crate) dispatch: Dispatch,
    pub(crate) store: plimsoll_store::Store,
    pub(crate) backlog: Arc<BacklogBound>,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = self.dispatch.metrics();
        let stats = self.store.stats();
        let counters = [
            ("hooks_messages_accepted", "Messages that were made durable", &metrics.accepted),
            ("hooks_deliveries_succeeded", "Deliveries that were taken", &metrics.succeeded),
            ("hooks_attempts_retried", "Attempts that failed and are made again", &metrics.retried),
            ("hooks_deliveries_exhausted", "Deliveries that failed for the last time", &metrics.exhausted),
            ("hooks_resends_failed", "Resends by hand that failed", &metrics.failed),
        ];
        for (name, help, counter) in counters {
            count(&mut encoder, name, help, counter.load(Ordering::Relaxed))?;
        }
        let help = "Messages that were refused because too much of their application is pending";
        count(&mut encoder, "hooks_messages_refused_backlog", help, self.backlog.refused())?;
        for (name, help, value) in [
            ("store_commits", "Commits that were made durable", stats.commits),
            ("store_operations", "Messages, steps and changes in them", stats.operations),
            ("store_reads", "Reads that were answered", stats.reads),
        ] {
            count(&mut encoder, name, help, value)?;
        }
        let pending = self.store.backlogs();
        for (name, help, value) in [
            ("hooks_backlog_deliveries", "Deliveries that are not settled", pending.deliveries),
            (
                "hooks_backlog_tenant_deliveries_max",
                "Those of the application that has the most",
                pending.deliveries_max,
            ),
            ("hooks_backlog_tenant_limit", "How many one application may have", self.backlog.max()),
            ("store_disk_free_bytes", "Bytes free on the disk of the data directory", stats.disk_free_bytes),
            ("store_disk_free_bytes_min", "Bytes of them that are to stay free", stats.disk_free_bytes_min),
            ("hooks_backlog_tenants", "Applications that have any", pending.applications as u64),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        let view = self.dispatch.view();
        for (name, help, value) in [
            ("hooks_in_flight", "Deliveries under way", view.in_flight),
            ("hooks_tenants_active", "Applications with work in memory", view.census.tenants),
            (
                "hooks_window_messages",
                "Messages that are fanned out from memory",
                view.census.window_messages,
            ),
            ("hooks_window_bytes", "Payload bytes in memory", view.bytes),
            ("hooks_lanes", "Endpoints with work or a state to remember", view.census.lanes),
            ("hooks_lanes_parked", "Endpoints that are left alone for a while", view.census.lanes_parked),
            (
                "hooks_breakers_open",
                "Endpoints whose breaker does not let everything pass",
                view.census.breakers_open,
            ),
            ("hooks_unrecorded", "Steps that wait for their commit", view.unrecorded),
            (
                "hooks_idle_connections",
                "Connections that are kept for the next delivery",
                view.idle_connections,
            ),
        ] {
            gauge(&mut encoder, name, help, value as u64)?;
        }
        observe(&mut encoder, "hooks_attempt_seconds", "How long attempts took", &metrics.attempts)?;
        let help = "From the acceptance of a message to the success of a first try";
        observe(&mut encoder, "hooks_delivery_seconds", help, &metrics.deliveries)
    }
}

fn count(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
}

fn observe(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    histogram: &Histogram,
) -> fmt::Result {
    let (counts, sum_ms) = histogram.read();
    let bounds = BUCKETS_MS.iter().map(|ms| *ms as f64 / 1e3).chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let total = counts.iter().sum();
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    encoder.encode_histogram::<[(&str, &str); 0]>(sum_ms as f64 / 1e3, total, &buckets, None)
}
