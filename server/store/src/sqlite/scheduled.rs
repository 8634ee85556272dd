//! Messages for later: they wait in a table of their own until they are released or called off.
//!
//! # Invariants
//! - A message waits here, or has had its fan-out row, or was called off: each of these is one
//!   commit, and none follows another.
//! - While it waits it counts in its application's backlog with the deliveries it was accepted with.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::encode;
use super::group::Group;
use crate::{AppId, Changed, MessageId, NewMessage, Priority, Scheduled, UnixMillis};

impl Group<'_> {
    /// Keeps what is unusual about a message that was just inserted. Returns whether it waits.
    pub(super) fn put_options(&mut self, new: &NewMessage) -> Result<bool> {
        let message = &new.message;
        if message.deliver_at.is_none() && message.priority == Priority::Normal {
            return Ok(false);
        }
        let sql = "INSERT INTO message_options (app, id, priority, deliver_at) VALUES (?1, ?2, ?3, ?4)";
        let values = params![
            message.app.as_bytes(),
            message.id.as_bytes(),
            message.priority as u8,
            message.deliver_at
        ];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let Some(due_at) = message.deliver_at else { return Ok(false) };
        let sql = "INSERT INTO scheduled (app, message, due_at, deliveries) VALUES (?1, ?2, ?3, ?4)";
        let deliveries = encode::stored(new.deliveries);
        let values = params![message.app.as_bytes(), message.id.as_bytes(), due_at, deliveries];
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.backlog.accepted(message.app, new.deliveries);
        Ok(true)
    }

    pub(super) fn release(
        &mut self,
        app: AppId,
        message: MessageId,
        ceiling: u64,
        deliveries: u64,
    ) -> Result<Changed> {
        if !self.waits_no_more(app, message)? || !self.app_lives(app)? {
            return Ok(Changed::Missing);
        }
        if ceiling > 0 {
            let sql = "SELECT priority FROM message_options WHERE app = ?1 AND id = ?2";
            let keys = [app.as_bytes(), message.as_bytes()];
            let priority: u8 = self.connection.prepare_cached(sql)?.query_row(keys, |row| row.get(0))?;
            self.statements.insert_fanout.on(self.connection)?.execute(params![
                app.as_bytes(),
                message.as_bytes(),
                encode::stored(ceiling),
                encode::stored(deliveries),
                priority,
            ])?;
            self.backlog.accepted(app, deliveries);
        }
        Ok(Changed::Done)
    }

    pub(super) fn cancel(&mut self, app: AppId, message: MessageId, at: UnixMillis) -> Result<Changed> {
        if !self.app_lives(app)? || !self.waits_no_more(app, message)? {
            return Ok(Changed::Missing);
        }
        let sql = "UPDATE message_options SET canceled_at = ?3 WHERE app = ?1 AND id = ?2";
        let values = params![app.as_bytes(), message.as_bytes(), at];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(Changed::Done)
    }

    /// Takes a message out of those that wait; `false` where it did not wait.
    pub(super) fn waits_no_more(&mut self, app: AppId, message: MessageId) -> Result<bool> {
        let sql = "DELETE FROM scheduled WHERE app = ?1 AND message = ?2 RETURNING deliveries";
        let mut statement = self.connection.prepare_cached(sql)?;
        let keys = [app.as_bytes(), message.as_bytes()];
        let waited = statement.query_row(keys, |row| encode::count(row, 0)).optional()?;
        if let Some(deliveries) = waited {
            self.backlog.settled(app, deliveries);
        }
        Ok(waited.is_some())
    }
}

/// The messages that wait, by time.
pub(crate) fn scheduled(connection: &Connection, limit: u32) -> Result<Vec<Scheduled>> {
    let sql = "SELECT app, message, due_at FROM scheduled INDEXED BY scheduled_by_time \
               ORDER BY due_at, app, message LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([limit], |row| {
        let (app, message) = (AppId(encode::id(row, 0)?), MessageId(encode::id(row, 1)?));
        Ok(Scheduled { app, message, due_at: row.get(2)? })
    })?;
    rows.collect()
}

/// Whether the message has still to be released, or was called off.
pub(super) fn is_held(connection: &Connection, app: AppId, message: MessageId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM scheduled WHERE app = ?1 AND message = ?2) \
               OR EXISTS (SELECT 1 FROM message_options WHERE app = ?1 AND id = ?2 AND canceled_at IS NOT NULL)";
    connection.prepare_cached(sql)?.query_row([app.as_bytes(), message.as_bytes()], |row| row.get(0))
}
