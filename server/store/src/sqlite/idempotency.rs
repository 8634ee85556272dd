//! Idempotency entries, in a table per hour that goes as a whole.
//!
//! # Invariants
//! - An entry stands in the bucket of the hour it was made in. A key is looked for in every bucket
//!   that can hold an entry in force: at most [`BUCKETS_MAX`].
//! - Every bucket has a filter. The filter of a bucket that was there when the store was opened is
//!   asked only once all its keys were read into it; until then the table is.
//! - A key is in the filter before its commit: a rolled back key costs a look-up, nothing more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::filter::Filter;
use crate::{Idempotency, MessageId, UnixMillis};

const HOUR_MS: i64 = 3_600_000;
/// Entries hold for a day at the most.
const HOURS: i64 = 24;
/// A day, and the two hours it begins and ends in.
const BUCKETS_MAX: usize = 26;
/// Keys read into a filter in one step.
const KEYS_A_STEP: usize = 8_192;

/// The entries made in one hour.
pub(super) struct Bucket {
    hour: i64,
    filter: Filter,
    /// Whether the filter has all of the bucket's keys.
    complete: AtomicBool,
    find: String,
    put: String,
}

/// What was found for a key.
pub(super) struct Entry {
    pub(super) fingerprint: [u8; 16],
    /// The message that was accepted with it.
    pub(super) message: Option<MessageId>,
    /// The status of the answer that was remembered with it.
    pub(super) status: Option<u16>,
    hour: i64,
}

/// What an entry holds.
pub(super) enum Held<'a> {
    Message(MessageId),
    Answer { status: u16, body: &'a [u8] },
}

/// The buckets as the committer has them; the readers have the published ones.
pub(super) struct Buckets {
    /// Newest first.
    list: Vec<Arc<Bucket>>,
    published: Published,
    /// How many of them were made in the transaction that is open.
    uncommitted: Vec<i64>,
    cursor: Vec<u8>,
}

/// The buckets as the readers have them.
#[derive(Clone, Default)]
pub(crate) struct Published(Arc<RwLock<Vec<Arc<Bucket>>>>);

impl Bucket {
    fn new(hour: i64, complete: bool) -> Arc<Self> {
        let (find, put) = (
            format!(
                "SELECT fingerprint, message, status FROM idempotency_{hour} WHERE key = ?1 AND expires_at > ?2"
            ),
            format!(
                "INSERT OR REPLACE INTO idempotency_{hour} (key, fingerprint, expires_at, message, status, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
        );
        Arc::new(Self { hour, filter: Filter::new(), complete: AtomicBool::new(complete), find, put })
    }

    fn find(&self, connection: &Connection, key: &[u8; 16], now: UnixMillis) -> Result<Option<Entry>> {
        if self.complete.load(Ordering::Acquire) && !self.filter.may_have(key) {
            return Ok(None);
        }
        let read = |row: &Row<'_>| {
            let message: Option<[u8; 20]> = row.get(1)?;
            let message = message.map(|bytes| MessageId(crate::Id::from_bytes(bytes)));
            Ok(Entry { fingerprint: row.get(0)?, message, status: row.get(2)?, hour: self.hour })
        };
        connection.prepare_cached(&self.find)?.query_row(params![key, now], read).optional()
    }
}

impl Published {
    /// The answer remembered for a request: status, body, and whether its body was the same.
    pub(crate) fn remembered(
        &self,
        connection: &Connection,
        idempotency: &Idempotency,
        now: UnixMillis,
    ) -> Result<Option<(u16, Vec<u8>, bool)>> {
        let Some(entry) = self.find(connection, &idempotency.key, now)? else { return Ok(None) };
        let Some(status) = entry.status else { return Ok(None) };
        let sql = format!("SELECT body FROM idempotency_{} WHERE key = ?1", entry.hour);
        let body: Option<Vec<u8>> =
            connection.prepare_cached(&sql)?.query_row([idempotency.key], |row| row.get(0))?;
        let same = entry.fingerprint == idempotency.fingerprint;
        Ok(Some((status, body.unwrap_or_default(), same)))
    }

    fn find(&self, connection: &Connection, key: &[u8; 16], now: UnixMillis) -> Result<Option<Entry>> {
        let list = self.list();
        find_in(&list, connection, key, now).or_else(|error| {
            // A bucket may have been dropped between our look at the list and at its table.
            let fresh = self.list();
            if fresh.len() == list.len() { Err(error) } else { find_in(&fresh, connection, key, now) }
        })
    }

