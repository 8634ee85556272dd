//! All that a run was, as one JSON object: what `--json` prints, what the page is drawn from, and what
//! two runs are compared by.

use serde::{Deserialize, Serialize};

use crate::check::{Limit, SelfCheck};
use crate::judge::{Assertion, Verdict};
use crate::knee::{Finding, Outcome};
use crate::tally::{self, Class, Quantiles};

/// The version of the object. A program that reads it asks for this one; fields may be added to it.
pub const VERSION: u32 = 1;
/// The largest file of a run that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// What was asked, without what may be secret in it.
    pub target: String,
    /// When it began, seconds since 1970.
    pub begun_unix_seconds: u64,
    /// What is to be said of it.
    pub verdict: Verdict,
    /// Why, a sentence each.
    pub because: Vec<String>,
    /// What had to hold.
    pub assertions: Vec<Assertion>,
    /// What could not be checked, and why.
    pub not_checked: Vec<String>,
    /// The parts of the run.
    pub stages: Vec<Stage>,
    /// How it went, in even steps of time.
    pub moments: Vec<Moment>,
    /// The target's own numbers over time.
    pub readings: Vec<Reading>,
    /// How long what was answered and not refused took, over the whole run.
    pub distribution: Distribution,
    /// For whom it was sent.
    pub tenants: Vec<Tenant>,
    /// The search for the bound, where there was one.
    pub search: Option<Search>,
    /// Whether the generator, not the target, was the limit.
    pub generator: Generator,
    /// What was asked for.
    pub settings: Vec<Named>,
    /// Where it ran.
    pub environment: Vec<Named>,
}

/// Something with a name and a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What became of requests, by when they were due.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub due: u64,
    /// Were answered with 2xx.
    pub succeeded: u64,
    /// Were answered with 429 or 503.
    pub refused: u64,
    /// Were refused without a word on when to come again.
    pub refused_without_retry_after: u64,
    /// Were answered with another status.
    pub failed: u64,
    /// Were sent and not answered in time.
    pub timed_out: u64,
    /// Found nobody who takes connections.
    pub not_connected: u64,
    /// Lost their connection, or were answered with what is no HTTP.
    pub cut: u64,
    /// Were not sent, since the target held all connections, or took no more.
    pub unsent: u64,
    /// Were not sent, since the generator had as many connections in use as it may have, or as its
    /// machine gives it: what the target would have done is not known.
    #[serde(default)]
    pub withheld: u64,
    /// Were in line or under way when the run was ended before its time.
    #[serde(default)]
    pub unfinished: u64,
}

/// Times in milliseconds.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Times {
    /// On average.
    pub mean_ms: f64,
    /// Half are within it.
    pub p50_ms: f64,
    /// 90 of 100 are.
    pub p90_ms: f64,
    /// 99 of 100 are.
    pub p99_ms: f64,
    /// 999 of 1,000 are.
    pub p999_ms: f64,
    /// All are.
    pub max_ms: f64,
}

/// A part of the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// When it began, from the beginning of the run.
    pub from_seconds: f64,
    /// When it ended.
    pub to_seconds: f64,
    /// How the requests that were due in it ended.
    pub counts: Counts,
    /// How long those that were not refused took, from when they were due.
    pub from_due: Times,
    /// The same from when they were sent.
    pub from_sent: Times,
}

/// A step of time; rates are a second.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// When it ended, from the beginning of the run.
    pub at_seconds: f64,
    /// Requests that were due.
    pub due: f64,
    /// Requests that were sent.
    pub sent: f64,
    /// Successes.
    pub succeeded: f64,
    /// Refusals.
    pub refused: f64,
    /// All else that was no success.
    pub failed: f64,
    /// Times from due of what was answered in it and not refused; none where nothing was.
    pub p50_ms: Option<f64>,
    /// 90 of 100 of them.
    pub p90_ms: Option<f64>,
    /// 99 of 100 of them.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

/// The target's own numbers at one time.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// When, from the beginning of the run; before it when negative.
    pub at_seconds: f64,
    /// Resident memory.
    pub memory_bytes: Option<f64>,
    /// Open descriptors.
    pub descriptors: Option<f64>,
    /// Tasks alive.
    pub tasks: Option<f64>,
    /// What waits in its queues.
    pub queue: Option<f64>,
}

/// A distribution: for each of the ratios, the time within which that share was.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Distribution {
    /// From when a request was due.
    pub from_due: Vec<Quantile>,
    /// From when it was sent.
    pub from_sent: Vec<Quantile>,
}

/// One point of a distribution.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quantile {
    /// The share, 0 to 1.
    pub ratio: f64,
    /// The time.
    pub ms: f64,
}

