//! The three phases carried out: load, readings and judge brought together.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use plimsoll::clock::{self, Instant};
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use super::view::{Part, Show, View};
use super::watch::readings;
use crate::Error;
use crate::check::{Ceiling, SelfCheck};
use crate::figure::{millis, percent};
use crate::judge::{Assertion, Judge, Quiet, State, Tenancy, Terms, Then, Verdict, When};
use crate::plan::Plan;
use crate::report::{self, Generator, Reading, Record};
use crate::run::{Run, Snapshot};
use crate::vitals::{Source, Vitals};

/// How often it is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How often what is left at the target is read after the load.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// So many readings are kept; beyond them every second is let go.
const READINGS_MAX: usize = 20_000;
/// A generator that leaves out more than this share does not test what it says.
const RATE_ERROR_MAX: f64 = 0.05;
/// The assertions that are about times.
const TIMES: [&str; 3] = ["overload.p99", "overload.quiet", "recovery.p99"];
/// Tenants that are named in an assertion.
const QUIET_NAMES: usize = 3;

/// What is carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trial {
    /// What is sent where and when.
    pub plan: Plan,
    /// What must hold; the plan's profile is then that of [`Terms::profile`].
    pub terms: Option<Terms>,
    /// Where the target's own numbers come from.
    pub source: Option<Source>,
    /// What the generator could do, where that was measured.
    pub ceiling: Option<Ceiling>,
}

impl Trial {
    /// A load test of a plan of its own, in which nothing is asserted.
    #[must_use]
    pub const fn measure(plan: Plan, source: Option<Source>) -> Self {
        Self { plan, terms: None, source, ceiling: None }
    }

    /// Three phases around a bound; the profile of the plan is replaced.
    ///
    /// # Errors
    /// A term that is out of its range.
    pub fn of_bound(plan: Plan, terms: Terms, source: Option<Source>) -> Result<Self, Error> {
        let profile = terms.profile(plan.profile.arrivals())?;
        Ok(Self { plan: Plan { profile, ..plan }, terms: Some(terms), source, ceiling: None })
    }

    /// Carries it out, until its end or until whoever looks, or `interrupted`, asks to stop: what was
    /// seen until then is told either way.
    ///
    /// # Cancel safety
    /// The load ends, and what was seen is lost.
    ///
    /// # Errors
    /// The plan is refused, nobody answers, or the target's numbers, which were asked for, cannot be
    /// read at its beginning.
    pub async fn carry_out(
        &self,
        show: &mut impl Show,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Record, Error> {
        self.plan.check()?;
        let mut course = Course::new(self);
        course.read_before(self.source.as_ref()).await?;
        let (snapshots, mut seen) = watch::channel(Snapshot::default());
        let stop = CancellationToken::new();
        let run = {
            let mut run = pin!(crate::run(&self.plan, &stop, &snapshots));
            let mut readings = pin!(readings(self.source.clone()));
            let mut interrupted = pin!(interrupted);
            let mut draws = interval(DRAW_EVERY);
            loop {
                tokio::select! {
                    ended = &mut run => break ended?,
                    Ok(()) = seen.changed() => {
                        let snapshot = seen.borrow_and_update().clone();
                        if course.see(&snapshot, show) == Then::Enough {
                            stop.cancel();
                        }
                    }
                    Some(read) = readings.next() => course.read(read),
                    () = &mut interrupted, if !course.stopped => {
                        course.stopped = true;
                        stop.cancel();
                    }
                    _ = draws.tick() => {
                        show.draw(&course.view);
                        if show.stop_asked() {
                            course.stopped = true;
                            stop.cancel();
                        }
                    }
                }
            }
        };
        course.settle(self, &run, show).await;
        Ok(course.record(self, &run))
    }
}

/// A trial under way.
struct Course {
    judge: Option<Judge>,
    view: View,
    readings: Vec<Reading>,
    /// The load's beginning; before the first reading, that of the trial.
    began: Instant,
    began_unix_seconds: u64,
    stage: usize,
    /// Whether somebody asked to stop: then nothing more is waited for.
    stopped: bool,
    last_failure: Option<String>,
}

impl Course {
    fn new(trial: &Trial) -> Self {
        let plan = &trial.plan;
        let part = |stage: &crate::profile::Stage| Part {
            name: stage.name.clone(),
            rate: 0.0,
            seconds: stage.length.as_secs_f64(),
        };
        let mut parts: Vec<Part> = plan.profile.stages().iter().map(part).collect();
        let mut from = Duration::ZERO;
        for (part, stage) in parts.iter_mut().zip(plan.profile.stages()) {
            part.rate = plan.profile.rate_at(from);
            from += stage.length;
        }
        let judge = trial.terms.map(|terms| Judge::new(terms, tenancy(plan)));
        let view = View {
            target: report::without_query(&plan.target.to_string()).to_owned(),
            doing: "looking at the target before the load".to_owned(),
            assertions: judge.as_ref().map(|judge| judge.assertions().to_vec()).unwrap_or_default(),
            parts,
            ..View::default()
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            judge,
            view,
            readings: Vec::new(),
            began: clock::now(),
            began_unix_seconds: now.as_secs(),
            stage: 0,
            stopped: false,
            last_failure: None,
        }
    }

