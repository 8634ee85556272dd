//! Whether what a run has shown is the target's doing or the generator's.

use std::net::SocketAddr;

use super::Ceiling;
use crate::run::{ON_TIME, PAUSE, Run, Second};
use crate::tally::Quantiles;

/// A thread that is busy for more of a second than this has nothing left.
const BUSY_RATIO_MAX: f64 = 0.9;
/// From this on it is close.
const BUSY_RATIO_CLOSE: f64 = 0.7;
/// A generator that is so late, at the 99th percentile of a part, is seen in its results: microseconds.
const LATE_MICROS_MAX: u64 = 5_000;
/// From this on it is close.
const LATE_MICROS_CLOSE: u64 = 1_000;
/// Timers that go off so late mean that the threads were not given a processor: microseconds.
const LAG_MICROS_MAX: u64 = 5_000;
/// Of what was due, the generator may miss the time of this share.
const RATE_ERROR_MAX: f64 = 0.01;
/// The most of the ceiling that a plan should ask for.
const CEILING_RATIO_MAX: f64 = 0.9;

/// Who was the limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Not the generator: what is slow or missing is the target's doing, or the way to it.
    Target,
    /// The generator was close to its limit: the results hold, but more load would not.
    Close,
    /// The generator: the results say as much about it as about the target.
    Generator,
}

/// The generator's account of itself in one run.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct SelfCheck {
    /// Who was the limit.
    pub limit: Limit,
    /// In words, and what to do about it: what was found, the worst of it first.
    pub findings: Vec<String>,
    /// Requests that were due a second, over the whole run.
    pub due_per_second: f64,
    /// Which share of it did not go out within [`ON_TIME`] of when it was due by the generator's own
    /// doing: all that is missing there but what waited for the target, and what was capped.
    pub rate_error_ratio: f64,
    /// Which share of it the generator's own bound on connections held up beyond that time, or back.
    pub capped_ratio: f64,
    /// How late the generator itself was with each request.
    pub lateness: Quantiles,
    /// The same of 99 of 100 in the part of the run in which it was latest, in microseconds.
    pub worst_late_micros: u64,
    /// How much later than asked timers went off.
    pub lag: Quantiles,
    /// The largest share of a second that one thread was on a processor.
    pub busiest_ratio: f64,
    /// Processor time of one request, in microseconds.
    pub cpu_micros: f64,
    /// What was measured against a trivial server, where it was.
    pub ceiling: Option<Ceiling>,
}

impl SelfCheck {
    /// Judges a run; `rate_max` is the highest rate that its profile asked for.
    #[must_use]
    pub fn of(run: &Run, rate_max: f64, ceiling: Option<Ceiling>) -> Self {
        let due = run.due();
        let seconds = run.seconds.last().map_or(0.0, |last| last.ends.as_secs_f64());
        let sum = |of: fn(&Second) -> u64| run.seconds.iter().map(of).sum::<u64>();
        let sent = sum(|second| second.sent);
        let capped = sum(|second| second.capped);
        let excused = sum(|second| second.held_up) + capped;
        let missing = due.saturating_sub(sum(|second| second.on_time) + excused);
        let stages = run.stages.iter().map(|stage| stage.lateness.value_at_quantile(0.99));
        let per = |of: f64, to: f64| if to > 0.0 { of / to } else { 0.0 };
        let mut check = Self {
            limit: Limit::Target,
            findings: Vec::new(),
            due_per_second: per(due as f64, seconds),
            rate_error_ratio: per(missing as f64, due as f64),
            capped_ratio: per(capped as f64, due as f64),
            worst_late_micros: stages.max().unwrap_or_default(),
            lateness: Quantiles::of(&run.generator.lateness),
            lag: Quantiles::of(&run.generator.lag),
            busiest_ratio: run.generator.busiest_ratio,
            cpu_micros: per(run.generator.cpu.as_secs_f64() * 1e6, sent as f64),
            ceiling,
        };
        let mut found = check.judge(run.generator.workers, rate_max);
        found.extend(of_its_sending(&check, run));
        found.sort_by_key(|(limit, _)| std::cmp::Reverse(*limit));
        check.limit = found.first().map_or(Limit::Target, |(limit, _)| *limit);
        check.findings = found.into_iter().map(|(_, words)| words).collect();
        if check.findings.is_empty() {
            check.findings.push(format!(
                "the generator kept up: it was at most {:.2} ms late with 99 % of what was due, and its busiest thread used {:.0} % of a processor",
                check.lateness.p99_micros as f64 / 1e3,
                check.busiest_ratio * 100.0
            ));
        }
        check.findings.extend(left_out(&run.generator.left_out));
        check
    }

