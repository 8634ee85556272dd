//! Errors as the API tells them, in the body forms of the interface that its clients know.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use plimsoll::{Reason, Rejected};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// When to come back where the limiter does not know: the unit of the header is a second.
const RETRY_AFTER_UNKNOWN: Duration = Duration::from_secs(1);

/// A request that was answered with an error.
///
/// Its body is `{"code": "...", "detail": "..."}`, or for [`unprocessable`](Self::unprocessable)
/// `{"detail": [{"loc": [...], "msg": "...", "type": "..."}]}`. Where it was a bound that did not
/// admit, or it is known when to come back, the body says so beside them:
/// `{"code": "...", "detail": "...", "bound": {"name": "tenant.requests", "limit": 256, "inUse": 256,
/// "waiting": 0}, "retryAfterMs": 1000, "until": "2026-01-31T12:00:01Z"}`.
///
/// ```
/// use plimsoll_service::error::ApiError;
/// let error = ApiError::conflict("An application with this uid exists already");
/// assert_eq!(error.status(), 409);
/// assert_eq!(error.code(), "conflict");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: Detail,
    retry_after: Option<Duration>,
    // Boxed: an answer that is an error is as small as one that is not.
    bound: Option<Box<InTheWay>>,
}

/// The bound that did not admit, for programs: which, how much it allows, how much of it is in use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InTheWay {
    name: Cow<'static, str>,
    limit: Option<u64>,
    in_use: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
}

impl InTheWay {
    /// A bound of which only the name is known.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), limit: None, in_use: None, waiting: None }
    }

    /// What it allows, and how much of that is in use.
    #[must_use]
    pub const fn with_use(mut self, limit: u64, in_use: u64) -> Self {
        (self.limit, self.in_use) = (Some(limit), Some(in_use));
        self
    }
}

impl From<&Rejected> for InTheWay {
    fn from(rejected: &Rejected) -> Self {
        let bound = Self::new(rejected.limiter().as_str());
        if rejected.limit() == 0 {
            return bound;
        }
        Self { waiting: Some(rejected.waiting()), ..bound.with_use(rejected.limit(), rejected.in_use()) }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Detail {
    Text(Cow<'static, str>),
    Fields(Vec<FieldError>),
}

/// One field of a request that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FieldError {
    /// Where it is: `["body", "name"]`, `["query", "limit"]`.
    pub loc: Vec<String>,
    /// What is wrong with it, for a person.
    pub msg: String,
    /// What is wrong with it, for a program: `value_error`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl FieldError {
    /// The field at `loc` is refused: `kind` for programs, `msg` for people.
    pub fn new<'l>(loc: impl IntoIterator<Item = &'l str>, kind: &str, msg: impl Into<String>) -> Self {
        Self { loc: loc.into_iter().map(String::from).collect(), msg: msg.into(), kind: kind.into() }
    }
}

/// Whose limit it was that did not admit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The caller's own share: 429, it should slow down.
    Caller,
    /// The server's: 503, everybody should.
    Ours,
}

impl ApiError {
    /// Any status, with a stable code for programs and a detail for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: Detail::Text(detail.into()), retry_after: None, bound: None }
    }

    /// 422: these fields of the request are not what they must be.
    #[must_use]
    pub fn unprocessable(fields: Vec<FieldError>) -> Self {
        let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "validation");
        Self { status, code, detail: Detail::Fields(fields), retry_after: None, bound: None }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: no token, or one that is not valid.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_failed", detail)
    }

    /// 404: there is no such thing, or it is not the caller's.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: it exists already.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 500: our fault. `detail` must tell nothing of the inside; log that instead.
    pub fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail)
    }

    /// 503: not now, and not the caller's fault. What stands in the way is named by the code until a
    /// [bound](Self::with_bound) is.
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        error.with_retry_after(RETRY_AFTER_UNKNOWN).with_bound(InTheWay::new(code))
    }

    /// Not admitted by a limiter: 429 for the caller's own limit, 503 for ours, with `Retry-After`.
    ///
    /// The body names the bound, its limit and its use. Of ours it does not say for whom it was in
    /// the way: that may be about other callers.
    #[must_use]
    pub fn rejected(rejected: &Rejected, whose: Whose) -> Self {
        let retry_after = rejected.retry_after().unwrap_or(RETRY_AFTER_UNKNOWN);
        let error = match (whose, rejected.reason()) {
            (Whose::Caller, Reason::RateExceeded) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", rejected.to_string())
            }
            (Whose::Caller, _) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", rejected.to_string())
            }
            (Whose::Ours, Reason::Draining) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "The server is shutting down")
            }
            (Whose::Ours, _) => {
                let detail = "The server has as much to do as it may take: try again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
            }
        };
        error.with_retry_after(retry_after).with_bound(rejected.into())
    }

    /// Names the bound that did not admit.
    #[must_use]
    pub fn with_bound(mut self, bound: InTheWay) -> Self {
        self.bound = Some(Box::new(bound));
        self
    }

    /// Says when it is worth another try: whole seconds, rounded up, at least one.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The status it answers with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The body it answers with.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn to_json(&self) -> Vec<u8> {
        let detail = match &self.detail {
            Detail::Fields(detail) => Told::Fields { detail },
            Detail::Text(detail) => Told::Plain(Plain {
                code: self.code,
                detail,
                bound: self.bound.as_deref(),
                retry_after_ms: self
                    .retry_after
                    .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
                until: self.retry_after.and_then(|after| until(SystemTime::now(), after)),
            }),
        };
        serde_json::to_vec(&detail).expect("strings, numbers and lists of them are always JSON")
    }
}

