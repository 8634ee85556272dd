//! The play: both sides set up, fed, watched until one is dead and the other has delivered.

use std::cell::Cell;
use std::time::Duration;

use plimsoll::clock;

use super::sample::Sample;
use super::screen::Screen;
use super::sides::{Door, Handed, Naive, Ours, payload, plan};
use crate::stage::number::{grouped, mebibytes};
use crate::stage::{Stage, Usage, setup};

/// The customer's endpoints.
pub(super) const ENDPOINTS: usize = 5_000;
/// The memory that either side has.
pub(super) const MEMORY_BYTES: u64 = 256 << 20;
/// What an event carries.
pub(super) const PAYLOAD_BYTES: usize = 4 << 10;
/// Events that are handed in, and how often.
const EVENTS: usize = 80;
const EVERY: Duration = Duration::from_millis(125);
/// Between two looks.
const TICK: Duration = Duration::from_millis(250);
/// After the last event: how long the server may take to deliver the rest.
const PATIENCE: Duration = Duration::from_secs(240);

/// How it ended.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// Both sides at the end.
    pub(super) sample: Sample,
    /// Deliveries of events that the server accepted and that neither arrived nor wait.
    pub(super) lost: u64,
    /// Deliveries that still waited when the play was over.
    pub(super) waiting: u64,
    /// The last words of the dispatcher without a bound.
    pub(super) last_words: Option<String>,
}

/// Plays it to its end.
///
/// # Errors
/// The server or a fleet failed.
pub(super) async fn play(stage: &mut Stage, screen: &mut Screen) -> Result<Played, String> {
    screen.say(&format!(
        "one customer with {} endpoints, made through the API; the same for a dispatcher that starts a task for \
         each delivery; {} of memory for either",
        grouped(ENDPOINTS as u64),
        mebibytes(MEMORY_BYTES)
    ));
    let plan = plan(ENDPOINTS, EVENTS);
    let (ours, mut our_door) = Ours::start(stage, &plan, MEMORY_BYTES).await?;
    let (naive, mut naive_door) = Naive::start(&plan, MEMORY_BYTES).await?;
    screen.say(&format!(
        "{} events a second of {} KiB to all of them: more than this machine can deliver",
        Duration::from_secs(1).as_millis() / EVERY.as_millis(),
        PAYLOAD_BYTES >> 10
    ));
    let (to_naive, to_ours) = (Fed::default(), Fed::default());
    let fed = [&to_naive, &to_ours];
    let mut play = Play { stage, screen, naive, ours, fed, sample: Sample::default(), last_words: None };
    let started = clock::now();
    let (watched, (), ()) = tokio::join!(
        play.watch(started),
        feed(&mut naive_door, &to_naive, started),
        feed(&mut our_door, &to_ours, started)
    );
    watched?;
    play.close().await
}

/// What became of the events that were handed in on one side, so far.
#[derive(Default)]
struct Fed {
    accepted: Cell<u64>,
    refused: Cell<u64>,
    done: Cell<bool>,
}

/// Hands in all events, each at its time, or as soon as the one before has its answer.
async fn feed(door: &mut Door, fed: &Fed, started: clock::Instant) {
    for event in 0..EVENTS {
        let due = started + EVERY * u32::try_from(event).unwrap_or(u32::MAX);
        tokio::time::sleep(due - clock::now()).await;
        match door.hand_in(&format!("story-{event}"), &payload(event, PAYLOAD_BYTES)).await {
            Handed::Accepted => fed.accepted.set(fed.accepted.get() + 1),
            Handed::Refused => fed.refused.set(fed.refused.get() + 1),
            Handed::Gone => break,
        }
    }
    fed.done.set(true);
}

struct Play<'a> {
    stage: &'a mut Stage,
    screen: &'a mut Screen,
    naive: Naive,
    ours: Ours,
    // The dispatcher without a bound, and the server.
    fed: [&'a Fed; 2],
    sample: Sample,
    last_words: Option<String>,
}

impl Play<'_> {
    /// Looks on until all is handed in and delivered, or it takes too long.
    async fn watch(&mut self, started: clock::Instant) -> Result<(), String> {
        let until = started + EVERY * EVENTS as u32 + PATIENCE;
        loop {
            tokio::time::sleep(TICK).await;
            self.look(clock::now() - started).await?;
            let fed = self.fed.iter().all(|fed| fed.done.get());
            if fed && self.sample.ours.owed(ENDPOINTS as u64) == 0 || clock::now() > until {
                return Ok(());
            }
        }
    }

    async fn look(&mut self, at: Duration) -> Result<(), String> {
        self.sample.at = at;
        for (side, fed) in [&mut self.sample.naive, &mut self.sample.ours].into_iter().zip(self.fed) {
            (side.accepted, side.refused) = (fed.accepted.get(), fed.refused.get());
        }
        self.stage.server.check().await?;
        self.sample.ours.note(self.stage.server.usage());
        self.sample.ours.delivered = self.stage.fleet.stats().await?.healthy;
        self.sample.naive.delivered = self.naive.fleet.stats().await?.healthy;
        self.look_at_naive(at).await;
        self.sample.remember();
        self.screen.draw(&self.sample);
        Ok(())
    }

    async fn look_at_naive(&mut self, at: Duration) {
        if self.sample.naive.died_at.is_some() {
            return;
        }
        let usage = self.naive.running.id().and_then(Usage::of);
        // Where the system does not keep a process to its memory, this does, as its supervisor would.
        if usage.is_some_and(|usage| usage.rss_bytes > MEMORY_BYTES) {
            self.naive.running.kill().await;
        }
        match self.naive.running.check().await {
            Ok(()) => self.sample.naive.note(usage),
            Err(last_words) => {
                let naive = &mut self.sample.naive;
                naive.died_at = Some(at);
                self.screen.announce(&format!(
                    "{:.1} s: the dispatcher without a bound is dead; it had said yes to {} events and owes {} \
                     deliveries that nobody will ever make",
                    at.as_secs_f64(),
                    grouped(naive.accepted),
                    grouped(naive.owed(ENDPOINTS as u64)),
                ));
                self.last_words = Some(last_words);
            }
        }
    }

    /// Compares the books, and ends what is the play's own.
    async fn close(mut self) -> Result<Played, String> {
        let mut waiting = 0;
        if self.sample.ours.owed(ENDPOINTS as u64) > 0 {
            // What has not arrived waits, or is lost: the server is asked which.
            let (made, token) = (&self.ours.made, &self.ours.token);
            let told = setup::told(self.stage.server.listen, token, made, 0..made.endpoints.len()).await?;
            waiting = told.iter().map(|told| told.pending + told.sending).sum();
            // What arrived while it was asked counts as arrived.
            self.look(self.sample.at).await?;
        }
        let owed = self.sample.ours.owed(ENDPOINTS as u64);
        self.naive.running.kill().await;
        self.naive.fleet.kill().await;
        let lost = owed.saturating_sub(waiting);
        Ok(Played { sample: self.sample, lost, waiting, last_words: self.last_words })
    }
}
