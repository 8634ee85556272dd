//! Background tasks: what is asked for once, takes its time, and can be watched.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{
    AppId, Change, Changed, EndpointId, Id, MessageId, Sought, Task, TaskFilter, TaskId, TaskKind, TaskState,
};
use serde::Serialize;

use super::body::{self, Body, Fields};
use super::find::{self, Params};
use super::once::Key;
use super::page::Listing;
use super::problems::{Problem, Problems};
use super::query::Query;
use super::reply::{Reply, first_change, not_found, store_error, write_json};
use super::shape::Text;
use super::timestamp::{self, Timestamp};
use crate::core::Core;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskOut {
    data: TaskData,
    id: Text<TaskId>,
    status: &'static str,
    task: &'static str,
    updated_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskData {
    app_id: Text<AppId>,
    endpoint_id: Text<EndpointId>,
    /// How many deliveries were made due so far.
    replayed: u64,
    since: Timestamp,
    until: Timestamp,
}

impl From<&Task> for TaskOut {
    fn from(task: &Task) -> Self {
        Self {
            data: TaskData {
                app_id: Text(task.app),
                endpoint_id: Text(task.endpoint),
                replayed: task.replayed,
                since: Timestamp(task.since),
                until: Timestamp(task.until),
            },
            id: Text(task.id),
            status: status(task.state),
            task: kind(task.kind),
            updated_at: Timestamp(task.updated_at),
        }
    }
}

const fn status(state: TaskState) -> &'static str {
    match state {
        TaskState::Running => "running",
        TaskState::Finished => "finished",
        TaskState::Failed => "failed",
    }
}

const fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Recover => "endpoint.recover",
        TaskKind::ReplayMissing => "endpoint.replay",
    }
}

/// Sends once more what failed for good, of messages accepted in a span of time.
pub(super) async fn recover(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<(String, String)>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    start(core, caller, path, key, &body, TaskKind::Recover).await
}

/// Sends what was never sent to the endpoint, of messages accepted in a span of time.
pub(super) async fn replay_missing(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(path): Params<(String, String)>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    start(core, caller, path, key, &body, TaskKind::ReplayMissing).await
}

async fn start(
    core: Arc<Core>,
    caller: Caller,
    (app, endpoint): (String, String),
    key: Key,
    body: &[u8],
    kind: TaskKind,
) -> Result<Reply, ApiError> {
    let now = timestamp::now();
    let mut fields = Fields::of_body(body)?;
    let since = fields.required("since", time);
    let until = fields.field("until", time).value().unwrap_or(now).min(now);
    if since > until {
        fields.problem("since", Problem::value("must not be later than until, nor in the future"));
    }
    fields.finish()?;
    let app = find::app(&core, &caller, &app)?;
    let endpoint = find::endpoint(&app, &endpoint)?.endpoint.id;
    let task = Task {
        id: TaskId::fresh(),
        org: caller.org,
        app: app.id,
        endpoint,
        kind,
        since,
        until,
        cursor: MessageId(Id::MIN),
        replayed: 0,
        state: TaskState::Running,
        created_at: now,
        updated_at: now,
    };
    let once = key.with_body(body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(task.app).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        core.store.room().map_err(store_error)?;
        let route = core.routing.app(task.app).ok_or_else(not_found)?;
        if route.target(task.endpoint).ok_or_else(not_found)?.endpoint.disabled {
            let detail = "The endpoint is disabled, and nothing is sent to it: enable it first";
            return Err(ApiError::new(StatusCode::CONFLICT, "endpoint_disabled", detail));
        }
        let claim = core.store.claim_of(task.app);
        let reply = Reply::json(StatusCode::ACCEPTED, &TaskOut::from(&task));
        let changes = once.remember(vec![Change::StartTask(Box::new(task))], &reply, now);
        let started = core.store.change(claim, changes).await;
        let started = started.map_err(store_error)?;
        if started.first() == Some(&Changed::Busy) {
            let detail = "A background task of this endpoint is running: wait until it has finished";
            return Err(ApiError::new(StatusCode::CONFLICT, "task_running", detail));
        }
        first_change(&started)?;
        core.replayer.tell();
        Ok(reply)
    })
    .await
}

fn time(raw: &serde_json::value::RawValue) -> Result<i64, Problem> {
    let at = Timestamp::parse(&body::text(raw)?);
    at.map(|at| at.0).ok_or(Problem::type_is_not("expected a time in the form of RFC 3339"))
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params(id): Params<String>,
) -> Result<Reply, ApiError> {
    let id: TaskId = id.parse().map_err(|_| not_found())?;
    let task = core.store.task(caller.org, id).await.map_err(store_error)?.ok_or_else(not_found)?;
    Ok(Reply::json(StatusCode::OK, &TaskOut::from(&task)))
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let listing = Listing::ordered(&query, &mut problems);
    let state = query.read(&mut problems, "status", |text| {
        let states = [TaskState::Running, TaskState::Finished, TaskState::Failed];
        let found = states.into_iter().find(|state| status(*state) == text);
        found.ok_or_else(|| Problem::value("expected running, finished or failed"))
    });
    let wanted = query.get("task").map(std::borrow::Cow::into_owned);
    problems.finish()?;
    let kinds = [TaskKind::Recover, TaskKind::ReplayMissing];
    let only = wanted.as_ref().map(|text| kinds.into_iter().find(|one| kind(*one) == text));
    let tasks = match only {
        // A kind of the interface that there is none of here.
        Some(None) => Sought { found: Vec::new(), stopped_at: None },
        Some(kind @ Some(_)) => {
            let filter = TaskFilter { state, kind };
            core.store.tasks(caller.org, filter, listing.page()).await.map_err(store_error)?
        }
        None => {
            let filter = TaskFilter { state, kind: None };
            core.store.tasks(caller.org, filter, listing.page()).await.map_err(store_error)?
        }
    };
    Ok(listing.reply_sought(tasks, |task| task.id, |out, task| write_json(out, &TaskOut::from(task))))
}
