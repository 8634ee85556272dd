//! Connections kept for the next delivery to the same destination.
//!
//! # Invariants
//! - A connection is here or with one attempt, never both.
//! - Each kept connection is in `by_destination` and in `by_age` under the same number.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use plimsoll::clock::Instant;
use rustc_hash::FxHashMap;

use super::connection::Connection;
use super::target::Destination;

#[derive(Default)]
pub(crate) struct Idle {
    next: u64,
    by_destination: FxHashMap<Destination, VecDeque<Kept>>,
    by_age: BTreeMap<u64, (Destination, Instant)>,
}

struct Kept {
    number: u64,
    connection: Connection,
}

impl Idle {
    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// The connection to the destination that was used last: the likeliest to be alive.
    pub(crate) fn take(&mut self, destination: &Destination) -> Option<Connection> {
        let kept = self.by_destination.get_mut(destination)?;
        let last = kept.pop_back()?;
        if kept.is_empty() {
            self.by_destination.remove(destination);
        }
        self.by_age.remove(&last.number);
        Some(last.connection)
    }

    pub(crate) fn put(&mut self, destination: Destination, connection: Connection, now: Instant) {
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, (destination.clone(), now));
        self.by_destination.entry(destination).or_default().push_back(Kept { number, connection });
    }

    /// Takes out the connection that has been idle longest.
    pub(crate) fn evict(&mut self) -> Option<Connection> {
        let (number, (destination, _)) = self.by_age.pop_first()?;
        let kept = self.by_destination.get_mut(&destination)?;
        // Within a destination the front is the oldest, so that it is the one of this number.
        let at = kept.iter().position(|one| one.number == number)?;
        let evicted = kept.remove(at)?;
        if kept.is_empty() {
            self.by_destination.remove(&destination);
        }
        Some(evicted.connection)
    }

    /// Takes out a connection that has been idle for `longest`, if there is one.
    pub(crate) fn expire(&mut self, now: Instant, longest: Duration) -> Option<Connection> {
        let (_, (_, since)) = self.by_age.first_key_value()?;
        if now - *since < longest { None } else { self.evict() }
    }
}
