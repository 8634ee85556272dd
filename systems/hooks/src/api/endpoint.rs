//! Endpoints.
//!
//! They are read from memory, which holds them exactly as the store does; every change holds the
//! application's write lock.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{AppId, Change, Endpoint, EndpointId, Secret};

use super::app::{metadata, throttle_rate, uid_in_path};
use super::body::{self, Body, Fields, Given};
use super::endpoint_out::EndpointOut;
use super::find::{self, Params};
use super::headers;
use super::once::{Key, Once};
use super::page::Listing;
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, first_change, store_error, uid_taken, write_json};
use super::secret;
use super::timestamp;
use super::validate;
use crate::core::Core;
use crate::routing::AppRoute;

/// What the store and the routing table hold of one endpoint at most: URL, metadata, event types,
/// headers and the rest together.
const ENDPOINT_BYTES_MAX: usize = 64 * 1_024;

/// An endpoint as it is asked for.
#[derive(Default)]
struct EndpointIn {
    url: String,
    uid: Option<String>,
    description: String,
    disabled: bool,
    event_types: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    throttle_rate: Option<u32>,
    metadata: Option<String>,
    secret: Option<Secret>,
    headers: Option<Vec<(String, String)>>,
}

impl EndpointIn {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let wanted = Self {
            url: fields.required("url", |raw| body::text(raw).and_then(validate::url)),
            uid: fields.field("uid", |raw| body::text(raw).and_then(validate::uid)).value(),
            description: fields
                .field("description", |raw| body::text(raw).and_then(validate::description))
                .value()
                .unwrap_or_default(),
            disabled: fields.field("disabled", body::boolean).value().unwrap_or_default(),
            event_types: event_types(&mut fields).value(),
            channels: channels(&mut fields).value(),
            throttle_rate: throttle_rate(&mut fields).value(),
            metadata: fields.field("metadata", metadata).value(),
            secret: fields
                .field("secret", |raw| body::text(raw).and_then(|text| validate::secret(&text)))
                .value(),
            headers: fields.field("headers", headers::read).value(),
        };
        fields.finish().map(|()| wanted)
    }

    /// A new endpoint.
    fn into_endpoint(self, app: AppId, sequence: u64) -> Result<Endpoint, ApiError> {
        let now = timestamp::now();
        let secret = self.secret.map_or_else(secret::generate, Ok)?;
        Ok(Endpoint {
            id: EndpointId::fresh(),
            app,
            sequence,
            uid: self.uid,
            url: self.url,
            description: self.description,
            disabled: self.disabled,
            event_types: self.event_types,
            channels: self.channels,
            throttle_rate: self.throttle_rate,
            secret,
            old_secrets: Vec::new(),
            headers: self.headers.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_else(|| "{}".to_owned()),
            created_at: now,
            updated_at: now,
        })
    }

    /// The endpoint with everything replaced but its secret, and its headers where none are given:
    /// these have calls of their own.
    fn replace(self, endpoint: &mut Endpoint) {
        endpoint.uid = self.uid;
        endpoint.url = self.url;
        endpoint.description = self.description;
        endpoint.disabled = self.disabled;
        endpoint.event_types = self.event_types;
        endpoint.channels = self.channels;
        endpoint.throttle_rate = self.throttle_rate;
        endpoint.metadata = self.metadata.unwrap_or_else(|| "{}".to_owned());
        if let Some(headers) = self.headers {
            endpoint.headers = headers;
        }
    }
}

/// The event types listened to, by their present or their older name.
fn event_types(fields: &mut Fields<'_>) -> Given<Vec<String>> {
    let read = |raw: &serde_json::value::RawValue| body::texts(raw).and_then(validate::endpoint_event_types);
    fields.field("eventTypes", read).or(|| fields.field("filterTypes", read))
}

fn channels(fields: &mut Fields<'_>) -> Given<Vec<String>> {
    fields.field("channels", |raw| body::texts(raw).and_then(validate::endpoint_channels))
}

/// The fields of a PATCH that are there.
struct EndpointPatch {
    url: Option<String>,
    uid: Given<String>,
    description: Option<String>,
    disabled: Option<bool>,
    event_types: Given<Vec<String>>,
    channels: Given<Vec<String>>,
    throttle_rate: Given<u32>,
    metadata: Option<String>,
}

impl EndpointPatch {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let patch = Self {
            url: fields.not_null("url", |raw| body::text(raw).and_then(validate::url)),
            uid: fields.field("uid", |raw| body::text(raw).and_then(validate::uid)),
            description: fields
                .not_null("description", |raw| body::text(raw).and_then(validate::description)),
            disabled: fields.not_null("disabled", body::boolean),
            event_types: event_types(&mut fields),
            channels: channels(&mut fields),
            throttle_rate: throttle_rate(&mut fields),
            metadata: fields.not_null("metadata", metadata),
        };
        fields.finish().map(|()| patch)
    }

    fn apply(self, endpoint: &mut Endpoint) {
        if let Some(url) = self.url {
            endpoint.url = url;
        }
        if let Some(description) = self.description {
            endpoint.description = description;
        }
        if let Some(metadata) = self.metadata {
            endpoint.metadata = metadata;
        }
        endpoint.disabled = self.disabled.unwrap_or(endpoint.disabled);
        self.uid.patch(&mut endpoint.uid);
        self.event_types.patch(&mut endpoint.event_types);
        self.channels.patch(&mut endpoint.channels);
        self.throttle_rate.patch(&mut endpoint.throttle_rate);
    }
}

