//! The yard under measurement: a server, the workers, and the book that all that is sent is entered in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::clock;

use super::book::{Book, Counts};
use super::job::Door;
use super::workers::Workers;
use crate::bench::house::TICK;
use crate::bench::load::{Load, Numbers, Order, Pace, Refused, locked};
use crate::receiver::machine_micros;
use crate::stage::{Bare, Usage};

/// How many connections submit jobs.
pub(super) const SUBMITTERS: usize = 64;
/// How many workers there are; each has a connection on which it waits and one on which it acks.
pub(super) const WORKERS: usize = 64;
/// The most jobs a second that the book has room for.
const JOBS_PER_SECOND_MAX: u64 = 40_000;
/// Looks at the process table are as many ticks apart.
const LOOK_EVERY: u32 = 10;
/// After sending: how long nothing may be done. Longer than a lease: what a worker was given and never
/// saw comes back before this.
const STALL: Duration = Duration::from_secs(45);
/// After sending: how long all that waits may take.
const SETTLE: Duration = Duration::from_secs(300);

/// The yard; the workers end when it is dropped.
pub(super) struct Yard<'a> {
    ground: &'a mut Bare,
    door: Door,
    book: Arc<Mutex<Book>>,
    workers: Workers,
    jobs_max: u64,
    next: u64,
    ticks: u32,
}

/// What a pass has come to at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Moment {
    /// In [`machine_micros`].
    pub(super) at: u64,
    /// Of all passes so far.
    pub(super) counts: Counts,
    /// What the server has used so far.
    pub(super) usage: Usage,
}

impl<'a> Yard<'a> {
    /// Opens it: for so many loads, of such a span each at the most.
    ///
    /// # Errors
    /// The server gives no token.
    pub(super) async fn open(ground: &'a mut Bare, loads: u64, span: Duration) -> Result<Self, String> {
        let jobs_max = (span.as_secs() + 1) * JOBS_PER_SECOND_MAX;
        let door = Door { to: ground.server.listen, token: ground.server.token().await? };
        let book = Arc::new(Mutex::new(Book::new((loads * jobs_max) as usize)));
        let workers = Workers::start(WORKERS, &door, &book).await?;
        Ok(Self { ground, door, book, workers, jobs_max, next: 0, ticks: 0 })
    }

    /// Starts to submit jobs.
    ///
    /// # Errors
    /// The submitters cannot be started.
    pub(super) async fn send(&mut self, pace: Pace) -> Result<Load, String> {
        let book = Arc::clone(&self.book);
        let order = Order {
            to: self.door.to,
            messages: self.door.submissions(),
            numbers: Numbers { first: self.next, step: 1 },
            events_max: self.jobs_max as usize,
            connections: SUBMITTERS,
            pace,
            refused: Refused::TriedAgain,
            told: Some(Arc::new(move |accepted| locked(&book).accept(accepted.event, accepted.at))),
        };
        self.next += self.jobs_max;
        Load::start(order).await
    }

    /// Looks on for that long.
    ///
    /// # Errors
    /// The server has ended, the submitters or the workers.
    pub(super) async fn watch(&mut self, span: Duration, load: &Load) -> Result<(), String> {
        let until = clock::now() + span;
        while clock::now() < until {
            self.tick().await?;
            load.check()?;
        }
        Ok(())
    }

    /// Ends the sending and waits until all that was accepted is done, or no more is. Returns how many
    /// are not.
    ///
    /// # Errors
    /// As of [`watch`](Self::watch).
    pub(super) async fn settle(&mut self, load: &mut Load) -> Result<u64, String> {
        load.stop().await?;
        let began = clock::now();
        let (mut done_at, mut done) = (began, 0);
        loop {
            let Counts { accepted, finished, .. } = self.counts();
            let now = clock::now();
            if finished > done {
                (done_at, done) = (now, finished);
            }
            let late = now - done_at > STALL || now - began > SETTLE;
            // What was done without an answer counts as finished too: enough is no proof.
            if finished >= accepted || late {
                let left = locked(&self.book).left();
                if left == 0 || late {
                    return Ok(left);
                }
            }
            self.tick().await?;
        }
    }

    /// Ends the work; how many accepted jobs are not done, and all that was counted.
    ///
    /// # Errors
    /// The workers have failed.
    pub(super) async fn close(mut self) -> Result<(u64, Moment), String> {
        self.workers.stop().await?;
        let left = locked(&self.book).left();
        Ok((left, self.moment()))
    }

    /// What there is now.
    pub(super) fn moment(&self) -> Moment {
        let usage = self.ground.server.usage().unwrap_or_default();
        Moment { at: machine_micros(), counts: self.counts(), usage }
    }

    /// Does something with the book: it is held meanwhile.
    pub(super) fn with_book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut locked(&self.book))
    }

    fn counts(&self) -> Counts {
        locked(&self.book).counts()
    }

    async fn tick(&mut self) -> Result<(), String> {
        tokio::time::sleep(TICK).await;
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(LOOK_EVERY) {
            self.ground.server.check().await?;
        }
        self.workers.check()
    }
}