    fn judge(&self, workers: usize, rate_max: f64) -> Vec<(Limit, String)> {
        let mut found = Vec::new();
        let busy = self.busiest_ratio * 100.0;
        if self.busiest_ratio > BUSY_RATIO_MAX {
            let words = format!(
                "a thread of the generator used {busy:.0} % of a processor: give it more threads than \
                 {workers}, or lower the rate"
            );
            found.push((Limit::Generator, words));
        } else if self.busiest_ratio > BUSY_RATIO_CLOSE {
            found.push((Limit::Close, format!("a thread of the generator used {busy:.0} % of a processor")));
        }
        let late = self.worst_late_micros;
        let words = format!(
            "1 % of what was due was {:.1} ms or more late by the generator's own doing, in the part where that was worst",
            late as f64 / 1e3
        );
        match late {
            LATE_MICROS_MAX.. => found.push((Limit::Generator, words)),
            LATE_MICROS_CLOSE.. => found.push((Limit::Close, words)),
            _ => {}
        }
        if self.lag.p99_micros >= LAG_MICROS_MAX {
            let words = format!(
                "timers of the generator went off {:.1} ms late (99th percentile): its machine is busy with \
                 something else; run it on another one than the target",
                self.lag.p99_micros as f64 / 1e3
            );
            found.push((Limit::Generator, words));
        }
        if let Some(ceiling) =
            self.ceiling.filter(|ceiling| rate_max > CEILING_RATIO_MAX * ceiling.per_second)
        {
            let words = format!(
                "{rate_max:.0} requests a second were asked for, and {workers} threads have the processor time \
                 for {:.0} ({:.1} us each)",
                ceiling.per_second, ceiling.cpu_micros
            );
            found.push((Limit::Close, words));
        }
        found
    }
}

/// What was not sent, or not when it was due, for the generator's own sake.
fn of_its_sending(check: &SelfCheck, run: &Run) -> Vec<(Limit, String)> {
    let generator = &run.generator;
    let mut found = Vec::new();
    if check.rate_error_ratio > RATE_ERROR_MAX {
        let words = format!(
            "{:.1} % of what was due did not go out within {} ms of its time by the generator's own doing",
            check.rate_error_ratio * 100.0,
            ON_TIME.as_millis()
        );
        found.push((Limit::Generator, words));
    }
    if generator.longest_pause > ON_TIME {
        let words = format!(
            "the generator stood still for more than {} ms (times: {}), for {} ms at the longest: what was due \
             meanwhile is late by its own doing",
            PAUSE.as_millis(),
            generator.pauses,
            generator.longest_pause.as_millis()
        );
        found.push((Limit::Close, words));
    }
    if let Some(why) = &generator.first_denial {
        let words = format!(
            "{} times this machine gave the generator no connection ({why}): allow it more open files \
             (ulimit -n) or more ports, or ask for fewer --connections",
            generator.connections_denied
        );
        found.push((Limit::Generator, words));
    } else if check.capped_ratio > RATE_ERROR_MAX {
        let words = format!(
            "{:.1} % of what was due waited for more than {} ms, or was not sent, while as many connections \
             were in use as the generator may have: whether the target would take more is not known",
            check.capped_ratio * 100.0,
            ON_TIME.as_millis()
        );
        found.push((Limit::Close, words));
    }
    found
}

/// That addresses of the target were not tested.
fn left_out(deaf: &[SocketAddr]) -> Option<String> {
    let list: Vec<String> = deaf.iter().map(SocketAddr::to_string).collect();
    (!list.is_empty()).then(|| {
        format!(
            "nobody took a connection at {}: the other addresses of the target were tested",
            list.join(", ")
        )
    })
}
