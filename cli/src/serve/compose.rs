//! What the server is made of.

use std::path::Path;

use axum::Router;
use plimsoll::Invalid;
use plimsoll_hooks::Hooks;
use plimsoll_hooks::settings::Settings;
use plimsoll_jobs::Jobs;
use plimsoll_service::admission::{Admission, Limits, TenantLimits, Tenants};
use plimsoll_service::auth::{self, Caller, Keys};
use plimsoll_service::config::{ConfigError, Entry, Resolved, Source};
use plimsoll_service::descriptors::{Budget, Wanted};
use plimsoll_service::listen::Options;
use plimsoll_service::policy::{self, TenantBase};
use plimsoll_service::{admin, secret::Secret, secret::SecretError};
use tower::ServiceBuilder;

use crate::flags::policy_fields;

/// How many connections the admin listener holds: scrapers, probes, an operator.
const ADMIN_CONNECTIONS: usize = 32;

/// The body of a worker that waits for jobs: 32 kinds and a name. It is held as long as the worker waits.
const POLL_BYTES_MAX: u64 = 16 << 10;

/// The bounds that say how loaded the server is: those that more of them would relieve.
pub(super) const LOAD: &[&str] = &[
    "http.connections",
    "admission.requests",
    "admission.bytes",
    "store.commits",
    "hooks.concurrency",
    "hooks.unrecorded",
];

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
        answer_timeout: resolved.duration("http.answer_timeout_ms"),
    }
}

/// How the admin listener listens.
pub(super) fn admin_options(resolved: &Resolved) -> Options {
    Options {
        name: "admin.connections",
        connections: ADMIN_CONNECTIONS,
        head_timeout: resolved.duration("http.head_timeout_ms"),
        head_bytes_max: resolved.count("http.head_bytes_max"),
        answer_timeout: resolved.duration("http.answer_timeout_ms"),
    }
}

/// Sockets that are set must be there: those of the defaults are lowered to what the system allows.
///
/// # Errors
/// Where the operator asked for more than that.
pub(super) fn check_sockets(resolved: &Resolved, budget: Budget) -> Result<(), ConfigError> {
    for (key, sockets) in [("hooks.concurrency", budget.outbound), ("http.connections", budget.inbound)] {
        let Entry { source, .. } = resolved.entry(key);
        let wanted = resolved.integer(key);
        if wanted > sockets && *source != Source::Default {
            let Budget { total, headroom, .. } = budget;
            return Err(ConfigError::one(format!(
                "{key} is {wanted} ({source}), allowed is at most {sockets}: the system allows {total} open files, \
                 {headroom} are kept for the store, the rest is shared by hooks.concurrency and http.connections; \
                 raise ulimit -n"
            )));
        }
    }
    Ok(())
}

/// What the whole server admits.
pub(super) fn admission_limits(resolved: &Resolved, settings: &Settings) -> Limits {
    Limits {
        requests: resolved.integer("admission.requests"),
        bytes: resolved.integer("admission.bytes").max(settings.payload_bytes_max),
        body_bytes_max: settings.payload_bytes_max,
        body_timeout: resolved.duration("admission.body_timeout_ms"),
    }
}

/// What every organisation may do of which nothing is said.
pub(super) fn tenant_base(resolved: &Resolved) -> TenantBase {
    TenantBase {
        requests: resolved.integer("tenant.requests"),
        per_second: resolved.optional_integer("tenant.requests_per_second"),
        burst: resolved.integer("tenant.burst"),
    }
}

/// Where policy comes from.
pub(super) fn policy_options(resolved: &Resolved, data: &Path) -> policy::Options {
    let file = resolved.path("hooks.policy_file").map(Path::to_path_buf);
    policy::Options { fields: policy_fields(), file, data: data.into() }
}

/// The doors of the public interface.
#[derive(Clone)]
pub(super) struct Doors {
    pub(super) admission: Admission,
    pub(super) tenants: Tenants,
}

impl Doors {
    pub(super) fn new(resolved: &Resolved, settings: &Settings) -> Result<Self, Invalid> {
        let admission = Admission::new(admission_limits(resolved, settings))?;
        // Replaced by the first table of policy, before anybody can connect.
        let tenants = Tenants::new(TenantLimits::default(), resolved.count("tenant.tenants_max"))?;
        Ok(Self { admission, tenants })
    }
}

/// The public interface: the routes of hooks and jobs behind admission and authentication, hooks'
/// health beside them. Workers that wait for jobs are bounded by jobs itself: they would take the
/// places of those who have something to say.
pub(super) fn api(hooks: &Hooks, jobs: &Jobs, keys: Keys, doors: &Doors) -> Router {
    let Doors { admission, tenants } = doors;
    let polls = ServiceBuilder::new()
        .layer(auth::require(keys.clone()))
        .layer(tenants.waiting_layer(Caller::org_of))
        .layer(admission.bodies_up_to(POLL_BYTES_MAX));
    let layers = ServiceBuilder::new()
        .layer(admission.layer())
        .layer(auth::require(keys))
        .layer(tenants.layer(Caller::org_of))
        .layer(admission.bodies());
    let answered = hooks.router().merge(jobs.router()).layer(layers);
    answered.merge(jobs.polls().layer(polls)).merge(hooks.health())
}
