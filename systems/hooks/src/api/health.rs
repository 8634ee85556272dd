//! Why nothing moves: how an endpoint stands, and what stands in its way.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll::breaker;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Attempt, Endpoint, UnixMillis};
use serde::Serialize;

use super::endpoint_out::disabled_by;
use super::find::{self, Params};
use super::reply::{Reply, store_error};
use super::timestamp::Timestamp;
use crate::core::Core;
use crate::dispatch::{For, Standing};
use crate::policy::Policy;
use crate::routing::AppRoute;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthOut {
    /// One word for what is nearest to the reason why something moves or does not.
    state: &'static str,
    /// When that ends by itself, where it is known.
    until: Option<Timestamp>,
    disabled_by: Option<&'static str>,
    paused_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    /// When it is disabled if no attempt succeeds before.
    disabled_at: Option<Timestamp>,
    breaker: &'static str,
    queue: QueueOut,
    last_error: Option<LastOut>,
    last_success: Option<Timestamp>,
    limits: LimitsOut,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueOut {
    in_flight: usize,
    /// Whether something waits for it in memory.
    waiting: bool,
    /// What is to be tried again, or was put off, and is in memory.
    due_in_memory: usize,
    /// When the earliest is due of what is to be tried again and is on disk.
    next_due_at: Option<Timestamp>,
    /// Deliveries of the application that are pending, to all of its endpoints.
    application_pending: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastOut {
    at: Timestamp,
    status: u16,
    response: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitsOut {
    concurrency: usize,
    application_concurrency: usize,
    throttle_rate: Option<u32>,
    application_throttle_rate: Option<u32>,
    application_pending_max: u64,
    disable_after_failing_hours: Option<u64>,
}

/// Of an endpoint's last failure this much of the response is told.
const RESPONSE_BYTES: usize = 1_024;

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let target = find::endpoint(&app, &endpoint)?;
    let endpoint = &target.endpoint;
    let last = core.store.last_attempts(app.id, endpoint.id).await.map_err(store_error)?;
    let failing = core.store.failing(endpoint.id);
    let standing = core.dispatch.standing(app.id, endpoint.id);
    let policy = core.policies.of(&app);
    let (state, until) = state(&app, endpoint, target.prepared.is_some(), standing, &policy);
    let span = core.disabler.failing_max();
    let disabled_at = failing.zip(span).filter(|_| !endpoint.disabled).map(|(failing, span)| {
        Timestamp(failing.since.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    });
    let health = HealthOut {
        state,
        until: until.map(Timestamp),
        disabled_by: endpoint.disabled.then(|| endpoint.disabled_by.map_or("owner", disabled_by)),
        paused_at: endpoint.paused_at.map(Timestamp),
        failing_since: failing.map(|failing| Timestamp(failing.since)),
        disabled_at,
        breaker: standing.map_or(breaker::State::Closed, |standing| standing.breaker).as_str(),
        queue: QueueOut {
            in_flight: standing.map_or(0, |standing| standing.in_flight),
            waiting: standing.is_some_and(|standing| standing.has_work),
            due_in_memory: standing.map_or(0, |standing| standing.due_in_memory),
            next_due_at: standing.and_then(|standing| standing.due_on_disk_at).map(Timestamp),
            application_pending: core.store.backlog(app.id).deliveries,
        },
        last_error: last.failed.as_ref().map(last_error),
        last_success: last.succeeded.map(|attempt| Timestamp(attempt.at)),
        limits: LimitsOut {
            concurrency: policy.endpoint_concurrency,
            application_concurrency: policy.concurrency,
            throttle_rate: endpoint.throttle_rate,
            application_throttle_rate: app.throttle_rate,
            application_pending_max: policy.backlog_max,
            disable_after_failing_hours: span.map(|span| span.as_secs() / 3_600),
        },
    };
    Ok(Reply::json(StatusCode::OK, &health))
}

fn last_error(attempt: &Attempt) -> LastOut {
    let response = &attempt.response[..attempt.response.len().min(RESPONSE_BYTES)];
    LastOut {
        at: Timestamp(attempt.at),
        status: attempt.status_code,
        response: String::from_utf8_lossy(response).into_owned(),
    }
}

/// What is nearest to the reason, and when it ends by itself: first what somebody decided, then what
/// the dispatcher waits for.
fn state(
    app: &AppRoute,
    endpoint: &Endpoint,
    deliverable: bool,
    standing: Option<Standing>,
    policy: &Policy,
) -> (&'static str, Option<UnixMillis>) {
    if endpoint.disabled {
        return ("disabled", None);
    }
    if !deliverable {
        return ("url_cannot_be_delivered_to", None);
    }
    if app.paused {
        return ("application_paused", None);
    }
    if endpoint.paused_at.is_some() {
        return ("paused", None);
    }
    let Some(standing) = standing else { return ("idle", None) };
    match standing {
        Standing { breaker: breaker::State::Open, wakes_at, .. } => ("breaker_open", wakes_at),
        Standing { breaker: breaker::State::HalfOpen, wakes_at, .. } => ("breaker_probing", wakes_at),
        Standing { waits_for: Some(For::Place), .. } => ("destination_at_concurrency", None),
        Standing { parked: true, wakes_at, .. } => ("held_back", wakes_at),
        Standing { in_flight, allowed, .. } if in_flight >= policy.endpoint_concurrency.min(allowed) => {
            ("at_concurrency", None)
        }
        Standing { app_in_flight, has_work: true, .. } if app_in_flight >= policy.concurrency => {
            ("application_at_concurrency", None)
        }
        Standing { in_flight, .. } if in_flight > 0 => ("delivering", None),
        Standing { waits_for: Some(For::Budget), .. } => ("destination_over_retry_budget", None),
        Standing { has_work: true, .. } => ("delivering", None),
        Standing { due_on_disk_at: due @ Some(_), .. } => ("waiting_to_retry", due),
        Standing { .. } => ("idle", None),
    }
}
