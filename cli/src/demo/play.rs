//! The play: set up, send, kill, restart, settle, compare.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock;
use plimsoll::group::Group;

use super::audit::{Proof, Sides};
use super::load::Load;
use super::report::{Kill, Report};
use super::sample::Sample;
use super::screen::Screen;
use super::shape::Shape;
use crate::receiver::{EndpointPlan, machine_micros};
use crate::stage::Admin;
use crate::stage::Stage;
use crate::stage::number::{grouped, millis};
use crate::stage::setup::{self, Made, Wanted};

/// Between two looks.
const TICK: Duration = Duration::from_millis(250);
/// How long the server stays away after the kill: about what a supervisor takes to notice.
const AWAY: Duration = Duration::from_millis(500);
/// Recent latencies are those of events sent within this.
const RECENT_MICROS: u64 = 3_000_000;
/// After the restart: the longest that the senders' catching up counts as part of the kill.
const CATCH_UP_MICROS: u64 = 3_000_000;
/// After sending: how long deliveries to healthy and slow endpoints may go without any arriving.
const STALL: Duration = Duration::from_secs(15);
/// After sending: how long they may take in all.
const SETTLE: Duration = Duration::from_secs(120);
/// Then: how long the dead endpoints' deliveries may take to come to their end.
const DEAD_PATIENCE: Duration = Duration::from_secs(4);

/// A play that is on.
pub(super) struct Play<'a> {
    shape: &'a Shape,
    stage: &'a mut Stage,
    screen: &'a mut Screen,
    token: String,
    made: Made,
    load: Arc<Load>,
    senders: Group<()>,
    admin: Option<Admin>,
    // How many healthy and slow endpoints each tenant has.
    alive: Vec<u64>,
    sample: Sample,
    retries_of_former_lives: u64,
    // The kill, the moment it listened again, and that when the senders were where the schedule
    // wants them: what is sent in between is looked at apart.
    killed_at: u64,
    back_at: Option<u64>,
    caught_up_at: Option<u64>,
}

/// Plays it to its end.
///
/// # Errors
/// The server or the fleet failed; nothing can be said of the promise.
pub(super) async fn play(shape: &Shape, stage: &mut Stage, screen: &mut Screen) -> Result<Report, String> {
    let started = clock::now();
    let mut play = Play::set_up(shape, stage, screen).await?;
    let half = Duration::from_secs(shape.seconds.into()) / 2;
    play.watch(|play| play.load.elapsed() >= half || play.senders.is_empty()).await?;
    let kill = play.kill_and_start_again().await?;
    play.watch(|play| play.senders.is_empty()).await?;
    if let Some(failure) = play.load.failure() {
        return Err(failure);
    }
    play.settle().await?;
    let delivering = play.load.elapsed();
    let proof = play.compare().await?;
    let latency =
        play.stage.fleet.latency(play.killed_at, play.caught_up_at.unwrap_or_else(machine_micros)).await?;
    play.look().await?;
    let stop_failure = play.stage.server.stop().await.err();
    Ok(Report {
        shape: shape.clone(),
        sent: play.load.sent(),
        sending: play.load.took(),
        delivering,
        whole: clock::now() - started,
        kill,
        proof,
        fleet: play.sample.fleet,
        latency,
        retried: play.retried(),
        rss_peak_bytes: play.stage.server.rss_peak,
        stop_failure,
    })
}

impl<'a> Play<'a> {
    async fn set_up(shape: &'a Shape, stage: &'a mut Stage, screen: &'a mut Screen) -> Result<Self, String> {
        let run = format!("demo-{:08x}", fastrand::u32(..));
        let plan = shape.plan(machine_micros())?;
        stage.fleet.plan(&plan).await?;
        let token = stage.server.token().await?;
        let urls = shape.urls(&stage.fleet.ready);
        let endpoints: Vec<_> = plan.endpoints.iter().zip(urls).map(|(one, url)| wanted(one, url)).collect();
        let made = setup::make(stage.server.listen, &token, &run, plan.tenants, &endpoints).await?;
        screen.say(&format!(
            "{} tenants and {} endpoints made through the API at http://{}; sending {} events in {} s",
            shape.tenants,
            shape.behaviours.len(),
            stage.server.listen,
            grouped(shape.events as u64),
            shape.seconds,
        ));
        let mut alive = vec![0; shape.tenants];
        for (number, behaviour) in shape.behaviours.iter().enumerate() {
            alive[number % shape.tenants] += u64::from(behaviour.is_alive());
        }
        let admin = Some(Admin::new(&stage.server));
        let load = Load::new(shape, stage.server.listen, &token, made.apps.clone(), &run);
        let senders = load.start().await;
        Ok(Self {
            shape,
            stage,
            screen,
            token,
            made,
            load,
            senders,
            admin,
            alive,
            sample: Sample::default(),
            retries_of_former_lives: 0,
            killed_at: 0,
            back_at: None,
            caught_up_at: None,
        })
    }

    /// Looks and draws until `done`.
    async fn watch(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        while !done(self) {
            tokio::time::sleep(TICK).await;
            self.stage.server.check().await?;
            self.look().await?;
        }
        Ok(())
    }

