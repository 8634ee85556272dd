//! Deliveries that failed for good: listed, and sent once more.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{
    AppId, Change, Changed, DeadLetter, DeadLetterFilter, DeadLetterId, Death, EndpointId, MessageId, Order,
    ResendRequest,
};
use serde::Serialize;

use super::body::{self, Body, Fields};
use super::find::{self, Params};
use super::once::Key;
use super::page::Listing;
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, store_error, write_json};
use super::shape::Text;
use super::timestamp::{self, Timestamp};
use crate::core::Core;

/// Dead letters in one request: as many as a page of them has.
const REPLAY_MAX: usize = 250;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterOut<'a> {
    attempts: u32,
    died_at: Timestamp,
    endpoint_id: Text<EndpointId>,
    event_id: Option<&'a str>,
    event_type: &'a str,
    id: Text<DeadLetterId>,
    msg_id: Text<MessageId>,
    reason: &'static str,
    response: Cow<'a, str>,
    response_status_code: u16,
}

impl<'a> From<&'a DeadLetter> for DeadLetterOut<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        Self {
            attempts: letter.attempts,
            died_at: Timestamp(letter.died_at),
            endpoint_id: Text(letter.id.endpoint),
            event_id: letter.event_id.as_deref(),
            event_type: &letter.event_type,
            id: Text(letter.id),
            msg_id: Text(letter.id.message),
            reason: reason(letter.death),
            response: String::from_utf8_lossy(&letter.response),
            response_status_code: letter.status_code,
        }
    }
}

const fn reason(death: Death) -> &'static str {
    match death {
        Death::Exhausted => "exhausted",
        Death::InternalFault => "internal_fault",
        Death::Disabled => "endpoint_disabled",
    }
}

fn filter(query: &Query, problems: &mut Problems) -> DeadLetterFilter {
    let death = query.read(problems, "reason", |text| {
        let deaths = [Death::Exhausted, Death::InternalFault, Death::Disabled];
        let found = deaths.into_iter().find(|death| reason(*death) == text);
        found.ok_or_else(|| Problem::value("expected exhausted, internal_fault or endpoint_disabled"))
    });
    let (before, after) = (query.time(problems, "before"), query.time(problems, "after"));
    DeadLetterFilter { endpoint: None, death, before, after }
}

async fn page(
    core: &Core,
    app: AppId,
    filter: DeadLetterFilter,
    listing: Listing<DeadLetterId>,
) -> Result<Reply, ApiError> {
    let letters = core.store.dead_letters(app, filter, listing.page()).await.map_err(store_error)?;
    Ok(listing.reply_sought(letters, |one| one.id, |out, one| write_json(out, &DeadLetterOut::from(one))))
}

/// Of an application, newest messages first. `before` and `after` are about the messages.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::fixed(&query, &mut problems, Order::Descending);
    let filter = filter(&query, &mut problems);
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    page(&core, app.id, filter, listing).await
}

/// Of an endpoint.
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
    let endpoint = Some(find::endpoint(&app, &endpoint)?.endpoint.id);
    page(&core, app.id, DeadLetterFilter { endpoint, ..filter }, listing).await
}

/// Sends these once more, now: one attempt each. Answers which of them could be; what is gone
/// meanwhile, or whose content is kept no more, could not.
pub(super) async fn replay(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let ids: Vec<DeadLetterId> = fields.required("ids", |raw| body::texts(raw).and_then(ids));
    fields.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let at = timestamp::now();
    let resend = |id: &DeadLetterId| {
        let DeadLetterId { message, endpoint } = *id;
        Change::Revive(ResendRequest { org: Arc::clone(&caller.org), app: app.id, message, endpoint, at })
    };
    let changes: Vec<_> = ids.iter().map(resend).collect();
    core.store.room().map_err(store_error)?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        let claim = core.store.claim_of(app.id);
        let changed = core.store.change(claim, changes).await.map_err(store_error)?;
        let mut replayed = Vec::with_capacity(ids.len());
        let mut endpoints = Vec::new();
        for (id, changed) in ids.into_iter().zip(changed) {
            if changed == Changed::Done {
                replayed.push(Text(id));
                endpoints.push(id.endpoint);
            }
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints.into_iter().for_each(|endpoint| core.dispatch.due_now(app.id, endpoint));
        let reply = Reply::json(StatusCode::ACCEPTED, &Replayed { replayed });
        // A commit of its own: which could be is known by the one before. Between the two a repeat
        // would find due what is due already.
        core.store.change(claim, once.remember(Vec::new(), &reply, at)).await.map_err(store_error)?;
        Ok(reply)
    })
    .await
}

#[derive(Serialize)]
struct Replayed {
    replayed: Vec<Text<DeadLetterId>>,
}

fn ids(texts: Vec<String>) -> Result<Vec<DeadLetterId>, Problem> {
    if texts.is_empty() || texts.len() > REPLAY_MAX {
        return Err(Problem::value(format!("must have 1 to {REPLAY_MAX} ids, has {}", texts.len())));
    }
    let read = |text: String| text.parse().map_err(|_| Problem::value("has what is no id of a dead letter"));
    texts.into_iter().map(read).collect()
}
