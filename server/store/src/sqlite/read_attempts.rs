//! Reading attempts.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, ATTEMPT, Direction};
use super::read_config::{app_lives, endpoint_lives};
use super::read_messages::{ROWS_MAX, Range, is_of, message, precedes};
use crate::{
    AppId, Attempt, AttemptFilter, AttemptId, EndpointId, Id, LastAttempts, MessageId, MessageRef, Order,
    Page, Sought, UnixMillis,
};

/// Bytes of responses that one call returns, but for one row.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// An attempt's id is made within this time of its beginning: a deadline later at the most.
const SLACK_MS: i64 = 600_000;
/// How many attempts are looked at for the last of a sort.
const LAST_LOOK: u32 = 1_000;

/// What the filter asks about, and where the attempt is.
struct Seen {
    id: Id,
    message: Id,
    endpoint: Id,
    number: u32,
    at: UnixMillis,
    status_code: u16,
    succeeded: bool,
}

/// The columns that [`Seen::read`] reads.
const SEEN: &str = "id, message, endpoint, number, at, status_code, state";

impl Seen {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: encode::id(row, 0)?,
            message: encode::id(row, 1)?,
            endpoint: encode::id(row, 2)?,
            number: row.get(3)?,
            at: row.get(4)?,
            status_code: row.get(5)?,
            succeeded: encode::state(row, 6)?.is_success(),
        })
    }

    fn passes(&self, filter: &AttemptFilter) -> bool {
        filter.succeeded.is_none_or(|succeeded| succeeded == self.succeeded)
            && filter.status_class.is_none_or(|class| class == self.status_code / 100 * 100)
            && filter.endpoint.is_none_or(|endpoint| endpoint.0 == self.endpoint)
            && filter.before.is_none_or(|before| self.at < before)
            && filter.after.is_none_or(|after| self.at > after)
    }
}

pub(crate) fn attempts_of_message(
    connection: &Connection,
    app: AppId,
    id: MessageId,
    filter: &AttemptFilter,
    page: Page<AttemptId>,
) -> Result<Vec<Attempt>> {
    let Some(message) = message(connection, app, &MessageRef::Id(id), false)? else { return Ok(Vec::new()) };
    if !is_of(&message, filter.channel.as_deref(), &filter.event_types) {
        return Ok(Vec::new());
    }
    // They are clustered by endpoint: the page is picked out while they pass, its size at a time.
    let sql = format!("SELECT {SEEN} FROM attempts WHERE message = ?1 AND endpoint BETWEEN ?2 AND ?3");
    let (first, last) = filter.endpoint.map_or((Id::MIN, Id::MAX), |endpoint| (endpoint.0, endpoint.0));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes(), first.as_bytes(), last.as_bytes()])?;
    let mut picked = BTreeMap::new();
    for _ in 0..ROWS_MAX {
        let Some(row) = rows.next()? else { break };
        let seen = Seen::read(row)?;
        if page.after.is_some_and(|after| !precedes(after.0, seen.id, page.order)) || !seen.passes(filter) {
            continue;
        }
        picked.insert(seen.id, seen);
        if picked.len() > page.limit as usize {
            match page.order {
                Order::Ascending => picked.pop_last(),
                Order::Descending => picked.pop_first(),
            };
        }
    }
    let mut picked: Vec<_> = picked.into_values().collect();
    if page.order == Order::Descending {
        picked.reverse();
    }
    let mut content = Content::new(connection, filter.with_content)?;
    picked.iter().map_while(|seen| content.read(seen).transpose()).collect()
}

