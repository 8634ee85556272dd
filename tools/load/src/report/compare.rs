//! Two runs beside each other: by how much they differ, and whether that is more than noise.
//!
//! A figure of a part of a run is compared by its ratio. How far that may be off is told by the moments
//! of the part: they are drawn again in blocks (a stall lasts more than a moment), many times, and the
//! ratio is made again of each draw. What is within the middle 95 % of those ratios is noise.

use serde::Serialize;

use super::record::{Moment, Record, Stage};
use crate::figure::{count, millis};

/// How often the moments are drawn again.
const DRAWS: usize = 1_000;
/// Moments that are drawn together.
const BLOCK: usize = 3;
/// Of fewer moments nothing is said.
const MOMENTS_MIN: usize = 6;
/// A smaller difference is none, however sure it is.
const DIFFERENCE_MIN: f64 = 0.01;

/// What is to be said of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The second is better.
    Better,
    /// The second is worse.
    Worse,
    /// It differs, which is neither.
    Other,
    /// No more than chance would make.
    Noise,
    /// The runs are too short to say.
    TooShort,
}

/// A figure of both runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The part of the run.
    pub stage: String,
    /// The figure.
    pub figure: &'static str,
    /// In the first run.
    pub first: f64,
    /// In the second.
    pub second: f64,
    /// The second by the first.
    pub ratio: f64,
    /// Between these the ratio may be by chance alone, where there is enough to say.
    pub noise: Option<(f64, f64)>,
    /// What is to be said.
    pub difference: Difference,
}

/// Two runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// As of a record.
    pub version: u32,
    /// What was asked of differently in them, so that a difference may come from there.
    pub asked_differently: Vec<String>,
    /// The figures of the parts that both have.
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    of_stage: fn(&Stage) -> f64,
    of_moment: fn(&Moment) -> Option<f64>,
    better: Better,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    Neither,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "p50",
        of_stage: |stage| stage.from_due.p50_ms,
        of_moment: |moment| moment.p50_ms,
        better: Better::Less,
    },
    Figure {
        name: "p90",
        of_stage: |stage| stage.from_due.p90_ms,
        of_moment: |moment| moment.p90_ms,
        better: Better::Less,
    },
    Figure {
        name: "p99",
        of_stage: |stage| stage.from_due.p99_ms,
        of_moment: |moment| moment.p99_ms,
        better: Better::Less,
    },
    Figure {
        name: "succeeded/s",
        of_stage: |stage| stage.counts.succeeded as f64 / stage.seconds(),
        of_moment: |moment| Some(moment.succeeded),
        better: Better::More,
    },
    Figure {
        name: "refused/s",
        of_stage: |stage| stage.counts.refused as f64 / stage.seconds(),
        of_moment: |moment| Some(moment.refused),
        better: Better::Neither,
    },
    Figure {
        name: "failed/s",
        of_stage: |stage| stage.counts.lost() as f64 / stage.seconds(),
        of_moment: |moment| Some(moment.failed),
        better: Better::Less,
    },
];

/// Compares the parts of one name.
#[must_use]
pub fn compare(first: &Record, second: &Record) -> Comparison {
    let mut rows = Vec::new();
    for one in &first.stages {
        let Some(other) = second.stages.iter().find(|stage| stage.name == one.name) else { continue };
        let (ones, others) = (within(first, one), within(second, other));
        for figure in FIGURES {
            let numbers = ((figure.of_stage)(one), (figure.of_stage)(other));
            if numbers != (0.0, 0.0) {
                rows.push(row(&one.name, figure, numbers, (&ones, &others)));
            }
        }
    }
    Comparison { version: super::record::VERSION, asked_differently: asked_differently(first, second), rows }
}

/// The moments of a part; the first has what came before it, the last may be a piece of one.
fn within(record: &Record, stage: &Stage) -> Vec<Moment> {
    let whole = |moment: &&Moment| {
        moment.at_seconds > stage.from_seconds + 1.0 && moment.at_seconds <= stage.to_seconds + 1e-6
    };
    record.moments.iter().filter(whole).copied().collect()
}

