//! Which path and method leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::StatusCode;
use plimsoll_service::error::ApiError;

use super::{accept, claim, dead, jobs};
use crate::core::Core;

/// What is answered at once.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let routes = Router::new()
        .route("/v1/jobs", get(jobs::list).post(accept::create))
        .route("/v1/jobs/dead", get(dead::list))
        .route("/v1/jobs/dead/retry", post(dead::retry_many))
        .route("/v1/jobs/{id}", get(jobs::get).delete(jobs::cancel))
        .route("/v1/jobs/{id}/retry", post(dead::retry))
        .route("/v1/jobs/{id}/heartbeat", post(claim::heartbeat))
        .route("/v1/jobs/{id}/ack", post(claim::ack))
        .route("/v1/jobs/{id}/fail", post(claim::fail));
    finished(routes, core)
}

/// What waits.
pub(crate) fn polls(core: Arc<Core>) -> Router {
    finished(Router::new().route("/v1/jobs/claim", post(claim::claim)), core)
}

fn finished(routes: Router<Arc<Core>>, core: Arc<Core>) -> Router {
    routes
        .method_not_allowed_fallback(|| async {
            let detail = "This path does not take this method";
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        // plimsoll: allow(unbounded-body) admission bounds bodies, by configuration
        .layer(DefaultBodyLimit::disable())
        .with_state(core)
}