    /// Whoever asks for the target's numbers wants them: when they cannot be read at all, nothing begins.
    async fn read_before(&mut self, source: Option<&Source>) -> Result<(), Error> {
        if let Some(source) = source {
            let told = |why| Error::Target { origin: source.to_string(), why };
            let vitals = source.read().await.map_err(told)?;
            self.keep(vitals, 0.0);
            if let Some(judge) = &mut self.judge {
                judge.read(When::Before, vitals);
            }
        }
        self.began = clock::now();
        Ok(())
    }

    fn see(&mut self, snapshot: &Snapshot, show: &mut impl Show) -> Then {
        self.stage = snapshot.second.stage;
        self.view.elapsed_seconds = snapshot.elapsed.as_secs_f64();
        self.view.doing = self.view.parts.get(self.stage).map(|part| part.name.clone()).unwrap_or_default();
        self.view.in_flight = snapshot.second.in_flight;
        self.view.connections = snapshot.second.connections;
        if snapshot.seconds > 0 {
            self.view.add(report::moment(&snapshot.second, 1.0));
        }
        let Some(judge) = &mut self.judge else { return Then::GoOn };
        let then = judge.see(snapshot);
        tell_decided(&mut self.view.assertions, judge.assertions(), show);
        then
    }

    fn read(&mut self, read: Result<Vitals, String>) {
        match read {
            Ok(vitals) => {
                self.keep(vitals, (clock::now() - self.began).as_secs_f64());
                if let Some(judge) = &mut self.judge {
                    judge.read(When::In(self.stage), vitals);
                }
            }
            Err(why) => {
                self.last_failure = Some(why);
            }
        }
    }

