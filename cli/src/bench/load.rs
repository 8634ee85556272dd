//! Senders of messages or jobs: as fast as they are answered, by a clock, or as far as they have
//! credit.
//!
//! # Invariants
//! - An event counts as accepted only on its 202; while nobody knows, it is sent again with the same
//!   idempotency key, so it counts once.
//! - By a clock the schedule is open: when the server is slow, what is due piles up and is sent late,
//!   and every latency counts from the moment that was intended.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use plimsoll::group::Group;
use tokio::sync::Notify;

use super::message::Message;
use super::pace::Timer;
use crate::client::Error;
use crate::client::wire::{Reply, Wire};
use crate::receiver::{Bits, machine_micros};

/// The deadline of one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two tries of an event, where the server does not say.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause that the server can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often an event of which nobody knows is sent again.
const TRIES_MAX: u32 = 10;
/// Longer latencies count as this long, in microseconds.
const MICROS_MAX: u64 = 600_000_000;

/// When the next event is sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Pace {
    /// As soon as the one before it on its connection is answered.
    AsAnswered,
    /// At its time: so many a second of all connections together.
    PerSecond(f64),
    /// When there is [`credit`](Load::credit) for it.
    OnCredit,
}

/// What becomes of an event that is answered with 429 or 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It is sent again when the server said.
    TriedAgain,
    /// It is counted and forgotten.
    GivenUp,
}

/// Who is told of each event that is accepted, before it counts.
pub(super) type Told = Arc<dyn Fn(Accepted) + Send + Sync>;

/// An event that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Accepted {
    /// Its number in what was sent.
    pub(super) event: u64,
    /// When its 202 came, in [`machine_micros`].
    pub(super) at: u64,
}

/// The numbers of events: what those who get them know them by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Numbers {
    /// The first event's.
    pub(super) first: u64,
    /// From one to the next.
    pub(super) step: u64,
}

/// What is to be sent, and how.
pub(super) struct Order {
    /// Where the API listens.
    pub(super) to: SocketAddr,
    /// What is sent: each connection sends one of them, the first connection the first, and so round.
    pub(super) messages: Vec<Message>,
    /// What number each event has.
    pub(super) numbers: Numbers,
    /// The most events that may be sent: the bound of the books.
    pub(super) events_max: usize,
    /// How many connections send.
    pub(super) connections: usize,
    /// When.
    pub(super) pace: Pace,
    /// What becomes of what is refused.
    pub(super) refused: Refused,
    /// Who is told of what is accepted.
    pub(super) told: Option<Told>,
}

/// What the senders have seen so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sent {
    /// Events answered with 202.
    pub(super) accepted: u64,
    /// Answers of 429.
    pub(super) too_many: u64,
    /// Answers of 503.
    pub(super) unavailable: u64,
    /// Those of both that did not say when to come again.
    pub(super) without_retry_after: u64,
    /// Tries without an answer: taken or not, nobody knows.
    pub(super) unknown: u64,
    /// When the last 202 came, in [`machine_micros`].
    pub(super) last_at: u64,
}

impl Sent {
    /// Answers that say what became of an event, where what is refused is given up.
    pub(super) fn decided(&self) -> u64 {
        self.accepted + self.too_many + self.unavailable
    }
}

/// Senders at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    senders: Group<()>,
}

struct Shared {
    order: Order,
    started_at: u64,
    stop: AtomicBool,
    next: AtomicU64,
    credit: AtomicU64,
    credited: Notify,
    accepted: Mutex<Bits>,
    latencies: Mutex<Histogram<u64>>,
    counts: Counts,
    failure: Mutex<Option<String>>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    too_many: AtomicU64,
    unavailable: AtomicU64,
    without_retry_after: AtomicU64,
    unknown: AtomicU64,
    last_at: AtomicU64,
}

/// What became of one event.
enum Fate {
    Accepted,
    NotAccepted,
    Failed(String),
}

impl Load {
    /// Starts the senders.
    ///
    /// # Errors
    /// No connection at all was asked for, or nothing to be sent.
    pub(super) async fn start(order: Order) -> Result<Self, String> {
        let mut senders = Group::new(order.connections).map_err(|error| error.to_string())?;
        if order.messages.is_empty() {
            return Err("there is nothing to be sent".to_owned());
        }
        let shared = Arc::new(Shared {
            started_at: machine_micros(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            credit: AtomicU64::new(0),
            credited: Notify::new(),
            accepted: Mutex::new(Bits::new(order.events_max)),
            latencies: Mutex::new(empty()),
            counts: Counts::default(),
            failure: Mutex::new(None),
            order,
        });
        let messages = shared.order.messages.iter().cycle().take(shared.order.connections);
        for message in messages {
            let (shared, message) = (Arc::clone(&shared), message.clone());
            senders
                .spawn(async move {
                    if let Err(why) = shared.run_sender(message).await {
                        locked(&shared.failure).get_or_insert(why);
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                })
                .await;
        }
        Ok(Self { shared, senders })
    }

    /// What was seen so far.
    pub(super) fn sent(&self) -> Sent {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Sent {
            accepted: read(&counts.accepted),
            too_many: read(&counts.too_many),
            unavailable: read(&counts.unavailable),
            without_retry_after: read(&counts.without_retry_after),
            unknown: read(&counts.unknown),
            last_at: read(&counts.last_at),
        }
    }

    /// The numbers of the events.
    pub(super) fn numbers(&self) -> Numbers {
        self.shared.order.numbers
    }

    /// Lets the events below this number be sent.
    pub(super) fn credit(&self, events: u64) {
        if self.shared.credit.fetch_max(events, Ordering::Relaxed) < events {
            self.shared.credited.notify_waiters();
        }
    }

    /// Forgets the latencies so far: what comes before is warming up.
    pub(super) fn forget_latencies(&self) {
        locked(&self.shared.latencies).reset();
    }

    /// The latencies of acceptance, from when an event was due, in microseconds.
    pub(super) fn latencies(&self) -> Histogram<u64> {
        locked(&self.shared.latencies).clone()
    }

    /// The accepted events: the `k`-th as number `k`, whatever [`numbers`](Self::numbers) they have.
    pub(super) fn accepted(&self) -> Bits {
        locked(&self.shared.accepted).clone()
    }

    /// An error if the senders have stopped by themselves.
    ///
    /// # Errors
    /// The server gave an answer that no retry helps against, or there are no more numbers.
    pub(super) fn check(&self) -> Result<(), String> {
        locked(&self.shared.failure).clone().map_or(Ok(()), Err)
    }

    /// Ends the sending: what is on its way is answered first.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.credited.notify_waiters();
        // They return nothing: only a panic is an error, and goes on here.
        let _ = self.senders.join().await;
        self.check()
    }
}

impl Numbers {
    fn of(self, place: u64) -> u64 {
        self.first + place * self.step
    }
}

impl Shared {
    async fn run_sender(&self, mut message: Message) -> Result<(), String> {
        let mut wire = Wire::new(self.order.to, TRY_TIMEOUT);
        let mut timer = Timer::new().map_err(|error| format!("no timer: {error}"))?;
        while let Some((number, due)) = self.turn(&mut timer).await? {
            let event = self.order.numbers.of(number);
            message.set(event, due, fastrand::u128(..));
            match self.send(&mut wire, message.bytes()).await {
                Fate::Accepted => self.note_accepted(number, due),
                Fate::NotAccepted => {}
                Fate::Failed(why) => return Err(format!("event {event} is answered with {why}")),
            }
        }
        Ok(())
    }

