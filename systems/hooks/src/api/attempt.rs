//! Attempts to deliver, and the destinations of a message.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{
    Attempt, AttemptFilter, AttemptId, Change, EndpointId, MessageEndpoint, MessageId, Order, ResendRequest,
    Sought,
};
use serde::Serialize;

use super::body::Body;
use super::endpoint_out::{EndpointOut, FAIL, SUCCESS};
use super::find::{self, Params};
use super::message::event_type;
use super::once::Key;
use super::page::Listing;
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, first_change, not_found, store_error, write_json};
use super::shape::Text;
use super::timestamp::{self, Timestamp};
use super::validate;
use crate::core::Core;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptOut<'a> {
    endpoint_id: Text<EndpointId>,
    id: Text<AttemptId>,
    msg_id: Text<MessageId>,
    response: std::borrow::Cow<'a, str>,
    response_duration_ms: u32,
    response_status_code: u16,
    status: u8,
    status_text: &'static str,
    timestamp: Timestamp,
    trigger_type: u8,
    url: &'a str,
}

impl<'a> From<&'a Attempt> for AttemptOut<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        // An attempt that is over succeeded or failed; what follows is told of the destination.
        let (status, status_text) = if attempt.state.is_success() { SUCCESS } else { FAIL };
        Self {
            endpoint_id: Text(attempt.endpoint),
            id: Text(attempt.id),
            msg_id: Text(attempt.message),
            response: String::from_utf8_lossy(&attempt.response),
            response_duration_ms: attempt.duration_ms,
            response_status_code: attempt.status_code,
            status,
            status_text,
            timestamp: Timestamp(attempt.at),
            trigger_type: attempt.trigger as u8,
            url: &attempt.url,
        }
    }
}

/// The filters that both lists take. `None` where no attempt can pass: one that is over is never
/// pending, sending or cancelled.
fn filter(query: &Query, problems: &mut Problems) -> Option<AttemptFilter> {
    let status = query.read(problems, "status", |text| match text {
        "0" | "1" | "2" | "3" | "4" => Ok(text.as_bytes()[0] - b'0'),
        _ => Err(Problem::value("expected 0 (success), 1 (pending), 2 (fail) or 3 (sending)")),
    });
    let status_class = query.read(problems, "status_code_class", |text| match text.parse() {
        Ok(class @ (0 | 100 | 200 | 300 | 400 | 500)) => Ok(class),
        _ => Err(Problem::value("expected 0, 100, 200, 300, 400 or 500")),
    });
    let filter = AttemptFilter {
        succeeded: status.map(|status| status == SUCCESS.0),
        status_class,
        endpoint: None,
        channel: query.read(problems, "channel", |text| validate::channel(text.to_owned())),
        event_types: query.list(problems, "event_types", event_type),
        before: query.time(problems, "before"),
        after: query.time(problems, "after"),
        with_content: query.flag(problems, "with_content", true),
    };
    status.is_none_or(|status| status == SUCCESS.0 || status == FAIL.0).then_some(filter)
}

fn page(listing: &Listing<AttemptId>, attempts: Sought<Attempt, AttemptId>) -> Reply {
    listing.reply_sought(
        attempts,
        |attempt| attempt.id,
        |out, attempt| write_json(out, &AttemptOut::from(attempt)),
    )
}

pub(super) async fn list_by_endpoint(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::fixed(&query, &mut problems, Order::Descending);
    let filter = filter(&query, &mut problems);
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let endpoint = find::endpoint(&app, &endpoint)?.endpoint.id;
    let Some(filter) = filter else {
        return Ok(page(&listing, Sought { found: Vec::new(), stopped_at: None }));
    };
    let attempts = core.store.attempts_of_endpoint(app.id, endpoint, filter, listing.page()).await;
    attempts.map(|attempts| page(&listing, attempts)).map_err(store_error)
}

