//! Deliveries that failed for good, kept until they succeed after all.
//!
//! # Invariants
//! - The commit that records the end of a delivery puts its dead letter; the one that records a
//!   later success takes it away.
//! - A dead letter goes with its endpoint or its application, by the purge.

use rusqlite::types::Type;
use rusqlite::{Connection, Result, Row, params};

use super::encode::{self, Direction};
use super::group::Group;
use super::read_config::{app_lives, endpoint_lives};
use super::read_messages::{ROWS_MAX, Range};
use crate::{
    AppId, AttemptState, DeadLetter, DeadLetterFilter, DeadLetterId, Death, EndpointId, MessageId,
    NewAttempt, Next, Page, Sought, Trigger, UnixMillis,
};

impl Group<'_> {
    /// What an attempt that ended makes of the dead letter of its delivery.
    pub(super) fn died_or_lives(&mut self, attempt: &NewAttempt, number: u32) -> Result<()> {
        let by_hand = attempt.trigger == Trigger::Manual;
        let id = DeadLetterId { message: attempt.message, endpoint: attempt.endpoint };
        match attempt.next {
            Next::End(AttemptState::Exhausted) => {
                self.put_dead_letter(attempt.app, id, Death::Exhausted, attempt.at, number)
            }
            Next::End(AttemptState::Faulted) => {
                self.put_dead_letter(attempt.app, id, Death::InternalFault, attempt.at, number)
            }
            // Only what was sent again by hand can have died before.
            Next::End(AttemptState::Succeeded) if by_hand => {
                let sql = "DELETE FROM dead_letters WHERE endpoint = ?1 AND message = ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                statement.execute([id.endpoint.as_bytes(), id.message.as_bytes()]).map(drop)
            }
            Next::End(AttemptState::Failed) if by_hand => {
                let sql = "UPDATE dead_letters SET attempts = ?3 WHERE endpoint = ?1 AND message = ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                statement.execute(params![id.endpoint.as_bytes(), id.message.as_bytes(), number]).map(drop)
            }
            Next::End(_) | Next::Retry { .. } => Ok(()),
        }
    }

    /// Work that was to be done again is not: it died of that, if its endpoint was disabled.
    pub(super) fn died_of_disabling(&mut self, app: AppId, id: DeadLetterId) -> Result<()> {
        let disabled = "SELECT 1 FROM endpoints WHERE id = ?1 AND disabled <> 0 AND deleted_at IS NULL";
        if !self.connection.prepare_cached(disabled)?.exists([id.endpoint.as_bytes()])? {
            return Ok(());
        }
        let last = "SELECT coalesce(max(number), 0), coalesce(max(at), 0), coalesce(max(state = ?3), 0) \
                    FROM attempts WHERE message = ?1 AND endpoint = ?2";
        let succeeded = AttemptState::Succeeded as u8;
        let keys = params![id.message.as_bytes(), id.endpoint.as_bytes(), succeeded];
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (attempts, at, arrived): (u32, UnixMillis, bool) =
            self.connection.prepare_cached(last)?.query_row(keys, read)?;
        // What was never tried was not sent, as nothing is to what is disabled; what arrived and was
        // to be sent once more is not dead.
        if attempts == 0 || arrived {
            Ok(())
        } else {
            self.put_dead_letter(app, id, Death::Disabled, at, attempts)
        }
    }

    fn put_dead_letter(
        &mut self,
        app: AppId,
        id: DeadLetterId,
        death: Death,
        at: UnixMillis,
        attempts: u32,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO dead_letters (endpoint, message, app, death, died_at, attempts) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values =
            params![id.endpoint.as_bytes(), id.message.as_bytes(), app.as_bytes(), death as u8, at, attempts];
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }
}

/// The dead letters of an application or of one of its endpoints.
pub(crate) fn dead_letters(
    connection: &Connection,
    app: AppId,
    filter: &DeadLetterFilter,
    page: Page<DeadLetterId>,
) -> Result<Sought<DeadLetter, DeadLetterId>> {
    let lives = match filter.endpoint {
        Some(endpoint) => endpoint_lives(connection, app, endpoint)?,
        None => app_lives(connection, app)?,
    };
    if !lives {
        return Ok(Sought { found: Vec::new(), stopped_at: None });
    }
    let Direction { beyond, order } = Direction::of(page.order);
    // An endpoint's stand together; an application's are found by the index.
    let (index, whose) = match filter.endpoint {
        Some(_) => ("", "endpoint"),
        None => ("INDEXED BY dead_letters_by_app", "app"),
    };
    let sql = format!(
        "SELECT d.message, d.endpoint, d.death, d.died_at, d.attempts FROM dead_letters d {index} \
         WHERE d.{whose} = ?1 AND d.message BETWEEN ?2 AND ?3 AND (d.message, d.endpoint) {beyond} (?4, ?5) \
         ORDER BY d.message {order}, d.endpoint {order}"
    );
    let whose = filter.endpoint.map_or(app.0, |endpoint| endpoint.0);
    let range = Range::of(filter.after, filter.before, 0);
    // One seek: the engine takes the tighter of two bounds on a column only where it is told to.
    let (first, last) = match (page.after, page.order) {
        (Some(after), crate::Order::Ascending) => (range.first.max(after.message.0), range.last),
        (Some(after), crate::Order::Descending) => (range.first, range.last.min(after.message.0)),
        (None, _) => (range.first, range.last),
    };
    let behind = |id: Option<crate::Id>| encode::start(id, page.order);
    let values = params![
        whose.as_bytes(),
        first.as_bytes(),
        last.as_bytes(),
        behind(page.after.map(|after| after.message.0)),
        behind(page.after.map(|after| after.endpoint.0)),
    ];
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut details = connection.prepare_cached(
        "SELECT m.event_type, m.event_id, a.status_code, substr(a.response, 1, 1024) \
         FROM attempts a JOIN messages m ON m.app = ?1 AND m.id = a.message \
         WHERE a.message = ?2 AND a.endpoint = ?3 AND a.number = ?4",
    )?;
    let (mut found, mut seen, mut last) = (Vec::new(), 0, None);
    while found.len() < page.limit as usize && seen < ROWS_MAX {
        let Some(row) = rows.next()? else { break };
        seen += 1;
        let id = DeadLetterId {
            message: MessageId(encode::id(row, 0)?),
            endpoint: EndpointId(encode::id(row, 1)?),
        };
        last = Some(id);
        let death = death(row, 2)?;
        if filter.death.is_some_and(|wanted| wanted != death) {
            continue;
        }
        let (died_at, attempts) = (row.get(3)?, row.get(4)?);
        let keys = params![app.as_bytes(), id.message.as_bytes(), id.endpoint.as_bytes(), attempts];
        found.push(details.query_row(keys, |row| {
            Ok(DeadLetter {
                id,
                event_type: row.get(0)?,
                event_id: row.get(1)?,
                death,
                died_at,
                attempts,
                status_code: row.get(2)?,
                response: row.get(3)?,
            })
        })?);
    }
    let stopped_at = last.filter(|_| found.len() < page.limit as usize && seen == ROWS_MAX);
    Ok(Sought { found, stopped_at })
}

fn death(row: &Row<'_>, column: usize) -> Result<Death> {
    let number = row.get(column)?;
    Death::from_number(number).ok_or_else(|| encode::unreadable(column, Type::Integer, "no such death"))
}
