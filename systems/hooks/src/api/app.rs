//! Applications.
//!
//! Every change to the applications of an organisation holds the organisation's write lock, so that
//! whether a uid is taken is known before the change is made.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{App, AppId, Change, Org, Reference, UnixMillis};
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::{self, Body, Fields, Given};
use super::find::{self, Params};
use super::growth;
use super::once::{Key, Once};
use super::page::Listing;
use super::problems::Problems;
use super::query::Query;
use super::reply::{Reply, first_change, not_found, store_error, uid_taken, write_json};
use super::shape::{Text, stored_json};
use super::timestamp::{self, Timestamp};
use super::validate;
use crate::core::Core;

/// An application as it is asked for.
#[derive(Default)]
pub(super) struct AppIn {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    throttle_rate: Option<u32>,
    metadata: Option<String>,
}

impl AppIn {
    /// Reads and validates it.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, ApiError> {
        let wanted = Self {
            name: fields.required("name", |raw| body::text(raw).and_then(validate::name)),
            uid: fields.field("uid", |raw| body::text(raw).and_then(validate::uid)).value(),
            throttle_rate: throttle_rate(&mut fields).value(),
            metadata: fields.field("metadata", metadata).value(),
        };
        fields.finish().map(|()| wanted)
    }

    fn into_app(self, id: AppId, org: Org, created_at: UnixMillis, now: UnixMillis) -> App {
        App {
            id,
            org,
            uid: self.uid,
            name: self.name,
            throttle_rate: self.throttle_rate,
            paused_at: None,
            metadata: self.metadata.unwrap_or_else(|| "{}".to_owned()),
            created_at,
            updated_at: now,
        }
    }
}

/// Messages a second, by its present or its older name.
pub(super) fn throttle_rate(fields: &mut Fields<'_>) -> Given<u32> {
    let read = |raw: &RawValue| body::integer(raw).and_then(validate::throttle_rate);
    fields.field("throttleRate", read).or(|| fields.field("rateLimit", read))
}

/// The caller's own keys and values, as JSON text.
pub(super) fn metadata(raw: &RawValue) -> Result<String, super::problems::Problem> {
    body::text_map(raw).and_then(|map| validate::metadata(&map))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppOut<'a> {
    created_at: Timestamp,
    id: Text<AppId>,
    metadata: &'a RawValue,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_at: Option<Timestamp>,
    rate_limit: Option<u32>,
    throttle_rate: Option<u32>,
    uid: Option<&'a str>,
    updated_at: Timestamp,
}

impl<'a> From<&'a App> for AppOut<'a> {
    fn from(app: &'a App) -> Self {
        Self {
            created_at: Timestamp(app.created_at),
            id: Text(app.id),
            metadata: stored_json(&app.metadata),
            name: &app.name,
            paused_at: app.paused_at.map(Timestamp),
            rate_limit: app.throttle_rate,
            throttle_rate: app.throttle_rate,
            uid: app.uid.as_deref(),
            updated_at: Timestamp(app.updated_at),
        }
    }
}

fn reply(status: StatusCode, app: &App) -> Reply {
    Reply::json(status, &AppOut::from(app))
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::ordered(&query, &mut problems);
    problems.finish()?;
    let apps = core.store.apps(caller.org, listing.page()).await.map_err(store_error)?;
    Ok(listing.reply(apps, |app| app.id, |out, app| write_json(out, &AppOut::from(app))))
}

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let get_if_exists = query.only_flag("get_if_exists", false)?;
    let wanted = AppIn::read(Fields::of_body(&body)?)?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        if let Some(route) = wanted.uid.as_ref().and_then(|uid| core.routing.find(&caller.org, uid)) {
            return match get_if_exists {
                true => Ok(reply(StatusCode::OK, &stored(&core, &caller.org, route.id).await?)),
                false => Err(uid_taken()),
            };
        }
        insert(&core, wanted, caller.org, once).await.map(|(_, reply)| reply)
    })
    .await
}

/// Makes an application whose uid is free; under the organisation's write lock.
async fn insert(core: &Core, wanted: AppIn, org: Org, once: Once) -> Result<(AppId, Reply), ApiError> {
    let now = timestamp::now();
    let app = wanted.into_app(AppId::fresh(), org, now, now);
    growth::room(&core.store, None, &app)?;
    let reply = reply(StatusCode::CREATED, &app);
    let changes = once.remember(vec![Change::PutApp(app.clone())], &reply, now);
    let changed = core.store.change(core.store.claim_of(app.id), changes).await.map_err(store_error)?;
    first_change(&changed)?;
    core.routing.put_app(&app);
    Ok((app.id, reply))
}

