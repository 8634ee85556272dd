//! What is buried or has expired goes, in small units behind the accepts.
//!
//! # Invariants
//! - A unit is one short transaction of at most [`ROWS`] rows. What is left to do is told by the
//!   rows themselves, so that a unit that was cut off, or a restart, needs no resuming.
//! - A buried row goes last, when nothing is left that belongs to it, and not before [`GRACE_MS`]:
//!   who is late with a change or an attempt finds that it is gone, not that it never was.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::accept::day_of;
use super::backlog::Ledger;
use super::committer::Known;
use super::read_config::app_lives;
use crate::{AppId, Id, UnixMillis};

/// Rows that one unit takes away.
const ROWS: usize = 256;
/// Payloads that one unit takes away: they may be large.
const PAYLOADS: i64 = 32;
/// How long a buried row stays after it was emptied.
const GRACE_MS: i64 = 3_600_000;
/// How long background tasks are listed.
const TASKS_KEPT_MS: i64 = 90 * 86_400_000;
/// Free pages (4 MiB) that are kept for use, and how many of the others one unit gives back.
const FREE_PAGES_KEPT: i64 = 1_024;
const FREE_PAGES_A_UNIT: i64 = 128;

#[derive(Default)]
pub(super) struct Purge {
    due_now: bool,
    /// Messages up to this row number were looked at in this pass, and stay.
    history_seen: i64,
}

/// What one unit came to.
pub(super) struct Unit {
    /// Rows it took away.
    pub(super) purged: usize,
    /// Whether there may be more to do.
    pub(super) more: bool,
}

impl Purge {
    pub(super) const fn is_due_now(&mut self) {
        self.due_now = true;
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due_now
    }

    /// One unit of work.
    pub(super) fn unit(
        &mut self,
        connection: &Connection,
        known: &mut Known,
        now: UnixMillis,
    ) -> Result<Unit> {
        self.due_now = false;
        if known.buckets.fill_filter(connection)? > 0 {
            return Ok(Unit { purged: 0, more: true });
        }
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut purged = rows(connection, known, now)?;
        if purged == 0
            && let Some(before) = known.history_begins(now)
        {
            purged = self.history(connection, before)?;
        }
        known.backlog.write(connection, |app| app_lives(connection, app))?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        known.backlog.committed();
        let more = purged > 0 || give_back(connection)? > 0;
        Ok(Unit { purged, more })
    }

    /// Messages that were accepted before then, each after what became of it. What is pending stays,
    /// however old, and is passed over until the next pass.
    fn history(&mut self, connection: &Connection, before: UnixMillis) -> Result<usize> {
        let mut next = connection.prepare_cached(
            "SELECT number, app, id, accepted_at FROM messages WHERE number > ?1 ORDER BY number LIMIT 1",
        )?;
        let mut pending = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM fanout WHERE app = ?1 AND message = ?2) \
             OR EXISTS (SELECT 1 FROM scheduled WHERE app = ?1 AND message = ?2) \
             OR EXISTS (SELECT 1 FROM due_work WHERE kind = 1 AND subject = ?2)",
        )?;
        let (mut rows, mut passed) = (0, 0);
        while rows + passed < ROWS {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let found: Option<(i64, [u8; 20], [u8; 20], UnixMillis)> =
                next.query_row([self.history_seen], read).optional()?;
            let Some((number, app, message, _)) = found.filter(|found| found.3 < before) else {
                // In the order of acceptance: those behind it are younger.
                self.history_seen = 0;
                return Ok(rows);
            };
            if pending.query_row([app, message], |row| row.get(0))? {
                self.history_seen = number;
                passed += 1;
            } else {
                rows += message_and_attempts(connection, number, (&app, &message), ROWS - rows)?;
            }
        }
        // Cut off by its size, perhaps before it took anything away.
        Ok(rows.max(1))
    }
}

fn rows(connection: &Connection, known: &mut Known, now: UnixMillis) -> Result<usize> {
    let rows = endpoint(connection, &mut known.backlog)?;
    if rows > 0 {
        return Ok(rows);
    }
    let steps: [&dyn Fn() -> Result<usize>; 5] = [
        &|| app(connection),
        &|| emptied(connection, "endpoints", now),
        &|| emptied(connection, "apps", now),
        &|| payloads(connection, now),
        &|| tasks(connection, now),
    ];
    for step in steps {
        let rows = step()?;
        if rows > 0 {
            return Ok(rows);
        }
    }
    known.buckets.drop_oldest(connection)
}

/// The due work of a buried endpoint.
fn endpoint(connection: &Connection, backlog: &mut Ledger) -> Result<usize> {
    let sql = "SELECT app, id FROM endpoints WHERE deleted_at IS NOT NULL AND emptied = 0 LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<([u8; 20], [u8; 20])> =
        connection.prepare_cached(sql)?.query_row([], read).optional()?;
    let Some((app, id)) = found else { return Ok(0) };
    let rows = due_work(
        connection,
        "SELECT subject, key, trigger FROM due_work INDEXED BY due_work_by_key \
         WHERE kind = 1 AND tenant = ?1 AND key = ?2 LIMIT ?3",
        params![app, id, ROWS as i64],
    )?;
    backlog.settled(AppId(Id::from_bytes(app)), rows as u64);
    if rows > 0 {
        return Ok(rows);
    }
    let rows = run(
        connection,
        "DELETE FROM dead_letters WHERE endpoint = ?1 AND message IN \
         (SELECT message FROM dead_letters WHERE endpoint = ?1 ORDER BY message LIMIT ?2)",
        params![id, ROWS as i64],
    )?;
    if rows < ROWS {
        run(connection, "UPDATE endpoints SET emptied = 1 WHERE id = ?1", params![id])?;
    }
    Ok(rows.max(1))
}