    /// The next event's number and when it is due, once it is; `None` at the end.
    async fn turn(&self, timer: &mut Timer) -> Result<Option<(u64, u64)>, String> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.order.events_max as u64 {
            return Err(format!("all {} numbers of the books are used up", self.order.events_max));
        }
        let due = match self.order.pace {
            Pace::AsAnswered => machine_micros(),
            Pace::PerSecond(rate) => {
                // Somewhere in its turn: two who send as often as each other would otherwise meet at the same
                // point of every turn, and what is measured would be that point.
                let turns = number as f64 + fastrand::f64();
                let due = self.started_at + (turns * 1e6 / rate) as u64;
                timer.until(due).await.map_err(|error| format!("no timer: {error}"))?;
                due
            }
            Pace::OnCredit => {
                self.wait_for_credit(number).await;
                machine_micros()
            }
        };
        Ok((!self.stop.load(Ordering::Relaxed)).then_some((number, due)))
    }

    async fn wait_for_credit(&self, number: u64) {
        loop {
            // Before looking: what is granted between a look and the waiting is not missed.
            let mut credited = std::pin::pin!(self.credited.notified());
            credited.as_mut().enable();
            if number < self.credit.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed) {
                return;
            }
            credited.await;
        }
    }

    /// Sends one event until its fate is known.
    async fn send(&self, wire: &mut Wire, message: &[u8]) -> Fate {
        for _ in 0..TRIES_MAX {
            let pause = match wire.exchange(message).await {
                Ok(Reply { status: 202, .. }) => return Fate::Accepted,
                Ok(reply @ Reply { status: 429 | 503, .. }) => {
                    self.note_refused(reply);
                    if self.order.refused == Refused::GivenUp {
                        return Fate::NotAccepted;
                    }
                    reply.retry_after.unwrap_or(PAUSE).min(PAUSE_MAX)
                }
                Ok(reply) => {
                    let body = String::from_utf8_lossy(wire.body());
                    return Fate::Failed(format!("{}: {}", reply.status, body.trim()));
                }
                Err(Error::Refused(_) | Error::Unknown(_) | Error::TimedOut) => {
                    self.counts.unknown.fetch_add(1, Ordering::Relaxed);
                    PAUSE
                }
            };
            if self.stop.load(Ordering::Relaxed) {
                return Fate::NotAccepted;
            }
            // Spread out: the senders were refused together and must not come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
        Fate::NotAccepted
    }

    fn note_accepted(&self, number: u64, due: u64) {
        let now = machine_micros();
        if let Some(told) = &self.order.told {
            told(Accepted { event: self.order.numbers.of(number), at: now });
        }
        locked(&self.accepted).insert(number as usize);
        locked(&self.latencies).saturating_record(now.saturating_sub(due));
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.counts.last_at.fetch_max(now, Ordering::Relaxed);
    }

    fn note_refused(&self, reply: Reply) {
        let counts = &self.counts;
        let count = if reply.status == 429 { &counts.too_many } else { &counts.unavailable };
        count.fetch_add(1, Ordering::Relaxed);
        if reply.retry_after.is_none() {
            counts.without_retry_after.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// No latencies yet.
pub(super) fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("the bounds are constant and valid")
}

/// What the lock guards: nothing is left half-done under it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_from_the_first_in_steps() {
        let numbers = Numbers { first: 2, step: 5 };
        assert_eq!([0, 1, 10].map(|place| numbers.of(place)), [2, 7, 52]);
    }

    #[tokio::test]
    async fn senders_with_nothing_to_send_do_not_start() {
        let order = Order {
            to: SocketAddr::from(([127, 0, 0, 1], 1)),
            messages: Vec::new(),
            numbers: Numbers { first: 0, step: 1 },
            events_max: 1,
            connections: 1,
            pace: Pace::AsAnswered,
            refused: Refused::GivenUp,
            told: None,
        };
        assert!(Load::start(order).await.is_err());
    }
}
