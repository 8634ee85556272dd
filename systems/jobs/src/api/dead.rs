//! Dead jobs, listed and tried again.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::body::{self, Body, Fields};
use plimsoll_service::request::problems::{Problem, Problems};
use plimsoll_service::request::query::Query;
use plimsoll_store::{JobFilter, JobOwner, JobPage, JobState, JobWritten, Order, Page};
use serde_json::json;

use super::job_out::JobOut;
use super::jobs;
use super::read::{self, PathId};
use super::reply::{Reply, not_submitted, store_error};
use crate::core::Core;

const DEAD: [JobState; 2] = [JobState::Failed, JobState::Crashed];
/// Jobs that one request tries again.
const RETRIES_MAX: i64 = 1_000;
const RETRIES_DEFAULT: i64 = 100;

/// `failed`, `crashed`, or both.
fn reason(text: &str) -> Result<Vec<JobState>, Problem> {
    match text {
        "failed" => Ok(vec![JobState::Failed]),
        "crashed" => Ok(vec![JobState::Crashed]),
        _ => Err(Problem::value("expected failed or crashed")),
    }
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let states = query.read(&mut problems, "reason", reason).unwrap_or_else(|| DEAD.to_vec());
    jobs::listed(&core, &caller, &query, problems, states).await
}

pub(super) async fn retry(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Reply, ApiError> {
    let job = jobs::found(&core, &caller, id).await?;
    match core.revive(&[job]).await.map_err(not_submitted)?.first() {
        Some(JobWritten::Done) => {}
        Some(JobWritten::UniqueTaken(other)) => {
            let detail = format!("{} has its unique key and is not finished", other.id);
            return Err(ApiError::conflict(detail));
        }
        _ => return Err(ApiError::conflict("Only a dead job can be tried again")),
    }
    let job = jobs::found(&core, &caller, id).await?;
    Reply::json(StatusCode::ACCEPTED, &JobOut::of(&job))
}

/// The oldest dead jobs of a tenant behind `iterator`; `done` says that there are no others. One that
/// is skipped stays dead: whoever wants them all goes on behind the iterator that is returned.
pub(super) async fn retry_many(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let tenant = fields.required("tenant", read::name);
    let kind = fields.field("kind", read::name).value();
    let states = fields.field("reason", |raw| reason(&body::text(raw)?)).value();
    let limit = fields.field("limit", |raw| read::number(raw, 1..=RETRIES_MAX)).value();
    let after = fields.field("iterator", |raw| jobs::place(&body::text(raw)?)).value();
    fields.finish()?;
    let limit = u32::try_from(limit.unwrap_or(RETRIES_DEFAULT)).unwrap_or(1);
    let owner = JobOwner::new(&caller.org, &tenant);
    let filter = JobFilter { owner, kind, states: states.unwrap_or_else(|| DEAD.to_vec()) };
    let page = Page { after, limit, order: Order::Ascending };
    let JobPage { jobs: dead, more_after } =
        core.engine.store.jobs(filter, page).await.map_err(store_error)?;
    let revived = core.revive(&dead).await.map_err(not_submitted)?;
    let retried = revived.iter().filter(|written| **written == JobWritten::Done).count();
    // Where there was no room for all of them, the next request begins with the first that is left.
    let more_after = match revived.len() {
        tried if tried == dead.len() => more_after,
        tried => dead.get(..tried).and_then(|tried| tried.last()).map(|job| job.id),
    };
    let skipped = revived.len() - retried;
    let (done, iterator) = (more_after.is_none(), more_after.map(|id| id.to_string()));
    let out = json!({ "retried": retried, "skipped": skipped, "iterator": iterator, "done": done });
    Reply::json(StatusCode::ACCEPTED, &out)
}
