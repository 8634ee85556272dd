//! One call, who leads it and who follows it.
//!
//! # Invariants
//! - At most one leader at a time: `led` is true while a [`Leader`] of this flight exists, or once
//!   its outcome is set.
//! - `followers` is the number of [`Follower`]s that have neither taken the lead nor left.
//! - A flight without outcome has a leader or followers, or is in the act of being dissolved.
//! - When the leader gives up, or the outcome is set, every waker that was left is woken.
//!
//! # Lock order
//! The table's shard, then the flight's line.

use std::hash::Hash;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::builder::Errors;
use super::error::Error;
use super::table::{Hashed, Settings, Table};
use crate::clock::Instant;
use crate::sync::{Mutex, MutexGuard, OnceLock, lock};
use crate::unwind::Payload;
use crate::waiters::{Ticket, Waiters};

pub(super) struct Flight<K, T, E> {
    pub(super) key: Hashed<K>,
    line: Mutex<Line>,
    outcome: OnceLock<Outcome<T, E>>,
}

pub(super) enum Outcome<T, E> {
    Done(T),
    /// Remembered until then, if at all.
    Failed(E, Option<Instant>),
    Panicked(Arc<str>),
}

struct Line {
    led: bool,
    followers: usize,
    /// Counts the times that all were woken; a place in the line is of one round only.
    round: u64,
    waiting: Waiters<Waker>,
}

impl<K, T, E> Flight<K, T, E> {
    /// A flight with a leader.
    pub(super) fn new(key: Hashed<K>) -> Self {
        let line = Line { led: true, followers: 0, round: 0, waiting: Waiters::new() };
        Self { key, line: Mutex::new(line), outcome: OnceLock::new() }
    }

    pub(super) fn has_landed(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Whether it failed, a short enough while ago.
    pub(super) fn is_remembered(&self, now: Instant) -> bool {
        matches!(self.outcome.get(), Some(Outcome::Failed(_, Some(until))) if now < *until)
    }

    /// Joins as leader if there is none, or else as a follower; true for a leader. Asked under the
    /// lock of the table's shard.
    pub(super) fn join(&self) -> bool {
        let mut line = self.line();
        if line.led {
            line.followers += 1;
            return false;
        }
        line.led = true;
        true
    }

    /// The leader goes. True when nobody is left, so that the flight is to be dissolved. Asked under
    /// the lock of the table's shard.
    pub(super) fn give_up(&self) -> (bool, Waiters<Waker>) {
        let mut line = self.line();
        line.led = false;
        (line.followers == 0, line.take_waiting())
    }

    pub(super) fn has_followers(&self) -> bool {
        self.line().followers > 0
    }

    /// Sets the outcome; how many followers get it, and whom to wake.
    pub(super) fn settle(&self, outcome: Outcome<T, E>) -> (usize, Waiters<Waker>) {
        // Under the lock, so that who takes it meanwhile is not missing from the count.
        let mut line = self.line();
        let set = self.outcome.set(outcome);
        debug_assert!(set.is_ok(), "a flight has one outcome");
        (line.followers, line.take_waiting())
    }

    /// A follower goes. True when nobody is left, so that the flight is to be dissolved. Asked under
    /// the lock of the table's shard.
    pub(super) fn leave(&self, place: &mut Option<Place>) -> (bool, Option<Waker>) {
        let mut line = self.line();
        line.followers -= 1;
        let waker = line.give_back(place);
        (line.followers == 0 && !line.led, waker)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }
}

impl<K, T: Clone, E: Clone> Flight<K, T, E> {
    /// A clone of the outcome, which is set.
    pub(super) fn result(&self) -> Result<T, Error<E>> {
        match self.outcome.get() {
            Some(Outcome::Done(value)) => Ok(value.clone()),
            Some(Outcome::Failed(error, _)) => Err(Error::Inner(error.clone())),
            Some(Outcome::Panicked(message)) => Err(Error::Panicked { message: Arc::clone(message) }),
            None => unreachable!("a flight ended without an outcome"),
        }
    }
}

impl Line {
    /// All who wait, to be woken once the locks are released.
    fn take_waiting(&mut self) -> Waiters<Waker> {
        self.round += 1;
        mem::replace(&mut self.waiting, Waiters::new())
    }