pub(crate) fn attempts_of_endpoint(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
    filter: &AttemptFilter,
    page: Page<AttemptId>,
) -> Result<Sought<Attempt, AttemptId>> {
    if !endpoint_lives(connection, app, endpoint)? {
        return Ok(Sought { found: Vec::new(), stopped_at: None });
    }
    let Direction { order, .. } = Direction::of(page.order);
    let sql = format!(
        "SELECT {SEEN} FROM attempts INDEXED BY attempts_by_endpoint \
         WHERE endpoint = ?1 AND id > ?2 AND id < ?3 ORDER BY id {order}"
    );
    let after = page.after.map(|attempt| attempt.0);
    let (low, high) = Range::of(filter.after, filter.before, SLACK_MS).behind(after, page.order);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![endpoint.as_bytes(), low, high])?;
    let mut content = Content::new(connection, filter.with_content)?;
    let by_message = filter.channel.is_some() || !filter.event_types.is_empty();
    let passes = |seen: &Seen| -> Result<bool> {
        if !seen.passes(filter) {
            return Ok(false);
        }
        if !by_message {
            return Ok(true);
        }
        let of = message(connection, app, &MessageRef::Id(MessageId(seen.message)), false)?;
        Ok(of.is_some_and(|of| is_of(&of, filter.channel.as_deref(), &filter.event_types)))
    };
    let (mut found, mut rows_seen, mut last) = (Vec::new(), 0, None);
    let stopped = loop {
        if found.len() >= page.limit as usize {
            break false;
        }
        if rows_seen == ROWS_MAX {
            break true;
        }
        let Some(row) = rows.next()? else { break false };
        rows_seen += 1;
        let seen = Seen::read(row)?;
        if passes(&seen)? {
            let Some(attempt) = content.read(&seen)? else { break true };
            found.push(attempt);
        }
        last = Some(AttemptId(seen.id));
    };
    Ok(Sought { found, stopped_at: last.filter(|_| stopped) })
}

/// The newest attempts to an endpoint, of each sort, without looking far back.
pub(crate) fn last_attempts(
    connection: &Connection,
    app: AppId,
    endpoint: EndpointId,
) -> Result<LastAttempts> {
    let mut last = LastAttempts::default();
    if !endpoint_lives(connection, app, endpoint)? {
        return Ok(last);
    }
    let sql = format!(
        "SELECT {SEEN} FROM attempts INDEXED BY attempts_by_endpoint WHERE endpoint = ?1 \
         ORDER BY id DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![endpoint.as_bytes(), LAST_LOOK])?;
    let mut content = Content::new(connection, true)?;
    while last.succeeded.is_none() || last.failed.is_none() {
        let Some(row) = rows.next()? else { break };
        let seen = Seen::read(row)?;
        let place = if seen.succeeded { &mut last.succeeded } else { &mut last.failed };
        if place.is_none() {
            *place = content.read(&seen)?;
        }
    }
    Ok(last)
}

pub(crate) fn attempt(
    connection: &Connection,
    app: AppId,
    message: MessageId,
    attempt: AttemptId,
) -> Result<Option<Attempt>> {
    let known = "SELECT 1 FROM messages WHERE app = ?1 AND id = ?2";
    if !app_lives(connection, app)?
        || !connection.prepare_cached(known)?.exists([app.as_bytes(), message.as_bytes()])?
    {
        return Ok(None);
    }
    let sql = format!("SELECT {ATTEMPT}, response FROM attempts WHERE message = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement
        .query_row([message.as_bytes(), attempt.as_bytes()], |row| encode::attempt(row, Some(10)))
        .optional()
}

/// Reads whole attempts until their content is more than one call returns.
struct Content<'c> {
    statement: rusqlite::CachedStatement<'c>,
    column: Option<usize>,
    bytes: usize,
}

impl<'c> Content<'c> {
    fn new(connection: &'c Connection, wanted: bool) -> Result<Self> {
        let (content, column) = if wanted { (", response", Some(10)) } else { ("", None) };
        let sql = format!(
            "SELECT {ATTEMPT}{content} FROM attempts WHERE message = ?1 AND endpoint = ?2 AND number = ?3"
        );
        Ok(Self { statement: connection.prepare_cached(&sql)?, column, bytes: 0 })
    }

    /// `None` when there is more content than one call returns.
    fn read(&mut self, seen: &Seen) -> Result<Option<Attempt>> {
        if self.bytes >= BYTES_MAX {
            return Ok(None);
        }
        let keys = params![seen.message.as_bytes(), seen.endpoint.as_bytes(), seen.number];
        let attempt = self.statement.query_row(keys, |row| encode::attempt(row, self.column))?;
        self.bytes += attempt.response.len();
        Ok(Some(attempt))
    }
}