/// What one tenant got in one part of the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Who.
    pub name: String,
    /// In which part.
    pub stage: String,
    /// Requests that were due.
    pub due: u64,
    /// Successes.
    pub succeeded: u64,
    /// Refusals.
    pub refused: u64,
    /// The time, from due, of 99 of 100 that were not refused.
    pub p99_ms: f64,
}

/// The search for the bound.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// What was found.
    pub finding: Finding,
    /// What it was found by.
    pub steps: Vec<Outcome>,
}

/// The generator's account of itself.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Generator {
    /// Whether it was the limit: what was measured then says as much about it as about the target.
    pub was_the_limit: bool,
    /// What it saw of itself, a sentence each.
    pub seen: Vec<String>,
    /// The share of what was due that did not go out within 100 ms of its time by its own doing.
    pub rate_error_ratio: f64,
    /// The share that its own bound on connections held up for longer than that, or back.
    #[serde(default)]
    pub capped_ratio: f64,
    /// How late it was itself in the part of the run in which it was latest: 99 of 100 requests were
    /// within this.
    pub late_p99_ms: f64,
    /// The largest share of a second that one of its threads was on a processor.
    pub busiest_ratio: f64,
    /// Processor time of a request.
    pub processor_micros: f64,
    /// Requests a second for which its threads have the processor time, where that was measured.
    pub ceiling_per_second: Option<f64>,
}

impl From<&tally::Counts> for Counts {
    fn from(counts: &tally::Counts) -> Self {
        let of = |classes: &[Class]| classes.iter().map(|class| counts.of(*class)).sum();
        Self {
            due: counts.total(),
            succeeded: counts.success(),
            refused: counts.refused(),
            refused_without_retry_after: counts.refused() - counts.refused_told(),
            failed: of(&[Class::Redirected, Class::ClientError, Class::ServerError]),
            timed_out: counts.of(Class::TimedOut),
            not_connected: counts.of(Class::NotConnected),
            cut: of(&[Class::Cut, Class::Malformed]),
            unsent: of(&[Class::WaitedOut, Class::Unsent]),
            withheld: counts.of(Class::Withheld),
            unfinished: 0,
        }
    }
}

impl From<&tally::Tally> for Counts {
    fn from(tally: &tally::Tally) -> Self {
        Self { due: tally.due(), unfinished: tally.unfinished.len(), ..Self::from(&tally.counts) }
    }
}

impl Counts {
    /// Those that neither succeeded nor were refused.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.failed + self.timed_out + self.not_connected + self.cut + self.unsent + self.withheld
    }

    /// Which share succeeded; of nothing, none.
    #[must_use]
    pub fn success_ratio(&self) -> f64 {
        if self.due == 0 { 0.0 } else { self.succeeded as f64 / self.due as f64 }
    }
}

impl From<Quantiles> for Times {
    fn from(quantiles: Quantiles) -> Self {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Self {
            mean_ms: quantiles.mean_micros / 1_000.0,
            p50_ms: ms(quantiles.p50_micros),
            p90_ms: ms(quantiles.p90_micros),
            p99_ms: ms(quantiles.p99_micros),
            p999_ms: ms(quantiles.p999_micros),
            max_ms: ms(quantiles.max_micros),
        }
    }
}

impl From<SelfCheck> for Generator {
    fn from(check: SelfCheck) -> Self {
        Self {
            was_the_limit: check.limit == Limit::Generator,
            rate_error_ratio: check.rate_error_ratio,
            capped_ratio: check.capped_ratio,
            late_p99_ms: check.worst_late_micros as f64 / 1_000.0,
            busiest_ratio: check.busiest_ratio,
            processor_micros: check.cpu_micros,
            ceiling_per_second: check.ceiling.map(|ceiling| ceiling.per_second),
            seen: check.findings,
        }
    }
}

impl Stage {
    /// How long it was.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.to_seconds - self.from_seconds).max(f64::MIN_POSITIVE)
    }
}

impl Record {
    /// Reads a file that `--json` wrote.
    ///
    /// # Errors
    /// It cannot be read, or is no run of this version; in words that name the file.
    pub fn read(path: &std::path::Path) -> Result<Self, String> {
        let told = |why: String| format!("{}: {why}", path.display());
        let size = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(told(format!("{size} bytes, allowed is up to {FILE_BYTES_MAX}")));
        }
        let text = std::fs::read(path).map_err(|error| told(error.to_string()))?;
        let version: OfVersion = serde_json::from_slice(&text)
            .map_err(|error| told(format!("no run that `plimsoll load --json` wrote: {error}")))?;
        if version.version != VERSION {
            return Err(told(format!("version is {}, allowed is {VERSION}", version.version)));
        }
        serde_json::from_slice(&text).map_err(|error| told(error.to_string()))
    }
}

#[derive(Deserialize)]
struct OfVersion {
    version: u32,
}
