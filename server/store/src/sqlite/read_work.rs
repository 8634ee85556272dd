//! Reading what is to be done.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, Direction, MESSAGE, MESSAGES, PAYLOAD, start};
use super::read_config::{app_lives, endpoint_lives};
use crate::{
    AppId, DueKey, DueWork, EndpointId, Fanout, FanoutWork, Id, MessageId, Page, Priority, UnixMillis,
    WorkId, WorkKind,
};

/// Skips from application to application: as many seeks as applications, whatever their rows.
pub(crate) fn fanout_apps(connection: &Connection, page: Page<AppId>) -> Result<Vec<AppId>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!("SELECT app FROM fanout WHERE app {beyond} ?1 ORDER BY app {order} LIMIT 1");
    let mut next = connection.prepare_cached(&sql)?;
    let mut from = start(page.after.map(|app| app.0), page.order);
    let mut apps = Vec::new();
    while apps.len() < page.limit as usize {
        let Some(app) = next.query_row([&from], |row| encode::id(row, 0)).optional()? else { break };
        from = app.as_bytes().to_vec();
        if app_lives(connection, AppId(app))? {
            apps.push(AppId(app));
        }
    }
    Ok(apps)
}

pub(crate) fn fanouts(
    connection: &Connection,
    app: AppId,
    except: &[MessageId],
    limit: u32,
    bytes: usize,
) -> Result<Vec<FanoutWork>> {
    if !app_lives(connection, app)? {
        return Ok(Vec::new());
    }
    let except: HashSet<_> = except.iter().collect();
    let mut statement = connection.prepare_cached(
        "SELECT message, ceiling, frontier, priority FROM fanout WHERE app = ?1 ORDER BY message",
    )?;
    let sql = format!("SELECT {MESSAGE}, payload FROM {MESSAGES} WHERE app = ?1 AND id = ?2");
    let mut content = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([app.as_bytes()])?;
    let (mut found, mut taken) = (Vec::new(), 0);
    while found.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        let id = MessageId(encode::id(row, 0)?);
        if except.contains(&id) {
            continue;
        }
        let (ceiling, frontier) = (encode::count(row, 1)?, encode::count(row, 2)?);
        let priority = Priority::from_number(row.get(3)?);
        let fanout = Fanout { app, message: id, ceiling, frontier, priority };
        let read = |row: &Row<'_>| encode::message(row, Some(PAYLOAD));
        let message = content.query_row([app.as_bytes(), id.as_bytes()], read)?;
        taken += message.payload.as_ref().map_or(0, Vec::len);
        if taken > bytes && !found.is_empty() {
            break;
        }
        found.push(FanoutWork { fanout, message });
    }
    Ok(found)
}

/// Two skip scans, merged: by attempts and by due work.
pub(crate) fn settled(
    connection: &Connection,
    message: MessageId,
    page: Page<EndpointId>,
) -> Result<Vec<EndpointId>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let attempts = format!(
        "SELECT endpoint FROM attempts WHERE message = ?1 AND endpoint {beyond} ?2 \
         ORDER BY endpoint {order} LIMIT 1"
    );
    let due = format!(
        "SELECT key FROM due_work WHERE kind = 1 AND subject = ?1 AND key {beyond} ?2 \
         ORDER BY key {order} LIMIT 1"
    );
    let (mut attempts, mut due) = (connection.prepare_cached(&attempts)?, connection.prepare_cached(&due)?);
    let mut from = start(page.after.map(|endpoint| endpoint.0), page.order);
    let mut found = Vec::new();
    while found.len() < page.limit as usize {
        let keys = params![message.as_bytes(), from];
        let tried = attempts.query_row(keys, |row| encode::id(row, 0)).optional()?;
        let waits = due.query_row(keys, |row| encode::id(row, 0)).optional()?;
        let next = match page.order {
            crate::Order::Ascending => tried.into_iter().chain(waits).min(),
            crate::Order::Descending => tried.into_iter().chain(waits).max(),
        };
        let Some(next) = next else { break };
        from = next.as_bytes().to_vec();
        found.push(EndpointId(next));
    }
    Ok(found)
}

/// Skips from key to key, and in each from priority to priority.
pub(crate) fn due_keys(
    connection: &Connection,
    kind: WorkKind,
    page: Page<(AppId, Id)>,
) -> Result<Vec<DueKey>> {
    let mut next = NextKey::new(connection, kind, page)?;
    let mut found = Vec::new();
    while found.len() < page.limit as usize {
        let Some((tenant, key)) = next.next()? else { break };
        let tenant = AppId(tenant);
        if let Some(due_at) = earliest(connection, kind, tenant, key)?
            && lives(connection, kind, tenant, key)?
        {
            found.push(DueKey { kind, tenant, key, due_at });
        }
    }
    Ok(found)
}

/// Walks from key to key. In one comparison of both columns the engine would walk through all of a
/// key's rows to the next: it seeks to what is equal, too.
struct NextKey<'c> {
    kind: WorkKind,
    of_tenant: CachedStatement<'c>,
    of_next_tenant: CachedStatement<'c>,
    tenant: Vec<u8>,
    key: Vec<u8>,
}

