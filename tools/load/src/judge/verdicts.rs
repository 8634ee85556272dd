//! Each assertion by itself: from what was seen to whether it held, and the words for it.

use std::time::Duration;

use super::assertion::{Assertion, State};
use super::evidence::{Known, LastSecond, Phase, Recovery, fails};
use super::terms::{MIB, Terms};
use crate::figure::{bytes, count, grouped, millis, percent, seconds};
use crate::tally::Class;

/// More must succeed below the bound.
pub(super) const SUCCESS_RATIO: f64 = 0.999;
/// Under overload no more than this share may be neither admitted and answered nor refused.
const LOST_RATIO: f64 = 0.001;
/// What memory may grow under overload where no limit is given.
const GROWTH_BYTES: f64 = 64.0 * MIB;
/// What may be left of memory: allocators keep some.
const MEMORY_LEFT_RATIO: f64 = 1.25;
const MEMORY_LEFT_BYTES: f64 = 32.0 * MIB;
/// What may be left of descriptors and tasks: a log, a timer.
const LEFT_RATIO: f64 = 1.05;
const LEFT: f64 = 8.0;
/// Recovered is who is at most so many times as slow as below the bound, or so much slower.
const BACK_FACTOR: f64 = 2.0;
const BACK_MS: f64 = 20.0;
/// Fewer requests say nothing of shares and percentiles.
const REQUESTS_MIN: u64 = 20;
/// How many times the bound is offered under overload.
const OVERLOAD: f64 = 2.0;
/// Under overload at least this share of the bound must still succeed.
const GOODPUT_RATIO: f64 = 0.7;
/// What the quietest may lose of their success.
const QUIET_LOSS: f64 = 0.01;

/// Whether a phase is over, so that what has not happened in it does not happen any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Ahead,
    Running,
    Over,
}

/// What was found of an assertion.
pub(super) type Found = (State, String);

/// What the quietest tenants got below the bound and under overload.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Quiet {
    /// Who they are.
    pub names: String,
    /// What each of them offers, as a share of what it would if all tenants offered the same.
    pub share_ratio: f64,
    /// In each of the first two phases: requests, successes, and the p99 in milliseconds.
    pub phases: [(u64, u64, f64); 2],
}

/// All assertions, open, in the order of the phases.
pub(super) fn all(terms: &Terms, tenants: bool) -> Vec<Assertion> {
    let memory = match terms.memory_bytes_max {
        Some(most) => format!("memory stays within {}", bytes(most)),
        None => format!("memory grows by at most {} over its highest before", bytes(GROWTH_BYTES)),
    };
    let recovery = seconds(terms.lengths()[2].as_secs_f64());
    let mut list = vec![
        (
            "below.success",
            format!("at {}/s more than {} succeed", count(terms.rates()[0]), percent(SUCCESS_RATIO)),
        ),
        ("overload.refuses", format!("at {}/s some are refused with 429 or 503", count(terms.rates()[1]))),
        ("overload.retry_after", "each refusal says when to come again (Retry-After)".to_owned()),
        (
            "overload.answers",
            format!("at most {} are neither admitted and served nor refused", percent(LOST_RATIO)),
        ),
        ("overload.goodput", format!("at least {}/s still succeed", count(GOODPUT_RATIO * terms.bound))),
        (
            "overload.p99",
            format!("99 of 100 of those not refused are served within {}", millis(terms.p99_ms)),
        ),
        ("overload.alive", "it does not crash: the same process takes connections all the time".to_owned()),
        ("overload.memory", memory),
    ];
    if tenants {
        list.push((
            "overload.quiet",
            format!(
                "the quietest tenants get at most {} times as slow as before, and lose no more than {} of their success",
                terms.quiet_factor, percent(QUIET_LOSS)
            ),
        ));
    }
    list.extend([
        ("recovery.p99", format!("within {recovery} the p99 is back to about that below the bound")),
        ("recovery.success", "once it is back nearly everything succeeds (99 of 100)".to_owned()),
        (
            "recovery.memory",
            format!(
                "memory goes back to about its highest before the overload (at most {} and {} more)",
                percent(MEMORY_LEFT_RATIO - 1.0),
                bytes(MEMORY_LEFT_BYTES)
            ),
        ),
        ("recovery.descriptors", "no descriptors are left over once all connections are closed".to_owned()),
        ("recovery.tasks", "no tasks are left over once all connections are closed".to_owned()),
    ]);
    list.into_iter().map(|(name, asks)| Assertion::open(name, asks)).collect()
}

/// How slow the recovered may be.
pub(super) fn back_ms(below: &Phase) -> f64 {
    (below.p99_ms * BACK_FACTOR).max(below.p99_ms + BACK_MS)
}

fn when_over(progress: Progress, held: bool, seen: String) -> Found {
    let state = match (progress, held) {
        (Progress::Over, true) => State::Held,
        (Progress::Over, false) => State::Broken,
        _ => State::Open,
    };
    (state, seen)
}

