//! Answers, and what becomes of refusals and of the store's errors.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use plimsoll_service::error::{ApiError, InTheWay};
use plimsoll_service::request::key;
use plimsoll_store::Error;
use serde::Serialize;

use crate::core::{Overload, SubmitError};
use crate::schedule::Full;

/// When to come back to a bound that is reached.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An answer: a status and a body of JSON.
pub(super) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    /// This value as JSON. It is written as it is: a payload in it may be nested deeper, or have
    /// larger numbers, than anything that reads it would take.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, ApiError> {
        match serde_json::to_vec(value) {
            Ok(body) => Ok(Self { status, body }),
            Err(error) => {
                tracing::error!(%error, "a value of our own cannot be written as JSON");
                Err(ApiError::internal("The answer could not be written"))
            }
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (self.status, [(CONTENT_TYPE, json)], self.body).into_response()
    }
}

/// There is no such job, or it is another organisation's.
pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Job not found")
}

/// A bound is reached.
#[cold]
pub(super) fn full(overload: Overload) -> ApiError {
    let status = if overload.is_callers_own() {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let code = if overload.is_callers_own() { "too_many_jobs" } else { "overloaded" };
    let seconds = RETRY_AFTER.as_secs();
    let detail = format!("{overload}; try again in {seconds} s");
    let Full { bound, limit, in_use, .. } = overload.full;
    let bound = InTheWay::new(bound).with_use(limit, in_use);
    ApiError::new(status, code, detail).with_retry_after(RETRY_AFTER).with_bound(bound)
}

pub(super) fn draining() -> ApiError {
    ApiError::unavailable("draining", "The server is shutting down")
}

/// Why a job was not accepted.
pub(super) fn not_submitted(error: SubmitError) -> ApiError {
    match error {
        SubmitError::Full(overload) => full(overload),
        SubmitError::Draining => draining(),
        SubmitError::KeyReused => key::reused(),
        SubmitError::Store(error) => store_error(error),
    }
}

/// What the store's error looks like from outside: nothing of the inside.
pub(super) fn store_error(error: Error) -> ApiError {
    match error {
        Error::Rejected(rejected) => ApiError::rejected(&rejected, plimsoll_service::error::Whose::Ours),
        Error::DiskFull => {
            tracing::error!("the disk is full: nothing can be accepted");
            ApiError::unavailable("storage_full", "Nothing can be stored now: try again later")
        }
        Error::DiskLow { free, min } => {
            let detail = format!(
                "store.disk_free_bytes_min: {free} bytes of the disk are free, {min} are to stay free"
            );
            let bound = InTheWay::new("store.disk_free_bytes_min").with_use(min, free);
            ApiError::unavailable("storage_low", detail).with_bound(bound)
        }
        Error::Closed => draining(),
        Error::Fenced { .. } => ApiError::unavailable("fenced", "Another server has taken over: try again"),
        error => {
            tracing::error!(%error, "the store failed");
            ApiError::internal("The request could not be completed")
        }
    }
}
