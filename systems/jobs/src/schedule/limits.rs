//! The bounds of the schedule, and what is said when one of them is reached.

use std::time::Duration;

use rustc_hash::FxHashMap;

/// What is bounded, and by how much.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Unfinished jobs of a tenant.
    pub(crate) tenant_backlog: u64,
    /// Unfinished jobs in all.
    pub(crate) backlog: u64,
    /// Tenants with unfinished jobs.
    pub(crate) tenants: usize,
    /// Lanes in memory, of a tenant and in all.
    pub(crate) tenant_lanes: usize,
    pub(crate) lanes: usize,
    /// Jobs of a tenant at work at once.
    pub(crate) tenant_concurrency: usize,
    /// Jobs that workers over HTTP have at once, all and each.
    pub(crate) claims: usize,
    pub(crate) worker_claims: usize,
    /// Jobs that the workers of one organisation have at once over HTTP.
    pub(crate) org_claims: usize,
    /// Workers that wait over HTTP at once, of all and of one organisation.
    pub(crate) polls: usize,
    pub(crate) org_polls: usize,
    /// Jobs of a lane in memory, and of all lanes.
    pub(crate) window: usize,
    pub(crate) window_total: usize,
    /// How long a worker over HTTP may be silent.
    pub(crate) lease: Duration,
    /// Turns in a round; one where a tenant is not named.
    pub(crate) weights: FxHashMap<String, u32>,
}

/// Which bound stood in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full {
    pub(crate) bound: &'static str,
    pub(crate) limit: u64,
    pub(crate) in_use: u64,
    /// Whether it is the caller's own.
    pub(crate) whose: Whose,
}

/// Whose bound it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Caller,
    Ours,
}

impl Full {
    /// Itself, where it is one: where as much is in use as may be.
    pub(crate) const fn if_reached(self) -> Result<(), Self> {
        if self.in_use < self.limit { Ok(()) } else { Err(self) }
    }
}
