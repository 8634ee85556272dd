//! Changing what is configured.

use rusqlite::{OptionalExtension, Result, params};

use super::encode;
use super::group::Group;
use super::idempotency::Held;
use super::record::{Due, Put};
use crate::{
    App, AppId, Change, Changed, Endpoint, EndpointId, EventType, Idempotency, Priority, ResendRequest,
    Trigger, UnixMillis, WorkId,
};

impl Group<'_> {
    pub(super) fn change(&mut self, changes: &[Change]) -> Result<Vec<Changed>> {
        changes.iter().map(|change| self.change_one(change)).collect()
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
            Change::Resend(request) => self.resend(request),
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
            self.bury();
        }
        Ok(done_if(buried))
    }

    fn put_endpoint(&mut self, endpoint: &Endpoint) -> Result<Changed> {
        if !self.app_lives(endpoint.app)? {
            return Ok(Changed::Missing);
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT app = ?2 AND deleted_at IS NULL FROM endpoints WHERE id = ?1")?;
        let known: Option<bool> = statement
            .query_row([endpoint.id.as_bytes(), endpoint.app.as_bytes()], |row| row.get(0))
            .optional()?;
        if known == Some(false) {
            return Ok(Changed::Missing);
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
             channels, throttle_rate, secret, old_secrets, headers, metadata, created_at, updated_at, paused_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
             ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, uid = excluded.uid, \
             url = excluded.url, description = excluded.description, disabled = excluded.disabled, \
             event_types = excluded.event_types, channels = excluded.channels, \
             throttle_rate = excluded.throttle_rate, secret = excluded.secret, \
             old_secrets = excluded.old_secrets, headers = excluded.headers, \
             metadata = excluded.metadata, created_at = excluded.created_at, \
             updated_at = excluded.updated_at, paused_at = excluded.paused_at",
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
        ])?;
        Ok(())
    }

    fn delete_endpoint(&mut self, app: AppId, endpoint: EndpointId, at: UnixMillis) -> Result<Changed> {
        if !self.endpoint_lives(app, endpoint)? {
            return Ok(Changed::Missing);
        }
        let sql = "UPDATE endpoints SET deleted_at = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![endpoint.as_bytes(), at])?;
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

    fn resend(&mut self, request: &ResendRequest) -> Result<Changed> {
        let ResendRequest { app, message, endpoint, at, .. } = request;
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM messages WHERE app = ?1 AND id = ?2 AND payload IS NOT NULL")?;
        if !self.endpoint_lives(*app, *endpoint)?
            || !statement.exists([app.as_bytes(), message.as_bytes()])?
        {
            return Ok(Changed::Missing);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(max(number), 0) FROM attempts WHERE message = ?1 AND endpoint = ?2",
        )?;
        let tries = statement.query_row([message.as_bytes(), endpoint.as_bytes()], |row| row.get(0))?;
        let work = WorkId::delivery(*message, *endpoint, Trigger::Manual);
        // Asked for twice before it was begun, it is done once.
        let priority = Priority::High as u8;
        self.put_due(&Due { work, tenant: *app, due_at: *at, priority, tries }, Put::Keep)?;
        Ok(Changed::Done)
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
