//! Reading how deliveries stand.
//!
//! A delivery is pending while it has due work; else its last attempt says how it stands; else it
//! is being sent, if the message is still to be fanned out to the endpoint.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, params};

use super::encode::{self, Direction, ENDPOINT, start};
use super::read_messages::{ROWS_MAX, Range, message};
use crate::{
    AppId, AttemptState, DeliveryState, Endpoint, EndpointId, EndpointStats, Message, MessageEndpoint,
    MessageId, MessageRef, Page, Reference, UnixMillis,
};

pub(crate) fn message_endpoints(
    connection: &Connection,
    app: AppId,
    id: MessageId,
    page: Page<EndpointId>,
) -> Result<Vec<MessageEndpoint>> {
    let Some(message) = message(connection, app, &MessageRef::Id(id), false)? else { return Ok(Vec::new()) };
    let fanout = "SELECT frontier, ceiling FROM fanout WHERE app = ?1 AND message = ?2";
    let fanout: Option<(i64, i64)> = connection
        .prepare_cached(fanout)?
        .query_row([app.as_bytes(), id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let fanout = fanout.map(|(frontier, ceiling)| (frontier.cast_unsigned(), ceiling.cast_unsigned()));

    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {ENDPOINT} FROM endpoints WHERE app = ?1 AND id {beyond} ?2 AND deleted_at IS NULL \
         ORDER BY id {order}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let from = start(page.after.map(|endpoint| endpoint.0), page.order);
    let mut rows = statement.query(params![app.as_bytes(), from])?;
    let mut standing = Standing::new(connection)?;
    let (mut found, mut seen) = (Vec::new(), 0);
    while found.len() < page.limit as usize && seen < ROWS_MAX {
        let Some(row) = rows.next()? else { break };
        seen += 1;
        let endpoint_id = EndpointId(encode::id(row, 0)?);
        let state = match standing.of(id, endpoint_id)? {
            Some(state) => state,
            None if is_sending(encode::count(row, 2)?, fanout)
                && goes_to(&message, &encode::endpoint(row)?) =>
            {
                DeliveryState::Sending
            }
            None => continue,
        };
        found.push(MessageEndpoint { endpoint: encode::endpoint(row)?, state });
    }
    Ok(found)
}

pub(crate) fn endpoint_stats(
    connection: &Connection,
    app: AppId,
    id: EndpointId,
    since: Option<UnixMillis>,
    until: Option<UnixMillis>,
) -> Result<EndpointStats> {
    let mut stats = EndpointStats::default();
    let Some(endpoint) = super::read_config::endpoint(connection, app, &Reference::Id(id))? else {
        return Ok(stats);
    };
    let range = Range::of(since, until, 0);
    let pending = pending(connection, app, id, &range)?;
    stats.pending = pending.len() as u64;
    count_attempted(connection, id, &range, &pending, &mut stats)?;
    stats.sending = sending(connection, app, &endpoint, &range)?;
    Ok(stats)
}

/// Messages with due work for the endpoint.
fn pending(connection: &Connection, app: AppId, id: EndpointId, range: &Range) -> Result<HashSet<MessageId>> {
    let mut statement = connection.prepare_cached(
        "SELECT subject FROM due_work INDEXED BY due_work_by_key \
         WHERE kind = 1 AND tenant = ?1 AND key = ?2 LIMIT ?3",
    )?;
    let mut rows = statement.query(params![app.as_bytes(), id.as_bytes(), ROWS_MAX as i64])?;
    let mut messages = HashSet::new();
    while let Some(row) = rows.next()? {
        let subject = encode::id(row, 0)?;
        if range.has(subject) {
            messages.insert(MessageId(subject));
        }
    }
    Ok(messages)
}

/// Newest first: the first attempt met of a message is its last.
fn count_attempted(
    connection: &Connection,
    id: EndpointId,
    range: &Range,
    pending: &HashSet<MessageId>,
    stats: &mut EndpointStats,
) -> Result<()> {
    // An attempt is never older than its message.
    let mut statement = connection.prepare_cached(
        "SELECT message, state FROM attempts INDEXED BY attempts_by_endpoint \
         WHERE endpoint = ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let values = params![id.as_bytes(), range.first.as_bytes(), ROWS_MAX as i64];
    let mut rows = statement.query(values)?;
    let mut met = HashSet::new();
    while let Some(row) = rows.next()? {
        let message = MessageId(encode::id(row, 0)?);
        if !range.has(message.0) || pending.contains(&message) || !met.insert(message) {
            continue;
        }
        if encode::state(row, 1)?.is_success() {
            stats.succeeded += 1;
        } else {
            stats.failed += 1;
        }
    }
    Ok(())
}

/// Messages whose fan-out has not come to the endpoint.
fn sending(connection: &Connection, app: AppId, endpoint: &Endpoint, range: &Range) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT message, frontier, ceiling FROM fanout WHERE app = ?1 AND message BETWEEN ?2 AND ?3 \
         ORDER BY message LIMIT ?4",
    )?;
    let (first, last) = (range.first.as_bytes(), range.last.as_bytes());
    let mut rows = statement.query(params![app.as_bytes(), first, last, ROWS_MAX as i64])?;
    let mut standing = Standing::new(connection)?;
    let mut sending = 0;
    while let Some(row) = rows.next()? {
        let id = MessageId(encode::id(row, 0)?);
        let fanout = (encode::count(row, 1)?, encode::count(row, 2)?);
        if !is_sending(endpoint.sequence, Some(fanout)) {
            continue;
        }
        if standing.of(id, endpoint.id)?.is_none()
            && let Some(message) = message(connection, app, &MessageRef::Id(id), false)?
            && goes_to(&message, endpoint)
        {
            sending += 1;
        }
    }
    Ok(sending)
}

/// Looks up how the delivery of a message to an endpoint stands.
struct Standing<'c> {
    due: CachedStatement<'c>,
    last: CachedStatement<'c>,
}

