//! The library's registry of bounds, as metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use plimsoll::registry::{self, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// How many bounds a page shows: names come from code and configuration, but nobody counts them.
const BOUNDS_MAX: usize = 1_024;

/// The numbers of all bounds; those of one name and kind are added up, since a page may show a
/// series once.
#[derive(Debug)]
pub(super) struct Bounds;

type Key = (&'static str, &'static str);

/// One column: its name, what it says, and whether it only ever grows.
struct Column {
    name: &'static str,
    help: &'static str,
    grows: bool,
    read: fn(&Snapshot) -> u64,
}

const COLUMNS: [Column; 7] = [
    Column {
        name: "plimsoll_bound_limit",
        help: "The limit in force, in the unit of the bound",
        grows: false,
        read: |bound| bound.limit,
    },
    Column {
        name: "plimsoll_bound_in_use",
        help: "How much of the limit is in use",
        grows: false,
        read: |bound| bound.in_use,
    },
    Column {
        name: "plimsoll_bound_high_water",
        help: "The most that was ever in use at once",
        grows: false,
        read: |bound| bound.high_water,
    },
    Column {
        name: "plimsoll_bound_waiting",
        help: "How many wait for admission",
        grows: false,
        read: |bound| bound.waiting,
    },
    Column {
        name: "plimsoll_bound_admitted",
        help: "How many were admitted",
        grows: true,
        read: |bound| bound.admitted,
    },
    Column {
        name: "plimsoll_bound_rejected",
        help: "How many were rejected",
        grows: true,
        read: |bound| bound.rejected,
    },
    Column {
        name: "plimsoll_bound_would_reject",
        help: "How many an observing bound let through that it would have rejected",
        grows: true,
        read: |bound| bound.would_reject,
    },
];

impl Collector for Bounds {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (bounds, left_out) = summed(registry::snapshot());
        for Column { name, help, grows, read } in COLUMNS {
            let kind = if grows { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for ((bound, kind), snapshot) in &bounds {
                let value = read(snapshot);
                // What has no limit has no line: a number would be drawn as if it were one.
                if value != Snapshot::NO_LIMIT {
                    let labels = [("bound", *bound), ("kind", *kind)];
                    encode_one(family.encode_family(&labels)?, grows, value)?;
                }
            }
        }
        encode_reasons(&bounds, &mut encoder)?;
        encode_waits(&bounds, &mut encoder)?;
        let help = "What only this kind of bound has";
        let mut family = encoder.encode_descriptor("plimsoll_bound_detail", help, None, MetricType::Gauge)?;
        for ((bound, kind), snapshot) in &bounds {
            for (detail, value) in &snapshot.details {
                let labels = [("bound", *bound), ("kind", *kind), ("detail", *detail)];
                encode_one(family.encode_family(&labels)?, false, *value)?;
            }
        }
        let help = "Bounds that this page has no room for";
        let encoder = encoder.encode_descriptor("plimsoll_bounds_left_out", help, None, MetricType::Gauge)?;
        encode_one(encoder, false, left_out)
    }
}

fn encode_reasons(bounds: &BTreeMap<Key, Snapshot>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, help) = ("plimsoll_bound_rejected_by", "How many were rejected, by reason");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for ((bound, kind), snapshot) in bounds {
        for (reason, count) in &snapshot.rejected_by {
            let labels = [("bound", *bound), ("kind", *kind), ("reason", reason.as_str())];
            encode_one(family.encode_family(&labels)?, true, *count)?;
        }
    }
    Ok(())
}

/// Only of bounds where somebody had to wait: a histogram is 34 lines.
fn encode_waits(bounds: &BTreeMap<Key, Snapshot>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, help) = ("plimsoll_bound_wait", "How long those waited that had to");
    let unit = prometheus_client::registry::Unit::Seconds;
    let mut family = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
    for ((bound, kind), snapshot) in bounds.iter().filter(|(_, snapshot)| snapshot.waits.count() > 0) {
        let seconds =
            |below: Duration| if below == Duration::MAX { f64::INFINITY } else { below.as_secs_f64() };
        let waits = &snapshot.waits;
        let buckets: Vec<_> = waits.buckets().map(|(below, count)| (seconds(below), count)).collect();
        let labels = [("bound", *bound), ("kind", *kind)];
        let mut one = family.encode_family(&labels)?;
        one.encode_histogram::<NoLabelSet>(waits.total().as_secs_f64(), waits.count(), &buckets, None)?;
    }
    Ok(())
}

fn encode_one(
    encoder: prometheus_client::encoding::MetricEncoder<'_>,
    grows: bool,
    value: u64,
) -> fmt::Result {
    if grows {
        ConstCounter::new(value).encode(encoder)
    } else {
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }
}

