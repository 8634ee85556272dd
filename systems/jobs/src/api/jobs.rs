//! Jobs, looked up and cancelled.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::problems::{Problem, Problems, shown};
use plimsoll_service::request::query::Query;
use plimsoll_store::{Job, JobFilter, JobId, JobOwner, JobPage, JobState, JobWritten, Order, Page};
use serde::Serialize;

use super::job_out::{JobOut, name, state};
use super::read::{PathId, name_of};
use super::reply::{Reply, not_found, store_error};
use crate::core::Core;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 250;

/// A page of a list: begins behind the `iterator` of the one before.
#[derive(Serialize)]
pub(super) struct ListOut<'j> {
    data: Vec<JobOut<'j>>,
    iterator: Option<String>,
    done: bool,
}

/// What of a list is asked for.
struct Listing {
    tenant: String,
    kind: Option<String>,
    after: Option<JobId>,
    limit: u32,
    order: Order,
}

impl Listing {
    fn read(query: &Query, problems: &mut Problems) -> Self {
        let tenant = query.read(problems, "tenant", name_of);
        if tenant.is_none() && query.get("tenant").is_none() {
            problems.add(&["query", "tenant"], Problem::missing());
        }
        let order = query.read(problems, "order", |text| match text {
            "ascending" => Ok(Order::Ascending),
            "descending" => Ok(Order::Descending),
            _ => Err(Problem::value("expected ascending or descending")),
        });
        let limit = query.read(problems, "limit", |text| match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
            _ => {
                let problem = format!("expected a whole number from 1 to {LIMIT_MAX}, is {:?}", shown(text));
                Err(Problem::value(problem))
            }
        });
        Self {
            tenant: tenant.unwrap_or_default(),
            kind: query.read(problems, "kind", name_of),
            after: query.read(problems, "iterator", place),
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            order: order.unwrap_or(Order::Ascending),
        }
    }
}

/// A place in a list.
pub(super) fn place(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| Problem::value("not an iterator that this list has returned"))
}

/// The jobs of a tenant that are in one of `states`, where any are named.
pub(super) async fn listed(
    core: &Core,
    caller: &Caller,
    query: &Query,
    mut problems: Problems,
    states: Vec<JobState>,
) -> Result<Reply, ApiError> {
    let listing = Listing::read(query, &mut problems);
    problems.finish()?;
    let owner = JobOwner::new(&caller.org, &listing.tenant);
    let filter = JobFilter { owner, kind: listing.kind, states };
    let page = Page { after: listing.after, limit: listing.limit, order: listing.order };
    let JobPage { jobs, more_after } = core.engine.store.jobs(filter, page).await.map_err(store_error)?;
    let iterator = more_after.or(jobs.last().map(|job| job.id)).map(|id| id.to_string());
    let done = more_after.is_none();
    let out = ListOut { data: jobs.iter().map(JobOut::of).collect(), iterator, done };
    Reply::json(StatusCode::OK, &out)
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    caller: Caller,
    query: Query,
) -> Result<Reply, ApiError> {
    let mut problems = Problems::default();
    let wanted = query.read(&mut problems, "state", |text| {
        state(text)
            .ok_or_else(|| Problem::value(format!("expected one of {}", JobState::ALL.map(name).join(", "))))
    });
    listed(&core, &caller, &query, problems, wanted.into_iter().collect()).await
}

pub(super) async fn found(core: &Core, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let found = core.engine.store.job(Arc::clone(&caller.org), id).await.map_err(store_error)?;
    found.ok_or_else(not_found)
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Reply, ApiError> {
    let job = found(&core, &caller, id).await?;
    Reply::json(StatusCode::OK, &JobOut::of(&job))
}

pub(super) async fn cancel(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Reply, ApiError> {
    let job = found(&core, &caller, id).await?;
    if job.state != JobState::Cancelled && core.cancel(&job).await.map_err(store_error)? != JobWritten::Done {
        let now = found(&core, &caller, id).await?;
        let detail = format!("It is too late to cancel the job: it is {}", name(now.state));
        return Err(ApiError::new(StatusCode::CONFLICT, "too_late", detail));
    }
    let job = found(&core, &caller, id).await?;
    Reply::json(StatusCode::OK, &JobOut::of(&job))
}
