//! One transaction of the committer: what it knows while it applies a group of calls.
//!
//! # Invariants
//! - What is remembered here was read or written in this transaction, and is forgotten with it.
//! - Nothing here decides by engine errors: a conflict is looked for before it happens, so an error
//!   is a failure of the whole group.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::backlog::Ledger;
use super::committer::Known;
use super::encode::{self, MESSAGE, MESSAGES, PAYLOAD, Prepared};
use super::failing::FailingLedger;
use super::idempotency::Buckets;
use super::jobs::Unfinished;
use crate::{AppId, EndpointId, Message, MessageId};

pub(super) struct Group<'c> {
    pub(super) connection: &'c Connection,
    pub(super) buckets: &'c mut Buckets,
    pub(super) backlog: &'c mut Ledger,
    pub(super) failing: &'c mut FailingLedger,
    pub(super) statements: Statements<'c>,
    live_apps: HashSet<AppId>,
    live_endpoints: HashSet<EndpointId>,
    pub(super) unfinished_jobs: Unfinished,
    /// Payload bytes of the jobs that it claims.
    pub(super) claimed_bytes: usize,
    /// Whether there is something new to purge.
    pub(super) buried: bool,
}

/// The statements of the delivery path, each prepared once a group.
pub(super) struct Statements<'c> {
    pub(super) insert_message: Prepared<'c>,
    pub(super) insert_fanout: Prepared<'c>,
    pub(super) insert_attempt: Prepared<'c>,
    pub(super) delete_due: Prepared<'c>,
    pub(super) drop_due: Prepared<'c>,
    pub(super) move_due: Prepared<'c>,
    pub(super) insert_due: Prepared<'c>,
    pub(super) fanout: Prepared<'c>,
    pub(super) advance: Prepared<'c>,
    pub(super) finish: Prepared<'c>,
    app_lives: Prepared<'c>,
    endpoint_lives: Prepared<'c>,
}

impl Statements<'_> {
    const fn new() -> Self {
        Self {
            insert_message: Prepared::new(
                "INSERT INTO messages \
                 (app, id, event_org, event_id, event_type, channels, accepted_at, expires_day, payload) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            ),
            insert_fanout: Prepared::new(
                "INSERT INTO fanout (app, message, ceiling, frontier, deliveries, priority) \
                 VALUES (?1, ?2, ?3, 0, ?4, ?5)",
            ),
            insert_attempt: Prepared::new(
                "INSERT INTO attempts (message, endpoint, number, id, at, duration_ms, status_code, state, \
                 trigger, url, response) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                 ON CONFLICT DO NOTHING",
            ),
            delete_due: Prepared::new(
                "DELETE FROM due_work WHERE kind = ?1 AND subject = ?2 AND key = ?3 AND trigger = ?4",
            ),
            drop_due: Prepared::new(
                "DELETE FROM due_work WHERE kind = ?1 AND subject = ?2 AND key = ?3 AND trigger = ?4 \
                 RETURNING tenant",
            ),
            move_due: Prepared::new(
                "UPDATE due_work SET due_at = ?5, tries = ?6 \
                 WHERE kind = ?1 AND subject = ?2 AND key = ?3 AND trigger = ?4",
            ),
            insert_due: Prepared::new(
                "INSERT INTO due_work (kind, subject, key, trigger, tenant, due_at, priority, tries) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            ),
            fanout: Prepared::new(
                "SELECT deliveries, ceiling, frontier FROM fanout WHERE app = ?1 AND message = ?2",
            ),
            advance: Prepared::new(
                "UPDATE fanout SET frontier = ?3 WHERE app = ?1 AND message = ?2 AND frontier < ?3",
            ),
            finish: Prepared::new(
                "DELETE FROM fanout WHERE app = ?1 AND message = ?2 RETURNING deliveries, ceiling, frontier",
            ),
            app_lives: Prepared::new("SELECT 1 FROM apps WHERE id = ?1 AND deleted_at IS NULL"),
            endpoint_lives: Prepared::new(
                "SELECT 1 FROM endpoints WHERE id = ?1 AND app = ?2 AND deleted_at IS NULL",
            ),
        }
    }
}

impl<'c> Group<'c> {
    pub(super) fn new(connection: &'c Connection, known: &'c mut Known) -> Self {
        Self {
            connection,
            buckets: &mut known.buckets,
            backlog: &mut known.backlog,
            failing: &mut known.failing,
            statements: Statements::new(),
            live_apps: HashSet::new(),
            live_endpoints: HashSet::new(),
            unfinished_jobs: Unfinished::new(),
            claimed_bytes: 0,
            buried: false,
        }
    }

    /// Whether the application exists and is not buried.
    pub(super) fn app_lives(&mut self, app: AppId) -> Result<bool> {
        if self.live_apps.contains(&app) {
            return Ok(true);
        }
        let lives = self.statements.app_lives.on(self.connection)?.exists([app.as_bytes()])?;
        if lives {
            self.live_apps.insert(app);
        }
        Ok(lives)
    }

    /// Whether the endpoint exists in the application and neither is buried.
    pub(super) fn endpoint_lives(&mut self, app: AppId, endpoint: EndpointId) -> Result<bool> {
        if !self.app_lives(app)? {
            return Ok(false);
        }
        if self.live_endpoints.contains(&endpoint) {
            return Ok(true);
        }
        let statement = self.statements.endpoint_lives.on(self.connection)?;
        let lives = statement.exists([endpoint.as_bytes(), app.as_bytes()])?;
        if lives {
            self.live_endpoints.insert(endpoint);
        }
        Ok(lives)
    }

    /// Writes what the group did to the backlogs: the last of it before the commit.
    pub(super) fn write_backlog(&mut self) -> Result<()> {
        self.write_unfinished_jobs()?;
        let live_apps = &self.live_apps;
        let statement = self.statements.app_lives.on(self.connection)?;
        self.backlog.write(self.connection, |app| {
            if live_apps.contains(&app) { Ok(true) } else { statement.exists([app.as_bytes()]) }
        })
    }

    /// Somebody was buried.
    pub(super) fn bury(&mut self) {
        self.live_apps.clear();
        self.live_endpoints.clear();
        self.buried = true;
    }

    /// The message with its payload.
    pub(super) fn message(&self, app: AppId, message: MessageId) -> Result<Option<Message>> {
        let sql = format!("SELECT {MESSAGE}, payload FROM {MESSAGES} WHERE app = ?1 AND id = ?2");
        self.connection
            .prepare_cached(&sql)?
            .query_row(params![app.as_bytes(), message.as_bytes()], |row| encode::message(row, Some(PAYLOAD)))
            .optional()
    }
}
