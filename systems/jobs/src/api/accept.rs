//! Jobs, accepted.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::body::{self, Body, Fields};
use plimsoll_service::request::key::{KEEP_FOR_MS, Key, digest_of};
use plimsoll_service::request::problems::Problem;
use plimsoll_store::Idempotency;
use serde::Serialize;

use super::job_out::{JobOut, PRIORITIES};
use super::read;
use super::reply::{Reply, not_submitted};
use crate::core::{Core, NewWork, Priority, Submitted};

const ATTEMPTS_MAX: i64 = 1_000;
const TIMEOUT_SECONDS_MAX: i64 = 7 * 86_400;

#[derive(Serialize)]
struct SubmittedOut<'j> {
    #[serde(flatten)]
    job: JobOut<'j>,
    /// Whether nothing was added because this unfinished job has the unique key.
    existing: bool,
}

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    caller: Caller,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let work = read_work(&body, caller.org)?;
    let (got, most) = (work.payload.len(), core.engine.settings.payload_bytes_max);
    if got > most {
        let detail = format!("jobs.payload_bytes_max: the payload has {got} bytes, allowed are {most}");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail));
    }
    let idempotency =
        key.digest.map(|key| Idempotency { key, fingerprint: digest_of(&[&body]), keep_for_ms: KEEP_FOR_MS });
    let submitted = core.submit(work, idempotency).await.map_err(not_submitted)?;
    let existing = matches!(submitted, Submitted::Existing(_));
    let status = if existing { StatusCode::OK } else { StatusCode::ACCEPTED };
    let out = SubmittedOut { job: JobOut::of(submitted.job()).without_payload(), existing };
    Reply::json(status, &out)
}

fn read_work(body: &[u8], org: Arc<str>) -> Result<NewWork, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let work = NewWork {
        org,
        tenant: fields.required("tenant", read::name),
        kind: fields.required("kind", read::name),
        payload: fields.required("payload", |raw| Ok(raw.get().as_bytes().to_vec())),
        run_at: fields.field("runAt", read::time).value(),
        priority: fields.field("priority", priority).value().unwrap_or_default(),
        key: fields.field("key", read::key).value(),
        unique_key: fields.field("uniqueKey", read::key).value(),
        attempts_max: fields
            .field("attemptsMax", |raw| read::number(raw, 1..=ATTEMPTS_MAX))
            .value()
            .map(|number| u32::try_from(number).unwrap_or(1)),
        run_timeout: fields
            .field("runTimeoutSeconds", |raw| read::number(raw, 1..=TIMEOUT_SECONDS_MAX))
            .value()
            .map(|seconds| Duration::from_secs(seconds.cast_unsigned())),
    };
    fields.finish().map(|()| work)
}

fn priority(raw: &serde_json::value::RawValue) -> Result<Priority, Problem> {
    let text = body::text(raw)?;
    match PRIORITIES.iter().position(|name| **name == *text) {
        Some(0) => Ok(Priority::High),
        Some(1) => Ok(Priority::Normal),
        Some(_) => Ok(Priority::Low),
        None => Err(Problem::value("expected high, normal or low")),
    }
}
