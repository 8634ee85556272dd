//! Many messages in one request and one commit, with an answer to each.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::key::digest_of;
use plimsoll_store::{Accepted, Idempotency, NewMessage};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::accept::{MessageIn, backlog_full, new_message};
use super::body::{Body, Fields};
use super::find::{self, Params};
use super::message_out::MessageOut;
use super::once::{Key, key_reused};
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, not_found, store_error};
use crate::backlog::Asked;
use crate::core::Core;

/// Messages in one request.
const MESSAGES_MAX: usize = 1_000;

/// A message's place among the answers: settled before the store was asked, or waiting for it.
enum Place {
    Settled(Result<Vec<u8>, ApiError>),
    Asked(Vec<u8>),
}

/// Accepts each message that can be accepted, all of them in one commit. With an idempotency key
/// the whole request is done once: a repeat is answered with the messages of the first.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    query: Query,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let with_content = query.only_flag("with_content", true)?;
    let wanted = messages(&body)?;
    let app = find::app(&core, &caller, &path)?;
    let once = key.with_body(&body).into_inner();
    let mut places = Vec::with_capacity(wanted.len());
    let mut asked = Vec::with_capacity(wanted.len());
    for (at, raw) in wanted.into_iter().enumerate() {
        places.push(match MessageIn::read(raw.get().as_bytes()) {
            Err(error) => Place::Settled(Err(error)),
            Ok(wanted) => {
                let (new, answer) = new_message(&core, &caller.org, &app, wanted, with_content);
                match core.backlog.admit(&new) {
                    Err(refused) => Place::Settled(Err(backlog_full(refused))),
                    Ok(()) => {
                        asked.push(NewMessage {
                            idempotency: once.as_ref().map(|once| of_one(once, at)),
                            ..new
                        });
                        Place::Asked(answer)
                    }
                }
            }
        });
    }
    let refusable: Vec<Asked> = asked.iter().map(Asked::of).collect();
    let accepted = core.accept_all(asked).await.map_err(store_error)?;
    let mut accepted = accepted.into_iter().zip(refusable);
    let answers = places.into_iter().map(|place| match place {
        Place::Settled(answer) => answer,
        Place::Asked(answer) => match accepted.next() {
            Some((Accepted::Stored, _)) => Ok(answer),
            Some((Accepted::Repeat(first), _)) => Ok(MessageOut::of(&first, with_content).to_json()),
            Some((Accepted::KeyReused, _)) => Err(key_reused()),
            Some((Accepted::EventIdTaken, _)) => {
                Err(ApiError::conflict("A message with this event id exists already"))
            }
            Some((Accepted::Full { pending }, asked)) => {
                Err(backlog_full(core.backlog.refusal(app.id, asked, pending)))
            }
            Some((Accepted::NoApp, _)) | None => Err(not_found()),
        },
    });
    reply(answers.collect())
}

/// One answer for each message. Where none was accepted because too much is pending, the request
/// as a whole is refused: a client that only looks at the status slows down.
fn reply(answers: Vec<Result<Vec<u8>, ApiError>>) -> Result<Reply, ApiError> {
    let full = |answer: &Result<Vec<u8>, ApiError>| matches!(answer, Err(error) if error.status() == StatusCode::TOO_MANY_REQUESTS);
    if !answers.is_empty() && answers.iter().all(full) {
        return answers.into_iter().find_map(Result::err).map_or_else(|| Ok(Reply::nothing()), Err);
    }
    let mut out = b"{\"data\":[".to_vec();
    for (at, answer) in answers.into_iter().enumerate() {
        let (status, field, json) = match answer {
            Ok(json) => (StatusCode::ACCEPTED, "message", json),
            Err(error) => (error.status(), "error", error.to_json()),
        };
        let comma = if at > 0 { "," } else { "" };
        out.extend_from_slice(format!("{comma}{{\"status\":{},\"{field}\":", status.as_u16()).as_bytes());
        out.extend_from_slice(&json);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(Reply::new(StatusCode::ACCEPTED, out))
}

/// The messages of the body, as they stand there.
fn messages(body: &[u8]) -> Result<Vec<&RawValue>, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let read = |raw: &RawValue| -> Result<(), Problem> {
        if raw.get().starts_with('[') { Ok(()) } else { Err(Problem::type_is_not("expected a list")) }
    };
    fields.required("messages", read);
    fields.finish()?;
    let list: List<'_> =
        serde_json::from_slice(body).map_err(|error| Problem::not_json(&error).at(&["body"]))?;
    let mut problems = Problems::default();
    if list.messages.is_empty() || list.messages.len() > MESSAGES_MAX {
        let count = list.messages.len();
        let problem = Problem::value(format!("must have 1 to {MESSAGES_MAX} messages, has {count}"));
        problems.add(&["body", "messages"], problem);
    }
    problems.finish().map(|()| list.messages)
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// The key of one message of a request: of the request's and its place in it.
fn of_one(once: &Idempotency, at: usize) -> Idempotency {
    let key = digest_of(&[&once.key, &at.to_be_bytes()]);
    Idempotency { key, ..once.clone() }
}
