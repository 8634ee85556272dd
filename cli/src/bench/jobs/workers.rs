//! Workers over HTTP: they wait for jobs, and say that each is done as soon as they have it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::group::Group;

use super::book::Book;
use super::job::{Claimed, Claims, Door};
use crate::bench::load::locked;
use crate::client::wire::{Reply, Wire};
use crate::receiver::machine_micros;

/// The deadline of one exchange: more than a worker waits for jobs.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two tries, where the server does not say.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause that the server can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often an ack is sent that is not answered.
const TRIES_MAX: u32 = 10;

/// Workers at work; they end when this is dropped.
pub(super) struct Workers {
    shared: Arc<Shared>,
    group: Group<()>,
}

struct Shared {
    door: Door,
    book: Arc<Mutex<Book>>,
    stop: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Workers {
    /// Starts so many, who enter in the book what they get and do.
    ///
    /// # Errors
    /// None at all was asked for.
    pub(super) async fn start(workers: usize, door: &Door, book: &Arc<Mutex<Book>>) -> Result<Self, String> {
        let mut group = Group::new(workers).map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            door: door.clone(),
            book: Arc::clone(book),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        });
        for worker in 0..workers {
            let shared = Arc::clone(&shared);
            group
                .spawn(async move {
                    if let Err(why) = shared.work(worker).await {
                        locked(&shared.failure).get_or_insert(why);
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                })
                .await;
        }
        Ok(Self { shared, group })
    }

    /// An error if they have stopped by themselves.
    ///
    /// # Errors
    /// The server gave an answer that no other try helps against.
    pub(super) fn check(&self) -> Result<(), String> {
        locked(&self.shared.failure).clone().map_or(Ok(()), Err)
    }

    /// Ends the work: what a worker has it does first.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        // They return nothing: only a panic is an error, and goes on here.
        let _ = self.group.join().await;
        self.check()
    }
}

impl Shared {
    /// Waits for jobs on one connection and says on another that they are done.
    async fn work(&self, worker: usize) -> Result<(), String> {
        let (mut waiting, mut saying) = (Wire::new(self.door.to, TIMEOUT), Wire::new(self.door.to, TIMEOUT));
        let claim = self.door.claim(worker);
        let mut ack = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            match waiting.exchange(&claim).await {
                Ok(Reply { status: 200, .. }) => {}
                Ok(reply @ Reply { status: 429 | 503, .. }) => {
                    pause(reply).await;
                    continue;
                }
                Ok(reply) => return Err(unexpected("a claim", reply, &waiting)),
                // What it was given goes to others when it is not heard of, and is seen then.
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            let at = machine_micros();
            let claims: Claims<'_> = serde_json::from_slice(waiting.body())
                .map_err(|error| format!("the answer to a claim is not as expected: {error}"))?;
            self.enter(&claims, at);
            for job in &claims.data {
                self.door.ack(job, &mut ack);
                self.say_done(&mut saying, &ack, job).await?;
            }
        }
        Ok(())
    }

    fn enter(&self, claims: &Claims<'_>, at: u64) {
        let mut book = locked(&self.book);
        for job in &claims.data {
            book.claim(job.number(), at);
        }
    }

    /// Sends the ack of a job until it is answered.
    async fn say_done(&self, wire: &mut Wire, ack: &[u8], job: &Claimed<'_>) -> Result<(), String> {
        for _ in 0..TRIES_MAX {
            match wire.exchange(ack).await {
                Ok(Reply { status: 204, .. }) => {
                    locked(&self.book).finish(job.number(), machine_micros());
                    return Ok(());
                }
                Ok(Reply { status: 409, .. }) => {
                    locked(&self.book).lose_lease();
                    return Ok(());
                }
                Ok(reply @ Reply { status: 429 | 503, .. }) => pause(reply).await,
                Ok(reply) => return Err(unexpected("an ack", reply, wire)),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }
}

async fn pause(reply: Reply) {
    let pause = reply.retry_after.unwrap_or(PAUSE).min(PAUSE_MAX);
    // Spread out: those who were refused together must not come back together.
    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
}

fn unexpected(what: &str, reply: Reply, wire: &Wire) -> String {
    let body = String::from_utf8_lossy(wire.body());
    format!("{what} is answered with {}: {}", reply.status, body.trim())
}