pub(super) async fn list_by_message(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message)): Params<(String, String)>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::fixed(&query, &mut problems, Order::Descending);
    let filter = filter(&query, &mut problems);
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let endpoint = query.get("endpoint_id").map(|endpoint| find::endpoint(&app, &endpoint)).transpose()?;
    let message = find::message(&core, app.id, &message, false).await?.id;
    let Some(filter) = filter else {
        return Ok(page(&listing, Sought { found: Vec::new(), stopped_at: None }));
    };
    let filter = AttemptFilter { endpoint: endpoint.map(|target| target.endpoint.id), ..filter };
    let attempts = core.store.attempts_of_message(app.id, message, filter, listing.page()).await;
    attempts.map(|found| page(&listing, Sought { found, stopped_at: None })).map_err(store_error)
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message, attempt)): Params<(String, String, String)>,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let attempt: AttemptId = attempt.parse().map_err(|_| not_found())?;
    let message = find::message(&core, app.id, &message, false).await?.id;
    let found = core.store.attempt(app.id, message, attempt).await.map_err(store_error)?;
    let found = found.ok_or_else(not_found)?;
    Ok(Reply::json(StatusCode::OK, &AttemptOut::from(&found)))
}

pub(super) async fn list_destinations(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message)): Params<(String, String)>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::fixed(&query, &mut problems, Order::Ascending);
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let message = find::message(&core, app.id, &message, false).await?.id;
    let found = core.store.message_endpoints(app.id, message, listing.page()).await.map_err(store_error)?;
    let write = |out: &mut Vec<u8>, one: &MessageEndpoint| write_json(out, &EndpointOut::from(one));
    Ok(listing.reply(found, |one| one.endpoint.id, write))
}

pub(super) async fn resend(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message, endpoint)): Params<(String, String, String)>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    // With its payload: what is kept no more cannot be sent again, and that must be known before the
    // answer is remembered.
    let message = find::message(&core, app.id, &message, true).await?;
    let message = message.payload.map(|_| message.id).ok_or_else(not_found)?;
    core.store.room().map_err(store_error)?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        let endpoint = find::endpoint(&app, &endpoint)?.endpoint.id;
        let at = timestamp::now();
        let request = ResendRequest { org: caller.org, app: app.id, message, endpoint, at };
        let reply = Reply::new(StatusCode::ACCEPTED, b"{}".to_vec());
        let changes = once.remember(vec![Change::Resend(request)], &reply, at);
        let changed = core.store.change(core.store.claim_of(app.id), changes).await.map_err(store_error)?;
        first_change(&changed)?;
        core.dispatch.due_now(app.id, endpoint);
        Ok(reply)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::from(format!("/x?{text}").parse::<http::Uri>().unwrap())
    }

    #[test]
    fn filters_are_read() {
        let mut problems = Problems::default();
        let text = "status=2&status_code_class=500&channel=c&event_types=a,b&with_content=false\
                    &before=2026-01-02T03:04:05.678Z&after=2026-01-02T03:04:05Z";
        let filter = filter(&query(text), &mut problems).unwrap();
        problems.finish().unwrap();
        assert_eq!(
            filter,
            AttemptFilter {
                succeeded: Some(false),
                status_class: Some(500),
                endpoint: None,
                channel: Some("c".into()),
                event_types: vec!["a".into(), "b".into()],
                before: Some(1_767_323_045_678),
                after: Some(1_767_323_045_000),
                with_content: false,
            }
        );
    }

    #[test]
    fn no_attempt_is_pending_or_sending() {
        for (status, some) in [("0", true), ("1", false), ("2", true), ("3", false), ("", true)] {
            let mut problems = Problems::default();
            assert_eq!(
                filter(&query(&format!("status={status}")), &mut problems).is_some(),
                some,
                "{status}"
            );
            problems.finish().unwrap();
        }
        for wrong in ["status=5", "status=x", "status_code_class=201", "channel=a%20b", "before=now"] {
            let mut problems = Problems::default();
            filter(&query(wrong), &mut problems);
            assert!(problems.finish().is_err(), "{wrong}");
        }
    }
}
