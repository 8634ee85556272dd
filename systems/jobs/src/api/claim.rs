//! Workers: they get jobs, say that they are alive, and say how it went.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use plimsoll::clock::{self, Instant};
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::body::{self, Body, Fields};
use plimsoll_service::request::problems::Problem;
use plimsoll_service::request::timestamp::Timestamp;
use plimsoll_store::{Error, Job, JobEnd, JobId, JobState, JobWritten};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::job_out::{PRIORITIES, payload};
use super::jobs;
use super::read::{self, PathId};
use super::reply::{Reply, draining, full, not_found, store_error};
use crate::core::{Core, Overload};
use crate::engine::{Engine, Given, cut};
use crate::handler::Failure;
use crate::schedule::{Held, NotHeld, Poll, PollId, Worker};

const KINDS_MAX: usize = 32;
const MAX_MAX: i64 = 100;
const WAIT_SECONDS_MAX: i64 = 60;
const RETRY_SECONDS_MAX: i64 = 30 * 86_400;

/// A job in the hands of a worker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimOut<'j> {
    id: String,
    /// To be sent with each word about it.
    lease: String,
    /// The worker must have been heard of by then.
    lease_until: Timestamp,
    tenant: &'j str,
    kind: &'j str,
    key: Option<&'j str>,
    priority: &'static str,
    /// The how-manieth run this is, from 1.
    run: u32,
    attempts: u32,
    attempts_max: u32,
    run_timeout_seconds: u64,
    payload: &'j RawValue,
}

/// What a worker is given.
#[derive(Serialize)]
struct ClaimedOut<'j> {
    data: Vec<ClaimOut<'j>>,
}

impl<'j> ClaimOut<'j> {
    fn of(job: &'j Job, lease_until: Timestamp) -> Self {
        Self {
            id: job.id.to_string(),
            lease: job.claims.to_string(),
            lease_until,
            tenant: job.lane.tenant(),
            kind: job.lane.kind(),
            key: job.key.as_deref(),
            priority: PRIORITIES.get(usize::from(job.priority)).copied().unwrap_or("normal"),
            run: job.claims,
            attempts: job.attempts,
            attempts_max: job.attempts_max,
            run_timeout_seconds: job.timeout_ms / 1_000,
            payload: payload(job.payload.as_deref().unwrap_or(b"null")),
        }
    }
}

/// What of the monotonic clock is to be, by the clock on the wall.
fn wall(engine: &Engine, until: Instant) -> Timestamp {
    Timestamp(engine.clock.later(until - clock::now()))
}

/// What a worker asks for.
struct Wanted {
    poll: Poll,
    wait: Duration,
}

impl Wanted {
    fn read(body: &[u8], caller: &Caller) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let kinds = fields.required("kinds", kinds);
        let max = fields.field("max", |raw| read::number(raw, 1..=MAX_MAX)).value().unwrap_or(1);
        let wait = fields.field("waitSeconds", |raw| read::number(raw, 0..=WAIT_SECONDS_MAX)).value();
        let worker = fields.field("worker", read::name).value().unwrap_or_default();
        fields.finish()?;
        let org = Arc::clone(&caller.org);
        let worker = Worker::Remote(Arc::clone(&org), worker.into());
        let max = usize::try_from(max).unwrap_or(1);
        let wait = Duration::from_secs(wait.unwrap_or(0).cast_unsigned());
        Ok(Self { poll: Poll { org, worker, kinds, max }, wait })
    }
}

fn kinds(raw: &RawValue) -> Result<Vec<Arc<str>>, Problem> {
    let mut kinds: Vec<Arc<str>> =
        body::texts(raw)?.iter().map(|kind| read::name_of(kind).map(Arc::from)).collect::<Result<_, _>>()?;
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() || kinds.len() > KINDS_MAX {
        return Err(Problem::value(format!("must have 1 to {KINDS_MAX} kinds")));
    }
    Ok(kinds)
}

/// A worker that waits; it waits no more when this is dropped, and what it was given and has not seen
/// goes back.
struct Waiting<'e> {
    engine: &'e Engine,
    poll: PollId,
    given: oneshot::Receiver<Vec<Given>>,
}

impl Waiting<'_> {
    async fn wait(mut self, wait: Duration) -> Vec<Given> {
        match tokio::time::timeout(wait, &mut self.given).await {
            Ok(given) => given.unwrap_or_default(),
            Err(_) if self.engine.leave(self.poll) => Vec::new(),
            // They are being written already.
            Err(_) => (&mut self.given).await.unwrap_or_default(),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.engine.leave(self.poll);
        // Before the look: what comes later finds nobody, and is given back by whoever gives it.
        self.given.close();
        for (job, _) in self.given.try_recv().unwrap_or_default() {
            let _ = self.engine.end(job.id, job.claims, |_, _| JobEnd::Released, None);
        }
    }
}

