//! The admin listener's routes: numbers, health, and the registry of bounds.
//!
//! `/metrics`, `/health` and `/ready` are open, since probes and scrapers carry no token; what lies
//! under `/debug` asks for one. The listener is on the loopback address unless configured otherwise.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use plimsoll::registry;
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::json;

use crate::auth::bearer;
use crate::config::Resolved;
use crate::drain::Drain;
use crate::error::ApiError;
use crate::secret::{Secret, SecretError};
use crate::telemetry::Metrics;

/// The file of the data directory that holds the token of `/debug` when none is configured.
pub const TOKEN_FILE: &str = "admin.token";

/// The admin listener's state, before it becomes a router.
pub struct Admin {
    metrics: Metrics,
    drain: Drain,
    token: Token,
    checks: Vec<Check>,
}

/// Whether a part of the process can do its work; `Err` says why not.
struct Check {
    name: &'static str,
    ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Admin {
    /// Numbers from `metrics`, readiness until `drain` begins, `/debug` for who has `token`.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(metrics: Metrics, drain: Drain, token: &Secret) -> Result<Self, NoRandom> {
        Ok(Self { metrics, drain, token: Token::new(token)?, checks: Vec::new() })
    }

    /// Lets `/ready` ask `ready` as well: it must be quick.
    #[must_use]
    pub fn check(
        mut self,
        name: &'static str,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check { name, ready: Box::new(ready) });
        self
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(async || Json(json!({"status": "ok"}))))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/debug/bounds", get(bounds))
            .fallback(async || ApiError::not_found("See /metrics, /health, /ready and /debug/bounds"))
            .with_state(Arc::new(self))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("drain", &self.drain).finish_non_exhaustive()
    }
}

/// The token of `/debug`: the configured one, else that of the file `admin.token` in the data
/// directory, which is made where it is missing.
///
/// # Errors
/// See [`Secret::load_or_create`].
pub fn token(resolved: &Resolved, data: &Path) -> Result<Secret, SecretError> {
    match resolved.text("admin_token") {
        Some(token) => Ok(Secret::new(token)),
        None => Secret::load_or_create(data, TOKEN_FILE),
    }
}

/// Compares tokens in constant time: both are signed with a key nobody knows.
struct Token {
    key: hmac::Key,
    tag: hmac::Tag,
}

/// The system has no random numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRandom;

impl fmt::Display for NoRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no random numbers from the system")
    }
}

impl std::error::Error for NoRandom {}

impl Token {
    fn new(token: &Secret) -> Result<Self, NoRandom> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandom)?;
        let tag = hmac::sign(&key, token.reveal().as_bytes());
        Ok(Self { key, tag })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        hmac::verify(&self.key, bearer(headers)?.as_bytes(), self.tag.as_ref())
            .map_err(|_| ApiError::unauthorized("Invalid admin token"))
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], admin.metrics.page()?).into_response())
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let mut not_ready: Vec<String> = admin
        .checks
        .iter()
        .filter_map(|check| (check.ready)().err().map(|why| format!("{}: {why}", check.name)))
        .collect();
    if admin.drain.is_started() {
        not_ready.push("draining".into());
    }
    if not_ready.is_empty() {
        Json(json!({"status": "ready"})).into_response()
    } else {
        let body = Json(json!({"status": "not ready", "why": not_ready}));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

async fn bounds(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Result<Response, ApiError> {
    admin.token.check(&headers)?;
    let bounds: Vec<_> = registry::snapshot()
        .into_iter()
        .map(|bound| {
            let details: serde_json::Map<_, _> =
                bound.details.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            let by_reason: serde_json::Map<_, _> = bound
                .rejected_by
                .iter()
                .map(|(reason, count)| (reason.as_str().to_owned(), (*count).into()))
                .collect();
            let wait_ms = |quantile| bound.waits.quantile(quantile).map(|wait| wait.as_secs_f64() * 1_000.0);
            json!({
                "name": bound.name.as_str(),
                "kind": bound.kind.as_str(),
                // Null where there is none: a number would be taken for one.
                "limit": (bound.limit != registry::Snapshot::NO_LIMIT).then_some(bound.limit),
                "in_use": bound.in_use,
                "high_water": bound.high_water,
                "waiting": bound.waiting,
                "admitted": bound.admitted,
                "rejected": bound.rejected,
                "rejected_by": by_reason,
                "would_reject": bound.would_reject,
                "waited": bound.waits.count(),
                "wait_p50_ms": wait_ms(0.5),
                "wait_p99_ms": wait_ms(0.99),
                "details": details,
            })
        })
        .collect();
    Ok(Json(json!({"bounds": bounds})).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use axum::body::Body;
    use http::Request;
    use plimsoll::breaker::Breaker;
    use plimsoll::semaphore::Semaphore;
    use tower::ServiceExt;

    use super::*;

    fn admin(drain: &Drain) -> Admin {
        Admin::new(Metrics::new(), drain.clone(), &Secret::new("open sesame")).unwrap()
    }

    async fn fetch(router: &Router, path: &str, token: Option<&str>) -> (u16, String) {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn debug_asks_for_the_token_and_the_rest_does_not() {
        let drain = Drain::new(Duration::ZERO);
        let router = admin(&drain).router();
        let _seen = Semaphore::builder("admin-test").limit(5).build().unwrap();
        let _closed = Breaker::builder("admin-test-closed").build().unwrap();
        for path in ["/health", "/ready", "/metrics"] {
            assert_eq!(fetch(&router, path, None).await.0, 200, "{path}");
        }
        assert_eq!(fetch(&router, "/debug/bounds", None).await.0, 401);
        assert_eq!(fetch(&router, "/debug/bounds", Some("open sesam")).await.0, 401);
        let (status, body) = fetch(&router, "/debug/bounds", Some("open sesame")).await;
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let bounds = body["bounds"].as_array().unwrap();
        let found = |name| bounds.iter().find(|bound| bound["name"] == name).unwrap();
        let seen = found("admin-test");
        assert_eq!((&seen["limit"], &seen["kind"]), (&5.into(), &"semaphore".into()));
        assert!(found("admin-test-closed").as_object().unwrap()["limit"].is_null());
        assert_eq!(fetch(&router, "/elsewhere", None).await.0, 404);
    }

    #[tokio::test]
    async fn ready_ends_when_a_check_fails_or_the_drain_begins_and_health_does_not() {
        let drain = Drain::new(Duration::ZERO);
        let well = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&well);
        let check = move || seen.load(Ordering::Relaxed).then_some(()).ok_or_else(|| "not begun".to_owned());
        let router = admin(&drain).check("hooks", check).router();
        let (status, body) = fetch(&router, "/ready", None).await;
        assert!(status == 503 && body.contains("hooks: not begun"), "{body}");
        well.store(true, Ordering::Relaxed);
        assert_eq!(fetch(&router, "/ready", None).await.0, 200);
        drain.begin();
        let (status, body) = fetch(&router, "/ready", None).await;
        assert!(status == 503 && body.contains("draining"), "{body}");
        assert_eq!(fetch(&router, "/health", None).await.0, 200);
    }
}