impl<'c> NextKey<'c> {
    fn new(connection: &'c Connection, kind: WorkKind, page: Page<(AppId, Id)>) -> Result<Self> {
        let Direction { beyond, order } = Direction::of(page.order);
        let of_tenant = format!(
            "SELECT tenant, key FROM due_work INDEXED BY due_work_by_key \
             WHERE kind = ?1 AND tenant = ?2 AND key {beyond} ?3 ORDER BY key {order} LIMIT 1"
        );
        let of_next_tenant = format!(
            "SELECT tenant, key FROM due_work INDEXED BY due_work_by_key \
             WHERE kind = ?1 AND tenant {beyond} ?2 ORDER BY tenant {order}, key {order} LIMIT 1"
        );
        Ok(Self {
            kind,
            of_tenant: connection.prepare_cached(&of_tenant)?,
            of_next_tenant: connection.prepare_cached(&of_next_tenant)?,
            tenant: start(page.after.map(|(tenant, _)| tenant.0), page.order),
            key: start(page.after.map(|(_, key)| key), page.order),
        })
    }

    fn next(&mut self) -> Result<Option<(Id, Id)>> {
        let read = |row: &Row<'_>| Ok((encode::id(row, 0)?, encode::id(row, 1)?));
        let kind = self.kind as u8;
        let mut next = self.of_tenant.query_row(params![kind, self.tenant, self.key], read).optional()?;
        if next.is_none() {
            next = self.of_next_tenant.query_row(params![kind, self.tenant], read).optional()?;
        }
        if let Some((tenant, key)) = &next {
            self.tenant = tenant.as_bytes().to_vec();
            self.key = key.as_bytes().to_vec();
        }
        Ok(next)
    }
}

/// When the earliest work of a key is due: a seek for each priority it has.
fn earliest(connection: &Connection, kind: WorkKind, tenant: AppId, key: Id) -> Result<Option<UnixMillis>> {
    let mut statement = connection.prepare_cached(
        "SELECT priority, due_at FROM due_work INDEXED BY due_work_by_key \
         WHERE kind = ?1 AND tenant = ?2 AND key = ?3 AND priority > ?4 ORDER BY priority, due_at LIMIT 1",
    )?;
    let (mut priority, mut earliest) = (-1_i64, None);
    loop {
        let keys = params![kind as u8, tenant.as_bytes(), key.as_bytes(), priority];
        let found = statement.query_row(keys, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((next, due_at)) = found else { return Ok(earliest) };
        priority = next;
        earliest = Some(earliest.map_or(due_at, |earlier: UnixMillis| earlier.min(due_at)));
    }
}

/// Work of the buried waits for the purge only.
fn lives(connection: &Connection, kind: WorkKind, tenant: AppId, key: Id) -> Result<bool> {
    match kind {
        WorkKind::Delivery => endpoint_lives(connection, tenant, EndpointId(key)),
    }
}

/// Whose work, and what of it.
pub(crate) struct DueQuery {
    pub(crate) kind: WorkKind,
    pub(crate) tenant: AppId,
    pub(crate) key: Id,
    pub(crate) now: UnixMillis,
    pub(crate) except: Vec<WorkId>,
    pub(crate) limit: u32,
}

/// Walks the index priority by priority; reads at most what it returns, what is excepted, and one
/// row more for each priority.
pub(crate) fn due(connection: &Connection, query: &DueQuery) -> Result<(Vec<DueWork>, Option<UnixMillis>)> {
    let DueQuery { kind, tenant, key, now, limit, .. } = *query;
    let mut statement = connection.prepare_cached("SELECT org FROM apps WHERE id = ?1")?;
    let org: Option<crate::Org> = statement.query_row([tenant.as_bytes()], |row| row.get(0)).optional()?;
    let Some(org) = org else { return Ok((Vec::new(), None)) };
    if !lives(connection, kind, tenant, key)? {
        return Ok((Vec::new(), None));
    }
    let except: HashSet<_> = query.except.iter().collect();
    let mut statement = connection.prepare_cached(
        "SELECT priority, due_at, subject, trigger, tries FROM due_work INDEXED BY due_work_by_key \
         WHERE kind = ?1 AND tenant = ?2 AND key = ?3 AND priority > ?4 ORDER BY priority, due_at",
    )?;
    let (mut found, mut next) = (Vec::new(), None::<UnixMillis>);
    let mut done = -1_i64;
    // One turn for each priority, that the later work of one is not walked to reach the next.
    loop {
        let mut rows = statement.query(params![kind as u8, tenant.as_bytes(), key.as_bytes(), done])?;
        loop {
            let Some(row) = rows.next()? else { return Ok((found, next)) };
            let priority: u8 = row.get(0)?;
            let due_at: UnixMillis = row.get(1)?;
            let id = WorkId { kind, subject: encode::id(row, 2)?, key, trigger: encode::trigger(row, 3)? };
            if except.contains(&id) {
                continue;
            }
            if due_at > now || found.len() >= limit as usize {
                next = Some(next.map_or(due_at, |earlier| earlier.min(due_at)));
                done = i64::from(priority);
                break;
            }
            let tries = row.get(4)?;
            found.push(DueWork { id, org: org.clone(), tenant, due_at, priority, tries });
        }
    }
}