pub(super) async fn claim(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let Wanted { poll, wait } = Wanted::read(&body, &caller)?;
    {
        let schedule = core.engine.lock();
        if schedule.is_draining() {
            return Err(draining());
        }
        if let Some(kind) = poll.kinds.iter().find(|kind| schedule.has_handler(kind)) {
            let problem = Problem::value(format!("{kind} is done by the server itself"));
            return Err(problem.at(&["body", "kinds"]));
        }
    }
    let (poll, given) = core.engine.poll(poll).map_err(|reached| full(Overload { full: reached }))?;
    let given = Waiting { engine: &core.engine, poll, given }.wait(wait).await;
    let jobs: Vec<_> =
        given.iter().map(|(job, until)| ClaimOut::of(job, wall(&core.engine, *until))).collect();
    Reply::json(StatusCode::OK, &ClaimedOut { data: jobs })
}

/// The lease that a worker speaks under.
fn lease(raw: &RawValue) -> Result<u32, Problem> {
    body::text(raw)?.parse().map_err(|_| Problem::value("not a lease that a claim has returned"))
}

/// Its worker has lost the job, or never had it.
fn lease_lost() -> ApiError {
    let detail = "The lease has passed: the job is not this worker's any more";
    ApiError::new(StatusCode::CONFLICT, "lease_lost", detail)
}

/// Whether the caller's organisation owns the job, where somebody has it.
fn is_others(core: &Core, caller: &Caller, id: JobId) -> bool {
    core.engine.lock().held(id).is_some_and(|held| held.lane.org() != &*caller.org)
}

pub(super) async fn heartbeat(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let number = fields.required("lease", lease);
    fields.finish()?;
    if is_others(&core, &caller, id) {
        return Err(not_found());
    }
    let until = core.engine.lock().heartbeat(id, number, clock::now()).map_err(|_| lease_lost())?;
    Reply::json(StatusCode::OK, &serde_json::json!({ "leaseUntil": wall(&core.engine, until) }))
}

pub(super) async fn ack(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
    Body(body): Body,
) -> Result<StatusCode, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let number = fields.required("lease", lease);
    fields.finish()?;
    end(&core, &caller, (id, number), |engine, _| engine.done(), |job| job.state == JobState::Done).await
}

pub(super) async fn fail(
    State(core): State<Arc<Core>>,
    caller: Caller,
    PathId(id): PathId,
    Body(body): Body,
) -> Result<StatusCode, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let number = fields.required("lease", lease);
    let reason = fields.field("reason", body::text).value().unwrap_or_default();
    let retry = fields.field("retryInSeconds", |raw| read::number(raw, 0..=RETRY_SECONDS_MAX)).value();
    fields.finish()?;
    let failure = Failure::new(reason);
    let failure = match retry {
        Some(seconds) => failure.retry_in(Duration::from_secs(seconds.cast_unsigned())),
        None => failure,
    };
    // A repeat: the answer to the first was not heard.
    let kept = cut(failure.reason());
    let failed_so = |job: &Job| job.state != JobState::Running && job.error.as_ref() == Some(&kept);
    end(&core, &caller, (id, number), |engine, held| engine.failed(held, &failure), failed_so).await
}

/// Ends a claim; 204 when that is durable, and where it has ended in the same way before.
async fn end(
    core: &Core,
    caller: &Caller,
    (id, number): (JobId, u32),
    how: impl FnOnce(&Engine, &Held) -> JobEnd,
    ended_so: impl FnOnce(&Job) -> bool,
) -> Result<StatusCode, ApiError> {
    if is_others(core, caller, id) {
        return Err(not_found());
    }
    let (answer, answered) = oneshot::channel();
    match core.engine.end(id, number, how, Some(answer)) {
        Ok(()) => match answered.await.unwrap_or(Err(Error::Closed)).map_err(store_error)? {
            JobWritten::Done | JobWritten::Already => Ok(StatusCode::NO_CONTENT),
            _ => Err(lease_lost()),
        },
        Err(NotHeld::Unknown) => {
            let job = jobs::found(core, caller, id).await?;
            if job.claims == number && ended_so(&job) {
                Ok(StatusCode::NO_CONTENT)
            } else {
                Err(lease_lost())
            }
        }
        // Its end is being written, or its lease has just passed: the next answer knows.
        Err(NotHeld::Ending) => {
            Err(ApiError::unavailable("ending", "An end of this claim is being written: try again"))
        }
        Err(NotHeld::Stale) => Err(lease_lost()),
    }
}
