//! Pausing: nothing is delivered, nothing is lost, and it goes on where it was.

use std::sync::Arc;

use axum::extract::State;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::App;

use super::find::{self, Params};
use super::reply::Reply;
use super::{app, endpoint, timestamp};
use crate::core::Core;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Paused,
    Going,
}

impl Wanted {
    /// Since when it is paused, if it was since `before`.
    fn since(self, before: Option<i64>) -> Option<i64> {
        (self == Self::Paused).then(|| before.unwrap_or_else(timestamp::now))
    }
}

pub(super) async fn pause_app(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
) -> Result<Reply, ApiError> {
    of_app(core, caller, path, Wanted::Paused).await
}

pub(super) async fn resume_app(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<String>,
) -> Result<Reply, ApiError> {
    of_app(core, caller, path, Wanted::Going).await
}

async fn of_app(core: Arc<Core>, caller: Caller, path: String, wanted: Wanted) -> Result<Reply, ApiError> {
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(find::anchor(&caller.org)).await;
        let route = find::app(&core, &caller, &path)?;
        let before = app::stored(&core, &caller.org, route.id).await?;
        let app = App { paused_at: wanted.since(before.paused_at), ..before.clone() };
        app::replace(&core, &before, app).await
    })
    .await
}

pub(super) async fn pause_endpoint(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    of_endpoint(core, caller, path, Wanted::Paused).await
}

pub(super) async fn resume_endpoint(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    of_endpoint(core, caller, path, Wanted::Going).await
}

async fn of_endpoint(
    core: Arc<Core>,
    caller: Caller,
    (app, path): (String, String),
    wanted: Wanted,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        let mut paused = find::endpoint(&app, &path)?.endpoint.clone();
        paused.paused_at = wanted.since(paused.paused_at);
        endpoint::change(&core, &app, paused).await
    })
    .await
}
