//! What is pending of each application, counted by the commits that change it.
//!
//! # Invariants
//! - The table `backlog` has, for each application that lives, what is left of its fan-out rows and
//!   how many rows of due work it has; the transaction that changes those rows writes it.
//! - A commit writes one row for an application, however many deliveries it adds or settles.
//! - What is published is durable: callers see it once the commit that made it so is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll::clock::{self, Instant};
use rusqlite::{Connection, Result, params};

use super::encode;
use crate::{AppId, Backlog, Backlogs};

/// The rate at which a backlog drains is that of about so many seconds.
const DRAIN_SECONDS: f64 = 10.0;
/// The least that is looked at to tell a rate.
const DRAIN_SECONDS_MIN: f64 = 1.0;

/// What is left of a fan-out row: of the deliveries it was accepted with, the share of the
/// endpoints that its frontier has not come to, rounded up.
pub(super) fn left(deliveries: u64, ceiling: u64, frontier: u64) -> u64 {
    let settled = u128::from(deliveries) * u128::from(frontier.min(ceiling)) / u128::from(ceiling.max(1));
    deliveries - u64::try_from(settled).unwrap_or(deliveries).min(deliveries)
}

/// The backlogs as callers see them.
#[derive(Clone, Default)]
pub(crate) struct Published(Arc<Mutex<HashMap<AppId, Pending>>>);

struct Pending {
    deliveries: u64,
    drain: Drain,
}

impl Published {
    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(&self, app: AppId) -> Backlog {
        self.lock().get(&app).map_or_else(Backlog::default, |pending| Backlog {
            deliveries: pending.deliveries,
            drained_per_second: pending.drain.per_second(clock::now()),
        })
    }

    /// The largest, the first of them the largest: looks at each.
    pub(crate) fn largest(&self, count: usize) -> Vec<(AppId, u64)> {
        let mut largest = BinaryHeap::with_capacity(count + 1);
        for (app, pending) in self.lock().iter() {
            largest.push(Reverse((pending.deliveries, *app)));
            if largest.len() > count {
                largest.pop();
            }
        }
        let sorted = largest.into_sorted_vec().into_iter();
        sorted.map(|Reverse((deliveries, app))| (app, deliveries)).collect()
    }

    /// All of them together: looks at each.
    pub(crate) fn all(&self) -> Backlogs {
        let pending = self.lock();
        let each = pending.values().map(|pending| pending.deliveries);
        Backlogs {
            applications: pending.len(),
            deliveries: each.clone().sum(),
            deliveries_max: each.max().unwrap_or(0),
        }
    }
}

/// The backlogs as the committer has them.
#[derive(Default)]
pub(super) struct Ledger {
    published: Published,
    /// What the open transaction does to them.
    changes: HashMap<AppId, Change>,
}

/// What a transaction does to one backlog.
#[derive(Clone, Copy, Default)]
struct Change {
    accepted: u64,
    put_off: u64,
    settled: u64,
    forgotten: bool,
}

impl Ledger {
    /// As it was left: a row for each application, whatever there is pending of it.
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let ledger = Self::default();
        let mut statement = connection.prepare("SELECT app, deliveries FROM backlog WHERE deliveries > 0")?;
        let mut rows = statement.query([])?;
        let now = clock::now();
        let mut pending = ledger.published.lock();
        while let Some(row) = rows.next()? {
            let deliveries = encode::count(row, 1)?;
            pending.insert(AppId(encode::id(row, 0)?), Pending { deliveries, drain: Drain::new(now) });
        }
        drop(pending);
        Ok(ledger)
    }

    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    /// What is pending of the application, with what the open transaction does to it.
    pub(super) fn pending(&self, app: AppId) -> u64 {
        let change = self.changes.get(&app).copied().unwrap_or_default();
        let before = if change.forgotten {
            0
        } else {
            self.published.lock().get(&app).map_or(0, |pending| pending.deliveries)
        };
        change.applied_to(before)
    }

    /// A message was accepted, with so many deliveries.
    pub(super) fn accepted(&mut self, app: AppId, deliveries: u64) {
        self.changes.entry(app).or_default().accepted += deliveries;
    }

    /// Due work was inserted.
    pub(super) fn put_off(&mut self, app: AppId, works: usize) {
        self.changes.entry(app).or_default().put_off += works as u64;
    }

    /// Due work was deleted, or a fan-out went on.
    pub(super) fn settled(&mut self, app: AppId, deliveries: u64) {
        self.changes.entry(app).or_default().settled += deliveries;
    }

    /// The application was buried: nothing of it is counted any more.
    pub(super) fn forget(&mut self, app: AppId) {
        self.changes.insert(app, Change { forgotten: true, ..Change::default() });
    }

    /// Writes what the transaction did, into it; `lives` says of an application that it is not
    /// buried.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        mut lives: impl FnMut(AppId) -> Result<bool>,
    ) -> Result<()> {
        let apps: Vec<_> = self.changes.keys().copied().collect();
        for app in apps {
            let change = self.changes.get(&app).copied().unwrap_or_default();
            if change.forgotten || !lives(app)? {
                self.forget(app);
                let mut delete = connection.prepare_cached("DELETE FROM backlog WHERE app = ?1")?;
                delete.execute([app.as_bytes()])?;
            } else if change.accepted + change.put_off != change.settled {
                let mut put = connection
                    .prepare_cached("INSERT OR REPLACE INTO backlog (app, deliveries) VALUES (?1, ?2)")?;
                put.execute(params![app.as_bytes(), encode::stored(self.pending(app))])?;
            }
        }
        Ok(())
    }

    /// The transaction is durable: callers may see what it did.
    pub(super) fn committed(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let now = clock::now();
        let mut published = self.published.lock();
        for (app, change) in self.changes.drain() {
            if change.forgotten {
                published.remove(&app);
                continue;
            }
            let pending =
                published.entry(app).or_insert_with(|| Pending { deliveries: 0, drain: Drain::new(now) });
            pending.deliveries = change.applied_to(pending.deliveries);
            pending.drain.drained(change.settled.saturating_sub(change.put_off), now);
            if pending.deliveries == 0 {
                published.remove(&app);
            }
        }
    }

    /// The transaction is undone, and what it did with it.
    pub(super) fn rolled_back(&mut self) {
        self.changes.clear();
    }
}

