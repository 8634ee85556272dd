//! Accepting messages.

use rusqlite::{Result, params};

use super::encode;
use super::group::Group;
use super::idempotency::Held;
use crate::{Accepted, AppId, Idempotency, MessageId, NewMessage, UnixMillis};

pub(super) const DAY_MS: i64 = 86_400_000;

/// How many messages with one event id are looked at: those of buried applications do not count.
const SAME_EVENT_MAX: i64 = 64;

impl Group<'_> {
    pub(super) fn accept(&mut self, messages: &[NewMessage]) -> Result<Vec<Accepted>> {
        messages.iter().map(|new| self.accept_one(new)).collect()
    }

    fn accept_one(&mut self, new: &NewMessage) -> Result<Accepted> {
        let message = &new.message;
        if !self.app_lives(message.app)? {
            return Ok(Accepted::NoApp);
        }
        if let Some(idempotency) = &new.idempotency
            && let Some(earlier) = self.earlier(new, idempotency)?
        {
            return Ok(earlier);
        }
        if self.event_id_is_taken(new)? {
            return Ok(Accepted::EventIdTaken);
        }
        let pending = self.backlog.pending(message.app);
        if new.is_too_much_beside(pending) && !self.has_message(message.app, message.id)? {
            return Ok(Accepted::Full { pending });
        }
        if !self.insert_message(new)? {
            // The same call once more: it is there, and may be fanned out already.
            return Ok(Accepted::Stored);
        }
        if let Some(idempotency) = &new.idempotency {
            let held = Held::Message(message.id);
            self.buckets.put(self.connection, idempotency, message.accepted_at, &held)?;
        }
        let waits = self.put_options(new)?;
        if new.ceiling > 0 && !waits {
            self.statements.insert_fanout.on(self.connection)?.execute(params![
                message.app.as_bytes(),
                message.id.as_bytes(),
                encode::stored(new.ceiling),
                encode::stored(new.deliveries),
                message.priority as u8,
            ])?;
            self.backlog.accepted(message.app, new.deliveries);
        }
        Ok(Accepted::Stored)
    }

    /// What the request came to when it was made before.
    fn earlier(&self, new: &NewMessage, idempotency: &Idempotency) -> Result<Option<Accepted>> {
        let message = &new.message;
        let Some(entry) = self.buckets.find(self.connection, &idempotency.key, message.accepted_at)? else {
            return Ok(None);
        };
        if entry.fingerprint != idempotency.fingerprint {
            return Ok(Some(Accepted::KeyReused));
        }
        Ok(match entry.message {
            Some(id) if id == message.id => Some(Accepted::Stored),
            // An entry whose message has gone with its application is no entry.
            Some(id) => self.message(message.app, id)?.map(|earlier| Accepted::Repeat(Box::new(earlier))),
            None => Some(Accepted::KeyReused),
        })
    }

    fn event_id_is_taken(&mut self, new: &NewMessage) -> Result<bool> {
        let Some(event_id) = &new.message.event_id else { return Ok(false) };
        let since = new.message.accepted_at - DAY_MS;
        let mut statement = self.connection.prepare_cached(
            "SELECT id, app FROM messages WHERE event_org = ?1 AND event_id = ?2 AND accepted_at > ?3 \
             ORDER BY accepted_at DESC LIMIT ?4",
        )?;
        let mut rows = statement.query(params![&*new.org, event_id, since, SAME_EVENT_MAX])?;
        while let Some(row) = rows.next()? {
            let (id, app) = (MessageId(encode::id(row, 0)?), AppId(encode::id(row, 1)?));
            if id != new.message.id && self.app_lives(app)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_message(&self, app: AppId, message: MessageId) -> Result<bool> {
        let sql = "SELECT 1 FROM messages WHERE app = ?1 AND id = ?2";
        self.connection.prepare_cached(sql)?.exists([app.as_bytes(), message.as_bytes()])
    }

    fn insert_message(&mut self, new: &NewMessage) -> Result<bool> {
        let message = &new.message;
        let inserted = self.statements.insert_message.on(self.connection)?.execute(params![
            message.app.as_bytes(),
            message.id.as_bytes(),
            message.event_id.as_ref().map(|_| &*new.org),
            message.event_id,
            message.event_type,
            encode::list_text(message.channels.as_ref())?,
            message.accepted_at,
            message.payload.as_ref().map(|_| {
                // Kept from when it is delivered on.
                let from = message.deliver_at.map_or(message.accepted_at, |at| at.max(message.accepted_at));
                expires_day(from, new.retention_days)
            }),
            message.payload,
        ])?;
        Ok(inserted > 0)
    }
}

/// The first day since 1970 on whose beginning the payload has been kept for `days` whole days.
const fn expires_day(accepted_at: UnixMillis, days: u16) -> i64 {
    accepted_at.div_euclid(DAY_MS) + 1 + days as i64
}

/// The day since 1970 that `now` is in.
pub(super) const fn day_of(now: UnixMillis) -> i64 {
    now.div_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_kept_for_whole_days() {
        let accepted_at = 10 * DAY_MS + 1;
        let expires = expires_day(accepted_at, 90);
        assert!(expires * DAY_MS >= accepted_at + 90 * DAY_MS);
        assert!(expires * DAY_MS < accepted_at + 91 * DAY_MS);
        assert_eq!(day_of(expires * DAY_MS), expires);
    }
}
