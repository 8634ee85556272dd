//! Reading fields of a request.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use plimsoll_service::error::ApiError;
use plimsoll_service::request::body;
use plimsoll_service::request::problems::Problem;
use plimsoll_service::request::timestamp::Timestamp;
use plimsoll_store::JobId;
use serde_json::value::RawValue;

use super::reply::not_found;

const NAME_BYTES_MAX: usize = 128;
const KEY_BYTES_MAX: usize = 256;

/// The name of a tenant, kind or worker.
pub(super) fn name(raw: &RawValue) -> Result<String, Problem> {
    body::text(raw).and_then(|text| bounded(text, NAME_BYTES_MAX))
}

/// The name of a tenant or kind in a query.
pub(super) fn name_of(text: &str) -> Result<String, Problem> {
    bounded(text.to_owned(), NAME_BYTES_MAX)
}

/// A key.
pub(super) fn key(raw: &RawValue) -> Result<String, Problem> {
    body::text(raw).and_then(|text| bounded(text, KEY_BYTES_MAX))
}

fn bounded(text: String, max: usize) -> Result<String, Problem> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        return Err(Problem::value(format!("must have 1 to {max} bytes and no control characters")));
    }
    Ok(text)
}

/// A whole number in a range.
pub(super) fn number(raw: &RawValue, range: RangeInclusive<i64>) -> Result<i64, Problem> {
    let number = body::integer(raw)?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(Problem::value(format!("must be from {} to {}, is {number}", range.start(), range.end())))
}

/// A point in time.
pub(super) fn time(raw: &RawValue) -> Result<i64, Problem> {
    let at = Timestamp::parse(&body::text(raw)?);
    at.map(|at| at.0).ok_or(Problem::type_is_not("expected a time in the form of RFC 3339"))
}

/// The id in the path.
pub(super) struct PathId(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}