/// What belongs to a buried application: first what could still be worked on.
fn app(connection: &Connection) -> Result<usize> {
    let sql = "SELECT id FROM apps WHERE deleted_at IS NOT NULL AND emptied = 0 LIMIT 1";
    let found: Option<[u8; 20]> =
        connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    let Some(id) = found else { return Ok(0) };
    let rows = due_work(
        connection,
        "SELECT subject, key, trigger FROM due_work INDEXED BY due_work_by_key \
         WHERE kind = 1 AND tenant = ?1 LIMIT ?2",
        params![id, ROWS as i64],
    )?;
    if rows > 0 {
        return Ok(rows);
    }
    let belongings = [
        "DELETE FROM scheduled WHERE app = ?1 AND message IN \
         (SELECT message FROM scheduled WHERE app = ?1 ORDER BY message LIMIT ?2)",
        "DELETE FROM dead_letters WHERE (endpoint, message) IN \
         (SELECT endpoint, message FROM dead_letters WHERE app = ?1 LIMIT ?2)",
        "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE app = ?1 LIMIT ?2)",
        "DELETE FROM fanout WHERE app = ?1 AND message IN \
         (SELECT message FROM fanout WHERE app = ?1 ORDER BY message LIMIT ?2)",
        "DELETE FROM endpoints WHERE id IN (SELECT id FROM endpoints WHERE app = ?1 LIMIT ?2)",
    ];
    for sql in belongings {
        let rows = run(connection, sql, params![id, ROWS as i64])?;
        if rows > 0 {
            return Ok(rows);
        }
    }
    let rows = messages(connection, &id)?;
    if rows > 0 {
        return Ok(rows);
    }
    run(connection, "UPDATE apps SET emptied = 1 WHERE id = ?1", params![id])
}

/// Takes away the due work that `sql` finds, unit by unit: in one statement the engine would walk
/// all there is of the kind.
fn due_work(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Vec<([u8; 20], [u8; 20], u8)> =
        connection.prepare_cached(sql)?.query_map(values, read)?.collect::<Result<_>>()?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM due_work WHERE kind = 1 AND subject = ?1 AND key = ?2 AND trigger = ?3",
    )?;
    for (subject, key, trigger) in &found {
        delete.execute(params![subject, key, trigger])?;
    }
    Ok(found.len())
}

/// The messages of an application, each after its attempts.
fn messages(connection: &Connection, app: &[u8; 20]) -> Result<usize> {
    let mut first =
        connection.prepare_cached("SELECT number, id FROM messages WHERE app = ?1 ORDER BY id LIMIT 1")?;
    let mut rows = 0;
    while rows < ROWS {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let Some((number, message)): Option<(i64, [u8; 20])> = first.query_row([app], read).optional()?
        else {
            break;
        };
        rows += message_and_attempts(connection, number, (app, &message), ROWS - rows)?;
    }
    Ok(rows)
}

/// A message after its dead letters and attempts, or as many of those as `most`.
fn message_and_attempts(
    connection: &Connection,
    number: i64,
    (app, message): (&[u8; 20], &[u8; 20]),
    most: usize,
) -> Result<usize> {
    let letters = run(
        connection,
        "DELETE FROM dead_letters WHERE (endpoint, message) IN (SELECT endpoint, message FROM dead_letters \
         INDEXED BY dead_letters_by_app WHERE app = ?1 AND message = ?2 LIMIT ?3)",
        params![app, message, most as i64],
    )?;
    if letters == most {
        return Ok(letters);
    }
    let most = most - letters;
    let attempts = run(
        connection,
        "DELETE FROM attempts WHERE message = ?1 AND (endpoint, number) IN \
         (SELECT endpoint, number FROM attempts WHERE message = ?1 ORDER BY endpoint, number LIMIT ?2)",
        params![message, most as i64],
    )?;
    if attempts == most {
        return Ok(letters + attempts);
    }
    run(connection, "DELETE FROM message_options WHERE app = ?1 AND id = ?2", params![app, message])?;
    Ok(letters + attempts + run(connection, "DELETE FROM messages WHERE number = ?1", params![number])?)
}

/// Buried rows that nothing belongs to any more.
fn emptied(connection: &Connection, table: &'static str, now: UnixMillis) -> Result<usize> {
    let sql = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} \
         WHERE deleted_at IS NOT NULL AND emptied = 1 AND deleted_at < ?1 LIMIT ?2)"
    );
    run(connection, &sql, params![now - GRACE_MS, ROWS as i64])
}

/// Payloads that were kept as long as they were to be.
fn payloads(connection: &Connection, now: UnixMillis) -> Result<usize> {
    run(
        connection,
        "UPDATE messages SET payload = NULL, expires_day = NULL WHERE number IN \
         (SELECT number FROM messages WHERE expires_day <= ?1 ORDER BY expires_day LIMIT ?2)",
        params![day_of(now), PAYLOADS],
    )
}

/// Background tasks that ended long ago: by their ids, which tell when they were made.
fn tasks(connection: &Connection, now: UnixMillis) -> Result<usize> {
    run(
        connection,
        "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE id < ?1 AND state <> 0 LIMIT ?2)",
        params![Id::at_millis(now - TASKS_KEPT_MS).as_bytes(), ROWS as i64],
    )
}

/// Pages that nothing is on go back to the file system, but for those that will be used soon.
fn give_back(connection: &Connection) -> Result<usize> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let free = pragma("freelist_count")?;
    let kept = FREE_PAGES_KEPT.max(pragma("page_count")? / 8);
    let pages = (free - kept).clamp(0, FREE_PAGES_A_UNIT);
    if pages == 0 {
        return Ok(0);
    }
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))?;
    Ok(pages as usize)
}

fn run(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}
