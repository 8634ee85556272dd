//! The search for the bound carried out: a run for each of its steps.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::connections::{held_up, service_ms};
use super::view::{Part, Show, View};
use crate::Error;
use crate::check::SelfCheck;
use crate::figure::{count, millis, percent};
use crate::knee::{Bend, Finding, Measured, Next, NoBound, Outcome, Search, Settings, Step};
use crate::plan::Plan;
use crate::profile::{Profile, Shape, Stage};
use crate::report;
use crate::run::{Run, Snapshot};

/// How often it is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// A generator that does not send more than this share of what is due is what is measured then.
const UNSENT_RATIO: f64 = 0.02;
/// So is one that has a thread which is on a processor all the time.
const BUSY_RATIO: f64 = 0.95;
/// A step of so many whole seconds leaves its first one out: the rate has just changed.
const SECONDS_MIN: usize = 3;

/// Finds the bound of a plan's target; its profile is replaced, its arrivals are kept.
///
/// # Cancel safety
/// The load ends, and what was found is lost.
///
/// # Errors
/// The plan is refused, or nobody answers.
pub async fn find_bound(
    plan: &Plan,
    settings: Settings,
    show: &mut impl Show,
    interrupted: impl Future<Output = ()>,
) -> Result<report::Search, Error> {
    plan.check()?;
    let mut search = Search::new(settings);
    let mut view =
        View { target: report::without_query(&plan.target.to_string()).to_owned(), ..View::default() };
    let mut interrupted = pin!(interrupted);
    // How long an answer takes from when it is sent, at the least of all steps.
    let mut unloaded_ms = None;
    loop {
        let step = match search.next() {
            Next::Step(step) => step,
            Next::Found(finding) => return Ok(told(*finding, &search)),
        };
        let ended = take(plan, step, &mut view, show, interrupted.as_mut()).await?;
        let Some(run) = ended else {
            return Ok(told(Finding::none(NoBound::Stopped), &search));
        };
        let outcome = outcome(step, &run, plan, unloaded_ms);
        if !outcome.lacks_connections {
            unloaded_ms = service_ms(&run, 0).into_iter().chain(unloaded_ms).reduce(f64::min);
        }
        if step.measured != Measured::Not {
            show.say(&line(&outcome, settings.p99_ms));
        }
        search.record(outcome);
    }
}

fn told(finding: Finding, search: &Search) -> report::Search {
    report::Search { finding, steps: search.outcomes().cloned().collect() }
}

/// One step; `None` when it was stopped.
async fn take(
    plan: &Plan,
    step: Step,
    view: &mut View,
    show: &mut impl Show,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Run>, Error> {
    let length = Duration::from_secs_f64(step.seconds);
    let name = match step.measured {
        Measured::Not => "resting".to_owned(),
        Measured::Coarsely | Measured::Finely => format!("{}/s", count(step.rate)),
    };
    let stage = Stage { name: name.clone(), shape: Shape::Steady { rate: step.rate }, length };
    let profile = Profile::new(vec![stage], plan.profile.arrivals())?;
    let plan = Plan { profile, ..plan.clone() };
    view.parts = vec![Part { name: name.clone(), rate: step.rate, seconds: step.seconds }];
    view.doing = format!("searching: {name}");
    let (snapshots, mut seen) = watch::channel(Snapshot::default());
    let stop = CancellationToken::new();
    let mut run = pin!(crate::run(&plan, &stop, &snapshots));
    let mut draws = interval(DRAW_EVERY);
    let mut stopped = false;
    let before = view.moments.back().map_or(0.0, |moment| moment.at_seconds);
    loop {
        tokio::select! {
            ended = &mut run => return ended.map(|run| (!stopped).then_some(run)),
            Ok(()) = seen.changed() => {
                let snapshot = seen.borrow_and_update().clone();
                view.elapsed_seconds = snapshot.elapsed.as_secs_f64();
                view.in_flight = snapshot.second.in_flight;
                view.connections = snapshot.second.connections;
                let mut moment = report::moment(&snapshot.second, 1.0);
                moment.at_seconds += before;
                view.add(moment);
            }
            () = &mut interrupted, if !stopped => {
                stopped = true;
                stop.cancel();
            }
            _ = draws.tick() => {
                show.draw(view);
                if show.stop_asked() {
                    stopped = true;
                    stop.cancel();
                }
            }
        }
    }
}

fn outcome(step: Step, run: &Run, plan: &Plan, unloaded_ms: Option<f64>) -> Outcome {
    let total = run.total();
    let counts = &total.counts;
    let whole = step.seconds.floor() as usize;
    // What takes longer than a second succeeds only after as many.
    let answers_take = (unloaded_ms.or(service_ms(run, 0)).unwrap_or_default() / 1_000.0).ceil() as usize;
    let skipped = usize::from(whole > SECONDS_MIN).max(answers_take.min(whole.saturating_sub(SECONDS_MIN)));
    let seconds: Vec<_> = run.seconds.iter().take(whole).skip(skipped).collect();
    let offered = seconds.iter().map(|second| second.due as f64).sum::<f64>() / seconds.len().max(1) as f64;
    let goodput = seconds.iter().map(|second| second.completed.counts.success() as f64).collect();
    let share = |number: u64| number as f64 / counts.total().max(1) as f64;
    let check = SelfCheck::of(run, step.rate, None);
    let lacks_connections = held_up(plan, run, 0, unloaded_ms).is_some();
    Outcome {
        offered,
        goodput,
        refused_ratio: share(counts.refused()),
        failed_ratio: share(counts.total() - counts.success() - counts.refused()),
        // That it was late by milliseconds changes no goodput; that it did not send, or could not, does.
        generator_limited: lacks_connections
            || check.rate_error_ratio > UNSENT_RATIO
            || check.busiest_ratio > BUSY_RATIO,
        lacks_connections,
        mean_ms: total.latency.mean() / 1_000.0,
        p99_ms: total.latency.value_at_quantile(0.99) as f64 / 1_000.0,
    }
}

fn line(outcome: &Outcome, p99_ms: f64) -> String {
    let bend = outcome.bend(p99_ms).map_or("", Bend::words);
    format!(
        "{:>9}/s offered  {:>9}/s succeeded  refused {:>9}  failed {:>9}  p99 {:>8}  {bend}",
        count(outcome.offered),
        count(outcome.goodput_mean()),
        percent(outcome.refused_ratio),
        percent(outcome.failed_ratio),
        millis(outcome.p99_ms),
    )
}
