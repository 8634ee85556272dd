//! The admin listener's routes: numbers, health, and the registry of bounds.
//!
//! `/metrics`, `/health` and `/ready` are open, since probes and scrapers carry no token; `/debug`
//! and the pages that the host adds ask for one. The listener is on the loopback address unless configured otherwise.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use plimsoll::registry;
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::json;
use tower::ServiceExt;

use crate::auth::bearer;
use crate::config::Resolved;
use crate::drain::Drain;
use crate::error::ApiError;
use crate::gate::{Gate, GateLayer};
use crate::secret::{Secret, SecretError};
use crate::telemetry::Metrics;

/// The file of the data directory that holds the token of `/debug` when none is configured.
pub const TOKEN_FILE: &str = "admin.token";

/// The admin listener's state; cheap to clone, all clones share one state.
///
/// It can be served before there is anything to show: until it [begins](Self::begin) `/ready` says
/// that the process is starting.
#[derive(Clone)]
pub struct Admin {
    inner: Arc<Inner>,
}

struct Inner {
    drain: Drain,
    token: Token,
    parts: OnceLock<Parts>,
}

/// What the listener shows once the process has started.
pub struct Parts {
    metrics: Metrics,
    checks: Vec<Check>,
    pages: Router,
}

/// Whether a part of the process can do its work; `Err` says why not.
struct Check {
    name: &'static str,
    ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Parts {
    /// Numbers from `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, checks: Vec::new(), pages: Router::new() }
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

    /// Adds routes for operators: they ask for the token.
    #[must_use]
    pub fn pages(mut self, pages: Router) -> Self {
        self.pages = self.pages.merge(pages);
        self
    }
}

impl Admin {
    /// Ready from its beginning until `drain` begins, the operator's pages for who has `token`.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(drain: Drain, token: &Secret) -> Result<Self, NoRandom> {
        let inner = Inner { drain, token: Token::new(token)?, parts: OnceLock::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The process has started: from here on there is something to show. Once.
    pub fn begin(&self, parts: Parts) {
        let pages = parts
            .pages
            .route("/debug/bounds", get(bounds))
            // Of the routes alone: who asks for a page that is not there needs no token to be told.
            .route_layer(GateLayer(self.inner.token.clone()))
            .fallback(async || {
                ApiError::not_found("See /metrics, /health, /ready, /policy and /debug/bounds")
            });
        let begun = self.inner.parts.set(Parts { pages, ..parts });
        debug_assert!(begun.is_ok(), "a process starts once");
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/health", get(async || Json(json!({"status": "ok"}))))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .fallback(pages)
            .with_state(self.clone())
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("drain", &self.inner.drain).finish_non_exhaustive()
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
#[derive(Clone)]
struct Token {
    key: Arc<hmac::Key>,
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
        Ok(Self { key: Arc::new(key), tag })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        hmac::verify(&self.key, bearer(headers)?.as_bytes(), self.tag.as_ref())
            .map_err(|_| ApiError::unauthorized("Invalid admin token"))
    }
}

impl Gate for Token {
    type Held = ();

    fn pass<B>(&self, request: &mut Request<B>) -> Result<(), ApiError> {
        self.check(request.headers())
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let page = match admin.inner.parts.get() {
        Some(begun) => begun.metrics.page_for(accepted)?,
        // While it starts there is the process itself to see.
        None => Metrics::new().page_for(accepted)?,
    };
    Ok(([(CONTENT_TYPE, page.content_type)], page.text).into_response())
}

async fn ready(State(admin): State<Admin>) -> Response {
    let mut not_ready: Vec<String> = match admin.inner.parts.get() {
        None => vec!["starting".into()],
        Some(begun) => begun
            .checks
            .iter()
            .filter_map(|check| (check.ready)().err().map(|why| format!("{}: {why}", check.name)))
            .collect(),
    };
    if admin.inner.drain.is_started() {
        not_ready.push("draining".into());
    }
    if not_ready.is_empty() {
        Json(json!({"status": "ready"})).into_response()
    } else {
        let body = Json(json!({"status": "not ready", "why": not_ready}));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

/// The operator's pages, once there are any.
async fn pages(State(admin): State<Admin>, request: axum::extract::Request) -> Response {
    match admin.inner.parts.get() {
        Some(begun) => match begun.pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => ApiError::unavailable("starting", "The server is starting").into_response(),
    }
}

async fn bounds() -> Response {
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
    Json(json!({"bounds": bounds})).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use axum::body::Body;
    use plimsoll::breaker::Breaker;
    use plimsoll::semaphore::Semaphore;

    use super::*;

    fn admin(drain: &Drain) -> Admin {
        Admin::new(drain.clone(), &Secret::new("open sesame")).unwrap()
    }

    fn begun(drain: &Drain, parts: Parts) -> Router {
        let admin = admin(drain);
        let router = admin.router();
        admin.begin(parts);
        router
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
        let router = begun(
            &drain,
            Parts::new(Metrics::new()).pages(Router::new().route("/policy", get(async || "p"))),
        );
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
        assert_eq!(fetch(&router, "/policy", None).await.0, 401);
        assert_eq!(fetch(&router, "/policy", Some("open sesame")).await, (200, "p".into()));
        assert_eq!(fetch(&router, "/elsewhere", None).await.0, 404);
    }

    #[tokio::test]
    async fn ready_ends_when_a_check_fails_or_the_drain_begins_and_health_does_not() {
        let drain = Drain::new(Duration::ZERO);
        let well = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&well);
        let check = move || seen.load(Ordering::Relaxed).then_some(()).ok_or_else(|| "not begun".to_owned());
        let router = begun(&drain, Parts::new(Metrics::new()).check("hooks", check));
        let (status, body) = fetch(&router, "/ready", None).await;
        assert!(status == 503 && body.contains("hooks: not begun"), "{body}");
        well.store(true, Ordering::Relaxed);
        assert_eq!(fetch(&router, "/ready", None).await.0, 200);
        drain.begin();
        let (status, body) = fetch(&router, "/ready", None).await;
        assert!(status == 503 && body.contains("draining"), "{body}");
        assert_eq!(fetch(&router, "/health", None).await.0, 200);
    }

    #[tokio::test]
    async fn while_it_starts_it_lives_and_is_not_ready() {
        let admin = admin(&Drain::new(Duration::ZERO));
        let router = admin.router();
        assert_eq!(fetch(&router, "/health", None).await.0, 200);
        let (status, body) = fetch(&router, "/ready", None).await;
        assert!(status == 503 && body.contains("starting"), "{body}");
        assert!(fetch(&router, "/metrics", None).await.1.contains("process_open_fds"));
        assert_eq!(fetch(&router, "/debug/bounds", Some("open sesame")).await.0, 503);
        admin.begin(Parts::new(Metrics::new()));
        assert_eq!(fetch(&router, "/ready", None).await.0, 200);
        assert_eq!(fetch(&router, "/debug/bounds", Some("open sesame")).await.0, 200);
    }
}