fn row(
    stage: &str,
    figure: Figure,
    (first, second): (f64, f64),
    (ones, others): (&[Moment], &[Moment]),
) -> Row {
    let ratio = if first > 0.0 { second / first } else { f64::MAX };
    let numbers = |moments: &[Moment]| -> Vec<f64> { moments.iter().filter_map(figure.of_moment).collect() };
    let (ones, others) = (numbers(ones), numbers(others));
    let noise = (ones.len() >= MOMENTS_MIN && others.len() >= MOMENTS_MIN).then(|| by_chance(&ones, &others));
    let difference = match noise {
        None => Difference::TooShort,
        Some((low, high)) if (low..=high).contains(&ratio) || (ratio - 1.0).abs() < DIFFERENCE_MIN => {
            Difference::Noise
        }
        Some(_) => match (figure.better, ratio < 1.0) {
            (Better::Neither, _) => Difference::Other,
            (Better::Less, true) | (Better::More, false) => Difference::Better,
            (Better::Less, false) | (Better::More, true) => Difference::Worse,
        },
    };
    Row { stage: stage.to_owned(), figure: figure.name, first, second, ratio, noise, difference }
}

/// Which ratios chance alone would make: of two runs that are alike, each with the scatter that it has.
fn by_chance(ones: &[f64], others: &[f64]) -> (f64, f64) {
    // A seed of its own: the same runs compare the same.
    let mut random = fastrand::Rng::with_seed(0x636f_6d70);
    let mut off = |numbers: &[f64]| {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let blocks = numbers.len().div_ceil(BLOCK);
        let drawn: Vec<f64> = (0..blocks)
            .flat_map(|_| {
                let from = random.usize(..=numbers.len() - BLOCK);
                numbers[from..from + BLOCK].to_vec()
            })
            .collect();
        let again = drawn.iter().sum::<f64>() / drawn.len() as f64;
        if mean > 0.0 { (again / mean).max(1e-6) } else { 1.0 }
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| off(others) / off(ones)).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: f64| ratios[((DRAWS - 1) as f64 * part) as usize];
    (at(0.025), at(0.975))
}

fn asked_differently(first: &Record, second: &Record) -> Vec<String> {
    let both = first.settings.iter().filter_map(|one| {
        let other = second.settings.iter().find(|other| other.name == one.name)?;
        (one.value != other.value).then(|| format!("{}: {}, then {}", one.name, one.value, other.value))
    });
    let target =
        (first.target != second.target).then(|| format!("target: {}, then {}", first.target, second.target));
    target.into_iter().chain(both).collect()
}

impl Comparison {
    /// As a table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.asked_differently {
            text.push_str(&format!("asked differently: {line}\n"));
        }
        if self.rows.is_empty() {
            text.push_str("The runs have no part of one name: there is nothing to compare.\n");
            return text;
        }
        text.push_str(&format!(
            "{:<16}{:<13}{:>12}{:>12}{:>9}   {:<16}\n",
            "part", "figure", "first", "second", "ratio", "by chance"
        ));
        for row in &self.rows {
            let write = if row.figure.starts_with('p') { millis } else { count };
            let noise =
                row.noise.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.2} to {high:.2}"));
            text.push_str(&format!(
                "{:<16}{:<13}{:>12}{:>12}{:>9}   {noise:<16}{}\n",
                row.stage,
                row.figure,
                write(row.first),
                write(row.second),
                ratio(row.ratio),
                row.difference.words(),
            ));
        }
        text
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 1e4 { format!("{ratio:.2}") } else { "-".to_owned() }
}

impl Difference {
    const fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Other => "different",
            Self::Noise => "noise",
            Self::TooShort => "too short to say",
        }
    }
}
