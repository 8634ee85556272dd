//! Messages, accepted: the hot path.
//!
//! The body is scanned once. Small fields are borrowed from it; the payload is never parsed, only
//! checked to be an object by the scan, copied once for the store and once into the answer.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Accepted, Message, MessageId, NewMessage, Org, Priority, UnixMillis};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::app::{self, AppIn};
use super::body::{self, Body, Fields};
use super::find::{self, Params};
use super::message_out::MessageOut;
use super::once::{Key, key_reused};
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, not_found, store_error};
use super::validate;
use crate::backlog::{Asked, Refused};
use crate::core::Core;
use crate::routing::AppRoute;

const RETENTION_DAYS_DEFAULT: u16 = 90;

/// The body as it is scanned. `null` is as good as absent.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Scanned<'a> {
    #[serde(borrow)]
    application: Option<&'a RawValue>,
    channels: Option<&'a RawValue>,
    deliver_at: Option<&'a RawValue>,
    event_id: Option<&'a RawValue>,
    event_type: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    payload_retention_period: Option<&'a RawValue>,
    priority: Option<&'a RawValue>,
}

/// The message as it is asked for.
pub(super) struct MessageIn<'a> {
    application: Option<&'a RawValue>,
    channels: Option<Vec<String>>,
    deliver_at: Option<UnixMillis>,
    event_id: Option<Cow<'a, str>>,
    event_type: Cow<'a, str>,
    payload: &'a [u8],
    priority: Priority,
    retention_days: u16,
}

impl<'a> MessageIn<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        // A list would be taken for the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            let valid = serde_json::from_slice::<&RawValue>(body);
            let problem = valid.map_or_else(
                |error| Problem::not_json(&error),
                |_| Problem::type_is_not("expected an object"),
            );
            return Err(problem.at(&["body"]));
        }
        let scanned: Scanned<'a> =
            serde_json::from_slice(body).map_err(|error| Problem::not_json(&error).at(&["body"]))?;
        let mut problems = Problems::default();
        let message = Self {
            application: scanned.application,
            channels: scanned.channels.and_then(|raw| {
                problems.note(
                    &["body", "channels"],
                    body::texts(raw).and_then(validate::message_channels).map(Some),
                )
            }),
            deliver_at: scanned.deliver_at.and_then(|raw| {
                let read = |text: String| validate::deliver_at(&text, plimsoll_store::wall_clock());
                problems.note(&["body", "deliverAt"], body::text(raw).and_then(read))
            }),
            event_id: scanned
                .event_id
                .and_then(|raw| problems.note(&["body", "eventId"], validate::event_id_in(raw).map(Some))),
            event_type: problems.note(
                &["body", "eventType"],
                scanned.event_type.ok_or(Problem::missing()).and_then(validate::event_type_in),
            ),
            payload: problems
                .note(&["body", "payload"], scanned.payload.ok_or(Problem::missing()).and_then(object)),
            priority: scanned.priority.map_or(Priority::Normal, |raw| {
                problems
                    .note(&["body", "priority"], body::text(raw).and_then(|text| validate::priority(&text)))
            }),
            retention_days: scanned.payload_retention_period.map_or(RETENTION_DAYS_DEFAULT, |raw| {
                problems.note(
                    &["body", "payloadRetentionPeriod"],
                    body::integer(raw).and_then(validate::retention_days),
                )
            }),
        };
        problems.finish().map(|()| message)
    }
}

/// The bytes of an object; that it is complete and valid the scan has seen.
fn object(raw: &RawValue) -> Result<&[u8], Problem> {
    let bytes = raw.get().as_bytes();
    if bytes.first() == Some(&b'{') { Ok(bytes) } else { Err(Problem::type_is_not("expected an object")) }
}

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    query: Query,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let with_content = query.only_flag("with_content", true)?;
    let wanted = MessageIn::read(&body)?;
    let app = match core.routing.find(&caller.org, &path) {
        Some(app) => app,
        None => made_with_it(&core, &caller, &path, wanted.application).await?,
    };
    let (new, answer) = new_message(&core, &caller.org, &app, wanted, with_content);
    let new = NewMessage { idempotency: key.with_body(&body).into_inner(), ..new };
    let asked = Asked::of(&new);
    core.backlog.admit(&new).map_err(backlog_full)?;
    match core.accept(new).await.map_err(store_error)? {
        Accepted::Stored => Ok(Reply::new(StatusCode::ACCEPTED, answer)),
        Accepted::Repeat(first) => {
            Ok(Reply::new(StatusCode::ACCEPTED, MessageOut::of(&first, with_content).to_json()))
        }
        Accepted::KeyReused => Err(key_reused()),
        Accepted::EventIdTaken => Err(ApiError::conflict("A message with this event id exists already")),
        Accepted::Full { pending } => Err(backlog_full(core.backlog.refusal(app.id, asked, pending))),
        Accepted::NoApp => Err(not_found()),
    }
}

