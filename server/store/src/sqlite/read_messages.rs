//! Reading messages.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, Direction, MESSAGE, start};
use super::read_config::app_lives;
use crate::{AppId, Id, Message, MessageFilter, MessageId, MessageRef, Order, Page, UnixMillis};

/// Rows that one call looks at, whatever its filter lets through.
pub(super) const ROWS_MAX: usize = 100_000;
/// Bytes of content that one call returns, but for one row.
pub(super) const BYTES_MAX: usize = 64 * 1024 * 1024;
/// A message's id is made within this time of its acceptance.
const SLACK_MS: i64 = 60_000;

pub(crate) fn message(
    connection: &Connection,
    app: AppId,
    message: &MessageRef,
    with_content: bool,
) -> Result<Option<Message>> {
    if !app_lives(connection, app)? {
        return Ok(None);
    }
    let (content, column) = if with_content { (", payload", Some(6)) } else { ("", None) };
    let read = |row: &Row<'_>| encode::message(row, column);
    match message {
        MessageRef::Id(id) => {
            let sql = format!("SELECT {MESSAGE}{content} FROM messages WHERE app = ?1 AND id = ?2");
            connection.prepare_cached(&sql)?.query_row([app.as_bytes(), id.as_bytes()], read)
        }
        MessageRef::EventId(event_id) => {
            // The newest: an event id can be used again after a day.
            let sql = format!(
                "SELECT {MESSAGE}{content} FROM messages \
                 WHERE event_org = (SELECT org FROM apps WHERE id = ?1) AND event_id = ?2 AND app = ?1 \
                 ORDER BY accepted_at DESC LIMIT 1"
            );
            connection.prepare_cached(&sql)?.query_row(params![app.as_bytes(), event_id], read)
        }
    }
    .optional()
}

pub(crate) fn messages(
    connection: &Connection,
    app: AppId,
    filter: &MessageFilter,
    page: Page<MessageId>,
) -> Result<Vec<Message>> {
    if !app_lives(connection, app)? {
        return Ok(Vec::new());
    }
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {MESSAGE}, number FROM messages WHERE app = ?1 AND id {beyond} ?2 \
         AND id BETWEEN ?3 AND ?4 ORDER BY id {order}"
    );
    let range = Range::of(filter.after, filter.before, SLACK_MS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut payload = connection.prepare_cached("SELECT payload FROM messages WHERE number = ?1")?;
    let from = start(page.after.map(|message| message.0), page.order);
    let mut rows =
        statement.query(params![app.as_bytes(), from, range.first.as_bytes(), range.last.as_bytes()])?;
    let (mut found, mut seen, mut bytes) = (Vec::new(), 0, 0);
    while found.len() < page.limit as usize && seen < ROWS_MAX && bytes < BYTES_MAX {
        let Some(row) = rows.next()? else { break };
        seen += 1;
        let mut message = encode::message(row, None)?;
        if !passes(&message, filter) {
            continue;
        }
        if filter.with_content {
            let number: i64 = row.get(6)?;
            message.payload = payload.query_row([number], |row| row.get(0))?;
            bytes += message.payload.as_ref().map_or(0, Vec::len);
        }
        found.push(message);
    }
    Ok(found)
}

fn passes(message: &Message, filter: &MessageFilter) -> bool {
    filter.before.is_none_or(|before| message.accepted_at < before)
        && filter.after.is_none_or(|after| message.accepted_at > after)
        && is_of(message, filter.channel.as_deref(), &filter.event_types)
}

/// Whether the message has the channel, where one is asked for, and is of one of the types.
pub(super) fn is_of(message: &Message, channel: Option<&str>, event_types: &[String]) -> bool {
    let in_channel = |channel| message.channels.iter().flatten().any(|each| each == channel);
    channel.is_none_or(in_channel) && (event_types.is_empty() || event_types.contains(&message.event_type))
}

/// Ids that were made in a range of time.
pub(super) struct Range {
    pub(super) first: Id,
    pub(super) last: Id,
}

impl Range {
    /// From `after` until `before`, and `slack_ms` more at each end.
    pub(super) fn of(after: Option<UnixMillis>, before: Option<UnixMillis>, slack_ms: i64) -> Self {
        Self {
            first: after.map_or(Id::MIN, |after| Id::at_millis(after.saturating_sub(slack_ms))),
            last: before.map_or(Id::MAX, |before| Id::at_millis(before.saturating_add(slack_ms))),
        }
    }

    pub(super) fn has(&self, id: Id) -> bool {
        self.first <= id && id <= self.last
    }
}

/// Whether one comes before the other in a list.
pub(super) fn precedes(one: Id, other: Id, order: Order) -> bool {
    match order {
        Order::Ascending => one < other,
        Order::Descending => one > other,
    }
}
