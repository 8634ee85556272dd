//! Endpoints.
//!
//! They are read from memory, which holds them exactly as the store does; every change holds the
//! application's write lock.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Change, Endpoint, EndpointId};

use super::app::uid_in_path;
use super::body::Body;
use super::endpoint_in::{EndpointIn, EndpointPatch};
use super::endpoint_out::EndpointOut;
use super::find::{self, Params};
use super::growth;
use super::once::{Key, Once};
use super::page::Listing;
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, first_change, store_error, uid_taken, write_json};
use super::timestamp;
use crate::core::Core;
use crate::routing::AppRoute;

/// What the store and the routing table hold of one endpoint at most: URL, metadata, event types,
/// headers and the rest together.
const ENDPOINT_BYTES_MAX: usize = 64 * 1_024;

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
    let before = app.target(endpoint.id);
    growth::room(&core.store, before.as_ref().map(|before| &before.endpoint), &endpoint)?;
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
