//! Values to columns and back.
//!
//! Lists of text are JSON arrays, headers an array of pairs. Rotated secrets are, one after the
//! other, 8 bytes of expiry and 4 bytes of length, both little-endian, and the key material.

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, Result, Row, Statement};

use crate::{
    App, AppId, Attempt, AttemptId, AttemptState, DisabledBy, Endpoint, EndpointId, EventType, Id, Message,
    MessageId, OldSecret, Order, Priority, Secret, Trigger,
};

/// The columns that [`app`] reads.
pub(super) const APP: &str = "id, org, uid, name, throttle_rate, metadata, created_at, updated_at, paused_at";
/// The columns that [`endpoint`] reads.
pub(super) const ENDPOINT: &str = "id, app, sequence, uid, url, description, disabled, event_types, channels, \
     throttle_rate, secret, old_secrets, headers, metadata, created_at, updated_at, paused_at, disabled_by";
/// The columns that [`event_type`] reads.
pub(super) const EVENT_TYPE: &str =
    "org, name, description, archived, deprecated, feature_flag, schemas, created_at, updated_at";
/// The columns that [`message`] reads; the payload is read where `payload` follows them.
pub(super) const MESSAGE: &str = "id, app, event_id, event_type, channels, accepted_at, priority, deliver_at, \
     canceled_at";
/// Where they are found. Few messages have options.
pub(super) const MESSAGES: &str = "messages LEFT JOIN message_options USING (app, id)";
/// The column of `payload` behind them.
pub(super) const PAYLOAD: usize = 9;
/// The columns that [`attempt`] reads; the response is read where `response` follows them.
pub(super) const ATTEMPT: &str =
    "id, message, endpoint, number, at, duration_ms, status_code, url, state, trigger";

