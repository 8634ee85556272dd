//! The bound that the steps show, with its confidence; or why they show none.

use plimsoll::sizing::usl::{self, Sample};
use serde::{Deserialize, Serialize};

use super::answer;
use super::step::{Bend, FOLLOWS_RATIO, Outcome};
use crate::figure::{count, percent};

/// How often the windows are drawn again to see how far the estimate may be off.
const DRAWS: usize = 1_000;
/// An interval wider than this share of its middle is a guess.
const WIDTH_MAX: f64 = 0.3;
/// Less goodput than this share of the best, at more load, is a collapse.
const COLLAPSE_RATIO: f64 = 0.8;

/// A number that was estimated, with its 95 % bounds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// The best estimate.
    pub value: f64,
    /// It is hardly below this.
    pub low: f64,
    /// It is hardly above this.
    pub high: f64,
}

/// The bound.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// Successes a second that the target reaches and does not exceed.
    pub per_second: Interval,
    /// What it does beyond that.
    pub beyond: Bend,
    /// The goodput at the highest load where that is much less: more load makes it worse.
    pub collapses_to: Option<f64>,
}

/// What the universal scalability law says of the same steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Law {
    /// It fits.
    Fits {
        /// The share for which requests wait for one another.
        contention: Interval,
        /// What each pays for every other.
        coherency: Interval,
        /// How far the steps are from the curve.
        error_ratio: f64,
        /// How many at once get the most done, where there is such a number; else why there is none.
        #[serde(with = "answer")]
        knee: Result<Knee, String>,
    },
    /// It does not.
    DoesNotFit {
        /// Why.
        why: String,
    },
}

/// How many at once get the most done.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Knee {
    /// So many at once.
    pub concurrency: Interval,
    /// So much a second, by the law.
    pub per_second: f64,
}

/// Why no bound is named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum NoBound {
    /// Every step was taken well.
    NeverBends {
        /// The highest.
        highest: f64,
    },
    /// Not even the lowest was.
    NeverWell {
        /// The lowest.
        lowest: f64,
        /// What the target did.
        bend: Bend,
    },
    /// It bends, but where is a guess.
    Unclear {
        /// The interval.
        per_second: Interval,
    },
    /// Steps that are heavier were taken well again and again: something else is at work.
    Contradictory {
        /// The heaviest that was taken well.
        well: f64,
        /// One that was not, though it was lighter.
        bent: f64,
    },
    /// The generator did not keep up.
    Generator {
        /// At this rate.
        at: f64,
    },
    /// The generator had as many connections as it may, and needed more.
    Connections {
        /// At this rate.
        at: f64,
    },
    /// It was stopped before there was enough to say.
    Stopped,
}

/// What came of the search.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The bound, or why there is none.
    #[serde(with = "answer")]
    pub bound: Result<Bound, NoBound>,
    /// What the law says, where there was enough to ask it.
    pub law: Option<Law>,
}

impl Finding {
    /// No bound, and no law.
    #[must_use]
    pub fn none(why: NoBound) -> Self {
        Self { bound: Err(why), law: None }
    }

    /// What was seen, a sentence a line.
    #[must_use]
    pub fn explained(&self) -> Vec<String> {
        let mut lines = match &self.bound {
            Ok(bound) => bound.explained(),
            Err(why) => why.explained(),
        };
        lines.extend(self.law.as_ref().map(Law::explained));
        lines
    }
}

/// The bound that these steps show, those of one search in the order of their rates.
pub(super) fn find(outcomes: &[Outcome], p99_ms: f64) -> Finding {
    let law = (!outcomes.is_empty()).then(|| ask(outcomes));
    Finding { bound: bound(outcomes, p99_ms), law }
}

