//! Changing what is configured.

use rusqlite::{OptionalExtension, Result, params};

use super::encode;
use super::group::Group;
use super::idempotency::Held;
use super::tasks::Again;
use crate::{
    App, AppId, Change, Changed, Endpoint, EndpointId, EventType, Idempotency, MessageId, Priority,
    ResendRequest, Trigger, UnixMillis,
};

impl Group<'_> {
    pub(super) fn change(&mut self, changes: &[Change]) -> Result<Vec<Changed>> {
        let mut changed = Vec::with_capacity(changes.len());
        for change in changes {
            // An answer that says what was done must not be remembered where it was not.
            let refused = matches!(change, Change::Remember { .. })
                && changed.iter().any(|before| *before != Changed::Done);
            changed.push(if refused { Changed::Missing } else { self.change_one(change)? });
        }
        Ok(changed)
    }

    fn change_one(&mut self, change: &Change) -> Result<Changed> {
        match change {
            Change::PutApp(app) => self.put_app(app),
            Change::DeleteApp { app, at } => self.delete_app(*app, *at),
            Change::PutEndpoint(endpoint) => self.put_endpoint(endpoint),
            Change::DeleteEndpoint { app, endpoint, at } => self.delete_endpoint(*app, *endpoint, *at),
            Change::PutEventType(event_type) => self.put_event_type(event_type),
            Change::DeleteEventType { org, name } => {
                let mut statement =
                    self.connection.prepare_cached("DELETE FROM event_types WHERE org = ?1 AND name = ?2")?;
                Ok(done_if(statement.execute(params![&**org, name])? > 0))
            }
            Change::Resend(request) => self.resend(request, Priority::High),
            Change::Revive(request) => self.revive(request),
            Change::Release { app, message, ceiling, deliveries } => {
                self.release(*app, *message, *ceiling, *deliveries)
            }
            Change::Cancel { app, message, at } => self.cancel(*app, *message, *at),
            Change::Expunge { app, message } => self.expunge(*app, *message),
            Change::StartTask(task) => self.start_task(task),
            Change::StepTask { task, at, messages, cursor, last } => {
                self.step_task(*task, *at, messages, *cursor, *last)
            }
            Change::Remember { idempotency, at, status, body } => {
                self.remember(idempotency, *at, *status, body)
            }
        }
    }

    fn put_app(&mut self, app: &App) -> Result<Changed> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT org = ?2 AND deleted_at IS NULL FROM apps WHERE id = ?1")?;
        let known: Option<bool> =
            statement.query_row(params![app.id.as_bytes(), &*app.org], |row| row.get(0)).optional()?;
        if known == Some(false) {
            return Ok(Changed::Missing);
        }
        if let Some(uid) = &app.uid {
            let mut statement = self.connection.prepare_cached(
                "SELECT 1 FROM apps WHERE org = ?1 AND uid = ?2 AND deleted_at IS NULL AND id <> ?3",
            )?;
            if statement.exists(params![&*app.org, uid, app.id.as_bytes()])? {
                return Ok(Changed::UidTaken);
            }
        }
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO apps (id, org, uid, name, throttle_rate, metadata, created_at, updated_at, paused_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT (id) DO UPDATE SET uid = excluded.uid, name = excluded.name, \
             throttle_rate = excluded.throttle_rate, metadata = excluded.metadata, \
             created_at = excluded.created_at, updated_at = excluded.updated_at, \
             paused_at = excluded.paused_at",
        )?;
        statement.execute(params![
            app.id.as_bytes(),
            &*app.org,
            app.uid,
            app.name,
            app.throttle_rate,
            app.metadata,
            app.created_at,
            app.updated_at,
            app.paused_at,
        ])?;
        Ok(Changed::Done)
    }

    fn delete_app(&mut self, app: AppId, at: UnixMillis) -> Result<Changed> {
        let sql = "UPDATE apps SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL";
        let buried = self.connection.prepare_cached(sql)?.execute(params![app.as_bytes(), at])? > 0;
        if buried {
            self.backlog.forget(app);
            self.failing.forget(self.connection, app)?;
            self.bury();
        }
        Ok(done_if(buried))
    }

    fn put_endpoint(&mut self, endpoint: &Endpoint) -> Result<Changed> {
        if !self.app_lives(endpoint.app)? {
            return Ok(Changed::Missing);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT app = ?2 AND deleted_at IS NULL, (disabled <> 0 AND ?3 = 0) OR url <> ?4 \
             FROM endpoints WHERE id = ?1",
        )?;
        let keys = params![endpoint.id.as_bytes(), endpoint.app.as_bytes(), endpoint.disabled, endpoint.url];
        let known: Option<(bool, bool)> =
            statement.query_row(keys, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if matches!(known, Some((false, _))) {
            return Ok(Changed::Missing);
        }
        if matches!(known, Some((true, true))) {
            // It is given a new start: it is enabled again, or another receiver stands behind it.
            self.failing.ended(self.connection, endpoint.id)?;
        }
        if let Some(uid) = &endpoint.uid {
            let mut statement = self.connection.prepare_cached(
                "SELECT 1 FROM endpoints WHERE app = ?1 AND uid = ?2 AND deleted_at IS NULL AND id <> ?3",
            )?;
            if statement.exists(params![endpoint.app.as_bytes(), uid, endpoint.id.as_bytes()])? {
                return Ok(Changed::UidTaken);
            }
        }
        self.write_endpoint(endpoint)?;
        let sql = "UPDATE apps SET endpoint_sequence = ?2 WHERE id = ?1 AND endpoint_sequence < ?2";
        let values = params![endpoint.app.as_bytes(), encode::stored(endpoint.sequence)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(Changed::Done)
    }

    fn write_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO endpoints (id, app, sequence, uid, url, description, disabled, event_types, \
             channels, throttle_rate, secret, old_secrets, headers, metadata, created_at, updated_at, \
             paused_at, disabled_by) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
             ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, uid = excluded.uid, \
             url = excluded.url, description = excluded.description, disabled = excluded.disabled, \
             event_types = excluded.event_types, channels = excluded.channels, \
             throttle_rate = excluded.throttle_rate, secret = excluded.secret, \
             old_secrets = excluded.old_secrets, headers = excluded.headers, \
             metadata = excluded.metadata, created_at = excluded.created_at, \
             updated_at = excluded.updated_at, paused_at = excluded.paused_at, \
             disabled_by = excluded.disabled_by",
        )?;
        statement.execute(params![
            endpoint.id.as_bytes(),
            endpoint.app.as_bytes(),
            encode::stored(endpoint.sequence),
            endpoint.uid,
            endpoint.url,
            endpoint.description,
            endpoint.disabled,
            encode::list_text(endpoint.event_types.as_ref())?,
            encode::list_text(endpoint.channels.as_ref())?,
            endpoint.throttle_rate,
            endpoint.secret.0,
            encode::old_secrets_bytes(&endpoint.old_secrets),
            encode::headers_text(&endpoint.headers)?,
            endpoint.metadata,
            endpoint.created_at,
            endpoint.updated_at,
            endpoint.paused_at,
            endpoint.disabled_by.map(|by| by as u8),
        ])?;
        Ok(())
    }

    fn delete_endpoint(&mut self, app: AppId, endpoint: EndpointId, at: UnixMillis) -> Result<Changed> {
        if !self.endpoint_lives(app, endpoint)? {
            return Ok(Changed::Missing);
        }
        let sql = "UPDATE endpoints SET deleted_at = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![endpoint.as_bytes(), at])?;
        self.failing.ended(self.connection, endpoint)?;
        self.bury();
        Ok(Changed::Done)
    }

    fn put_event_type(&mut self, event_type: &EventType) -> Result<Changed> {
        let mut statement = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO event_types (org, name, description, archived, deprecated, \
             feature_flag, schemas, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        statement.execute(params![
            &*event_type.org,
            event_type.name,
            event_type.description,
            event_type.archived,
            event_type.deprecated,
            event_type.feature_flag,
            event_type.schemas,
            event_type.created_at,
            event_type.updated_at,
        ])?;
        Ok(Changed::Done)
    }

    fn revive(&mut self, request: &ResendRequest) -> Result<Changed> {
        let sql = "SELECT 1 FROM dead_letters WHERE endpoint = ?1 AND message = ?2";
        let keys = [request.endpoint.as_bytes(), request.message.as_bytes()];
        if !self.connection.prepare_cached(sql)?.exists(keys)? {
            return Ok(Changed::Missing);
        }
        self.resend(request, Priority::Low)
    }

    fn resend(&mut self, request: &ResendRequest, priority: Priority) -> Result<Changed> {
        let ResendRequest { app, message, endpoint, at, .. } = request;
        if !self.endpoint_lives(*app, *endpoint)? {
            return Ok(Changed::Missing);
        }
        let again = Again { trigger: Trigger::Manual, priority };
        self.make_due(*app, *message, *endpoint, *at, &again).map(done_if)
    }

    /// The content of a message goes, and its retention with it.
    fn expunge(&mut self, app: AppId, message: MessageId) -> Result<Changed> {
        if !self.app_lives(app)? {
            return Ok(Changed::Missing);
        }
        let sql = "UPDATE messages SET payload = NULL, expires_day = NULL WHERE app = ?1 AND id = ?2";
        let changed = self.connection.prepare_cached(sql)?.execute([app.as_bytes(), message.as_bytes()])?;
        // There is nothing left to fan out.
        self.waits_no_more(app, message)?;
        self.finished(app, message)?;
        Ok(done_if(changed > 0))
    }

    fn remember(
        &mut self,
        idempotency: &Idempotency,
        at: UnixMillis,
        status: u16,
        body: &[u8],
    ) -> Result<Changed> {
        // The first answer stands.
        if self.buckets.find(self.connection, &idempotency.key, at)?.is_none() {
            self.buckets.put(self.connection, idempotency, at, &Held::Answer { status, body })?;
        }
        Ok(Changed::Done)
    }
}

const fn done_if(done: bool) -> Changed {
    if done { Changed::Done } else { Changed::Missing }
}
