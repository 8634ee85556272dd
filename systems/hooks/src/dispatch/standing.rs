//! How one endpoint stands with the dispatcher: why something moves or does not.

use plimsoll::breaker;
use plimsoll_store::{AppId, EndpointId, UnixMillis};

use super::destination::For;
use super::job::Now;
use super::schedule::Schedule;

/// An endpoint as the schedule sees it, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Deliveries under way to it.
    pub(crate) in_flight: usize,
    /// Deliveries under way to all endpoints of its application.
    pub(crate) app_in_flight: usize,
    /// Whether something waits for it in memory.
    pub(crate) has_work: bool,
    /// Due work of it in memory: waiting, under way, or on its way into the store.
    pub(crate) due_in_memory: usize,
    /// When the earliest is due of what waits on disk.
    pub(crate) due_on_disk_at: Option<UnixMillis>,
    pub(crate) breaker: breaker::State,
    /// How many deliveries it may have under way: fewer than its policy says after it was unwell.
    pub(crate) allowed: usize,
    /// Whether it is left alone for now.
    pub(crate) parked: bool,
    /// What its destination has no more of, and it waits for.
    pub(crate) waits_for: Option<For>,
    /// When something happens by itself next: the end of a park, or work that is due.
    pub(crate) wakes_at: Option<UnixMillis>,
}

impl Schedule {
    /// How the endpoint stands; `None` where the schedule has nothing to do with it now.
    pub(crate) fn standing(&self, app: AppId, endpoint: EndpointId, now: Now) -> Option<Standing> {
        let tenant = self.tenants.get(&app)?;
        let lane = tenant.lanes.get(&endpoint)?;
        Some(Standing {
            in_flight: lane.in_flight,
            app_in_flight: tenant.in_flight,
            has_work: lane.has_work(),
            due_in_memory: lane.held.len(),
            due_on_disk_at: lane.on_disk,
            breaker: lane.breaker.state(),
            allowed: lane.allowed(),
            parked: lane.is_parked(),
            waits_for: lane.waits_for(),
            wakes_at: lane.wake_at(now).map(|at| now.unix_of(at)),
        })
    }
}