    /// Leaves `waker` in the line; the one that it replaces is to be dropped once the locks are
    /// released.
    fn wait(&mut self, place: &mut Option<Place>, waker: Waker) -> Option<Waker> {
        match place {
            Some(place) if place.round == self.round => {
                Some(mem::replace(self.waiting.get_mut(&place.ticket), waker))
            }
            _ => {
                let ticket = self.waiting.push(waker);
                *place = Some(Place { round: self.round, ticket });
                None
            }
        }
    }

    /// The waker of that place, to be dropped once the locks are released.
    fn give_back(&mut self, place: &mut Option<Place>) -> Option<Waker> {
        let place = place.take().filter(|place| place.round == self.round)?;
        Some(self.waiting.remove(place.ticket).0)
    }
}

/// A waker's place in the line.
pub(super) struct Place {
    round: u64,
    ticket: Ticket,
}

/// The right, and the duty, to run the call; dropping it hands over.
pub(super) struct Leader<K: Hash + Eq, T, E> {
    table: Arc<Table<K, T, E>>,
    flight: Arc<Flight<K, T, E>>,
    landed: bool,
}

impl<K: Hash + Eq, T, E> Leader<K, T, E> {
    /// Leads `flight`, by whoever set `led`.
    pub(super) const fn new(table: Arc<Table<K, T, E>>, flight: Arc<Flight<K, T, E>>) -> Self {
        Self { table, flight, landed: false }
    }

    /// The call panicked, which is about to go on here.
    pub(super) fn panicked(self, payload: &Payload) {
        if self.table.settings().errors == Errors::Share {
            self.settle(Outcome::Panicked(message_of(payload)));
        }
    }

    fn settle(mut self, outcome: Outcome<T, E>) {
        self.table.settle(&self.flight, outcome);
        self.landed = true;
    }
}

impl<K: Hash + Eq, T: Clone, E: Clone> Leader<K, T, E> {
    /// The call ended so.
    pub(super) fn end(mut self, result: Result<T, E>) -> Result<T, E> {
        let Settings { errors, negative_for, .. } = *self.table.settings();
        // Clones are made outside of the locks; one that panics hands over, as does an early return.
        let outcome = match &result {
            Err(_) if errors == Errors::Each => return result,
            Err(error) if negative_for.is_some() => Outcome::Failed(error.clone(), None),
            _ if self.table.land_alone(&self.flight) => {
                self.landed = true;
                return result;
            }
            Ok(value) => Outcome::Done(value.clone()),
            Err(error) => Outcome::Failed(error.clone(), None),
        };
        self.settle(outcome);
        result
    }
}

impl<K: Hash + Eq, T, E> Drop for Leader<K, T, E> {
    fn drop(&mut self) {
        if !self.landed {
            self.table.give_up(&self.flight);
        }
    }
}

fn message_of(payload: &Payload) -> Arc<str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").into()
}

/// Waits for the call's outcome, or for the lead; dropping it leaves the line.
pub(super) struct Follower<K: Hash + Eq, T, E> {
    table: Arc<Table<K, T, E>>,
    flight: Arc<Flight<K, T, E>>,
    place: Option<Place>,
    gone: bool,
}

/// How a follower's wait ends.
pub(super) enum Turn<K: Hash + Eq, T, E> {
    Lead(Leader<K, T, E>),
    Ended(Arc<Flight<K, T, E>>),
}

impl<K: Hash + Eq, T, E> Follower<K, T, E> {
    /// Follows `flight`, by whoever counted it in.
    pub(super) const fn new(table: Arc<Table<K, T, E>>, flight: Arc<Flight<K, T, E>>) -> Self {
        Self { table, flight, place: None, gone: false }
    }

    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn<K, T, E>> {
        let flight = Arc::clone(&self.flight);
        // Before the lock, since to clone it is the caller's code.
        let own_waker = cx.waker().clone();
        let mut line = self.flight.line();
        let ended = flight.has_landed();
        if !ended && line.led {
            let stale = line.wait(&mut self.place, own_waker);
            drop(line);
            drop(stale);
            return Poll::Pending;
        }
        line.followers -= 1;
        line.led = true;
        let waker = line.give_back(&mut self.place);
        drop(line);
        drop(waker);
        self.gone = true;
        self.table.followed(ended);
        Poll::Ready(if ended {
            Turn::Ended(flight)
        } else {
            Turn::Lead(Leader::new(Arc::clone(&self.table), flight))
        })
    }
}

impl<K: Hash + Eq, T, E> Drop for Follower<K, T, E> {
    fn drop(&mut self) {
        if !self.gone {
            self.table.leave(&self.flight, &mut self.place);
        }
    }
}
