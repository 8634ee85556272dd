//! Messages, read.

use std::sync::Arc;

use axum::extract::State;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{MessageFilter, Order};

use super::find::{self, Params};
use super::message_out::MessageOut;
use super::page::Listing;
use super::problems::Problems;
use super::query::Query;
use super::reply::{Reply, store_error};
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
    Ok(listing.reply(
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

/// An event type in a query.
pub(super) fn event_type(text: String) -> Result<String, super::problems::Problem> {
    validate::event_type(text).map(std::borrow::Cow::into_owned)
}