fn bound(outcomes: &[Outcome], p99_ms: f64) -> Result<Bound, NoBound> {
    let with_bend = || outcomes.iter().map(|outcome| (outcome, outcome.bend(p99_ms)));
    let well = with_bend().filter(|(_, bend)| bend.is_none()).map(|(outcome, _)| outcome.offered);
    let well = well.reduce(f64::max);
    let mut bent: Vec<(&Outcome, Bend)> =
        with_bend().filter_map(|(outcome, bend)| Some((outcome, bend?))).collect();
    bent.sort_by(|(one, _), (other, _)| one.offered.total_cmp(&other.offered));
    let highest = outcomes.iter().map(|outcome| outcome.offered).fold(0.0, f64::max);
    let Some((first, bend)) = bent.first().copied() else { return Err(NoBound::NeverBends { highest }) };
    let Some(well) = well else { return Err(NoBound::NeverWell { lowest: first.offered, bend }) };
    // One step may have met an accident; what bends for good does so from there on.
    if bent.iter().filter(|(outcome, _)| outcome.offered < well).count() > 1 {
        return Err(NoBound::Contradictory { well, bent: first.offered });
    }
    bent.retain(|(outcome, _)| outcome.offered > well);
    let Some((first, bend)) = bent.first().copied() else { return Err(NoBound::NeverBends { highest }) };
    let last = bent.last().map_or(first, |(outcome, _)| *outcome);
    let (per_second, bend) = if bend == Bend::Slow { slow(well, &bent) } else { (plateau(&bent), bend) };
    let width = (per_second.high - per_second.low) / per_second.value.max(f64::MIN_POSITIVE);
    if per_second.value <= 0.0 || width > WIDTH_MAX {
        return Err(NoBound::Unclear { per_second });
    }
    let collapses_to = Some(last.goodput_mean()).filter(|left| *left < COLLAPSE_RATIO * per_second.value);
    Ok(Bound { per_second, beyond: bend, collapses_to })
}

/// The bound of a target whose first step beyond it is only slow.
///
/// Where what is offered beyond is not served, it is slow because it is full, and its goodput says at how
/// much; else the bound is between the step that was fast and the one that was not.
fn slow(well: f64, bent: &[(&Outcome, Bend)]) -> (Interval, Bend) {
    let first = bent[0].0.offered;
    if let Some(full) = bent.iter().position(|(_, bend)| *bend != Bend::Slow) {
        let goodput = plateau(&bent[full..]);
        if goodput.value <= first / FOLLOWS_RATIO {
            return (goodput, bent[full].1);
        }
    }
    (Interval { value: well, low: well, high: first }, Bend::Slow)
}

/// The best that any of the steps reaches, with its bounds by the bootstrap (Bradley Efron, 1979): the
/// windows of each step are drawn again with replacement, and the best step found again, many times.
fn plateau(steps: &[(&Outcome, Bend)]) -> Interval {
    let steps: Vec<&[f64]> = steps.iter().map(|(outcome, _)| outcome.goodput.as_slice()).collect();
    let mean = |windows: &[f64]| windows.iter().sum::<f64>() / windows.len().max(1) as f64;
    let value = steps.iter().map(|windows| mean(windows)).fold(0.0, f64::max);
    // A seed of its own: the same steps give the same bounds.
    let mut random = fastrand::Rng::with_seed(0x6c6f_6164);
    let mut again = |windows: &[f64]| {
        if windows.is_empty() {
            return 0.0;
        }
        let drawn = (0..windows.len()).map(|_| windows[random.usize(..windows.len())]).sum::<f64>();
        drawn / windows.len() as f64
    };
    let mut draws: Vec<f64> =
        (0..DRAWS).map(|_| steps.iter().map(|windows| again(windows)).fold(0.0, f64::max)).collect();
    draws.sort_by(f64::total_cmp);
    let at = |ratio: f64| draws[((draws.len() - 1) as f64 * ratio) as usize];
    Interval { value, low: at(0.025).min(value), high: at(0.975).max(value) }
}

/// Asks the law.
///
/// It speaks of how many are inside at once, where we set how many arrive. By Little's law they are
/// goodput times mean time; who arrives meets those and is one more (the arrival theorem), so that a
/// request that meets nobody is a concurrency of one.
fn ask(outcomes: &[Outcome]) -> Law {
    let sample = |outcome: &Outcome| {
        let time = outcome.mean_ms / 1_000.0;
        let concurrency = 1.0 + outcome.goodput_mean() * time;
        Sample { concurrency, per_second: concurrency / time }
    };
    let answered = |outcome: &&Outcome| outcome.mean_ms > 0.0 && outcome.goodput_mean() > 0.0;
    let samples: Vec<Sample> = outcomes.iter().filter(answered).map(sample).collect();
    match usl::fit(&samples) {
        Ok(fit) => Law::Fits {
            contention: interval(fit.contention),
            coherency: interval(fit.coherency),
            error_ratio: fit.error_ratio,
            knee: fit
                .knee()
                .map(|knee| Knee { concurrency: interval(knee.concurrency), per_second: knee.per_second })
                .map_err(|none| none.to_string()),
        },
        Err(why) => Law::DoesNotFit { why: why.to_string() },
    }
}