/// A statement that is prepared when it is first needed, and then kept at hand.
pub(super) struct Prepared<'c> {
    sql: &'static str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Prepared<'c> {
    pub(super) const fn new(sql: &'static str) -> Self {
        Self { sql, statement: None }
    }

    pub(super) fn on(&mut self, connection: &'c Connection) -> Result<&mut Statement<'c>> {
        let statement = match self.statement.take() {
            Some(statement) => statement,
            None => connection.prepare_cached(self.sql)?,
        };
        Ok(self.statement.insert(statement))
    }
}

/// How a page compares and orders keys.
#[derive(Clone, Copy)]
pub(super) struct Direction {
    pub(super) beyond: &'static str,
    pub(super) order: &'static str,
}

impl Direction {
    pub(super) const fn of(order: Order) -> Self {
        match order {
            Order::Ascending => Self { beyond: ">", order: "ASC" },
            Order::Descending => Self { beyond: "<", order: "DESC" },
        }
    }
}

/// Where a page of ids begins: behind `after`, or before the first.
pub(super) fn start(after: Option<Id>, order: Order) -> Vec<u8> {
    match (after, order) {
        (Some(id), _) => id.as_bytes().to_vec(),
        (None, Order::Ascending) => Vec::new(),
        // One byte longer than the largest id.
        (None, Order::Descending) => vec![0xff; 21],
    }
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Result<Id> {
    row.get(column).map(Id::from_bytes)
}

pub(super) fn app(row: &Row<'_>) -> Result<App> {
    Ok(App {
        id: AppId(id(row, 0)?),
        org: row.get(1)?,
        uid: row.get(2)?,
        name: row.get(3)?,
        throttle_rate: row.get(4)?,
        metadata: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        paused_at: row.get(8)?,
    })
}

pub(super) fn endpoint(row: &Row<'_>) -> Result<Endpoint> {
    Ok(Endpoint {
        id: EndpointId(id(row, 0)?),
        app: AppId(id(row, 1)?),
        sequence: count(row, 2)?,
        uid: row.get(3)?,
        url: row.get(4)?,
        description: row.get(5)?,
        disabled: row.get(6)?,
        event_types: list(row, 7)?,
        channels: list(row, 8)?,
        throttle_rate: row.get(9)?,
        secret: Secret(row.get(10)?),
        old_secrets: old_secrets(row, 11)?,
        headers: headers(row, 12)?,
        metadata: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
        paused_at: row.get(16)?,
        disabled_by: row.get::<_, Option<u8>>(17)?.and_then(DisabledBy::from_number),
    })
}

pub(super) fn event_type(row: &Row<'_>) -> Result<EventType> {
    Ok(EventType {
        org: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        archived: row.get(3)?,
        deprecated: row.get(4)?,
        feature_flag: row.get(5)?,
        schemas: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

pub(super) fn message(row: &Row<'_>, payload: Option<usize>) -> Result<Message> {
    Ok(Message {
        id: MessageId(id(row, 0)?),
        app: AppId(id(row, 1)?),
        event_id: row.get(2)?,
        event_type: row.get(3)?,
        channels: list(row, 4)?,
        accepted_at: row.get(5)?,
        priority: row.get::<_, Option<u8>>(6)?.map(Priority::from_number).unwrap_or_default(),
        deliver_at: row.get(7)?,
        canceled_at: row.get(8)?,
        payload: payload.map_or(Ok(None), |column| row.get(column))?,
    })
}

pub(super) fn attempt(row: &Row<'_>, response: Option<usize>) -> Result<Attempt> {
    Ok(Attempt {
        id: AttemptId(id(row, 0)?),
        message: MessageId(id(row, 1)?),
        endpoint: EndpointId(id(row, 2)?),
        number: row.get(3)?,
        at: row.get(4)?,
        duration_ms: row.get(5)?,
        status_code: row.get(6)?,
        url: row.get(7)?,
        state: state(row, 8)?,
        trigger: trigger(row, 9)?,
        response: response.map_or(Ok(Vec::new()), |column| row.get(column))?,
    })
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<AttemptState> {
    let number = row.get(column)?;
    AttemptState::from_number(number).ok_or_else(|| unreadable(column, Type::Integer, "no such state"))
}

pub(super) fn trigger(row: &Row<'_>, column: usize) -> Result<Trigger> {
    match row.get::<_, u8>(column)? {
        0 => Ok(Trigger::Scheduled),
        1 => Ok(Trigger::Manual),
        _ => Err(unreadable(column, Type::Integer, "no such trigger")),
    }
}

/// A number that was stored with [`stored`].
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The engine's numbers are signed. What is more than their largest is that: numbers are compared
/// in the engine, and none counts so far.
pub(super) const fn stored(count: u64) -> i64 {
    if count > i64::MAX.cast_unsigned() { i64::MAX } else { count.cast_signed() }
}

pub(super) fn list_text(list: Option<&Vec<String>>) -> Result<Option<String>> {
    list.map(serde_json::to_string).transpose().map_err(unwritable)
}

pub(super) fn headers_text(headers: &Vec<(String, String)>) -> Result<String> {
    serde_json::to_string(headers).map_err(unwritable)
}

pub(super) fn old_secrets_bytes(secrets: &[OldSecret]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for old in secrets {
        bytes.extend_from_slice(&old.expires_at.to_le_bytes());
        bytes.extend_from_slice(&(old.secret.0.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&old.secret.0);
    }
    bytes
}

fn old_secrets(row: &Row<'_>, column: usize) -> Result<Vec<OldSecret>> {
    let bytes: Vec<u8> = row.get(column)?;
    read_old_secrets(&bytes).ok_or_else(|| unreadable(column, Type::Blob, "cut off"))
}

fn read_old_secrets(mut bytes: &[u8]) -> Option<Vec<OldSecret>> {
    let mut secrets = Vec::new();
    while !bytes.is_empty() {
        let (expires_at, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (secret, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let expires_at = i64::from_le_bytes(*expires_at);
        secrets.push(OldSecret { secret: Secret(secret.to_vec()), expires_at });
        bytes = rest;
    }
    Some(secrets)
}

pub(super) fn list(row: &Row<'_>, column: usize) -> Result<Option<Vec<String>>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| unreadable(column, Type::Text, error))
}

fn headers(row: &Row<'_>, column: usize) -> Result<Vec<(String, String)>> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, Type::Text, error))
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

pub(super) fn unreadable(
    column: usize,
    kind: Type,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, why.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rotated_secrets_survive_their_bytes(secrets: Vec<(Vec<u8>, i64)>) {
            let secrets: Vec<_> = secrets
                .into_iter()
                .map(|(secret, expires_at)| OldSecret { secret: Secret(secret), expires_at })
                .collect();
            prop_assert_eq!(read_old_secrets(&old_secrets_bytes(&secrets)), Some(secrets));
        }

        #[test]
        fn cut_off_secrets_are_refused_and_never_panic(bytes: Vec<u8>) {
            if let Some(secrets) = read_old_secrets(&bytes) {
                prop_assert_eq!(old_secrets_bytes(&secrets), bytes);
            }
        }
    }
}