/// The body.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Fields { detail: &'a [FieldError] },
    Plain(Plain<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plain<'a> {
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<&'a InTheWay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// That much after `now`, as RFC 3339 in milliseconds; `None` where that is no date.
fn until(now: SystemTime, after: Duration) -> Option<String> {
    let at = OffsetDateTime::from(now).checked_add(after.try_into().ok()?)?;
    let at = at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).ok()?;
    at.format(&Rfc3339).ok()
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code)?;
        match &self.detail {
            Detail::Text(detail) => write!(f, ": {detail}"),
            Detail::Fields(fields) => {
                fields.iter().try_for_each(|field| write!(f, "; {}: {}", field.loc.join("."), field.msg))
            }
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(CONTENT_TYPE, json)], self.to_json()).into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use plimsoll::Name;
    use serde_json::{Value, json};

    use super::*;

    fn body(error: &ApiError) -> Value {
        serde_json::from_slice(&error.to_json()).unwrap()
    }

    #[test]
    fn the_body_is_code_and_detail() {
        let error = ApiError::not_found("Entity not found");
        assert_eq!(body(&error), json!({"code": "not_found", "detail": "Entity not found"}));
        let response = error.into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn the_body_of_422_lists_the_fields() {
        let error =
            ApiError::unprocessable(vec![FieldError::new(["body", "name"], "value_error", "is empty")]);
        assert_eq!(
            body(&error),
            json!({"detail": [{"loc": ["body", "name"], "msg": "is empty", "type": "value_error"}]})
        );
        assert_eq!(error.status(), 422);
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up_and_at_least_one() {
        for (after, header) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let error = ApiError::conflict("").with_retry_after(Duration::from_millis(after));
            assert_eq!(error.into_response().headers()[RETRY_AFTER], header, "{after} ms");
        }
        let error = ApiError::conflict("").with_retry_after(Duration::MAX);
        assert!(error.into_response().headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn the_callers_limit_is_429_and_ours_503_both_with_retry_after() {
        let rejected = Rejected::new(Name::UNNAMED, Reason::Full).with_use(16, 16, 0);
        let theirs = ApiError::rejected(&rejected, Whose::Caller).into_response();
        assert_eq!((theirs.status().as_u16(), &theirs.headers()[RETRY_AFTER]), (429, &"1".parse().unwrap()));
        let rejected = rejected.with_retry_after(Duration::from_millis(2_500));
        let ours = ApiError::rejected(&rejected, Whose::Ours).into_response();
        assert_eq!((ours.status().as_u16(), &ours.headers()[RETRY_AFTER]), (503, &"3".parse().unwrap()));
    }

    #[test]
    fn a_refusal_names_the_bound_its_limit_its_use_and_until_when() {
        let name = Name::new("error-test").unwrap();
        let rejected = Rejected::new(name, Reason::Full).with_use(16, 15, 3);
        for whose in [Whose::Caller, Whose::Ours] {
            let told = body(&ApiError::rejected(&rejected, whose));
            let bound = json!({"name": "error-test", "limit": 16, "inUse": 15, "waiting": 3});
            assert_eq!((&told["bound"], &told["retryAfterMs"]), (&bound, &1_000.into()));
            assert!(told["until"].as_str().unwrap().ends_with('Z'));
        }
        let told = body(&ApiError::unavailable("full", "x").with_bound(InTheWay::new("disk")));
        assert_eq!(told["bound"], json!({"name": "disk", "limit": null, "inUse": null}));
    }

    #[test]
    fn until_is_a_date_of_the_interface_or_left_out() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(until(now, Duration::from_secs(1)).unwrap(), "1970-01-01T00:00:02.5Z");
        assert_eq!(until(now, Duration::MAX), None);
    }

    #[test]
    fn our_limits_do_not_tell_of_other_callers() {
        let rejected = Rejected::new(Name::UNNAMED, Reason::Full).with_key("somebody".into());
        let ours = ApiError::rejected(&rejected, Whose::Ours);
        assert!(!ours.to_string().contains("somebody"), "{ours}");
        assert!(!String::from_utf8(ours.to_json()).unwrap().contains("somebody"));
    }

    #[test]
    fn a_401_says_how_to_authenticate() {
        assert_eq!(ApiError::unauthorized("x").into_response().headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