    fn list(&self) -> Vec<Arc<Bucket>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn find_in(
    list: &[Arc<Bucket>],
    connection: &Connection,
    key: &[u8; 16],
    now: UnixMillis,
) -> Result<Option<Entry>> {
    let oldest = hour_of(now) - HOURS;
    for bucket in list.iter().take_while(|bucket| bucket.hour >= oldest) {
        if let Some(entry) = bucket.find(connection, key, now)? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

const fn hour_of(at: UnixMillis) -> i64 {
    let hour = at.div_euclid(HOUR_MS);
    if hour < 0 { 0 } else { hour }
}

impl Buckets {
    /// The buckets in the file.
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'idempotency_[0-9]*'";
        let mut list = Vec::new();
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            if let Some(hour) = name.strip_prefix("idempotency_").and_then(|hour| hour.parse().ok()) {
                list.push(Bucket::new(hour, false));
            }
        }
        list.sort_by_key(|bucket| std::cmp::Reverse(bucket.hour));
        let buckets =
            Self { list, published: Published::default(), uncommitted: Vec::new(), cursor: Vec::new() };
        buckets.publish();
        Ok(buckets)
    }

    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    /// The entry in force at `now`.
    pub(super) fn find(
        &self,
        connection: &Connection,
        key: &[u8; 16],
        now: UnixMillis,
    ) -> Result<Option<Entry>> {
        find_in(&self.list, connection, key, now)
    }

    /// Puts an entry in, in place of one that is not in force any more.
    pub(super) fn put(
        &mut self,
        connection: &Connection,
        idempotency: &Idempotency,
        now: UnixMillis,
        held: &Held<'_>,
    ) -> Result<()> {
        let keep = i64::from(idempotency.keep_for_ms).min(HOURS * HOUR_MS);
        let bucket = self.bucket(connection, hour_of(now))?;
        bucket.filter.insert(&idempotency.key);
        let (message, status, body) = match held {
            Held::Message(message) => (Some(message.as_bytes()), None, None),
            Held::Answer { status, body } => (None, Some(*status), Some(*body)),
        };
        let Idempotency { key, fingerprint, .. } = idempotency;
        connection.prepare_cached(&bucket.put)?.execute(params![
            key,
            fingerprint,
            now.saturating_add(keep),
            message,
            status,
            body
        ])?;
        Ok(())
    }

    fn bucket(&mut self, connection: &Connection, hour: i64) -> Result<Arc<Bucket>> {
        let place = self.list.partition_point(|bucket| bucket.hour > hour);
        if let Some(bucket) = self.list.get(place).filter(|bucket| bucket.hour == hour) {
            return Ok(Arc::clone(bucket));
        }
        connection.execute_batch(&format!(
            "CREATE TABLE idempotency_{hour} (
                 key BLOB PRIMARY KEY,
                 fingerprint BLOB NOT NULL,
                 expires_at INTEGER NOT NULL,
                 message BLOB,
                 status INTEGER,
                 body BLOB
             ) STRICT, WITHOUT ROWID"
        ))?;
        let bucket = Bucket::new(hour, true);
        self.list.insert(place, Arc::clone(&bucket));
        self.uncommitted.push(hour);
        Ok(bucket)
    }

    /// The transaction is durable: the readers may see its buckets.
    pub(super) fn committed(&mut self) {
        if !self.uncommitted.is_empty() {
            self.uncommitted.clear();
            self.publish();
        }
    }

    /// The transaction is undone, and its buckets with it.
    pub(super) fn rolled_back(&mut self) {
        for hour in self.uncommitted.drain(..) {
            self.list.retain(|bucket| bucket.hour != hour);
        }
    }

    /// Drops one bucket in which nothing is in force any more; how many there were to drop.
    ///
    /// What is in force is told from the newest bucket, not from the clock on the wall, which may
    /// be set.
    pub(super) fn drop_oldest(&mut self, connection: &Connection) -> Result<usize> {
        let (Some(newest), Some(oldest)) = (self.list.first(), self.list.last()) else { return Ok(0) };
        if oldest.hour >= newest.hour - HOURS && self.list.len() <= BUCKETS_MAX {
            return Ok(0);
        }
        let hour = oldest.hour;
        // The readers forget it first; one that is at it keeps its snapshot. Should the commit fail,
        // the table stays until the store is opened again: nothing in it is in force.
        self.list.pop();
        self.publish();
        connection.execute_batch(&format!("DROP TABLE idempotency_{hour}"))?;
        Ok(1)
    }

    /// Reads some more keys into the filter of a bucket that has not got them all; how many.
    pub(super) fn fill_filter(&mut self, connection: &Connection) -> Result<usize> {
        let unfilled = |bucket: &&Arc<Bucket>| !bucket.complete.load(Ordering::Relaxed);
        let Some(bucket) = self.list.iter().find(unfilled) else { return Ok(0) };
        let sql = format!("SELECT key FROM idempotency_{} WHERE key > ?1 ORDER BY key LIMIT ?2", bucket.hour);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.cursor, KEYS_A_STEP as i64])?;
        let (mut last, mut keys) = (None, 0);
        while let Some(row) = rows.next()? {
            let key: [u8; 16] = row.get(0)?;
            bucket.filter.insert(&key);
            last = Some(key);
            keys += 1;
        }
        match last {
            Some(key) if keys == KEYS_A_STEP => self.cursor = key.to_vec(),
            _ => {
                bucket.complete.store(true, Ordering::Release);
                self.cursor.clear();
            }
        }
        Ok(keys.max(1))
    }

    fn publish(&self) {
        *self.published.0.write().unwrap_or_else(PoisonError::into_inner) = self.list.clone();
    }
}
