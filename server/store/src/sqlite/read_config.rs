//! Reading what is configured.

use rusqlite::{Connection, OptionalExtension, Params, Result, Row, params};

use super::encode::{self, APP, Direction, ENDPOINT, EVENT_TYPE, start};
use super::read_messages::BYTES_MAX;
use crate::{App, AppId, Endpoint, EndpointId, EventType, Page, Reference, Sought};

pub(crate) fn all_apps(connection: &Connection, page: Page<AppId>) -> Result<Vec<(App, u64)>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {APP}, endpoint_sequence FROM apps WHERE id {beyond} ?1 AND deleted_at IS NULL \
         ORDER BY id {order} LIMIT ?2"
    );
    let from = start(page.after.map(|app| app.0), page.order);
    rows(connection, &sql, params![from, page.limit], |row| Ok((encode::app(row)?, encode::count(row, 9)?)))
}

pub(crate) fn all_endpoints(connection: &Connection, page: Page<EndpointId>) -> Result<Vec<Endpoint>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {ENDPOINT} FROM endpoints WHERE id {beyond} ?1 AND deleted_at IS NULL AND EXISTS \
         (SELECT 1 FROM apps WHERE apps.id = endpoints.app AND apps.deleted_at IS NULL) \
         ORDER BY id {order} LIMIT ?2"
    );
    let from = start(page.after.map(|endpoint| endpoint.0), page.order);
    rows(connection, &sql, params![from, page.limit], encode::endpoint)
}

pub(crate) fn app(connection: &Connection, org: &str, app: &Reference<AppId>) -> Result<Option<App>> {
    let column = column(app);
    let sql = format!("SELECT {APP} FROM apps WHERE org = ?1 AND {column} = ?2 AND deleted_at IS NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    match app {
        Reference::Id(id) => statement.query_row(params![org, id.as_bytes()], encode::app),
        Reference::Uid(uid) => statement.query_row(params![org, uid], encode::app),
    }
    .optional()
}

pub(crate) fn apps(connection: &Connection, org: &str, page: Page<AppId>) -> Result<Vec<App>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {APP} FROM apps WHERE org = ?1 AND id {beyond} ?2 AND deleted_at IS NULL \
         ORDER BY id {order} LIMIT ?3"
    );
    let from = start(page.after.map(|app| app.0), page.order);
    rows(connection, &sql, params![org, from, page.limit], encode::app)
}

pub(crate) fn endpoint(
    connection: &Connection,
    app: AppId,
    endpoint: &Reference<EndpointId>,
) -> Result<Option<Endpoint>> {
    if !app_lives(connection, app)? {
        return Ok(None);
    }
    let column = column(endpoint);
    let sql =
        format!("SELECT {ENDPOINT} FROM endpoints WHERE app = ?1 AND {column} = ?2 AND deleted_at IS NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    match endpoint {
        Reference::Id(id) => statement.query_row([app.as_bytes(), id.as_bytes()], encode::endpoint),
        Reference::Uid(uid) => statement.query_row(params![app.as_bytes(), uid], encode::endpoint),
    }
    .optional()
}

pub(crate) fn endpoints(
    connection: &Connection,
    app: AppId,
    page: Page<EndpointId>,
) -> Result<Vec<Endpoint>> {
    if !app_lives(connection, app)? {
        return Ok(Vec::new());
    }
    let Direction { beyond, order } = Direction::of(page.order);
    let sql = format!(
        "SELECT {ENDPOINT} FROM endpoints WHERE app = ?1 AND id {beyond} ?2 AND deleted_at IS NULL \
         ORDER BY id {order} LIMIT ?3"
    );
    let from = start(page.after.map(|endpoint| endpoint.0), page.order);
    rows(connection, &sql, params![app.as_bytes(), from, page.limit], encode::endpoint)
}

pub(crate) fn event_type(connection: &Connection, org: &str, name: &str) -> Result<Option<EventType>> {
    let sql = format!("SELECT {EVENT_TYPE} FROM event_types WHERE org = ?1 AND name = ?2");
    connection.prepare_cached(&sql)?.query_row([org, name], encode::event_type).optional()
}

/// Archived ones are skipped as they are met: an organisation has few event types. Ends early behind
/// so many bytes of schemas as a page of messages has of content.
pub(crate) fn event_types(
    connection: &Connection,
    org: &str,
    archived: bool,
    page: &Page<String>,
) -> Result<Sought<EventType, String>> {
    let Direction { beyond, order } = Direction::of(page.order);
    let start = match (&page.after, page.order) {
        (Some(name), _) => rusqlite::types::Value::Text(name.clone()),
        (None, crate::Order::Ascending) => rusqlite::types::Value::Text(String::new()),
        // Bytes sort behind all text.
        (None, crate::Order::Descending) => rusqlite::types::Value::Blob(Vec::new()),
    };
    let sql = format!(
        "SELECT {EVENT_TYPE} FROM event_types WHERE org = ?1 AND name {beyond} ?2 AND archived <= ?3 \
         ORDER BY name {order} LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![org, start, archived, page.limit])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let event_type = encode::event_type(row)?;
        bytes += event_type.schemas.as_ref().map_or(0, String::len);
        found.push(event_type);
    }
    let stopped = bytes >= BYTES_MAX && found.len() < page.limit as usize;
    let stopped_at = found.last().filter(|_| stopped).map(|last| last.name.clone());
    Ok(Sought { found, stopped_at })
}

/// Whether the application exists and is not buried.
pub(super) fn app_lives(connection: &Connection, app: AppId) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM apps WHERE id = ?1 AND deleted_at IS NULL")?
        .exists([app.as_bytes()])
}

/// Whether the endpoint exists in the application and neither is buried.
pub(super) fn endpoint_lives(connection: &Connection, app: AppId, endpoint: EndpointId) -> Result<bool> {
    let sql = "SELECT 1 FROM endpoints WHERE id = ?1 AND app = ?2 AND deleted_at IS NULL";
    Ok(app_lives(connection, app)?
        && connection.prepare_cached(sql)?.exists([endpoint.as_bytes(), app.as_bytes()])?)
}

/// All rows of a statement that is limited.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(values, read)?.collect()
}

const fn column<I>(reference: &Reference<I>) -> &'static str {
    match reference {
        Reference::Id(_) => "id",
        Reference::Uid(_) => "uid",
    }
}