/// Adds up the bounds of one name and kind, and says how many did not fit.
fn summed(snapshots: Vec<Snapshot>) -> (BTreeMap<Key, Snapshot>, u64) {
    let mut bounds: BTreeMap<Key, Snapshot> = BTreeMap::new();
    let mut left_out = 0;
    for snapshot in snapshots {
        let key = (snapshot.name.as_str(), snapshot.kind.as_str());
        if let Some(sum) = bounds.get_mut(&key) {
            add(sum, &snapshot);
        } else if bounds.len() < BOUNDS_MAX {
            bounds.insert(key, snapshot);
        } else {
            left_out += 1;
        }
    }
    (bounds, left_out)
}

fn add(sum: &mut Snapshot, more: &Snapshot) {
    sum.limit = sum.limit.saturating_add(more.limit);
    sum.in_use = sum.in_use.saturating_add(more.in_use);
    sum.high_water = sum.high_water.saturating_add(more.high_water);
    sum.waiting = sum.waiting.saturating_add(more.waiting);
    sum.admitted = sum.admitted.saturating_add(more.admitted);
    sum.rejected = sum.rejected.saturating_add(more.rejected);
    sum.would_reject = sum.would_reject.saturating_add(more.would_reject);
    sum.waits.add(&more.waits);
    for (reason, count) in &more.rejected_by {
        match sum.rejected_by.iter_mut().find(|(known, _)| known == reason) {
            Some((_, known)) => *known = known.saturating_add(*count),
            None => sum.rejected_by.push((*reason, *count)),
        }
    }
    for (detail, value) in &more.details {
        match sum.details.iter_mut().find(|(known, _)| known == detail) {
            Some((_, known)) => *known = known.saturating_add(*value),
            None => sum.details.push((detail, *value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use plimsoll::breaker::Breaker;
    use plimsoll::registry::Kind;
    use plimsoll::semaphore::Semaphore;
    use plimsoll::{Name, Reason};

    use super::*;

    #[test]
    fn a_page_has_a_bounded_number_of_bounds_and_says_what_is_left_out() {
        let mut name = String::new();
        let snapshots = (0..BOUNDS_MAX + 5).map(|number| {
            name.clear();
            write!(name, "bounds-test-{number}").unwrap();
            Snapshot::new(Name::new(&name).unwrap(), Kind::Custom)
        });
        let (bounds, left_out) = summed(snapshots.collect());
        assert_eq!((bounds.len(), left_out), (BOUNDS_MAX, 5));
    }

    #[test]
    fn bounds_of_one_name_and_kind_are_added_up_with_their_details() {
        let name = Name::new("bounds-test-sum").unwrap();
        let mut one = Snapshot::new(name, Kind::Breaker);
        (one.limit, one.details) = (2, vec![("open", 1)]);
        one.rejected_by = vec![(Reason::BreakerOpen, 2)];
        let mut two = one.clone();
        (two.limit, two.details) = (3, vec![("open", 1), ("x", 4)]);
        let (bounds, _) = summed(vec![one, two]);
        let sum = &bounds[&("bounds-test-sum", "breaker")];
        assert_eq!(sum.rejected_by, [(Reason::BreakerOpen, 4)]);
        assert_eq!((sum.limit, sum.details.as_slice()), (5, &[("open", 2), ("x", 4)][..]));
    }

    #[tokio::test]
    async fn a_page_shows_why_was_rejected_how_long_was_waited_and_the_limit_of_what_has_one() {
        let semaphore = Semaphore::builder("bounds-test-page").limit(1).build().unwrap();
        let _closed = Breaker::builder("bounds-test-closed").build().unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        assert!(semaphore.try_acquire().is_err());
        let waits = semaphore.clone();
        let (_permit, ()) = tokio::join!(waits.acquire(), async { drop(held) });
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(Bounds));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let of = "bound=\"bounds-test-page\",kind=\"semaphore\"";
        for line in [
            format!("plimsoll_bound_rejected_by_total{{{of},reason=\"full\"}} 1"),
            format!("plimsoll_bound_wait_seconds_count{{{of}}} 1"),
            format!("plimsoll_bound_wait_seconds_bucket{{le=\"+Inf\",{of}}} 1"),
            format!("plimsoll_bound_limit{{{of}}} 1"),
            "plimsoll_bound_in_use{bound=\"bounds-test-closed\",kind=\"breaker\"} 0".into(),
        ] {
            assert!(page.contains(&line), "{line} is not in {page}");
        }
        assert!(!page.contains("plimsoll_bound_limit{bound=\"bounds-test-closed\""), "{page}");
    }
}