fn reply(status: StatusCode, endpoint: &Endpoint) -> Reply {
    Reply::json(status, &EndpointOut::from(endpoint))
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::ordered(&query, &mut problems);
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let endpoints = core.store.endpoints(app.id, listing.page()).await.map_err(store_error)?;
    let write = |out: &mut Vec<u8>, endpoint: &Endpoint| write_json(out, &EndpointOut::from(endpoint));
    Ok(listing.reply(endpoints, |endpoint| endpoint.id, write))
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let target = find::endpoint(&*find::app(&core, &caller, &app)?, &endpoint)?;
    Ok(reply(StatusCode::OK, &target.endpoint))
}

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(app): Params<String>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let wanted = EndpointIn::read(&body)?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        match once.answered(&core.store).await? {
            Some(reply) => Ok(reply),
            None => insert(&core, &app, wanted, once).await,
        }
    })
    .await
}

/// Makes an endpoint; under the application's write lock.
async fn insert(core: &Core, app: &AppRoute, wanted: EndpointIn, once: Once) -> Result<Reply, ApiError> {
    let endpoint = wanted.into_endpoint(app.id, app.next_sequence())?;
    let reply = reply(StatusCode::CREATED, &endpoint);
    store(core, app, endpoint, once, &reply).await.map(|()| reply)
}

pub(super) async fn put(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, path)): Params<(String, String)>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let mut wanted = EndpointIn::read(&body)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        match find::endpoint(&app, &path) {
            Ok(target) => {
                let mut endpoint = target.endpoint.clone();
                wanted.replace(&mut endpoint);
                change(&core, &app, endpoint).await
            }
            Err(error) if path.parse::<EndpointId>().is_ok() => Err(error),
            Err(_) => {
                // Named by the path, so that sending the same again finds it and makes no second one.
                let uid = wanted.uid.take().map_or_else(|| uid_in_path(path, "endpoint_id"), Ok)?;
                wanted.uid = Some(uid);
                insert(&core, &app, wanted, Once::without_key()).await
            }
        }
    })
    .await
}

pub(super) async fn patch(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, path)): Params<(String, String)>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let patch = EndpointPatch::read(&body)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        let mut endpoint = find::endpoint(&app, &path)?.endpoint.clone();
        patch.apply(&mut endpoint);
        change(&core, &app, endpoint).await
    })
    .await
}

/// Stores a changed endpoint and answers with it; under the application's write lock.
pub(super) async fn change(core: &Core, app: &AppRoute, mut endpoint: Endpoint) -> Result<Reply, ApiError> {
    endpoint.updated_at = timestamp::now();
    let reply = reply(StatusCode::OK, &endpoint);
    store(core, app, endpoint, Once::without_key(), &reply).await.map(|()| reply)
}

/// Makes an endpoint durable, then known; under the application's write lock.
pub(super) async fn store(
    core: &Core,
    app: &AppRoute,
    endpoint: Endpoint,
    once: Once,
    reply: &Reply,
) -> Result<(), ApiError> {
    let holder = endpoint.uid.as_ref().and_then(|uid| find::endpoint_by_uid(app, uid));
    if holder.is_some_and(|holder| holder.endpoint.id != endpoint.id) {
        return Err(uid_taken());
    }
    let headers: usize = endpoint.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = reply.body().len() + headers;
    if bytes > ENDPOINT_BYTES_MAX {
        let problem = Problem::value(format!(
            "an endpoint may have {ENDPOINT_BYTES_MAX} bytes in all, with this it has {bytes}"
        ));
        return Err(problem.at(&["body"]));
    }
    let changes =
        once.remember(vec![Change::PutEndpoint(Box::new(endpoint.clone()))], reply, endpoint.updated_at);
    let changed = core.store.change(core.store.claim_of(app.id), changes).await.map_err(store_error)?;
    first_change(&changed)?;
    let id = endpoint.id;
    core.routing.put_endpoint(endpoint);
    core.dispatch.endpoint_changed(app.id, id);
    Ok(())
}

pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, path)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        let endpoint = find::endpoint(&app, &path)?.endpoint.id;
        let change = vec![Change::DeleteEndpoint { app: app.id, endpoint, at: timestamp::now() }];
        let changed = core.store.change(core.store.claim_of(app.id), change).await.map_err(store_error)?;
        core.routing.remove_endpoint(app.id, endpoint);
        core.dispatch.endpoint_changed(app.id, endpoint);
        first_change(&changed).map(|()| Reply::nothing())
    })
    .await
}

pub(super) async fn stats(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let since = query.time(&mut problems, "since");
    let until = query.time(&mut problems, "until");
    problems.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let endpoint = find::endpoint(&app, &endpoint)?.endpoint.id;
    let stats = core.store.endpoint_stats(app.id, endpoint, since, until).await.map_err(store_error)?;
    let plimsoll_store::EndpointStats { succeeded, pending, sending, failed } = stats;
    let body = format!(
        r#"{{"canceled":0,"fail":{failed},"pending":{pending},"sending":{sending},"success":{succeeded}}}"#
    );
    Ok(Reply::ok(body.into_bytes()))
}