/// The message for the store, and the answer: it is known before the store takes the message, only
/// not yet true.
pub(super) fn new_message(
    core: &Core,
    org: &Org,
    app: &AppRoute,
    wanted: MessageIn<'_>,
    with_content: bool,
) -> (NewMessage, Vec<u8>) {
    let message = Message {
        id: MessageId::fresh(),
        app: app.id,
        event_id: wanted.event_id.map(Cow::into_owned),
        event_type: wanted.event_type.into_owned(),
        channels: wanted.channels,
        payload: Some(wanted.payload.to_vec()),
        accepted_at: plimsoll_store::wall_clock(),
        deliver_at: wanted.deliver_at,
        canceled_at: None,
        priority: wanted.priority,
    };
    let answer = MessageOut::of(&message, with_content).to_json();
    let new = NewMessage {
        deliveries: app.deliveries(&message.event_type, message.channels.as_deref()),
        backlog_max: core.policies.of(app).backlog_max,
        // What is for later is fanned out later, to the endpoints that there are then.
        ceiling: if message.deliver_at.is_some() { 0 } else { app.ceiling() },
        message,
        org: Arc::clone(org),
        idempotency: None,
        retention_days: wanted.retention_days,
    };
    (new, answer)
}

/// Too much of the application is pending: it must slow down, nobody else.
#[cold]
pub(super) fn backlog_full(refused: Refused) -> ApiError {
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "backlog_full", refused.to_string());
    error.with_retry_after(refused.retry_after).with_bound(refused.bound())
}

/// The application that the message brings with it, where there is none yet at the path.
#[cold]
async fn made_with_it(
    core: &Arc<Core>,
    caller: &Caller,
    path: &str,
    application: Option<&RawValue>,
) -> Result<Arc<AppRoute>, ApiError> {
    const WITHIN: [&str; 2] = ["body", "application"];
    let raw = application.ok_or_else(not_found)?;
    let wanted = AppIn::read(Fields::of_value(raw, WITHIN.to_vec())?)?;
    if wanted.uid.as_deref() != Some(path) {
        let problem = Problem::value("must be the application's uid in the path");
        return Err(problem.at(&["body", "application", "uid"]));
    }
    app::ensure(core, wanted, Arc::clone(&caller.org)).await?;
    find::app(core, caller, path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn places(body: &str) -> Vec<String> {
        let error = MessageIn::read(body.as_bytes()).err().expect("it is refused");
        assert_eq!(error.status(), 422);
        let json: Value = serde_json::from_slice(&error.to_json()).unwrap();
        let detail = json["detail"].as_array().unwrap();
        detail.iter().map(|one| serde_json::to_string(&one["loc"]).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn the_payload_is_taken_byte_for_byte(keys in prop::collection::vec("\\PC{0,8}", 0..5), space in "[ \n\t]{0,3}") {
            let object: String = keys
                .iter()
                .map(|key| format!("{space}{}:{space}[1.50,{{}}]{space}", serde_json::to_string(key).unwrap()))
                .collect::<Vec<_>>()
                .join(",");
            let payload = format!("{{{object}{space}}}");
            let body = format!("{{\"eventType\":\"a\",{space}\"payload\":{space}{payload}{space}}}");
            let message = MessageIn::read(body.as_bytes()).unwrap();
            prop_assert_eq!(message.payload, payload.as_bytes());
        }

        #[test]
        fn nothing_that_is_no_json_is_taken(cut in 1usize..40) {
            let body = r#"{"eventType":"a.b","payload":{"c":"d"}}"#;
            prop_assume!(cut < body.len());
            prop_assert!(MessageIn::read(&body.as_bytes()[..body.len() - cut]).is_err());
        }
    }

    #[test]
    fn a_message_has_its_defaults_and_newer_fields_are_passed_over() {
        let body = br#" {"eventType":"a.b","payload":{},"tags":["x"],"eventId":null,"channels":null} "#;
        let message = MessageIn::read(body).unwrap();
        assert_eq!(message.retention_days, 90);
        assert_eq!((message.event_id, message.channels), (None, None));
        assert!(matches!(message.event_type, Cow::Borrowed("a.b")));
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let wrong = json!({
            "eventType": "a b",
            "eventId": "",
            "channels": ["a", "b", "c", "d", "e", "f"],
            "payload": [],
            "payloadRetentionPeriod": 4,
        });
        let mut found = places(&wrong.to_string());
        found.sort();
        assert_eq!(
            found,
            [
                r#"["body","channels"]"#,
                r#"["body","eventId"]"#,
                r#"["body","eventType"]"#,
                r#"["body","payload"]"#,
                r#"["body","payloadRetentionPeriod"]"#,
            ]
        );
        assert_eq!(places("{}").len(), 2);
        assert_eq!(places(r#"{"eventType":null,"payload":null}"#).len(), 2);
        assert_eq!(places(r#"{"eventType":"a","payload":{},"channels":[]}"#), [r#"["body","channels"]"#]);
        assert_eq!(places(r#"{"eventType":7,"payload":{}}"#), [r#"["body","eventType"]"#]);
    }

    #[test]
    fn what_is_no_object_is_refused_as_a_whole() {
        for body in
            ["", "[]", "[null,null,null,\"a\",{}]", "7", "{", "{\"payload\":{},\"payload\":{}}", "nul"]
        {
            assert_eq!(places(body), [r#"["body"]"#], "{body}");
        }
    }

    #[test]
    fn a_payload_nested_deeply_does_not_overflow_the_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let body = format!("{{\"eventType\":\"a\",\"payload\":{deep}}}");
        assert_eq!(MessageIn::read(body.as_bytes()).unwrap().payload, deep.as_bytes());
    }
}
