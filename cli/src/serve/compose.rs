//! What the server is made of.

use std::path::Path;

use axum::Router;
use plimsoll::Invalid;
use plimsoll::rate::Quota;
use plimsoll_hooks::Hooks;
use plimsoll_hooks::settings::Settings;
use plimsoll_jobs::Jobs;
use plimsoll_service::admission::{Admission, Limits, TenantLimits, Tenants};
use plimsoll_service::auth::{self, Caller, Keys};
use plimsoll_service::config::Resolved;
use plimsoll_service::descriptors::{Budget, Wanted};
use plimsoll_service::listen::Options;
use plimsoll_service::{admin, secret::Secret, secret::SecretError};
use tower::ServiceBuilder;

/// How many connections the admin listener holds: scrapers, probes, an operator.
const ADMIN_CONNECTIONS: usize = 32;

/// The secrets of the data directory.
pub(super) struct Secrets {
    pub(super) keys: Keys,
    pub(super) admin_token: Secret,
}

impl Secrets {
    pub(super) fn load(resolved: &Resolved, data: &Path) -> Result<Self, SecretError> {
        let keys = Keys::load_or_create(data)?;
        Ok(Self { keys, admin_token: admin::token(resolved, data)? })
    }
}

/// What the system's limit of open files must be shared out between.
pub(super) fn wanted(resolved: &Resolved, settings: &Settings) -> Wanted {
    Wanted { inbound: resolved.integer("http.connections"), outbound: settings.concurrency }
}

/// How the API listens.
pub(super) fn api_options(resolved: &Resolved, budget: Budget) -> Options {
    Options {
        name: "http.connections",
        connections: usize::try_from(budget.inbound).unwrap_or(usize::MAX),
        head_timeout: resolved.duration("http.head_timeout_ms"),
        head_bytes_max: resolved.count("http.head_bytes_max"),
    }
}

/// How the admin listener listens.
pub(super) fn admin_options(resolved: &Resolved) -> Options {
    Options {
        name: "admin.connections",
        connections: ADMIN_CONNECTIONS,
        head_timeout: resolved.duration("http.head_timeout_ms"),
        head_bytes_max: resolved.count("http.head_bytes_max"),
    }
}

/// The public interface: the routes of hooks and jobs behind admission and authentication, hooks'
/// health beside them. Workers that wait for jobs are bounded by jobs itself: they would take the
/// places of those who have something to say.
pub(super) fn api(
    hooks: &Hooks,
    jobs: &Jobs,
    keys: Keys,
    resolved: &Resolved,
    settings: &Settings,
) -> Result<Router, Invalid> {
    let admission = Admission::new(Limits {
        requests: resolved.integer("admission.requests"),
        bytes: resolved.integer("admission.bytes").max(settings.payload_bytes_max),
        body_bytes_max: settings.payload_bytes_max,
        body_timeout: resolved.duration("admission.body_timeout_ms"),
    })?;
    let rate = resolved
        .optional_integer("tenant.requests_per_second")
        .map(|rate| Quota::per_second(rate).burst(resolved.integer("tenant.burst")));
    let limits = TenantLimits { requests: resolved.integer("tenant.requests"), rate };
    let tenants = Tenants::new(limits, resolved.count("tenant.tenants_max"))?;
    let polls = ServiceBuilder::new().layer(auth::require(keys.clone())).layer(admission.bodies());
    let layers = ServiceBuilder::new()
        .layer(admission.layer())
        .layer(auth::require(keys))
        .layer(tenants.layer(Caller::org_of))
        .layer(admission.bodies());
    let answered = hooks.router().merge(jobs.router()).layer(layers);
    Ok(answered.merge(jobs.polls().layer(polls)).merge(hooks.health()))
}