/// What so few requests cannot tell.
fn few(phase: &Phase, progress: Progress) -> Option<Found> {
    let total = phase.counts.total();
    (total < REQUESTS_MIN && progress == Progress::Over).then(|| {
        let words = format!("{total} requests are too few to say: {REQUESTS_MIN} are needed in the phase");
        (State::NotChecked, words)
    })
}

pub(super) fn success(below: &Phase, progress: Progress) -> Found {
    let ratio = below.counts.success_ratio().unwrap_or_default();
    let total = below.counts.total();
    let seen =
        format!("{} of {} succeeded: {}", grouped(below.counts.success()), grouped(total), percent(ratio));
    few(below, progress).unwrap_or_else(|| when_over(progress, ratio > SUCCESS_RATIO, seen))
}

pub(super) fn refuses(over: &Phase, progress: Progress) -> Found {
    let refused = over.counts.refused();
    if refused > 0 {
        let ratio = refused as f64 / over.counts.total() as f64;
        return (State::Held, format!("{} were refused: {}", grouped(refused), percent(ratio)));
    }
    if let Some(few) = few(over, progress) {
        return few;
    }
    let served = over.counts.success_ratio().unwrap_or_default();
    let seen = if served > SUCCESS_RATIO {
        "none was refused: it took twice the bound, which is then not its bound; or the rest is in a queue"
    } else {
        "none was refused: what it cannot serve waits, fails or is cut off"
    };
    when_over(progress, false, seen.to_owned())
}

pub(super) fn retry_after(over: &Phase, progress: Progress) -> Found {
    let counts = &over.counts;
    let (refused, told) = (counts.refused(), counts.refused_told());
    if refused == 0 {
        let state = if progress == Progress::Over { State::NotChecked } else { State::Open };
        return (state, "nothing was refused".to_owned());
    }
    if told < refused {
        let untold = grouped(refused - told);
        return (State::Broken, format!("{untold} of {} refusals have no Retry-After", grouped(refused)));
    }
    when_over(progress, true, format!("all {} have it", grouped(refused)))
}

pub(super) fn answers(over: &Phase, progress: Progress) -> Found {
    let counts = &over.counts;
    let total = counts.total();
    let lost = total - counts.success() - counts.refused();
    let mut parts: Vec<(u64, &str)> = Class::ALL
        .into_iter()
        .filter(|class| *class != Class::Success && !class.is_refused())
        .map(|class| (counts.of(class), words(class)))
        .filter(|(count, _)| *count > 0)
        .collect();
    parts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let parts: Vec<String> =
        parts.iter().map(|(count, words)| format!("{} {words}", grouped(*count))).collect();
    let seen = if parts.is_empty() { "none was lost".to_owned() } else { parts.join(", ") };
    few(over, progress).unwrap_or_else(|| when_over(progress, lost as f64 <= LOST_RATIO * total as f64, seen))
}

pub(super) fn goodput(over: &Phase, terms: &Terms, progress: Progress) -> Found {
    let rate = over.counts.success() as f64 / terms.lengths()[1].as_secs_f64();
    let seen = format!("{}/s succeeded: {} of the bound", count(rate), percent(rate / terms.bound));
    few(over, progress).unwrap_or_else(|| when_over(progress, rate >= GOODPUT_RATIO * terms.bound, seen))
}

fn words(class: Class) -> &'static str {
    match class {
        Class::TimedOut => "had no answer in time",
        Class::WaitedOut => "found no free connection in time",
        Class::NotConnected => "were refused a connection",
        Class::Cut => "were cut off",
        Class::Malformed => "were answered with what is no HTTP",
        Class::Unsent => "were not sent: the line for a connection was full",
        Class::Withheld => "were not sent: the generator had no more connections",
        Class::ServerError => "failed with 5xx",
        Class::ClientError => "were answered with 4xx",
        Class::Redirected => "were redirected",
        other => other.name(),
    }
}

pub(super) fn p99(over: &Phase, terms: &Terms, progress: Progress) -> Found {
    if let Some(few) = few(over, progress) {
        return few;
    }
    if over.counts.total() == over.counts.refused() {
        return when_over(progress, false, "nothing was served".to_owned());
    }
    when_over(
        progress,
        over.p99_ms <= terms.p99_ms,
        format!("the p99 of those not refused is {}", millis(over.p99_ms)),
    )
}

pub(super) fn alive(phases: &[Phase], known: &Known, progress: Progress) -> Found {
    if known.ended {
        return (State::Broken, "its process has ended".to_owned());
    }
    if known.restarted {
        return (State::Broken, "its process was started anew while it was under load".to_owned());
    }
    let refused: u64 = phases.iter().map(|phase| phase.counts.of(Class::NotConnected)).sum();
    if refused > 0 {
        return (State::Broken, format!("{} times nobody took a connection", grouped(refused)));
    }
    let start = if known.tells_start() {
        "the process is the same"
    } else {
        "whether the process is the same could not be read"
    };
    let last = phases.last().copied().unwrap_or_default();
    if progress == Progress::Over && last.counts.total() == 0 {
        return (State::NotChecked, "nothing was sent at the end".to_owned());
    }
    let answers = last.counts.answered() > 0;
    let seen = match progress {
        Progress::Over if !answers => "nothing answers any more".to_owned(),
        _ => format!("every connection was taken; {start}"),
    };
    when_over(progress, answers, seen)
}

