//! Reading messages.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, Direction, MESSAGE, MESSAGES, PAYLOAD};
use super::read_config::app_lives;
use crate::{AppId, Id, Message, MessageFilter, MessageId, MessageRef, Order, Page, Sought, UnixMillis};

/// Rows that one call looks at, whatever its filter lets through.
pub(super) const ROWS_MAX: usize = 100_000;
/// Bytes of content that one call returns, but for one row: as long as a client takes it, it is memory.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
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
    let (content, column) = if with_content { (", payload", Some(PAYLOAD)) } else { ("", None) };
    let read = |row: &Row<'_>| encode::message(row, column);
    match message {
        MessageRef::Id(id) => {
            let sql = format!("SELECT {MESSAGE}{content} FROM {MESSAGES} WHERE app = ?1 AND id = ?2");
            connection.prepare_cached(&sql)?.query_row([app.as_bytes(), id.as_bytes()], read)
        }
        MessageRef::EventId(event_id) => {
            // The newest: an event id can be used again after a day.
            let sql = format!(
                "SELECT {MESSAGE}{content} FROM {MESSAGES} \
                 WHERE event_org = (SELECT org FROM apps WHERE id = ?1) AND event_id = ?2 AND app = ?1 \
                 ORDER BY accepted_at DESC LIMIT 1"
            );
            connection.prepare_cached(&sql)?.query_row(params![app.as_bytes(), event_id], read)
        }
    }
    .optional()
}

/// The messages with these ids, in their order and with their payloads; `None` for one that is gone.
/// Ends early when there are more than so many bytes, after one at the least.
pub(crate) fn contents(
    connection: &Connection,
    app: AppId,
    ids: &[MessageId],
    bytes: usize,
) -> Result<Vec<(MessageId, Option<Message>)>> {
    let lives = app_lives(connection, app)?;
    let sql = format!("SELECT {MESSAGE}, payload FROM {MESSAGES} WHERE app = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut found, mut taken) = (Vec::new(), 0);
    for id in ids {
        let keys = [app.as_bytes(), id.as_bytes()];
        let message = match lives {
            true => statement.query_row(keys, |row| encode::message(row, Some(PAYLOAD))).optional()?,
            false => None,
        };
        taken += message.as_ref().and_then(|message| message.payload.as_ref()).map_or(0, Vec::len);
        if taken > bytes && !found.is_empty() {
            break;
        }
        found.push((*id, message));
    }
    Ok(found)
}

pub(crate) fn messages(
    connection: &Connection,
    app: AppId,
    filter: &MessageFilter,
    page: Page<MessageId>,
) -> Result<Sought<Message, MessageId>> {
    if !app_lives(connection, app)? {
        return Ok(Sought { found: Vec::new(), stopped_at: None });
    }
    let Direction { order, .. } = Direction::of(page.order);
    let sql = format!(
        "SELECT {MESSAGE}, number FROM {MESSAGES} WHERE app = ?1 AND id > ?2 AND id < ?3 ORDER BY id {order}"
    );
    let after = page.after.map(|message| message.0);
    let (low, high) = Range::of(filter.after, filter.before, SLACK_MS).behind(after, page.order);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut payload = connection.prepare_cached("SELECT payload FROM messages WHERE number = ?1")?;
    let mut rows = statement.query(params![app.as_bytes(), low, high])?;
    let (mut found, mut seen, mut bytes, mut last) = (Vec::new(), 0, 0, None);
    while found.len() < page.limit as usize && seen < ROWS_MAX && bytes < BYTES_MAX {
        let Some(row) = rows.next()? else { break };
        seen += 1;
        let mut message = encode::message(row, None)?;
        last = Some(message.id);
        if !passes(&message, filter) {
            continue;
        }
        if filter.with_content {
            let number: i64 = row.get(PAYLOAD)?;
            message.payload = payload.query_row([number], |row| row.get(0))?;
            bytes += message.payload.as_ref().map_or(0, Vec::len);
        }
        found.push(message);
    }
    let stopped = found.len() < page.limit as usize && (seen == ROWS_MAX || bytes >= BYTES_MAX);
    Ok(Sought { found, stopped_at: last.filter(|_| stopped) })
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

    /// The bounds, both exclusive, of a page in the range: one seek, whichever of the two is tighter.
    pub(super) fn behind(&self, after: Option<Id>, order: Order) -> (Vec<u8>, Vec<u8>) {
        // The range's first id ends with zeroes: without the last of them it sorts right before it.
        let mut low = self.first.as_bytes()[..19].to_vec();
        let mut high = self.last.as_bytes().to_vec();
        high.push(0);
        match (after, order) {
            (Some(after), Order::Ascending) => low = low.max(after.as_bytes().to_vec()),
            (Some(after), Order::Descending) => high = high.min(after.as_bytes().to_vec()),
            (None, _) => {}
        }
        (low, high)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = Id> {
        // Few bytes are not zero, so that ids meet the bounds.
        (1_400_000_000_000..1_400_000_003_000_i64, 0..2_u8).prop_map(|(millis, last)| {
            let mut bytes = *Id::at_millis(millis).as_bytes();
            bytes[19] = last;
            Id::from_bytes(bytes)
        })
    }

    proptest! {
        #[test]
        fn a_page_of_a_range_is_what_is_in_both(
            ids in prop::collection::vec(id(), 1..50),
            after in prop::option::of(id()),
            since in prop::option::of(1_400_000_000_000..1_400_000_003_000_i64),
            until in prop::option::of(1_400_000_000_000..1_400_000_003_000_i64),
            descending: bool,
        ) {
            let order = if descending { Order::Descending } else { Order::Ascending };
            let range = Range::of(since, until, 0);
            let (low, high) = range.behind(after, order);
            for id in ids {
                let inside = low < id.as_bytes().to_vec() && id.as_bytes().to_vec() < high;
                let expected = range.has(id) && after.is_none_or(|after| precedes(after, id, order));
                prop_assert_eq!(inside, expected, "{:?}", id);
            }
        }
    }

    #[test]
    fn a_page_of_more_content_than_one_call_returns_goes_on_where_it_stopped() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = crate::sqlite::schema::STEPS;
        crate::sqlite::schema::migrate(&mut connection, steps).unwrap();
        let app = AppId::fresh();
        let sql = "INSERT INTO apps (id, org, name, metadata, created_at, updated_at) VALUES (?1, 'o', '', '{}', 0, 0)";
        connection.execute(sql, [app.as_bytes()]).unwrap();
        let sql = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 6)
             INSERT INTO messages (app, id, event_type, accepted_at, payload)
             SELECT ?1, CAST(printf('%020d', i) AS BLOB), 'a', 0, zeroblob(1048576) FROM n";
        connection.execute(sql, [app.as_bytes()]).unwrap();
        let filter = MessageFilter { with_content: true, ..MessageFilter::default() };
        let read = |after| {
            let page = Page { after, limit: 100, order: Order::Ascending };
            messages(&connection, app, &filter, page).unwrap()
        };
        let first = read(None);
        assert_eq!((first.found.len(), first.stopped_at), (4, Some(first.found[3].id)));
        let rest = read(first.stopped_at);
        assert_eq!((rest.found.len(), rest.stopped_at), (2, None));
    }
}
