//! Background tasks: what is asked for once and done in many small steps.
//!
//! # Invariants
//! - A step makes messages due and moves the cursor in one commit: after a crash the task goes on
//!   behind what was made due, and repeats nothing.
//! - An endpoint has one task running at the most.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, Direction, start};
use super::group::Group;
use super::read_config::{self, endpoint_lives};
use super::read_deliveries::goes_to;
use super::read_messages::{ROWS_MAX, Range, message};
use super::record::{Due, Put};
use super::scheduled::is_held;
use crate::{
    AppId, Changed, EndpointId, MessageId, MessageRef, Missing, Order, Page, Priority, Reference, Sought,
    Task, TaskFilter, TaskId, TaskKind, TaskState, Trigger, UnixMillis, WorkId,
};

const TASK: &str =
    "id, org, app, endpoint, kind, since, until, cursor, replayed, state, created_at, updated_at";
/// Messages that one look for missing ones passes over.
const LOOK_MAX: usize = 2_000;

impl Group<'_> {
    pub(super) fn start_task(&mut self, task: &Task) -> Result<Changed> {
        if !self.endpoint_lives(task.app, task.endpoint)? {
            return Ok(Changed::Missing);
        }
        let sql =
            "SELECT id FROM tasks INDEXED BY tasks_running_by_endpoint WHERE state = 0 AND endpoint = ?1";
        let mut running = self.connection.prepare_cached(sql)?;
        let other = running.query_row([task.endpoint.as_bytes()], |row| encode::id(row, 0)).optional()?;
        if other.is_some_and(|other| other != task.id.0) {
            return Ok(Changed::Busy);
        }
        let sql = format!(
            "INSERT INTO tasks ({TASK}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT DO NOTHING"
        );
        self.connection.prepare_cached(&sql)?.execute(params![
            task.id.as_bytes(),
            &*task.org,
            task.app.as_bytes(),
            task.endpoint.as_bytes(),
            task.kind as u8,
            task.since,
            task.until,
            task.cursor.as_bytes(),
            encode::stored(task.replayed),
            task.state as u8,
            task.created_at,
            task.updated_at,
        ])?;
        Ok(Changed::Done)
    }

    pub(super) fn step_task(
        &mut self,
        id: TaskId,
        at: UnixMillis,
        messages: &[MessageId],
        cursor: MessageId,
        last: bool,
    ) -> Result<Changed> {
        let sql = format!("SELECT {TASK} FROM tasks WHERE id = ?1 AND state = 0");
        let found = self.connection.prepare_cached(&sql)?.query_row([id.as_bytes()], task).optional()?;
        let Some(Task { app, endpoint, kind, cursor: before, .. }) = found else {
            return Ok(Changed::Missing);
        };
        // The same step once more has been done.
        if before > cursor || (before == cursor && !last) {
            return Ok(Changed::Done);
        }
        // What failed for good is tried once; what was never sent, as often as any other.
        let trigger = match kind {
            TaskKind::Recover => Trigger::Manual,
            TaskKind::ReplayMissing => Trigger::Scheduled,
        };
        let lives = self.endpoint_lives(app, endpoint)? && !self.endpoint_disabled(endpoint)?;
        let mut replayed = 0_i64;
        for message in messages.iter().filter(|_| lives) {
            replayed += i64::from(self.make_due(
                app,
                *message,
                endpoint,
                at,
                &Again { trigger, priority: Priority::Low },
            )?);
        }
        let state = match (lives, last) {
            (false, _) => TaskState::Failed,
            (true, true) => TaskState::Finished,
            (true, false) => TaskState::Running,
        };
        let sql = "UPDATE tasks SET cursor = ?2, replayed = replayed + ?3, state = ?4, updated_at = ?5 \
                   WHERE id = ?1";
        let values = params![id.as_bytes(), cursor.as_bytes(), replayed, state as u8, at];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(Changed::Done)
    }

    fn endpoint_disabled(&self, endpoint: EndpointId) -> Result<bool> {
        let sql = "SELECT 1 FROM endpoints WHERE id = ?1 AND disabled <> 0";
        self.connection.prepare_cached(sql)?.exists([endpoint.as_bytes()])
    }

    /// Makes an attempt due; `false` where the content is kept no more.
    pub(super) fn make_due(
        &mut self,
        app: AppId,
        message: MessageId,
        endpoint: EndpointId,
        at: UnixMillis,
        again: &Again,
    ) -> Result<bool> {
        let sql = "SELECT 1 FROM messages WHERE app = ?1 AND id = ?2 AND payload IS NOT NULL";
        let keys = [app.as_bytes(), message.as_bytes()];
        if !self.connection.prepare_cached(sql)?.exists(keys)? {
            return Ok(false);
        }
        let sql = "SELECT coalesce(max(number), 0) FROM attempts WHERE message = ?1 AND endpoint = ?2";
        let keys = [message.as_bytes(), endpoint.as_bytes()];
        let tries = self.connection.prepare_cached(sql)?.query_row(keys, |row| row.get(0))?;
        let work = WorkId::delivery(message, endpoint, again.trigger);
        // Asked for twice before it was begun, it is done once.
        let priority = again.priority as u8;
        self.put_due(&Due { work, tenant: app, due_at: at, priority, tries }, Put::Keep)?;
        Ok(true)
    }
}