    /// Takes a sample and draws it.
    async fn look(&mut self) -> Result<(), String> {
        let fleet = self.stage.fleet.stats().await?;
        let now = machine_micros();
        let latency = self.stage.fleet.latency(now.saturating_sub(RECENT_MICROS), now).await?;
        if let Some(admin) = &mut self.admin
            && let Some(view) = admin.view().await
        {
            self.sample.server = view;
        }
        self.stage.server.measure().await;
        let sample = &mut self.sample;
        sample.at = self.load.elapsed();
        sample.up = self.admin.is_some();
        sample.sent = self.load.sent();
        sample.fleet = fleet;
        sample.recent = latency.inside;
        sample.rss_peak = self.stage.server.rss_peak;
        let accepted = self.load.accepted_by_tenant();
        let due: u64 = accepted.iter().zip(&self.alive).map(|(accepted, alive)| accepted * alive).sum();
        sample.backlog = due.saturating_sub(fleet.healthy + fleet.slow);
        let waits = self.back_at.is_some() && self.caught_up_at.is_none();
        let long = self.back_at.is_some_and(|back_at| now > back_at + CATCH_UP_MICROS);
        if waits && (long || self.is_on_schedule()) {
            self.caught_up_at = Some(now);
        }
        self.screen.draw(&self.sample);
        Ok(())
    }

    /// Whether no more is overdue than what is normally on its way.
    fn is_on_schedule(&self) -> bool {
        let a_second = self.shape.events as u64 / u64::from(self.shape.seconds);
        self.sample.sent.overdue <= 2 + a_second / 20
    }

    async fn kill_and_start_again(&mut self) -> Result<Kill, String> {
        self.look().await?;
        self.killed_at = machine_micros();
        let killed = clock::now();
        let id = self.stage.server.kill().await;
        self.admin = None;
        self.retries_of_former_lives += self.sample.server.retries.take().unwrap_or(0);
        let mut kill = Kill {
            at: self.load.elapsed(),
            accepted: self.sample.sent.accepted,
            backlog: self.sample.backlog,
            ..Kill::default()
        };
        self.screen.announce(&format!(
            "{:.1} s: kill -9 {id}: the server is gone; {} events accepted, {} deliveries to make",
            kill.at.as_secs_f64(),
            grouped(kill.accepted),
            grouped(kill.backlog),
        ));
        while clock::now() - killed < AWAY {
            tokio::time::sleep(TICK).await;
            self.look().await?;
        }
        kill.start = self.stage.server.start_again().await?;
        kill.away = clock::now() - killed;
        self.back_at = Some(machine_micros());
        self.admin = Some(Admin::new(&self.stage.server));
        self.screen.announce(&format!(
            "{:.1} s: it is back on the same data, {} after it was started",
            self.load.elapsed().as_secs_f64(),
            millis(kill.start.as_secs_f64() * 1_000.0),
        ));
        Ok(kill)
    }

    /// Waits until all that can be delivered is, or no more comes.
    async fn settle(&mut self) -> Result<(), String> {
        self.look().await?;
        let began = clock::now();
        let (mut arrived_at, mut backlog) = (began, self.sample.backlog);
        while self.sample.backlog > 0 {
            let now = clock::now();
            if now - arrived_at > STALL || now - began > SETTLE {
                let left = grouped(self.sample.backlog);
                self.screen.announce(&format!("no more arrives: {left} deliveries are left"));
                break;
            }
            tokio::time::sleep(TICK).await;
            self.stage.server.check().await?;
            self.look().await?;
            if self.sample.backlog < backlog {
                (arrived_at, backlog) = (now, self.sample.backlog);
            }
        }
        Ok(())
    }

    /// Compares the books until they agree and nothing is pending, for a while.
    async fn compare(&mut self) -> Result<Proof, String> {
        self.screen
            .say("what can be delivered is; the dead endpoints get a few seconds to run out of retries");
        let began = clock::now();
        loop {
            let proof = self.proof().await?;
            let done = proof.disagreements.is_empty() && proof.pending == 0;
            if done || clock::now() - began > DEAD_PATIENCE {
                return Ok(proof);
            }
            tokio::time::sleep(TICK).await;
            self.look().await?;
        }
    }

    async fn proof(&mut self) -> Result<Proof, String> {
        let told =
            setup::told(self.stage.server.listen, &self.token, &self.made, 0..self.made.endpoints.len())
                .await?;
        let accepted: Vec<_> = (0..self.shape.tenants).map(|tenant| self.load.accepted(tenant)).collect();
        let mut proof = Proof::default();
        for (endpoint, (behaviour, told)) in self.shape.behaviours.iter().zip(told).enumerate() {
            let accepted = &accepted[endpoint % self.shape.tenants];
            let arrived = self.stage.fleet.arrived(endpoint, accepted.len()).await?;
            proof.add(&Sides { endpoint, behaviour: *behaviour, accepted, arrived: &arrived, told });
        }
        Ok(proof)
    }

    /// By the server's count in all of its lives; where it shows none, what the receivers saw.
    fn retried(&self) -> u64 {
        match self.sample.server.retries {
            Some(retries) => self.retries_of_former_lives + retries,
            None => self.sample.fleet.retries,
        }
    }
}

fn wanted(endpoint: &EndpointPlan, url: String) -> Wanted {
    Wanted {
        tenant: endpoint.tenant,
        url,
        secret: endpoint.secret.clone(),
        description: format!("{:?}", endpoint.behaviour),
        throttle_rate: None,
    }
}