    fn keep(&mut self, vitals: Vitals, at_seconds: f64) {
        self.view.vitals = vitals;
        if self.readings.len() >= READINGS_MAX {
            let mut number = 0;
            self.readings.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
        let Vitals { memory_bytes, descriptors, tasks, queue, .. } = vitals;
        self.readings.push(Reading { at_seconds, memory_bytes, descriptors, tasks, queue });
    }

    /// Looks at what is left at the target, once its connections are closed, and decides what is open.
    async fn settle(&mut self, trial: &Trial, run: &Run, show: &mut impl Show) {
        let Some(mut judge) = self.judge.take() else { return };
        judge.load_ended(run, quietest(&trial.plan, run));
        if let Some(source) = trial.source.as_ref().filter(|_| !self.stopped) {
            self.view.doing = "looking for what is left at the target".to_owned();
            let ended = clock::now();
            loop {
                show.draw(&self.view);
                sleep(SETTLE_EVERY).await;
                let read = source.read().await;
                let vitals = read.as_ref().ok().copied();
                match read {
                    Ok(vitals) => self.keep(vitals, (clock::now() - self.began).as_secs_f64()),
                    Err(why) => self.last_failure = Some(why),
                }
                let over = judge.settle(vitals, clock::now() - ended) == Then::Enough;
                if over || show.stop_asked() {
                    break;
                }
            }
        }
        judge.end();
        tell_decided(&mut self.view.assertions, judge.assertions(), show);
        self.view.doing = "done".to_owned();
        show.draw(&self.view);
        self.judge = Some(judge);
    }

    fn record(self, trial: &Trial, run: &Run) -> Record {
        let plan = &trial.plan;
        let generator = Generator::from(SelfCheck::of(run, plan.profile.rate_max(), trial.ceiling));
        let verdict = self.judge.as_ref().map(|judge| judge.verdict().unwrap_or(Verdict::NotJudged));
        let assertions = self.judge.map(|judge| judge.assertions().to_vec()).unwrap_or_default();
        let doubt = verdict.and_then(|verdict| doubt(verdict, &assertions, &generator));
        let verdict = if doubt.is_some() { Verdict::NotJudged } else { verdict.unwrap_or(Verdict::Measured) };
        Record {
            version: report::VERSION,
            target: self.view.target,
            begun_unix_seconds: self.began_unix_seconds,
            verdict,
            because: doubt.into_iter().chain(because(&assertions, run)).collect(),
            not_checked: not_checked(&assertions, trial.source.as_ref(), self.last_failure),
            assertions,
            stages: report::stages(run),
            moments: report::moments(&run.seconds),
            readings: self.readings,
            distribution: report::distribution(run),
            tenants: report::tenants(run),
            search: None,
            generator,
            settings: report::settings(plan, trial.terms.as_ref()),
            environment: report::environment(),
        }
    }
}

/// Says of each assertion that has been decided since, and takes over how they stand.
fn tell_decided(shown: &mut Vec<Assertion>, now: &[Assertion], show: &mut impl Show) {
    for (before, after) in shown.iter().zip(now) {
        if before.state != after.state && after.is_decided() {
            show.say(&format!("{}  {}: {}", mark(after.state), after.name, after.seen));
        }
    }
    *shown = now.to_vec();
}

/// How it stands with an assertion, in a word.
const fn mark(state: State) -> &'static str {
    match state {
        State::Open => "open   ",
        State::Held => "held   ",
        State::Broken => "BROKEN ",
        State::NotChecked => "not checked",
    }
}

/// Why a verdict is none: the generator offered less than it said, or was so late itself that the times
/// which broke something may be its own. That refusals are missing, or that something crashed, it cannot
/// have done by being late.
fn doubt(verdict: Verdict, assertions: &[Assertion], generator: &Generator) -> Option<String> {
    if generator.rate_error_ratio > RATE_ERROR_MAX {
        let share = percent(generator.rate_error_ratio);
        return Some(format!(
            "The generator did not send {share} of what was due: less was offered than was asked for."
        ));
    }
    let broken: Vec<&Assertion> =
        assertions.iter().filter(|assertion| assertion.state == State::Broken).collect();
    let of_time = |assertion: &&Assertion| TIMES.contains(&assertion.name.as_str());
    let by_time = verdict == Verdict::Broken && broken.iter().all(of_time);
    (by_time && generator.was_the_limit).then(|| {
        format!(
            "The generator itself sent {} late (p99), and only times are beyond what was asked: they may be its own.",
            millis(generator.late_p99_ms)
        )
    })
}

fn because(assertions: &[Assertion], run: &Run) -> Vec<String> {
    let mut because: Vec<String> = assertions
        .iter()
        .filter(|assertion| assertion.state == State::Broken)
        .map(|assertion| format!("{}: {}", assertion.asks, assertion.seen))
        .collect();
    let open = assertions.iter().filter(|assertion| assertion.state == State::Open).count();
    if open > 0 {
        because.push(format!("It was stopped: {open} of {} assertions are open.", assertions.len()));
    } else if assertions.is_empty() && run.cancelled {
        because.push("It was stopped before its end.".to_owned());
    }
    because
}

fn not_checked(assertions: &[Assertion], source: Option<&Source>, failure: Option<String>) -> Vec<String> {
    let names = assertions.iter().filter(|assertion| assertion.state == State::NotChecked);
    let mut lines: Vec<String> =
        names.map(|assertion| format!("{}: {}", assertion.name, assertion.seen)).collect();
    if source.is_none() && !lines.is_empty() {
        lines.push("Give --metrics URL, its Prometheus page, or --pid N, its process on this machine, to have that checked.".to_owned());
    }
    lines.extend(failure.map(|why| format!("Not every reading succeeded; the last that did not: {why}")));
    lines
}

fn tenancy(plan: &Plan) -> Tenancy {
    let Some(tenants) = &plan.tenants else { return Tenancy::Alike };
    let weights = || tenants.list().iter().map(|tenant| tenant.weight);
    let (least, most) =
        weights().fold((f64::MAX, 0.0_f64), |(least, most), weight| (least.min(weight), most.max(weight)));
    if least < most { Tenancy::Weighted } else { Tenancy::Alike }
}

/// What those of the least weight got in the first two parts.
fn quietest(plan: &Plan, run: &Run) -> Option<Quiet> {
    if tenancy(plan) == Tenancy::Alike || run.stages.len() < 2 {
        return None;
    }
    let tenants = plan.tenants.as_ref()?;
    let least = tenants.list().iter().map(|tenant| tenant.weight).fold(f64::MAX, f64::min);
    let quiet: Vec<&str> = tenants
        .list()
        .iter()
        .filter(|tenant| tenant.weight <= least)
        .map(|tenant| tenant.name.as_str())
        .collect();
    // Those that are not kept apart are the lightest.
    let counts =
        |name: Option<&String>| name.map_or(tenants.others() > 0, |name| quiet.contains(&name.as_str()));
    let phase = |number: usize| {
        let mut sum = crate::tally::TenantTally::default();
        for tenant in run.stages[number].tenants.iter().filter(|tenant| counts(tenant.name.as_ref())) {
            sum.merge(&tenant.tally);
        }
        (sum.counts.total(), sum.counts.success(), sum.latency.value_at_quantile(0.99) as f64 / 1_000.0)
    };
    let mut names = quiet.iter().take(QUIET_NAMES).copied().collect::<Vec<_>>().join(", ");
    if quiet.len() > QUIET_NAMES {
        names = format!("{names} and {} others", quiet.len() - QUIET_NAMES);
    }
    Some(Quiet { names, phases: [phase(0), phase(1)] })
}