/// How something is sent once more.
pub(super) struct Again {
    pub(super) trigger: Trigger,
    pub(super) priority: Priority,
}

fn task(row: &Row<'_>) -> Result<Task> {
    let unknown = |column| encode::unreadable(column, Type::Integer, "no such number");
    Ok(Task {
        id: TaskId(encode::id(row, 0)?),
        org: row.get(1)?,
        app: AppId(encode::id(row, 2)?),
        endpoint: EndpointId(encode::id(row, 3)?),
        kind: TaskKind::from_number(row.get(4)?).ok_or_else(|| unknown(4))?,
        since: row.get(5)?,
        until: row.get(6)?,
        cursor: MessageId(encode::id(row, 7)?),
        replayed: encode::count(row, 8)?,
        state: TaskState::from_number(row.get(9)?).ok_or_else(|| unknown(9))?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}

/// One task of an organisation.
pub(crate) fn task_of(connection: &Connection, org: &str, id: TaskId) -> Result<Option<Task>> {
    let sql = format!("SELECT {TASK} FROM tasks WHERE id = ?1 AND org = ?2");
    connection.prepare_cached(&sql)?.query_row(params![id.as_bytes(), org], task).optional()
}

/// The tasks of an organisation.
pub(crate) fn tasks_of(
    connection: &Connection,
    org: &str,
    filter: TaskFilter,
    page: Page<TaskId>,
) -> Result<Sought<Task, TaskId>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!("SELECT {TASK} FROM tasks WHERE org = ?1 AND id {beyond} ?2 ORDER BY id {order}");
    let from = start(page.after.map(|task| task.0), page.order);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![org, from])?;
    let (mut found, mut seen, mut last) = (Vec::new(), 0, None);
    while found.len() < page.limit as usize && seen < ROWS_MAX {
        let Some(row) = rows.next()? else { break };
        seen += 1;
        let task = task(row)?;
        last = Some(task.id);
        let passes = filter.state.is_none_or(|state| state == task.state)
            && filter.kind.is_none_or(|kind| kind == task.kind);
        if passes {
            found.push(task);
        }
    }
    let stopped_at = last.filter(|_| found.len() < page.limit as usize && seen == ROWS_MAX);
    Ok(Sought { found, stopped_at })
}

/// The tasks of an application that have something left to do.
pub(crate) fn running_tasks(connection: &Connection, app: AppId, page: Page<TaskId>) -> Result<Vec<Task>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {TASK} FROM tasks INDEXED BY tasks_running_by_app \
         WHERE state = 0 AND app = ?1 AND id {beyond} ?2 ORDER BY id {order} LIMIT ?3"
    );
    let from = start(page.after.map(|task| task.0), page.order);
    read_config::rows(connection, &sql, params![app.as_bytes(), from, page.limit], task)
}