impl<'c> Standing<'c> {
    fn new(connection: &'c Connection) -> Result<Self> {
        let due = "SELECT min(due_at) FROM due_work WHERE kind = 1 AND subject = ?1 AND key = ?2";
        let last = "SELECT state FROM attempts WHERE message = ?1 AND endpoint = ?2 \
                    ORDER BY number DESC LIMIT 1";
        Ok(Self { due: connection.prepare_cached(due)?, last: connection.prepare_cached(last)? })
    }

    /// `None` where nothing was tried and nothing is due.
    fn of(&mut self, message: MessageId, endpoint: EndpointId) -> Result<Option<DeliveryState>> {
        let keys = [message.as_bytes(), endpoint.as_bytes()];
        if let Some(due_at) = self.due.query_row(keys, |row| row.get(0))? {
            return Ok(Some(DeliveryState::Pending { due_at }));
        }
        let last = self.last.query_row(keys, |row| encode::state(row, 0)).optional()?;
        Ok(last.map(|state| match state {
            AttemptState::Succeeded => DeliveryState::Succeeded,
            // Retrying without due work: the endpoint was disabled meanwhile.
            AttemptState::Retrying
            | AttemptState::Exhausted
            | AttemptState::Failed
            | AttemptState::Faulted => DeliveryState::Failed,
        }))
    }
}

/// Whether the fan-out, from its frontier to its ceiling, has still to come to the endpoint.
fn is_sending(sequence: u64, fanout: Option<(u64, u64)>) -> bool {
    fanout.is_some_and(|(frontier, ceiling)| frontier < sequence && sequence <= ceiling)
}

/// Whether the message is for the endpoint as it is now.
pub(super) fn goes_to(message: &Message, endpoint: &Endpoint) -> bool {
    let types = |types: &Vec<String>| types.contains(&message.event_type);
    let channels =
        |wanted: &Vec<String>| message.channels.iter().flatten().any(|channel| wanted.contains(channel));
    !endpoint.disabled
        && endpoint.event_types.as_ref().is_none_or(types)
        && endpoint.channels.as_ref().is_none_or(channels)
}
