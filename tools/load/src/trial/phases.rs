//! The three phases carried out: load, readings and judge brought together.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::StreamExt as _;
use plimsoll::clock::{self, Instant};
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use super::connections::{held_up, service_ms};
use super::quiet::{quietest, tenancy};
use super::verdict::{Part as Generated, Stopped, because, not_checked, verdict};
use super::view::{Part, Show, View};
use super::watch::readings;
use crate::Error;
use crate::check::{Ceiling, SelfCheck};
use crate::judge::{Assertion, Judge, Looked, Process, State, Terms, Then, Verdict, When};
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
        let mut interrupted = pin!(interrupted);
        let run = {
            let mut run = pin!(crate::run(&self.plan, &stop, &snapshots));
            let mut readings = pin!(readings(self.source.clone()));
            let mut draws = interval(DRAW_EVERY);
            loop {
                tokio::select! {
                    ended = &mut run => break ended?,
                    Ok(()) = seen.changed() => {
                        let snapshot = seen.borrow_and_update().clone();
                        course.see(&snapshot, show);
                    }
                    Some(read) = readings.next() => course.read(self, read),
                    () = interrupted.as_mut(), if !course.stopped => {
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
        course.settle(self, &run, show, interrupted).await;
        Ok(course.record(self, &run))
    }
}

/// A trial under way.
struct Course {
    judge: Option<Judge>,
    view: View,
    readings: Vec<Reading>,
    began: Instant,
    /// So long after that the load itself began, with the target looked at and connections open.
    load_after: Duration,
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
        let judge = trial.terms.map(|terms| Judge::new(terms, tenancy(plan), plan.deadline));
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
            load_after: Duration::ZERO,
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

    /// How long the load has been going on.
    fn at(&self) -> Duration {
        (clock::now() - self.began).saturating_sub(self.load_after)
    }

    fn see(&mut self, snapshot: &Snapshot, show: &mut impl Show) {
        let after = (clock::now() - self.began).saturating_sub(snapshot.elapsed);
        self.load_after = if snapshot.seconds <= 1 { after } else { self.load_after.min(after) };
        self.stage = snapshot.second.stage;
        self.view.elapsed_seconds = snapshot.elapsed.as_secs_f64();
        self.view.doing = self.view.parts.get(self.stage).map(|part| part.name.clone()).unwrap_or_default();
        self.view.in_flight = snapshot.second.in_flight;
        self.view.connections = snapshot.second.connections;
        if snapshot.seconds > 0 {
            self.view.add(report::moment(&snapshot.second, 1.0));
        }
        let Some(judge) = &mut self.judge else { return };
        judge.see(snapshot);
        tell_decided(&mut self.view.assertions, judge.assertions(), show);
    }

    fn read(&mut self, trial: &Trial, read: Result<Vitals, String>) {
        // Not by the last second that was told, which is a second ago: what is read now is of now.
        let at = self.at();
        match read {
            Ok(vitals) => {
                self.keep(vitals, at.as_secs_f64());
                if let Some(judge) = &mut self.judge {
                    judge.read(When::In(trial.plan.profile.stage_at(at)), vitals);
                }
            }
            Err(why) => {
                self.last_failure = Some(why);
                if let Some(judge) = &mut self.judge {
                    judge.not_read(process(trial));
                }
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
    async fn settle(
        &mut self,
        trial: &Trial,
        run: &Run,
        show: &mut impl Show,
        mut interrupted: Pin<&mut impl Future<Output = ()>>,
    ) {
        let Some(mut judge) = self.judge.take() else { return };
        let held_up = std::array::from_fn(|phase| {
            let unloaded = service_ms(run, 0).filter(|_| phase > 0);
            held_up(&trial.plan, run, phase, unloaded)
        });
        judge.load_ended(run, quietest(&trial.plan, run), held_up);
        if let Some(source) = trial.source.as_ref() {
            self.view.doing = "looking for what is left at the target".to_owned();
            let ended = clock::now();
            let mut over = false;
            while !over && !self.stopped {
                show.draw(&self.view);
                let look = async {
                    sleep(SETTLE_EVERY).await;
                    source.read().await
                };
                tokio::select! {
                    read = look => over = self.look(trial, read, &mut judge, clock::now() - ended) == Then::Enough,
                    () = interrupted.as_mut() => self.stopped = true,
                }
                self.stopped |= !over && show.stop_asked();
            }
        }
        judge.end(if self.stopped { Looked::Partly } else { Looked::Fully });
        tell_decided(&mut self.view.assertions, judge.assertions(), show);
        self.view.doing = "done".to_owned();
        show.draw(&self.view);
        self.judge = Some(judge);
    }

    /// What was read after the load.
    fn look(
        &mut self,
        trial: &Trial,
        read: Result<Vitals, String>,
        judge: &mut Judge,
        since: Duration,
    ) -> Then {
        let vitals = read.as_ref().ok().copied();
        match read {
            Ok(vitals) => self.keep(vitals, self.at().as_secs_f64()),
            Err(why) => {
                self.last_failure = Some(why);
                judge.not_read(process(trial));
            }
        }
        judge.settle(vitals, since)
    }

    fn record(self, trial: &Trial, run: &Run) -> Record {
        let plan = &trial.plan;
        let mut generator = Generator::from(SelfCheck::of(run, plan.profile.rate_max(), trial.ceiling));
        let mut part = Generated::of(&generator, run);
        // Of what is judged each assertion says so by itself.
        if self.judge.is_none()
            && let Some(why) = (0..run.stages.len()).find_map(|stage| held_up(plan, run, stage, None))
        {
            generator.was_the_limit = true;
            part = Generated::Missed;
            generator.seen.insert(0, why);
        }
        let stopped = if run.cancelled { Stopped::Yes } else { Stopped::No };
        let judged = self.judge.as_ref().map(|judge| judge.verdict().unwrap_or(Verdict::NotJudged));
        let assertions = self.judge.map(|judge| judge.assertions().to_vec()).unwrap_or_default();
        let verdict = verdict(judged, &assertions, part, stopped);
        Record {
            version: report::VERSION,
            target: self.view.target,
            begun_unix_seconds: self.began_unix_seconds,
            verdict,
            because: because(verdict, &assertions, &generator, stopped),
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

/// Whether the target's process is there, where that is what is read.
fn process(trial: &Trial) -> Process {
    let ended = trial.source.as_ref().is_some_and(Source::has_ended);
    if ended { Process::Ended } else { Process::There }
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
        State::NotJudged => "not judged",
    }
}
