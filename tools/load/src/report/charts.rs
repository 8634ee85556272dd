//! The plots of the page, from the record.

use super::record::{Moment, Quantile, Reading, Record, Search};
use crate::figure::{bytes, count, millis, seconds};
use crate::plot::{Chart, Level, Line, Scale, Shade, Spread};

/// The ratios that are written below a distribution.
const RATIOS: [(f64, &str); 6] =
    [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];

const MIB: f64 = 1_048_576.0;

/// Requests a second over time, by what became of them.
pub(super) fn rates(record: &Record) -> String {
    let line = |name: &str, class, number: fn(&Moment) -> f64| {
        over_moments(record, name, class, |moment| Some(number(moment)))
    };
    let lines = vec![
        line("due", "due", |moment| moment.due),
        line("sent", "sent", |moment| moment.sent),
        line("succeeded", "ok", |moment| moment.succeeded),
        line("refused (429, 503)", "refused", |moment| moment.refused),
        line("failed", "failed", |moment| moment.failed),
    ];
    over_time(record, "Requests a second over time", Spread::Linear, count, lines, Vec::new())
}

/// Times over time.
pub(super) fn times(record: &Record, level: Option<(f64, &str)>) -> String {
    let line =
        |name: &str, class, number: fn(&Moment) -> Option<f64>| over_moments(record, name, class, number);
    let lines = vec![
        line("p50", "p50", |moment| moment.p50_ms),
        line("p90", "p90", |moment| moment.p90_ms),
        line("p99", "p99", |moment| moment.p99_ms),
    ];
    let levels = level.map(|(value, name)| Level { name: name.to_owned(), value });
    over_time(
        record,
        "Time from when a request was due to its answer",
        Spread::Logarithmic,
        millis,
        lines,
        levels.into_iter().collect(),
    )
}

/// The distribution of times, from when they were due and from when they were sent.
pub(super) fn distribution(record: &Record) -> String {
    let points = |quantiles: &[Quantile]| -> Vec<(f64, Option<f64>)> {
        quantiles.iter().map(|quantile| (nines(quantile.ratio), Some(quantile.ms))).collect()
    };
    let lines = vec![
        Line {
            name: "from when it was due".into(),
            class: "first",
            points: points(&record.distribution.from_due),
        },
        Line {
            name: "from when it was sent".into(),
            class: "second",
            points: points(&record.distribution.from_sent),
        },
    ];
    let reach = lines.iter().flat_map(|line| &line.points).map(|(place, _)| *place).fold(1.0, f64::max);
    let ticks = RATIOS
        .iter()
        .map(|(ratio, text)| (nines(*ratio), (*text).to_owned()))
        .filter(|(place, _)| *place <= reach);
    Chart {
        title: "Distribution of times".to_owned(),
        across: Scale::between(0.0, reach),
        across_ticks: ticks.collect(),
        up: scale(Spread::Logarithmic, &lines, &[]),
        write: millis,
        lines,
        shades: Vec::new(),
        levels: Vec::new(),
    }
    .svg()
}

/// One of the target's own numbers.
struct Kind {
    title: &'static str,
    class: &'static str,
    write: fn(f64) -> String,
    number: fn(&Reading) -> Option<f64>,
}

const KINDS: [Kind; 4] = [
    Kind {
        title: "Memory",
        class: "p50",
        write: mebibytes,
        number: |reading| Some(reading.memory_bytes? / MIB),
    },
    Kind { title: "Open descriptors", class: "p90", write: count, number: |reading| reading.descriptors },
    Kind { title: "Tasks", class: "refused", write: count, number: |reading| reading.tasks },
    Kind { title: "Waiting in its queues", class: "sent", write: count, number: |reading| reading.queue },
];