impl Change {
    const fn applied_to(self, before: u64) -> u64 {
        before.saturating_add(self.accepted).saturating_add(self.put_off).saturating_sub(self.settled)
    }
}

/// How fast a backlog drains: an average that forgets.
struct Drain {
    since: Instant,
    settled: u64,
    per_second: f64,
}

impl Drain {
    const fn new(now: Instant) -> Self {
        Self { since: now, settled: 0, per_second: 0.0 }
    }

    fn drained(&mut self, settled: u64, now: Instant) {
        self.settled = self.settled.saturating_add(settled);
        if (now - self.since).as_secs_f64() >= DRAIN_SECONDS_MIN {
            self.per_second = self.per_second(now);
            self.since = now;
            self.settled = 0;
        }
    }

    /// The average so far. What was seen for less than [`DRAIN_SECONDS`] counts for as much as it was
    /// seen.
    fn per_second(&self, now: Instant) -> f64 {
        let seconds = (now - self.since).as_secs_f64();
        if seconds < DRAIN_SECONDS_MIN {
            return self.per_second;
        }
        let weight = 1.0 - (-seconds / DRAIN_SECONDS).exp();
        (1.0 - weight) * self.per_second + weight * self.settled as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_goes_from_all_to_nothing_and_never_back(
            deliveries in 0..=u64::from(u32::MAX), ceiling in 1..=u64::from(u32::MAX),
            a: u32, b: u32,
        ) {
            let (low, high) = (u64::from(a.min(b)), u64::from(a.max(b)));
            prop_assert_eq!(left(deliveries, ceiling, 0), deliveries);
            prop_assert_eq!(left(deliveries, ceiling, ceiling), 0);
            prop_assert!(left(deliveries, ceiling, low) >= left(deliveries, ceiling, high));
            prop_assert_eq!(left(ceiling, ceiling, low), ceiling.saturating_sub(low));
        }
    }

    #[test]
    fn the_largest_backlogs_come_first_and_no_more_than_asked_for() {
        let mut ledger = Ledger::default();
        let apps: Vec<AppId> = (0..5).map(|_| AppId::fresh()).collect();
        for (number, app) in apps.iter().enumerate() {
            ledger.accepted(*app, 10 + number as u64);
        }
        ledger.committed();
        assert_eq!(ledger.published().largest(2), [(apps[4], 14), (apps[3], 13)]);
        assert_eq!(ledger.published().largest(9).len(), 5);
        assert!(ledger.published().largest(0).is_empty());
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut drain = Drain::new(start);
        assert!(drain.per_second(start).abs() < f64::EPSILON);
        for second in 1..=100 {
            drain.drained(500, at(second));
        }
        assert!((drain.per_second(at(100)) - 500.0).abs() < 1.0, "{}", drain.per_second(at(100)));
        // Nothing for ten seconds: a third is left of it, and after minutes nothing.
        let later = drain.per_second(at(110));
        assert!((150.0..250.0).contains(&later), "{later}");
        assert!(drain.per_second(at(400)) < 1.0);
    }
}
