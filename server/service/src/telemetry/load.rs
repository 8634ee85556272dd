//! How loaded the process is: the use of its tightest bound.

use std::fmt;

use plimsoll::registry::{self, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The load of the process, as the use of the tightest of these bounds: what replicas are scaled by.
///
/// The host names the bounds: those that more replicas relieve. One that is of a single customer is
/// none of them, since he would be at it on any number of replicas; nor is one that a backlog fills.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The names of the bounds.
    pub bounds: &'static [&'static str],
}

impl Load {
    /// The tightest bound, and which share of it is in use, from 0 to 1.
    fn tightest(&self, snapshots: &[Snapshot]) -> Option<(&'static str, f64)> {
        let ratio = |name: &'static str| {
            let of = || snapshots.iter().filter(|bound| bound.name.as_str() == name);
            let limit: f64 = of().map(|bound| bound.limit as f64).sum();
            let in_use: f64 = of().map(|bound| bound.in_use as f64).sum();
            (limit > 0.0).then(|| (name, (in_use / limit).clamp(0.0, 1.0)))
        };
        let ratios = self.bounds.iter().filter_map(|name| ratio(name));
        ratios.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}

impl Collector for Load {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some((name, ratio)) = self.tightest(&registry::snapshot()) else { return Ok(()) };
        let help = "Which share of the tightest bound is in use, from 0 to 1: scale replicas on it";
        let gauge = ConstGauge::new(ratio);
        gauge.encode(encoder.encode_descriptor("plimsoll_load_ratio", help, None, MetricType::Gauge)?)?;
        let help = "The same, with the bound that it is";
        let mut family =
            encoder.encode_descriptor("plimsoll_load_tightest_ratio", help, None, MetricType::Gauge)?;
        gauge.encode(family.encode_family(&[("bound", name)])?)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll::Name;
    use plimsoll::registry::Kind;

    use super::*;

    fn bound(name: &str, limit: u64, in_use: u64) -> Snapshot {
        let mut snapshot = Snapshot::new(Name::new(name).unwrap(), Kind::Custom);
        (snapshot.limit, snapshot.in_use) = (limit, in_use);
        snapshot
    }

    #[test]
    fn the_load_is_the_use_of_the_tightest_of_the_named_bounds() {
        let load = Load { bounds: &["load-a", "load-b", "load-none"] };
        let (a, b) = (bound("load-a", 10, 5), bound("load-b", 4, 3));
        let other = bound("load-other", 1, 1);
        assert_eq!(load.tightest(&[a.clone(), b.clone(), other.clone()]), Some(("load-b", 0.75)));
        assert_eq!(load.tightest(&[a.clone(), a, b]), Some(("load-b", 0.75)), "those of one name are one");
        assert_eq!(
            load.tightest(&[bound("load-a", 2, 9)]),
            Some(("load-a", 1.0)),
            "a bound that was lowered"
        );
        assert_eq!(load.tightest(&[other]), None);
    }
}
