//! The operator's routes: what is in force, and pushes.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, StatusCode};

use super::control::{Control, PushError, Shown};
use super::read;
use super::table::Who;
use crate::config::ConfigError;
use crate::error::{ApiError, FieldError};

/// How large a pushed table may be.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long it may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `GET` and `PUT /policy`, and `PUT` and `DELETE` of `/policy/app/{id}` and `/policy/org/{id}`: put
/// them behind a gate that knows operators.
///
/// An answer has the version of what was pushed as its `ETag`. A `PUT` of the whole table must say
/// in `If-Match` which one it replaces (`*`: whichever), the others may; where another push came
/// first it is answered 412.
pub fn routes(control: Control) -> Router {
    Router::new()
        .route("/policy", get(show).put(replace))
        .route("/policy/app/{*id}", put(put_app).delete(delete_app))
        .route("/policy/org/{*id}", put(put_org).delete(delete_org))
        .with_state(control)
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        ([(ETAG, format!("\"{}\"", self.version))], Json(self.body)).into_response()
    }
}

async fn show(State(control): State<Control>) -> Shown {
    control.shown()
}

async fn replace(State(control): State<Control>, headers: HeaderMap, body: Body) -> Result<Shown, ApiError> {
    if !headers.contains_key(IF_MATCH) {
        let detail = "If-Match is missing: the ETag of the policy that this one replaces, or * for whichever";
        return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail));
    }
    let seen = seen(&headers)?;
    let table = read::json(&whole(body).await?, control.fields()).map_err(|error| unprocessable(&error))?;
    control.push(seen, table).map_err(refusal)
}

async fn put_app(
    control: State<Control>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Shown, ApiError> {
    put_one(control, Who::App(id), &headers, body).await
}

async fn put_org(
    control: State<Control>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Shown, ApiError> {
    put_one(control, Who::Org(id), &headers, body).await
}

async fn put_one(
    State(control): State<Control>,
    who: Who,
    headers: &HeaderMap,
    body: Body,
) -> Result<Shown, ApiError> {
    let seen = seen(headers)?;
    let body = whole(body).await?;
    let overrides = read::json_of(&who, &body, control.fields()).map_err(|error| unprocessable(&error))?;
    control.push_of(seen, who, Some(overrides)).map_err(refusal)
}

async fn delete_app(
    control: State<Control>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Shown, ApiError> {
    delete_one(&control, Who::App(id), &headers)
}

async fn delete_org(
    control: State<Control>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Shown, ApiError> {
    delete_one(&control, Who::Org(id), &headers)
}

fn delete_one(control: &Control, who: Who, headers: &HeaderMap) -> Result<Shown, ApiError> {
    control.push_of(seen(headers)?, who, None).map_err(refusal)
}

/// The version that the caller has seen; `None` where it does not matter to it.
fn seen(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(given) = headers.get(IF_MATCH) else { return Ok(None) };
    let given = given.to_str().unwrap_or_default().trim();
    if given == "*" {
        return Ok(None);
    }
    let version = given
        .strip_prefix('"')
        .and_then(|given| given.strip_suffix('"'))
        .and_then(|given| given.parse().ok());
    version.map(Some).ok_or_else(|| {
        let detail = "If-Match is not the ETag of a policy, such as \"7\", nor *";
        ApiError::bad_request("bad_request", detail)
    })
}

/// The body, bounded in size and time.
async fn whole(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let detail = format!("The body ended early or is larger than {BODY_BYTES_MAX} bytes");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail))
        }
        Err(_) => {
            let detail = "The body took too long to arrive";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail))
        }
    }
}

fn unprocessable(error: &ConfigError) -> ApiError {
    let field = |problem: &String| FieldError::new(["body"], "value_error", problem);
    ApiError::unprocessable(error.problems().iter().map(field).collect())
}

fn refusal(error: PushError) -> ApiError {
    match error {
        PushError::Changed(version) => {
            let detail =
                format!("Somebody else has changed the policy: it is at \"{version}\", look at it first");
            ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
        }
        PushError::Refused(error) => unprocessable(&error),
        PushError::NotKept(error) => ApiError::unavailable(
            "not_kept",
            format!("The policy cannot be made durable, the old one holds: {error}"),
        )
        .with_bound(crate::error::InTheWay::new("policy.file")),
    }
}