/// The applications behind `after` that have a task with something left to do. One seek for each:
/// one of them may have any number of tasks.
pub(crate) fn apps_with_tasks(
    connection: &Connection,
    mut after: Option<AppId>,
    limit: u32,
) -> Result<Vec<AppId>> {
    let sql = "SELECT app FROM tasks INDEXED BY tasks_running_by_app WHERE state = 0 AND app > ?1 \
               ORDER BY app LIMIT 1";
    let mut next = connection.prepare_cached(sql)?;
    let mut apps = Vec::new();
    while apps.len() < limit as usize {
        let from = start(after.map(|app| app.0), Order::Ascending);
        let Some(app) = next.query_row([from], |row| encode::id(row, 0)).optional()? else { break };
        apps.push(AppId(app));
        after = Some(AppId(app));
    }
    Ok(apps)
}

/// Looks for messages that were never sent to the task's endpoint, behind its cursor.
pub(crate) fn missing(connection: &Connection, of: &Task, limit: u32) -> Result<Missing> {
    let by_id = Reference::Id(of.endpoint);
    let endpoint = match endpoint_lives(connection, of.app, of.endpoint)? {
        true => read_config::endpoint(connection, of.app, &by_id)?,
        false => None,
    };
    let Some(endpoint) = endpoint else { return Ok(Missing { messages: Vec::new(), cursor: None }) };
    let range = Range::of(Some(of.since), Some(of.until), 0);
    let (low, high) = range.behind(Some(of.cursor.0), Order::Ascending);
    let mut messages = connection.prepare_cached(
        "SELECT id, payload IS NOT NULL FROM messages WHERE app = ?1 AND id > ?2 AND id < ?3 ORDER BY id",
    )?;
    let mut known = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM attempts WHERE message = ?1 AND endpoint = ?2) \
         OR EXISTS (SELECT 1 FROM due_work WHERE kind = 1 AND subject = ?1 AND key = ?2) \
         OR EXISTS (SELECT 1 FROM fanout WHERE app = ?3 AND message = ?1 AND frontier < ?4 AND ceiling >= ?4)",
    )?;
    let mut rows = messages.query(params![of.app.as_bytes(), low, high])?;
    let mut missing = Missing { messages: Vec::new(), cursor: None };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let id = MessageId(encode::id(row, 0)?);
        missing.cursor = Some(id);
        seen += 1;
        let keys = params![
            id.as_bytes(),
            of.endpoint.as_bytes(),
            of.app.as_bytes(),
            encode::stored(endpoint.sequence)
        ];
        if row.get(1)?
            && !known.query_row(keys, |row| row.get::<_, bool>(0))?
            && !is_held(connection, of.app, id)?
            && let Some(message) = message(connection, of.app, &MessageRef::Id(id), false)?
            && goes_to(&message, &endpoint)
        {
            missing.messages.push(id);
        }
        if missing.messages.len() >= limit as usize || seen >= LOOK_MAX {
            return Ok(missing);
        }
    }
    missing.cursor = None;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn a_search_that_stops_at_its_bound_says_where_and_goes_on_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, schema::STEPS).unwrap();
        // Of so many that one search does not see the last, only the last has finished.
        let sql = format!(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i <= {ROWS_MAX})
             INSERT INTO tasks ({TASK}) SELECT CAST(printf('%020d', i) AS BLOB), 'o', zeroblob(20),
             CAST(printf('%020d', i) AS BLOB), 0, 0, 0, zeroblob(20), 0, i > {ROWS_MAX}, 0, 0 FROM n"
        );
        connection.execute_batch(&sql).unwrap();
        let finished = TaskFilter { state: Some(TaskState::Finished), kind: None };
        let search = |after, limit| {
            let page = Page { after, limit, order: Order::Ascending };
            tasks_of(&connection, "o", finished, page).unwrap()
        };
        let first = search(None, 2);
        assert_eq!(first.found, []);
        let rest = search(first.stopped_at, 2);
        assert!(first.stopped_at.is_some());
        assert_eq!((rest.found.len(), rest.stopped_at), (1, None));
    }
}
