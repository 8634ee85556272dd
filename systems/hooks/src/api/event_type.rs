//! Event types. They describe; messages of a type that nobody described are accepted all the same.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Change, EventType, Org, UnixMillis};
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::{self, Body, Fields};
use super::find::{self, Params};
use super::growth;
use super::once::{Key, Once};
use super::page::Listing;
use super::problems::Problems;
use super::query::Query;
use super::reply::{Reply, first_change, not_found, store_error, write_json};
use super::shape::stored_json;
use super::timestamp::{self, Timestamp};
use super::validate;
use crate::core::Core;

/// An event type as it is asked for, without its name.
struct EventTypeIn {
    description: String,
    archived: bool,
    deprecated: bool,
    feature_flag: Option<String>,
    schemas: Option<String>,
}

impl EventTypeIn {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            description: fields
                .required("description", |raw| body::text(raw).and_then(validate::description)),
            archived: fields.field("archived", body::boolean).value().unwrap_or_default(),
            deprecated: fields.field("deprecated", body::boolean).value().unwrap_or_default(),
            feature_flag: fields.field("featureFlag", feature_flag).value(),
            schemas: fields.field("schemas", body::object_map).value(),
        }
    }

    fn into_event_type(self, org: Org, name: String, created_at: UnixMillis, now: UnixMillis) -> EventType {
        EventType {
            org,
            name,
            description: self.description,
            archived: self.archived,
            deprecated: self.deprecated,
            feature_flag: self.feature_flag,
            schemas: self.schemas,
            created_at,
            updated_at: now,
        }
    }
}

fn feature_flag(raw: &RawValue) -> Result<String, super::problems::Problem> {
    body::text(raw).and_then(validate::feature_flag)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventTypeOut<'a> {
    archived: bool,
    created_at: Timestamp,
    deprecated: bool,
    description: &'a str,
    feature_flag: Option<&'a str>,
    name: &'a str,
    schemas: Option<&'a RawValue>,
    updated_at: Timestamp,
}

fn shown(event_type: &EventType, with_content: bool) -> EventTypeOut<'_> {
    EventTypeOut {
        archived: event_type.archived,
        created_at: Timestamp(event_type.created_at),
        deprecated: event_type.deprecated,
        description: &event_type.description,
        feature_flag: event_type.feature_flag.as_deref(),
        name: &event_type.name,
        schemas: event_type.schemas.as_deref().filter(|_| with_content).map(stored_json),
        updated_at: Timestamp(event_type.updated_at),
    }
}

fn reply(status: StatusCode, event_type: &EventType) -> Reply {
    Reply::json(status, &shown(event_type, true))
}

/// A name as it stands in a path.
fn name_in_path(path: String) -> Result<String, ApiError> {
    let name = validate::event_type(path).map_err(|problem| problem.at(&["path", "event_type_name"]))?;
    Ok(name.into_owned())
}

async fn stored(core: &Core, org: &Org, name: &str) -> Result<Option<EventType>, ApiError> {
    core.store.event_type(Arc::clone(org), name.to_owned()).await.map_err(store_error)
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::ordered(&query, &mut problems);
    let archived = query.flag(&mut problems, "include_archived", false);
    let with_content = query.flag(&mut problems, "with_content", false);
    problems.finish()?;
    let types = core.store.event_types(caller.org, archived, listing.page()).await.map_err(store_error)?;
    let write = |out: &mut Vec<u8>, one: &EventType| write_json(out, &shown(one, with_content));
    Ok(listing.reply_sought(types, |one| one.name.clone(), write))
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
) -> Result<Reply, ApiError> {
    let name = name_in_path(path)?;
    let found = stored(&core, &caller.org, &name).await?;
    found.map(|found| reply(StatusCode::OK, &found)).ok_or_else(not_found)
}

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let name = fields.required("name", |raw| {
        body::text(raw).and_then(|text| validate::event_type(text).map(std::borrow::Cow::into_owned))
    });
    let wanted = EventTypeIn::read(&mut fields);
    fields.finish()?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        let before = stored(&core, &caller.org, &name).await?;
        if before.as_ref().is_some_and(|before| !before.archived) {
            let detail = "An event type with this name exists already";
            return Err(ApiError::new(StatusCode::CONFLICT, "event_type_exists", detail));
        }
        // An archived one comes back, as it is asked for now.
        let now = timestamp::now();
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let event_type = wanted.into_event_type(caller.org, name, created_at, now);
        store(&core, StatusCode::CREATED, (before.as_ref(), event_type), once).await
    })
    .await
}

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let name = name_in_path(path)?;
    let mut fields = Fields::of_body(&body)?;
    let wanted = EventTypeIn::read(&mut fields);
    fields.finish()?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let now = timestamp::now();
        let before = stored(&core, &caller.org, &name).await?;
        let (status, created_at) = match &before {
            Some(before) => (StatusCode::OK, before.created_at),
            None => (StatusCode::CREATED, now),
        };
        let event_type = wanted.into_event_type(caller.org, name, created_at, now);
        store(&core, status, (before.as_ref(), event_type), Once::without_key()).await
    })
    .await
}

pub(super) async fn patch(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let name = name_in_path(path)?;
    let mut fields = Fields::of_body(&body)?;
    let description = fields.not_null("description", |raw| body::text(raw).and_then(validate::description));
    let archived = fields.not_null("archived", body::boolean);
    let deprecated = fields.not_null("deprecated", body::boolean);
    let flag = fields.field("featureFlag", feature_flag);
    let schemas = fields.field("schemas", body::object_map);
    fields.finish()?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let before = stored(&core, &caller.org, &name).await?.ok_or_else(not_found)?;
        let mut event_type = before.clone();
        event_type.description = description.unwrap_or(event_type.description);
        event_type.archived = archived.unwrap_or(event_type.archived);
        event_type.deprecated = deprecated.unwrap_or(event_type.deprecated);
        flag.patch(&mut event_type.feature_flag);
        schemas.patch(&mut event_type.schemas);
        event_type.updated_at = timestamp::now();
        store(&core, StatusCode::OK, (Some(&before), event_type), Once::without_key()).await
    })
    .await
}

/// Stores an event type in the place of what was there before, and answers with it; under the
/// organisation's write lock.
async fn store(
    core: &Core,
    status: StatusCode,
    (before, event_type): (Option<&EventType>, EventType),
    once: Once,
) -> Result<Reply, ApiError> {
    growth::room(&core.store, before, &event_type)?;
    let reply = reply(status, &event_type);
    let claim = core.store.claim_of(find::anchor(&event_type.org));
    let at = event_type.updated_at;
    let changes = once.remember(vec![Change::PutEventType(event_type)], &reply, at);
    let changed = core.store.change(claim, changes).await.map_err(store_error)?;
    first_change(&changed).map(|()| reply)
}

pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    query: Query,
) -> Result<Reply, ApiError> {
    let name = name_in_path(path)?;
    let expunge = query.only_flag("expunge", false)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let anchor = find::anchor(&caller.org);
        let _lock = core.routing.write_lock(anchor).await;
        let event_type = stored(&core, &caller.org, &name).await?.ok_or_else(not_found)?;
        let change = match expunge {
            true => Change::DeleteEventType { org: caller.org, name },
            false => {
                Change::PutEventType(EventType { archived: true, updated_at: timestamp::now(), ..event_type })
            }
        };
        let changed =
            core.store.change(core.store.claim_of(anchor), vec![change]).await.map_err(store_error)?;
        first_change(&changed).map(|()| Reply::nothing())
    })
    .await
}