fn interval(estimate: usl::Estimate) -> Interval {
    // JSON has no infinity: what has no bound above is bounded by the largest number.
    Interval { value: estimate.value, low: estimate.low, high: estimate.high.min(f64::MAX) }
}

impl Bound {
    fn explained(&self) -> Vec<String> {
        let Interval { value, low, high } = self.per_second;
        let (low, high) = (count(low), count(high));
        let between = match self.beyond {
            // No estimate from many windows: the one step was well, and the next was not.
            Bend::Slow => format!("between {low} and {high}"),
            _ => format!("95 % sure: {low} to {high}"),
        };
        let mut lines =
            vec![format!("It takes {}/s ({between}); beyond that it {}.", count(value), self.beyond.words())];
        if let Some(left) = self.collapses_to {
            lines.push(format!(
                "Offered more it gets less done: {}/s, {} of its best. That is a collapse: a bound before it, \
                 which refuses early, would keep it at its best.",
                count(left),
                percent(left / value)
            ));
        }
        lines
    }
}

impl NoBound {
    fn explained(&self) -> Vec<String> {
        match self {
            Self::NeverBends { highest } => vec![
                format!(
                    "No bound is named: it took all that was offered, up to {}/s, and never bent.",
                    count(*highest)
                ),
                "Go further with a higher --to, or give the bound you promise with --bound.".to_owned(),
            ],
            Self::NeverWell { lowest, bend } => vec![
                format!(
                    "No bound is named: offered {}/s, the least that was tried, it {} already.",
                    count(*lowest),
                    bend.words()
                ),
                "Look at one request first (curl), and at --p99-ms where it is only slow.".to_owned(),
            ],
            Self::Unclear { per_second: Interval { value, low, high } } => vec![
                format!(
                    "No bound is named: it bends at about {}/s, but anything from {} to {} would fit.",
                    count(*value),
                    count(*low),
                    count(*high)
                ),
                "Take longer steps with --step-seconds, and let nothing else run on the machine.".to_owned(),
            ],
            Self::Contradictory { well, bent } => vec![
                format!(
                    "No bound is named: {}/s was too much and {}/s was not. Something else than the load decides: \
                     a warm-up, a neighbour, a cache.",
                    count(*bent),
                    count(*well)
                ),
                "Run it again; where it stays so, give the bound you promise with --bound.".to_owned(),
            ],
            Self::Generator { at } => vec![
                format!(
                    "No bound is named: at {}/s the generator, not the target, was the limit.",
                    count(*at)
                ),
                "Run it on a machine of its own, or on a faster one.".to_owned(),
            ],
            Self::Connections { at } => vec![
                format!(
                    "No bound is named: at {}/s all connections that the generator may have were in use and requests \
                     waited for one, while the target was as fast as ever.",
                    count(*at)
                ),
                "Raise --connections.".to_owned(),
            ],
            Self::Stopped => {
                vec!["No bound is named: it was stopped before there was enough to say.".to_owned()]
            }
        }
    }
}

impl Law {
    fn explained(&self) -> String {
        match self {
            Self::DoesNotFit { why } => format!(
                "The universal scalability law does not describe it ({why}): the bound is what was seen, and nothing is \
                 said of what lies beyond."
            ),
            Self::Fits { contention, coherency, knee, error_ratio } => {
                let law = format!(
                    "By the universal scalability law (off by {} on average) requests wait for one another {} of their time \
                     (95 % sure: {} to {}), and each costs every other {}",
                    percent(*error_ratio),
                    percent(contention.value),
                    percent(contention.low),
                    percent(contention.high.min(9.99)),
                    percent(coherency.value),
                );
                match knee {
                    Ok(knee) => format!(
                        "{law}: the most is got done with {} at once (95 % sure: {} to {}). A limit on concurrency \
                         belongs there.",
                        count(knee.concurrency.value),
                        count(knee.concurrency.low),
                        count(knee.concurrency.high)
                    ),
                    Err(why) => format!("{law}. It names no best concurrency: {why}."),
                }
            }
        }
    }
}