/// The target's own numbers over time: a title and a plot for each that was told.
pub(super) fn readings(record: &Record) -> Vec<(&'static str, String)> {
    let plot = |kind: &Kind| {
        let value = |reading: &Reading| (reading.at_seconds, (kind.number)(reading));
        let points: Vec<_> = record.readings.iter().map(value).collect();
        points.iter().any(|(_, value)| value.is_some()).then(|| {
            let lines = vec![Line { name: kind.title.to_lowercase(), class: kind.class, points }];
            (kind.title, over_time(record, kind.title, Spread::Linear, kind.write, lines, Vec::new()))
        })
    };
    KINDS.iter().filter_map(plot).collect()
}

/// Goodput by what was offered, from the search for the bound.
pub(super) fn search(search: &Search) -> String {
    let mut steps: Vec<_> = search.steps.iter().map(|step| (step.offered, step.goodput_mean())).collect();
    steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let highest = steps.last().map_or(1.0, |(offered, _)| *offered);
    let lines = vec![
        Line {
            name: "offered".into(),
            class: "due",
            points: vec![(0.0, Some(0.0)), (highest, Some(highest))],
        },
        Line {
            name: "succeeded".into(),
            class: "ok",
            points: steps.into_iter().map(|(offered, goodput)| (offered, Some(goodput))).collect(),
        },
    ];
    let bound = search.finding.bound.as_ref().ok();
    let levels: Vec<Level> = bound
        .map(|bound| Level {
            name: format!("bound: {}/s", count(bound.per_second.value)),
            value: bound.per_second.value,
        })
        .into_iter()
        .collect();
    let across = Scale::around(Spread::Linear, [highest].into_iter());
    Chart {
        title: "Successes a second by requests offered a second".to_owned(),
        across,
        across_ticks: across.ticks(8).into_iter().map(|tick| (tick, format!("{}/s", count(tick)))).collect(),
        up: scale(Spread::Linear, &lines, &levels),
        write: count,
        lines,
        shades: Vec::new(),
        levels,
    }
    .svg()
}

fn over_moments(
    record: &Record,
    name: &str,
    class: &'static str,
    number: impl Fn(&Moment) -> Option<f64>,
) -> Line {
    let points = record.moments.iter().map(|moment| (moment.at_seconds, number(moment))).collect();
    Line { name: name.to_owned(), class, points }
}

fn over_time(
    record: &Record,
    title: &str,
    spread: Spread,
    write: fn(f64) -> String,
    lines: Vec<Line>,
    levels: Vec<Level>,
) -> String {
    let shades: Vec<Shade> = record
        .stages
        .iter()
        .map(|stage| Shade { name: stage.name.clone(), from: stage.from_seconds, to: stage.to_seconds })
        .collect();
    let lines: Vec<Line> = lines
        .into_iter()
        .filter(|line| line.class != "failed" || line.points.iter().any(|(_, value)| *value > Some(0.0)))
        .collect();
    let times = lines.iter().flat_map(|line| &line.points).map(|(at, _)| *at);
    let ends = shades.iter().map(|shade| shade.to);
    let (low, high) =
        times.chain(ends).fold((0.0_f64, 0.0_f64), |(low, high), at| (low.min(at), high.max(at)));
    let across = Scale::between(low, high);
    let ticks = across.ticks(9).into_iter().filter(|tick| *tick >= 0.0);
    Chart {
        title: title.to_owned(),
        across,
        across_ticks: ticks.map(|tick| (tick, seconds(tick))).collect(),
        up: scale(spread, &lines, &levels),
        write,
        lines,
        shades,
        levels,
    }
    .svg()
}

fn scale(spread: Spread, lines: &[Line], levels: &[Level]) -> Scale {
    let values = lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value);
    Scale::around(spread, values.chain(levels.iter().map(|level| level.value)))
}

/// Where a ratio is on an axis on which each nine is as far from the last.
fn nines(ratio: f64) -> f64 {
    -(1.0 - ratio).max(1e-7).log10()
}

/// In whole ones the ticks of an axis are round.
fn mebibytes(mebibytes: f64) -> String {
    bytes(mebibytes * MIB)
}
