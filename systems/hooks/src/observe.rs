//! What operators see of hooks: its bounds in the registry, its numbers on the metrics page.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use plimsoll::Name;
use plimsoll::clock::{self, Instant};
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

/// How many applications are shown by themselves: those that have most pending.
const TENANTS_SHOWN: usize = 10;

/// The numbers of hooks, for the metrics page.
#[derive(Clone)]
pub struct Numbers {
    pub(crate) dispatch: Dispatch,
    pub(crate) store: plimsoll_store::Store,
    pub(crate) backlog: Arc<BacklogBound>,
    pub(crate) trend: Arc<Mutex<Trend>>,
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
        let attempts = [
            ("succeeded", &metrics.succeeded),
            ("retried", &metrics.retried),
            ("exhausted", &metrics.exhausted),
            ("failed", &metrics.failed),
        ];
        let (name, help) = ("hooks_attempts", "Attempts by what became of the delivery");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outcome, counter) in attempts {
            let counter = ConstCounter::new(counter.load(Ordering::Relaxed));
            counter.encode(family.encode_family(&[("outcome", outcome)])?)?;
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
        self.encode_backlog(&mut encoder, pending.deliveries, view.in_flight as u64)?;
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
                "hooks_destinations",
                "Destinations (scheme, host and port) of endpoints with something to deliver",
                view.census.destinations,
            ),
            (
                "hooks_destinations_overloaded",
                "Destinations that get fewer deliveries at once than hooks.destination_concurrency",
                view.census.destinations_overloaded,
            ),
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

impl Numbers {
    /// What is pending by its state, whose it is, where it goes, and when it will be gone.
    fn encode_backlog(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        pending: u64,
        in_flight: u64,
    ) -> fmt::Result {
        let (name, help) = ("hooks_backlog", "Deliveries that are not settled, by state");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        // What is in flight is settled a little before its commit says so.
        let in_flight = in_flight.min(pending);
        for (state, value) in [("in_flight", in_flight), ("waiting", pending - in_flight)] {
            ConstGauge::new(signed(value)).encode(family.encode_family(&[("state", state)])?)?;
        }
        let largest = self.store.largest_backlogs(TENANTS_SHOWN);
        let shown: u64 = largest.iter().map(|(_, deliveries)| deliveries).sum();
        let (name, help) =
            ("hooks_backlog_app", "Those of the applications that have most, and of the others");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let largest = largest.into_iter().map(|(app, deliveries)| (app.to_string(), deliveries));
        for (app, deliveries) in largest.chain([("others".to_owned(), pending.saturating_sub(shown))]) {
            ConstGauge::new(signed(deliveries)).encode(family.encode_family(&[("app", app)])?)?;
        }
        let mut trend = self.trend.lock().unwrap_or_else(PoisonError::into_inner);
        trend.observe(clock::now(), pending);
        let (name, help) = (
            "hooks_backlog_growth_per_second",
            "How fast it grows, as an average of a minute; below 0 it shrinks",
        );
        let growth = ConstGauge::new(trend.per_second);
        growth.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        // While it does not shrink there is no such time, and no line.
        let Some(seconds) = trend.empty_in_seconds(pending) else { return Ok(()) };
        let (name, help) =
            ("hooks_backlog_drain_seconds", "How long until it is gone at the rate at which it shrinks");
        let drain = ConstGauge::new(seconds);
        drain.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }
}

/// How fast something grows: an average that forgets, whoever looks and however often.
pub(crate) struct Trend {
    seen: Option<(Instant, u64)>,
    per_second: f64,
}

/// The average is that of about so many seconds.
const TREND_SECONDS: f64 = 60.0;

impl Trend {
    pub(crate) const fn new() -> Self {
        Self { seen: None, per_second: 0.0 }
    }

    fn observe(&mut self, now: Instant, value: u64) {
        let Some((then, before)) = self.seen else {
            self.seen = Some((now, value));
            return;
        };
        let seconds = (now - then).as_secs_f64();
        // Two looks at once say nothing of a rate.
        if seconds < 1.0 {
            return;
        }
        let rate = (value as f64 - before as f64) / seconds;
        let weight = 1.0 - (-seconds / TREND_SECONDS).exp();
        self.per_second += weight * (rate - self.per_second);
        self.seen = Some((now, value));
    }

    /// `None` while it does not shrink.
    fn empty_in_seconds(&self, value: u64) -> Option<f64> {
        if value == 0 {
            return Some(0.0);
        }
        (self.per_second < 0.0).then(|| value as f64 / -self.per_second)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(signed(value)).encode(encoder)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_growth_is_that_of_the_last_minute_and_says_when_all_is_gone() {
        let (mut trend, start) = (Trend::new(), clock::now());
        let at = |seconds| start.after(Duration::from_secs(seconds));
        for second in 0..=600 {
            trend.observe(at(second), 100 * second);
        }
        assert!((trend.per_second - 100.0).abs() < 1.0, "{}", trend.per_second);
        assert_eq!(trend.empty_in_seconds(60_000), None, "it grows");
        for second in 1..=600 {
            trend.observe(at(600 + second), 60_000 - 50 * second);
        }
        assert!((trend.per_second + 50.0).abs() < 1.0, "{}", trend.per_second);
        let seconds = trend.empty_in_seconds(30_000).unwrap();
        assert!((seconds - 600.0).abs() < 10.0, "{seconds}");
        assert_eq!(trend.empty_in_seconds(0), Some(0.0));
    }

    #[test]
    fn two_who_look_at_once_do_not_disturb_the_average() {
        let (mut one, mut two, start) = (Trend::new(), Trend::new(), clock::now());
        for second in 0..100 {
            let now = start.after(Duration::from_secs(second));
            one.observe(now, 10 * second);
            two.observe(now, 10 * second);
            two.observe(now.after(Duration::from_millis(1)), 10 * second);
        }
        assert!((one.per_second - two.per_second).abs() < 0.1, "{} {}", one.per_second, two.per_second);
    }
}
