//! Since when the attempts to an endpoint fail, one after the other.
//!
//! # Invariants
//! - A row is written when the first attempt fails after a success, and goes when one succeeds:
//!   an endpoint that is well, or stays unwell, costs no write.
//! - What is published is durable, but for the time of the last failure, which is only in memory.
//! - As many are in memory as endpoints fail: never more than there are endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Result, params};

use super::encode;
use crate::{AppId, EndpointId, Failing, UnixMillis};

/// The endpoints that fail, as callers see them.
#[derive(Clone, Default)]
pub(crate) struct Published(Arc<Mutex<HashMap<EndpointId, Failing>>>);

impl Published {
    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(&self, endpoint: EndpointId) -> Option<Failing> {
        self.lock().get(&endpoint).copied()
    }

    /// Those that failed for so long, from the first failure to the last, and are wanted.
    pub(crate) fn longer_than(
        &self,
        span_ms: i64,
        limit: usize,
        wanted: impl Fn(EndpointId, Failing) -> bool,
    ) -> Vec<(EndpointId, Failing)> {
        let failing = self.lock();
        let each = failing.iter().map(|(endpoint, failing)| (*endpoint, *failing));
        let long = each.filter(|(_, failing)| failing.last - failing.since >= span_ms);
        long.filter(|(endpoint, failing)| wanted(*endpoint, *failing)).take(limit).collect()
    }
}

/// The endpoints that fail, as the committer has them.
#[derive(Default)]
pub(super) struct FailingLedger {
    published: Published,
    /// What the open transaction does to them; `None` where one does not fail any more.
    changes: HashMap<EndpointId, Option<Failing>>,
}

impl FailingLedger {
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let ledger = Self::default();
        let mut statement = connection.prepare("SELECT endpoint, app, since FROM failing")?;
        let mut rows = statement.query([])?;
        let mut failing = ledger.published.lock();
        while let Some(row) = rows.next()? {
            let (endpoint, since) = (EndpointId(encode::id(row, 0)?), row.get(2)?);
            failing.insert(endpoint, Failing { app: AppId(encode::id(row, 1)?), since, last: since });
        }
        drop(failing);
        Ok(ledger)
    }

    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    fn now(&self, endpoint: EndpointId) -> Option<Failing> {
        self.changes.get(&endpoint).copied().unwrap_or_else(|| self.published.of(endpoint))
    }

    /// An attempt that began then failed.
    pub(super) fn failed(
        &mut self,
        connection: &Connection,
        app: AppId,
        endpoint: EndpointId,
        at: UnixMillis,
    ) -> Result<()> {
        let before = self.now(endpoint);
        if before.is_none() {
            let sql = "INSERT OR REPLACE INTO failing (endpoint, app, since) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![endpoint.as_bytes(), app.as_bytes(), at])?;
        }
        let after = before.map_or(Failing { app, since: at, last: at }, |before| Failing {
            last: before.last.max(at),
            ..before
        });
        self.changes.insert(endpoint, Some(after));
        Ok(())
    }

    /// An attempt succeeded, or the endpoint is gone or is given a new start.
    pub(super) fn ended(&mut self, connection: &Connection, endpoint: EndpointId) -> Result<()> {
        if self.now(endpoint).is_some() {
            let sql = "DELETE FROM failing WHERE endpoint = ?1";
            connection.prepare_cached(sql)?.execute([endpoint.as_bytes()])?;
            self.changes.insert(endpoint, None);
        }
        Ok(())
    }

    /// The application is gone, and its endpoints with it; looks at each that fails.
    pub(super) fn forget(&mut self, connection: &Connection, app: AppId) -> Result<()> {
        connection.prepare_cached("DELETE FROM failing WHERE app = ?1")?.execute([app.as_bytes()])?;
        for failing in self.changes.values_mut() {
            *failing = failing.filter(|failing| failing.app != app);
        }
        let published = self.published.lock();
        let of_app = published.iter().filter(|(_, failing)| failing.app == app);
        self.changes.extend(of_app.map(|(endpoint, _)| (*endpoint, None)));
        Ok(())
    }

    /// The transaction is durable: callers may see what it did.
    pub(super) fn committed(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let mut published = self.published.lock();
        for (endpoint, change) in self.changes.drain() {
            match change {
                Some(failing) => published.insert(endpoint, failing),
                None => published.remove(&endpoint),
            };
        }
    }

    /// The transaction is undone, and what it did with it.
    pub(super) fn rolled_back(&mut self) {
        self.changes.clear();
    }
}
