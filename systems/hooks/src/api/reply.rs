//! Answers, and what becomes of the store's errors.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use plimsoll_service::error::{ApiError, InTheWay, Whose};
use plimsoll_store::Changed;
use serde::Serialize;

/// When to come back after the disk had no room: somebody must make some.
const DISK_RETRY_AFTER: Duration = Duration::from_secs(10);

/// An answer: a status and a body of JSON, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    /// 200 with this JSON.
    pub(super) const fn ok(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// This JSON.
    pub(super) const fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, body }
    }

    /// This value as JSON.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let mut body = Vec::with_capacity(512);
        write_json(&mut body, value);
        Self { status, body }
    }

    /// 204.
    pub(super) const fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Vec::new() }
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        if self.body.is_empty() {
            return self.status.into_response();
        }
        let json = HeaderValue::from_static("application/json");
        (self.status, [(CONTENT_TYPE, json)], self.body).into_response()
    }
}

/// Writes a value of ours into memory, which cannot fail.
pub(super) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(out, value) {
        tracing::error!(%error, "a value of our own cannot be written as JSON");
    }
}

/// There is no such thing, or it is another organisation's.
pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Entity not found")
}

/// What the store's error looks like from outside: nothing of the inside.
pub(super) fn store_error(error: plimsoll_store::Error) -> ApiError {
    use plimsoll_store::Error;
    match error {
        Error::Rejected(rejected) => ApiError::rejected(&rejected, Whose::Ours),
        Error::TooLarge { .. } => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "The request is too large to keep",
        ),
        Error::DiskLow { free, min } => {
            let detail = format!(
                "store.disk_free_bytes_min: {free} bytes are free on the server's disk and {min} are kept for \
                 what was accepted; nothing new is accepted before there is more"
            );
            // Of this bound the use is what is free.
            let bound = InTheWay::new("store.disk_free_bytes_min").with_use(min, free);
            ApiError::unavailable("storage_low", detail).with_retry_after(DISK_RETRY_AFTER).with_bound(bound)
        }
        Error::DiskFull => {
            tracing::error!("the disk is full: nothing can be accepted");
            let detail = "The server's disk is full: nothing can be stored now, try again later";
            ApiError::unavailable("storage_full", detail).with_retry_after(DISK_RETRY_AFTER)
        }
        Error::Closed => ApiError::unavailable("draining", "The server is shutting down"),
        Error::Fenced { .. } => {
            tracing::error!(%error, "a write was fenced");
            ApiError::unavailable("fenced", "Another server has taken over: try again")
        }
        error => {
            tracing::error!(%error, "the store failed");
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "The request could not be completed",
            )
        }
    }
}

/// What became of the first change of a batch.
pub(super) fn first_change(changed: &[Changed]) -> Result<(), ApiError> {
    match changed.first() {
        Some(Changed::Done) => Ok(()),
        Some(Changed::UidTaken) => Err(uid_taken()),
        Some(Changed::Busy) => Err(ApiError::conflict("Another of the kind is under way")),
        Some(Changed::Missing) | None => Err(not_found()),
    }
}

/// The uid belongs to another one.
pub(super) fn uid_taken() -> ApiError {
    ApiError::conflict("An entity with this uid exists already")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_store_show_nothing_of_the_inside() {
        let error = store_error(plimsoll_store::Error::Engine("no such table: secrets".into()));
        assert_eq!((error.status().as_u16(), error.code()), (500, "internal_error"));
        assert!(!error.to_string().contains("table"));
    }

    #[test]
    fn what_passes_is_503_and_says_when_to_come_back() {
        use plimsoll_store::Error;
        for error in [Error::DiskFull, Error::DiskLow { free: 1, min: 2 }, Error::Closed] {
            let response = store_error(error).into_response();
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
        }
    }
}