pub(super) fn memory(known: &Known, terms: &Terms, progress: Progress) -> Found {
    let before = highest(known.before.and_then(|vitals| vitals.memory_bytes), known.peaks[0].memory_bytes);
    let Some(peak) = known.peaks[1].memory_bytes else { return missing(progress, "its memory") };
    let most = match (terms.memory_bytes_max, before) {
        (Some(most), _) => most,
        (None, Some(before)) => before + GROWTH_BYTES,
        (None, None) => return missing(progress, "its memory before the overload"),
    };
    let seen =
        format!("{} at most, {} before", bytes(peak), before.map_or_else(|| "not known".to_owned(), bytes));
    if peak > most { (State::Broken, seen) } else { when_over(progress, true, seen) }
}

pub(super) fn recovered(recovery: &Recovery, phases: [&Phase; 2], progress: Progress) -> Found {
    let [below, last] = phases;
    if let Some(few) = few(last, progress) {
        return few;
    }
    let asked = millis(back_ms(below));
    if let Some(after) = recovery.back_after {
        let seen = format!("back within {asked} after {}", seconds(after.as_secs_f64()));
        return when_over(progress, true, seen);
    }
    let now = recovery.last.map_or_else(
        || "nothing is answered".to_owned(),
        |last| {
            let LastSecond { p99_ms, ended, succeeded } = last;
            format!(
                "{} of {} succeeded at the end, p99 {}",
                grouped(succeeded),
                grouped(ended),
                millis(p99_ms)
            )
        },
    );
    when_over(progress, false, format!("not back within {asked}: {now}"))
}

pub(super) fn stays(recovery: &Recovery, last: &Phase, progress: Progress) -> Found {
    let (due, succeeded, since) = match recovery.back_after {
        // Some of what succeeds at first was due before.
        Some(_) => (recovery.due, recovery.succeeded.min(recovery.due), "since it is back"),
        None => (last.counts.total(), last.counts.success(), "in the phase"),
    };
    if due < REQUESTS_MIN && progress == Progress::Over {
        let words = format!("{due} requests {since} are too few to say: {REQUESTS_MIN} are needed");
        return (State::NotChecked, words);
    }
    let seen = format!("{} of {} {since} succeeded", grouped(succeeded), grouped(due));
    when_over(progress, !fails(due, succeeded), seen)
}

pub(super) fn memory_left(known: &Known, progress: Progress) -> Found {
    let before = highest(known.before.and_then(|vitals| vitals.memory_bytes), known.peaks[0].memory_bytes);
    let after = known.after.and_then(|vitals| vitals.memory_bytes);
    let (Some(before), Some(after)) = (before, after) else { return missing(progress, "its memory") };
    let seen = format!("{} after, {} before the overload", bytes(after), bytes(before));
    when_over(progress, after <= before * MEMORY_LEFT_RATIO + MEMORY_LEFT_BYTES, seen)
}

pub(super) fn left(before: Option<f64>, after: Option<f64>, what: &str, progress: Progress) -> Found {
    let (Some(before), Some(after)) = (before, after) else { return missing(progress, what) };
    when_over(
        progress,
        after <= before * LEFT_RATIO + LEFT,
        format!("{} after, {} before", count(after), count(before)),
    )
}

/// A number that nobody tells is no assertion that holds.
fn missing(progress: Progress, what: &str) -> Found {
    let state = if progress == Progress::Over { State::NotChecked } else { State::Open };
    (state, format!("{what} could not be read"))
}

pub(super) fn quiet(quiet: &Quiet, terms: &Terms) -> Found {
    let [(below, below_success, below_ms), (over, over_success, over_ms)] = quiet.phases;
    let Quiet { names, share_ratio, .. } = quiet;
    if share_ratio * OVERLOAD > 1.0 {
        let loud =
            format!("{names}: in an overload each asks for more than its fair part: none of them is quiet");
        return (State::NotChecked, loud);
    }
    if below_success < REQUESTS_MIN || over < REQUESTS_MIN {
        let few = format!(
            "{names}: {below_success} successes and then {over} requests are too few to say, {REQUESTS_MIN} are needed of each"
        );
        return (State::NotChecked, few);
    }
    let ratio = |success: u64, total: u64| success as f64 / total as f64;
    let (before, after) = (ratio(below_success, below), ratio(over_success, over));
    let slow = over_ms > (below_ms * terms.quiet_factor).max(below_ms + BACK_MS);
    let seen = format!(
        "{names}: p99 {} then {}, success {} then {}",
        millis(below_ms),
        millis(over_ms),
        percent(before),
        percent(after)
    );
    (if slow || after < before - QUIET_LOSS { State::Broken } else { State::Held }, seen)
}

fn highest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// How long a residue may take to go, after the load.
pub(super) fn settle_time(terms: &Terms) -> Duration {
    terms.lengths()[2]
}
