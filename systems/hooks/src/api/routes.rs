//! Which path and method leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::StatusCode;
use plimsoll_service::error::ApiError;

use super::{
    accept, app, attempt, batch, dead_letter, endpoint, event_type, headers, message, pause, secret, task,
};
use crate::core::Core;

/// What answers without a token.
pub(crate) fn health() -> Router {
    let alive = || get(|| async { StatusCode::NO_CONTENT });
    let routes = vec![("/api/v1/health", alive()), ("/api/v1/health/ping", alive())];
    both_with_and_without_slash(routes)
}

/// Everything else.
pub(crate) fn router(core: Arc<Core>) -> Router {
    both_with_and_without_slash(routes())
        .fallback(|| async { ApiError::not_found("There is nothing at this path") })
        // plimsoll: allow(unbounded-body) admission bounds bodies, by configuration
        .layer(DefaultBodyLimit::disable())
        .with_state(core)
}

/// Every path that asks for a token, and its methods.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<Core>>)> {
    vec![
        ("/api/v1/app", get(app::list).post(app::create)),
        ("/api/v1/app/{app}", get(app::get).put(app::put).patch(app::patch).delete(app::delete)),
        ("/api/v1/app/{app}/attempt/endpoint/{endpoint}", get(attempt::list_by_endpoint)),
        ("/api/v1/app/{app}/attempt/msg/{message}", get(attempt::list_by_message)),
        ("/api/v1/app/{app}/dead-letter", get(dead_letter::list)),
        ("/api/v1/app/{app}/dead-letter/replay", post(dead_letter::replay)),
        ("/api/v1/app/{app}/pause", post(pause::pause_app)),
        ("/api/v1/app/{app}/resume", post(pause::resume_app)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/dead-letter", get(dead_letter::list_by_endpoint)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/health", get(super::health::get)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/pause", post(pause::pause_endpoint)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/recover", post(task::recover)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/replay-missing", post(task::replay_missing)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/resume", post(pause::resume_endpoint)),
        ("/api/v1/background-task", get(task::list)),
        ("/api/v1/background-task/{task}", get(task::get)),
        ("/api/v1/app/{app}/endpoint", get(endpoint::list).post(endpoint::create)),
        (
            "/api/v1/app/{app}/endpoint/{endpoint}",
            get(endpoint::get).put(endpoint::put).patch(endpoint::patch).delete(endpoint::delete),
        ),
        (
            "/api/v1/app/{app}/endpoint/{endpoint}/headers",
            get(headers::get).merge(put(headers::put)).patch(headers::patch),
        ),
        ("/api/v1/app/{app}/endpoint/{endpoint}/secret", get(secret::get)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/secret/rotate", post(secret::rotate)),
        ("/api/v1/app/{app}/endpoint/{endpoint}/stats", get(endpoint::stats)),
        ("/api/v1/app/{app}/msg", get(message::list).post(accept::create)),
        ("/api/v1/app/{app}/msg/batch", post(batch::create)),
        ("/api/v1/app/{app}/msg/{message}", get(message::get)),
        ("/api/v1/app/{app}/msg/{message}/cancel", post(message::cancel)),
        ("/api/v1/app/{app}/msg/{message}/content", delete(message::expunge)),
        ("/api/v1/app/{app}/msg/{message}/attempt/{attempt}", get(attempt::get)),
        ("/api/v1/app/{app}/msg/{message}/endpoint", get(attempt::list_destinations)),
        ("/api/v1/app/{app}/msg/{message}/endpoint/{endpoint}/resend", post(attempt::resend)),
        ("/api/v1/event-type", get(event_type::list).post(event_type::create)),
        (
            "/api/v1/event-type/{name}",
            get(event_type::get).put(event_type::put).patch(event_type::patch).delete(event_type::delete),
        ),
    ]
}

fn both_with_and_without_slash<S>(routes: Vec<(&str, MethodRouter<S>)>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let routes = routes.into_iter().fold(Router::new(), |router, (path, methods)| {
        router.route(&format!("{path}/"), methods.clone()).route(path, methods)
    });
    routes.method_not_allowed_fallback(|| async {
        let detail = "This path does not take this method";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    })
}
