//! The tables, and the steps from one version of them to the next.

use rusqlite::{Connection, Result};

use super::jobs_schema::JOBS;

/// Marks the file as ours: "Plim".
pub(super) const APPLICATION_ID: i32 = 0x506C_696D;

/// The steps, oldest first; the version of a file is how many of them it has seen. A step that was
/// released is never changed: what must change is a new step.
pub(super) const STEPS: &[&str] = &[FIRST, BACKLOG, PAUSE, CONTROL, JOBS, TASK_TURNS];

/// Why the tables are as they are:
/// - Identifiers are their 20 bytes; they sort by time, so tables clustered by them grow at one end.
/// - `messages` alone has row numbers: its rows are large and are appended.
/// - The content stands last in a row, so that reading what stands before does not read it.
/// - Lists are JSON text, to be read by people and by other engines; key material is bytes.
/// - Idempotency entries have a table per hour, made on demand (`idempotency.rs`).
const FIRST: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('epoch', 0);

CREATE TABLE apps (
    id BLOB PRIMARY KEY,
    org TEXT NOT NULL,
    uid TEXT,
    name TEXT NOT NULL,
    throttle_rate INTEGER,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    endpoint_sequence INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER,
    emptied INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX apps_by_org ON apps (org, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX apps_by_uid ON apps (org, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX apps_buried ON apps (emptied, deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE endpoints (
    id BLOB PRIMARY KEY,
    app BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    uid TEXT,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    event_types TEXT,
    channels TEXT,
    throttle_rate INTEGER,
    secret BLOB NOT NULL,
    old_secrets BLOB NOT NULL,
    headers TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    emptied INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoints_by_app ON endpoints (app, id);
CREATE UNIQUE INDEX endpoints_by_uid ON endpoints (app, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX endpoints_buried ON endpoints (emptied, deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE event_types (
    org TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    archived INTEGER NOT NULL,
    deprecated INTEGER NOT NULL,
    feature_flag TEXT,
    schemas TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, name)
) STRICT, WITHOUT ROWID;

-- event_org is the organisation where there is an event id, and null where there is none.
-- expires_day is the day since 1970 on which the payload goes, and null when it has gone.
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    app BLOB NOT NULL,
    id BLOB NOT NULL,
    event_org TEXT,
    event_id TEXT,
    event_type TEXT NOT NULL,
    channels TEXT,
    accepted_at INTEGER NOT NULL,
    expires_day INTEGER,
    payload BLOB
) STRICT;
CREATE UNIQUE INDEX messages_by_id ON messages (app, id);
CREATE INDEX messages_by_event_id ON messages (event_org, event_id, accepted_at) WHERE event_id IS NOT NULL;
CREATE INDEX messages_by_expiry ON messages (expires_day) WHERE expires_day IS NOT NULL;

CREATE TABLE fanout (
    app BLOB NOT NULL,
    message BLOB NOT NULL,
    ceiling INTEGER NOT NULL,
    frontier INTEGER NOT NULL,
    PRIMARY KEY (app, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    message BLOB NOT NULL,
    endpoint BLOB NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status_code INTEGER NOT NULL,
    state INTEGER NOT NULL,
    trigger INTEGER NOT NULL,
    url TEXT NOT NULL,
    response BLOB NOT NULL,
    PRIMARY KEY (message, endpoint, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_endpoint ON attempts (endpoint, id);

CREATE TABLE due_work (
    kind INTEGER NOT NULL,
    subject BLOB NOT NULL,
    key BLOB NOT NULL,
    trigger INTEGER NOT NULL,
    tenant BLOB NOT NULL,
    due_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, key, trigger)
) STRICT, WITHOUT ROWID;
CREATE INDEX due_work_by_key ON due_work (kind, tenant, key, priority, due_at);
";

/// What is pending of each application, kept by the commits that change it: counting millions of
/// rows would hold up every start. A fan-out row says with how many deliveries it was accepted,
/// since the ceiling also counts the endpoints that are gone.
const BACKLOG: &str = "
ALTER TABLE fanout ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
UPDATE fanout SET deliveries = ceiling;

CREATE TABLE backlog (
    app BLOB PRIMARY KEY,
    deliveries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO backlog (app, deliveries)
    SELECT id, pending FROM (
        SELECT id,
            (SELECT coalesce(sum(max(ceiling - frontier, 0)), 0) FROM fanout WHERE app = apps.id)
            + (SELECT count(*) FROM due_work INDEXED BY due_work_by_key WHERE kind = 1 AND tenant = apps.id)
            AS pending
        FROM apps WHERE deleted_at IS NULL
    ) WHERE pending > 0;
";

/// Since when nothing is delivered to an application or an endpoint, and which messages go first: of
/// those that are there already, none.
const PAUSE: &str = "
ALTER TABLE apps ADD COLUMN paused_at INTEGER;
ALTER TABLE endpoints ADD COLUMN paused_at INTEGER;
ALTER TABLE fanout ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
";

/// What an operator has in hand: messages for later, dead letters, failing endpoints, background tasks.
/// - Options are few and stand apart: a column behind the content would be read through it.
/// - What died before this step gets its dead letter by it.
const CONTROL: &str = "
CREATE TABLE message_options (
    app BLOB NOT NULL,
    id BLOB NOT NULL,
    priority INTEGER NOT NULL,
    deliver_at INTEGER,
    canceled_at INTEGER,
    PRIMARY KEY (app, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduled (
    app BLOB NOT NULL,
    message BLOB NOT NULL,
    due_at INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (app, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX scheduled_by_time ON scheduled (due_at);

ALTER TABLE endpoints ADD COLUMN disabled_by INTEGER;

CREATE TABLE failing (
    endpoint BLOB PRIMARY KEY,
    app BLOB NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX failing_by_app ON failing (app);

CREATE TABLE dead_letters (
    endpoint BLOB NOT NULL,
    message BLOB NOT NULL,
    app BLOB NOT NULL,
    death INTEGER NOT NULL,
    died_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (endpoint, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_by_app ON dead_letters (app, message, endpoint);
INSERT OR REPLACE INTO dead_letters (endpoint, message, app, death, died_at, attempts)
    SELECT attempts.endpoint, attempts.message, endpoints.app, 0, attempts.at, attempts.number
    FROM attempts JOIN endpoints ON endpoints.id = attempts.endpoint
    WHERE attempts.state = 2 AND endpoints.deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM attempts AS later WHERE later.message = attempts.message
        AND later.endpoint = attempts.endpoint AND later.number > attempts.number);

CREATE TABLE tasks (
    id BLOB PRIMARY KEY,
    org TEXT NOT NULL,
    app BLOB NOT NULL,
    endpoint BLOB NOT NULL,
    kind INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    cursor BLOB NOT NULL,
    replayed INTEGER NOT NULL,
    state INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_org ON tasks (org, id);
CREATE INDEX tasks_by_app ON tasks (app);
CREATE INDEX tasks_running ON tasks (id, endpoint) WHERE state = 0;
";

/// Running tasks are found by their endpoint, which has one at the most, and by their application,
/// whose turn it is.
const TASK_TURNS: &str = "
DROP INDEX tasks_running;
CREATE UNIQUE INDEX tasks_running_by_endpoint ON tasks (endpoint) WHERE state = 0;
CREATE INDEX tasks_running_by_app ON tasks (app, id) WHERE state = 0;
";

/// The newest version this program knows.
pub(super) const fn known() -> u32 {
    STEPS.len() as u32
}

/// The version that the file has.
pub(super) fn found(connection: &Connection) -> Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the file from its version to the newest by `steps`, all or nothing.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<()> {
    let from = found(connection)? as usize;
    if from >= steps.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for step in &steps[from..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit()
}

/// Counts the opening of the store: the epoch in force from now on.
pub(super) fn next_epoch(connection: &Connection) -> Result<u64> {
    let sql = "UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// The epoch in force.
pub(super) fn epoch(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?;
    statement.query_row([], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'step%' ORDER BY name",
            )
            .unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_sees_each_step_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE step1 (a)", "CREATE TABLE step2 (a)"];
        migrate(&mut connection, &steps[..1]).unwrap();
        assert_eq!((found(&connection).unwrap(), tables(&connection).len()), (1, 1));
        migrate(&mut connection, &steps).unwrap();
        migrate(&mut connection, &steps).unwrap();
        assert_eq!(found(&connection).unwrap(), 2);
        assert_eq!(tables(&connection), ["step1", "step2"]);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &["CREATE TABLE step1 (a)"]).unwrap();
        let broken = ["CREATE TABLE step1 (a)", "CREATE TABLE step2 (a)", "CREATE TABLE step2 (a)"];
        assert!(migrate(&mut connection, &broken).is_err());
        assert_eq!(found(&connection).unwrap(), 1);
        assert_eq!(tables(&connection), ["step1"]);
        migrate(&mut connection, &broken[..2]).unwrap();
        assert_eq!(found(&connection).unwrap(), 2);
    }

    #[test]
    fn what_is_pending_in_an_older_file_is_counted_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &[FIRST]).unwrap();
        let app = "INSERT INTO apps (id, org, name, metadata, created_at, updated_at, deleted_at) VALUES";
        let sql = format!(
            "{app} (x'01', 'o', '', '{{}}', 0, 0, NULL), (x'02', 'o', '', '{{}}', 0, 0, NULL), \
             (x'03', 'o', '', '{{}}', 0, 0, 1);
             INSERT INTO fanout VALUES (x'01', x'11', 10, 3), (x'01', x'12', 5, 0), (x'03', x'13', 9, 0);
             INSERT INTO due_work VALUES (1, x'11', x'21', 0, x'01', 0, 0, 1);"
        );
        connection.execute_batch(&sql).unwrap();
        migrate(&mut connection, STEPS).unwrap();
        let pending = |app| {
            let sql = format!("SELECT coalesce((SELECT deliveries FROM backlog WHERE app = {app}), 0)");
            connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!([pending("x'01'"), pending("x'02'"), pending("x'03'")], [13, 0, 0]);
    }

    #[test]
    fn every_opening_has_an_epoch_of_its_own() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, STEPS).unwrap();
        assert_eq!(next_epoch(&connection).unwrap(), 1);
        assert_eq!(next_epoch(&connection).unwrap(), 2);
        assert_eq!(epoch(&connection).unwrap(), 2);
    }
}