/// Makes the application that came with a message, unless it is there by now.
pub(super) async fn ensure(core: &Arc<Core>, wanted: AppIn, org: Org) -> Result<(), ApiError> {
    let run = Arc::clone(core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&org)).await;
        let there = wanted.uid.as_ref().is_some_and(|uid| core.routing.find(&org, uid).is_some());
        if there { Ok(()) } else { insert(&core, wanted, org, Once::without_key()).await.map(|_| ()) }
    })
    .await
}

pub(super) async fn stored(core: &Core, org: &Org, id: AppId) -> Result<App, ApiError> {
    let found = core.store.app(Arc::clone(org), Reference::Id(id)).await.map_err(store_error)?;
    found.ok_or_else(not_found)
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
) -> Result<Reply, ApiError> {
    let route = find::app(&core, &caller, &app)?;
    Ok(reply(StatusCode::OK, &stored(&core, &caller.org, route.id).await?))
}

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut wanted = AppIn::read(Fields::of_body(&body)?)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let Some(route) = core.routing.find(&caller.org, &path) else {
            if path.parse::<AppId>().is_ok() {
                return Err(not_found());
            }
            // Named by the path, so that sending the same again finds it and makes no second one.
            let uid = wanted.uid.take().map_or_else(|| uid_in_path(path, "app_id"), Ok)?;
            uid_is_free(&core, &caller.org, Some(&uid), None)?;
            wanted.uid = Some(uid);
            return insert(&core, wanted, caller.org, Once::without_key()).await.map(|(_, reply)| reply);
        };
        let before = stored(&core, &caller.org, route.id).await?;
        let org = Arc::clone(&before.org);
        let wanted = wanted.into_app(before.id, org, before.created_at, timestamp::now());
        replace(&core, &before, App { paused_at: before.paused_at, ..wanted }).await
    })
    .await
}

pub(super) async fn patch(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let name = fields.not_null("name", |raw| body::text(raw).and_then(validate::name));
    let uid = fields.field("uid", |raw| body::text(raw).and_then(validate::uid));
    let throttle_rate = throttle_rate(&mut fields);
    let metadata = fields.not_null("metadata", metadata);
    fields.finish()?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let route = find::app(&core, &caller, &path)?;
        let before = stored(&core, &caller.org, route.id).await?;
        let mut app = before.clone();
        app.name = name.unwrap_or(app.name);
        app.metadata = metadata.unwrap_or(app.metadata);
        uid.patch(&mut app.uid);
        throttle_rate.patch(&mut app.throttle_rate);
        app.updated_at = timestamp::now();
        replace(&core, &before, app).await
    })
    .await
}

/// Stores a changed application; under the organisation's write lock.
pub(super) async fn replace(core: &Core, before: &App, app: App) -> Result<Reply, ApiError> {
    uid_is_free(core, &app.org, app.uid.as_deref(), Some(app.id))?;
    growth::room(&core.store, Some(before), &app)?;
    let change = vec![Change::PutApp(app.clone())];
    let changed = core.store.change(core.store.claim_of(app.id), change).await.map_err(store_error)?;
    first_change(&changed)?;
    core.routing.put_app(&app);
    core.dispatch.app_changed(app.id);
    Ok(reply(StatusCode::OK, &app))
}

fn uid_is_free(core: &Core, org: &Org, uid: Option<&str>, own: Option<AppId>) -> Result<(), ApiError> {
    let holder = uid.and_then(|uid| core.routing.find(org, uid));
    if holder.is_some_and(|holder| Some(holder.id) != own) { Err(uid_taken()) } else { Ok(()) }
}

/// The uid of something that is made by a PUT to it.
pub(super) fn uid_in_path(path: String, part: &str) -> Result<String, ApiError> {
    validate::uid(path).map_err(|problem| problem.at(&["path", part]))
}

pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
) -> Result<Reply, ApiError> {
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let route = find::app(&core, &caller, &path)?;
        let change = vec![Change::DeleteApp { app: route.id, at: timestamp::now() }];
        let changed = core.store.change(core.store.claim_of(route.id), change).await.map_err(store_error)?;
        core.routing.remove_app(route.id);
        core.dispatch.app_changed(route.id);
        first_change(&changed).map(|()| Reply::nothing())
    })
    .await
}
