//! Messages, read.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Change, MessageFilter, MessageRef, Order};

use super::find::{self, Params};
use super::message_out::MessageOut;
use super::page::Listing;
use super::problems::Problems;
use super::query::Query;
use super::reply::{Reply, first_change, not_found, store_error};
use super::timestamp;
use super::validate;
use crate::core::Core;

/// `before` and `after` bound every page, together or alone: with an iterator they change nothing
/// that a client can see, and without one the list ends where it was said to.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::fixed(&query, &mut problems, Order::Descending);
    let filter = MessageFilter {
        channel: query.read(&mut problems, "channel", |text| validate::channel(text.to_owned())),
        event_types: query.list(&mut problems, "event_types", event_type),
        before: query.time(&mut problems, "before"),
        after: query.time(&mut problems, "after"),
        with_content: query.flag(&mut problems, "with_content", true),
    };
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let with_content = filter.with_content;
    let messages = core.store.messages(app.id, filter, listing.page()).await.map_err(store_error)?;
    Ok(listing.reply_sought(
        messages,
        |message| message.id,
        |out, message| MessageOut::of(message, with_content).write(out),
    ))
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message)): Params<(String, String)>,
    query: Query,
) -> Result<Reply, ApiError> {
    let with_content = query.only_flag("with_content", true)?;
    let app = find::app(&core, &caller, &app)?;
    let message = find::message(&core, app.id, &message, with_content).await?;
    Ok(Reply::ok(MessageOut::of(&message, with_content).to_json()))
}

/// Calls a message off that waits for its time, and answers with it; 409 where it is too late.
pub(super) async fn cancel(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?.id;
    let message = find::message(&core, app, &message, false).await?.id;
    let change = vec![Change::Cancel { app, message, at: timestamp::now() }];
    core.store.change(core.store.claim_of(app), change).await.map_err(store_error)?;
    let found = core.store.message(app, MessageRef::Id(message), false).await.map_err(store_error)?;
    let found = found.ok_or_else(not_found)?;
    // Called off before is as good as now.
    if found.canceled_at.is_some() {
        return Ok(Reply::ok(MessageOut::of(&found, false).to_json()));
    }
    let detail = match found.deliver_at {
        Some(_) => "The message's time has come: it is being delivered",
        None => "The message was not for later: it was delivered when it was accepted",
    };
    Err(ApiError::new(StatusCode::CONFLICT, "too_late", detail))
}

/// Forgets the content of a message. What is being sent goes on; nothing is begun with it any more.
pub(super) async fn expunge(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, message)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?.id;
    let message = find::message(&core, app, &message, false).await?.id;
    let change = vec![Change::Expunge { app, message }];
    let changed = core.store.change(core.store.claim_of(app), change).await.map_err(store_error)?;
    first_change(&changed).map(|()| Reply::nothing())
}

/// An event type in a query.
pub(super) fn event_type(text: String) -> Result<String, super::problems::Problem> {
    validate::event_type(text).map(std::borrow::Cow::into_owned)
}
