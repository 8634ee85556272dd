//! From what a run has shown to its record.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::record::{
    Counts, Distribution, Generator, Moment, Named, Quantile, Record, Search, Stage, Tenant, VERSION,
};
use crate::judge::{Terms, Verdict};
use crate::plan::Plan;
use crate::run::{Run, Second};
use crate::tally::Quantiles;

/// How finely a distribution is told: so many points from one nine to the next.
const POINTS_A_NINE: u32 = 12;
/// Beyond so many nines there is only the slowest.
const NINES_MAX: u32 = 7;
/// So many tenants are told, the largest first.
const TENANTS_MAX: usize = 33;

/// The seconds of a run.
pub(crate) fn moments(seconds: &[Second]) -> Vec<Moment> {
    let mut before = Duration::ZERO;
    let mut moments = Vec::with_capacity(seconds.len());
    for second in seconds {
        let length = second.ends.saturating_sub(before).as_secs_f64();
        before = second.ends;
        // What is left of a second at the end of a run may be so short that its rates say nothing.
        if length > 0.2 {
            moments.push(moment(second, length));
        }
    }
    moments
}

/// One of them, so many seconds long.
pub(crate) fn moment(second: &Second, length: f64) -> Moment {
    let counts = Counts::from(&second.completed.counts);
    let latency = second.completed.latency;
    let ms = |micros: u64| (latency.count > 0).then(|| micros as f64 / 1_000.0);
    let rate = |number: u64| number as f64 / length;
    Moment {
        at_seconds: second.ends.as_secs_f64(),
        due: rate(second.due),
        sent: rate(second.sent),
        succeeded: rate(counts.succeeded),
        refused: rate(counts.refused),
        failed: rate(counts.lost()),
        p50_ms: ms(latency.p50_micros),
        p90_ms: ms(latency.p90_micros),
        p99_ms: ms(latency.p99_micros),
        max_ms: ms(latency.max_micros),
    }
}

/// The parts of a run.
pub(crate) fn stages(run: &Run) -> Vec<Stage> {
    let mut from = Duration::ZERO;
    let stage = |stage: &crate::run::StageRun| {
        let begins = from;
        from += stage.stage.length;
        // A part that was ended before its time is as long as it was.
        let ends = run.arrivals_stopped.map_or(from, |at| from.min(at));
        let reached = stage.due > 0 || begins < ends;
        reached.then(|| Stage {
            name: stage.stage.name.clone(),
            from_seconds: begins.as_secs_f64(),
            to_seconds: ends.max(begins).as_secs_f64(),
            counts: Counts::from(&stage.tally),
            from_due: Quantiles::of(&stage.tally.latency).into(),
            from_sent: Quantiles::of(&stage.tally.service).into(),
        })
    };
    run.stages.iter().filter_map(stage).collect()
}

/// How long successes took, over the whole run.
pub(crate) fn distribution(run: &Run) -> Distribution {
    let total = run.total();
    Distribution { from_due: quantiles(&total.latency), from_sent: quantiles(&total.service) }
}

/// Each nine as finely as the last, as far as there are requests to tell it.
fn quantiles(histogram: &Histogram<u64>) -> Vec<Quantile> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let finest = 1.0 / histogram.len() as f64;
    let ratios = (0..=POINTS_A_NINE * NINES_MAX)
        .map(|step| 10f64.powf(-f64::from(step) / f64::from(POINTS_A_NINE)))
        .take_while(|rest| *rest >= finest * 0.999);
    let at = |ratio: f64| Quantile { ratio, ms: histogram.value_at_quantile(ratio) as f64 / 1_000.0 };
    ratios.map(|rest| at(1.0 - rest)).collect()
}

/// What each tenant got in each part.
pub(crate) fn tenants(run: &Run) -> Vec<Tenant> {
    let parts = run.stages.iter().flat_map(|stage| {
        stage.tenants.iter().take(TENANTS_MAX).map(|tenant| {
            let name = tenant.name.clone().unwrap_or_else(|| format!("{} others", tenant.tenants));
            let counts = &tenant.tally.counts;
            Tenant {
                name,
                stage: stage.stage.name.clone(),
                due: tenant.tally.due(),
                succeeded: counts.success(),
                refused: counts.refused(),
                p99_ms: tenant.tally.latency.value_at_quantile(0.99) as f64 / 1_000.0,
            }
        })
    });
    let mut parts: Vec<Tenant> = parts.filter(|tenant| tenant.due > 0).collect();
    // One tenant's parts beside each other: the sort keeps their order.
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts
}

/// What a plan asks for; values of headers and queries, which may be secret, are left out.
pub(crate) fn settings(plan: &Plan, terms: Option<&Terms>) -> Vec<Named> {
    let mut settings = Vec::new();
    let mut add = |name: &str, value: String| settings.push(Named { name: name.to_owned(), value });
    if let Some(terms) = terms {
        add("bound", format!("{}/s", terms.bound));
        add("minutes", terms.minutes.to_string());
        add("p99-ms", terms.p99_ms.to_string());
        let memory = terms.memory_bytes_max.map(|most| (most / 1_048_576.0).to_string());
        add("memory-mib", memory.unwrap_or_else(|| "64 more than before".to_owned()));
        add("quiet-factor", terms.quiet_factor.to_string());
    }
    let words = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    add("arrivals", words(&plan.profile.arrivals()));
    add("protocol", words(&plan.protocol));
    add("connections", format!("{} opened first, {} at most", plan.connections.open, plan.connections.max));
    add("deadline", format!("{:?}", plan.deadline));
    add("threads", plan.workers().to_string());
    add("seed", plan.seed.to_string());
    let requests: Vec<String> = plan
        .mix
        .requests()
        .iter()
        .take(TENANTS_MAX)
        .map(|request| format!("{} {}", request.method, without_query(&request.path)))
        .collect();
    add("requests", requests.join(", "));
    if let Some(tenants) = &plan.tenants {
        add("tenants", tenants.list().len().to_string());
    }
    settings
}

/// Where it runs.
pub(crate) fn environment() -> Vec<Named> {
    let mut environment = Vec::new();
    let mut add = |name: &str, value: String| environment.push(Named { name: name.to_owned(), value });
    add("plimsoll load", env!("CARGO_PKG_VERSION").to_owned());
    add("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    if let Ok(kernel) = std::fs::read_to_string("/proc/sys/kernel/osrelease") {
        add("kernel", kernel.trim().to_owned());
    }
    add("processors", std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string());
    environment
}

impl Record {
    /// A search for the bound by itself, without phases after it.
    #[must_use]
    pub fn of_search(plan: &Plan, search: Search) -> Self {
        let found = search.finding.bound.is_ok();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            version: VERSION,
            target: without_query(&plan.target.to_string()).to_owned(),
            begun_unix_seconds: now.as_secs(),
            // Without a bound that was asked for nothing is answered.
            verdict: if found { Verdict::Measured } else { Verdict::NotJudged },
            because: search.finding.explained().into_iter().take(usize::from(!found)).collect(),
            assertions: Vec::new(),
            not_checked: Vec::new(),
            stages: Vec::new(),
            moments: Vec::new(),
            readings: Vec::new(),
            distribution: Distribution::default(),
            tenants: Vec::new(),
            generator: Generator::default(),
            search: Some(search),
            settings: settings(plan, None),
            environment: environment(),
        }
    }
}

/// What of a URL or path may be shown to anybody.
pub(crate) fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}
