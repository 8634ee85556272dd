//! What happens by itself: the ends of parks, work that is due, looks at who waits at a destination.

use std::cmp::Reverse;

use plimsoll::clock::Instant;
use plimsoll_store::{AppId, EndpointId};

use super::destination::{DestinationId, For};
use super::job::Now;
use super::schedule::Schedule;

/// What happens by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Tenant(AppId),
    Lane(AppId, EndpointId),
    Destination(DestinationId),
}

impl Schedule {
    /// When something happens by itself next.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Lets happen what happens by itself by now.
    pub(crate) fn tick(&mut self, now: Now) {
        while let Some(Reverse((at, alarm))) = self.timers.peek().copied() {
            if at > now.at {
                return;
            }
            self.timers.pop();
            match alarm {
                Alarm::Tenant(app) => {
                    let Some(tenant) = self.tenants.get_mut(&app) else { continue };
                    tenant.timer_at = tenant.timer_at.filter(|timer| *timer != at);
                    tenant.unpark(now);
                    self.settle(app, now);
                }
                Alarm::Lane(app, endpoint) => {
                    let lane = self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint));
                    if let Some(lane) = lane {
                        lane.timer_at = lane.timer_at.filter(|timer| *timer != at);
                    }
                    self.refresh(app, endpoint, now);
                }
                Alarm::Destination(id) => {
                    if self.destinations.rang(id, at) {
                        self.wake(id, now);
                    }
                }
            }
        }
    }

    /// Wakes as many lanes as the destination has places and retries for. Those of applications that
    /// cannot use one now do not count: they look again when they can.
    pub(super) fn wake(&mut self, id: DestinationId, now: Now) {
        for what in For::ALL {
            let mut free = self.destinations.free(id, what, now.at);
            while free > 0
                && let Some((app, endpoint)) = self.destinations.next_waiting(id, what)
            {
                let lane = self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint));
                // It may go to another by now.
                let Some(lane) = lane.filter(|lane| lane.destination == Some(id)) else { continue };
                lane.stop_waiting(what);
                self.refresh(app, endpoint, now);
                free -= usize::from(self.tenants.get(&app).is_some_and(|tenant| tenant.is_up(endpoint)));
            }
        }
        self.arm_destination(id, now);
    }

    fn arm_destination(&mut self, id: DestinationId, now: Now) {
        if let Some(at) = self.destinations.alarm(id, now.at) {
            self.set_timer(at, Alarm::Destination(id));
        }
    }

    fn set_timer(&mut self, at: Instant, alarm: Alarm) {
        self.signals.timer |= self.timers.peek().is_none_or(|Reverse((first, _))| at < *first);
        self.timers.push(Reverse((at, alarm)));
    }

    /// Sets the timer of a lane, or of the tenant, if it waits for time.
    pub(super) fn arm(&mut self, app: AppId, endpoint: Option<EndpointId>, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let (timer, wake) = match endpoint {
            None => {
                let wake = tenant.parked_until();
                (&mut tenant.timer_at, wake)
            }
            Some(endpoint) => {
                let Some(lane) = tenant.lanes.get_mut(&endpoint) else { return };
                let wake = lane.wake_at(now);
                (&mut lane.timer_at, wake)
            }
        };
        let Some(wake) = wake else { return };
        if timer.is_some_and(|set| set <= wake) {
            return;
        }
        *timer = Some(wake);
        self.set_timer(wake, endpoint.map_or(Alarm::Tenant(app), |endpoint| Alarm::Lane(app, endpoint)));
    }

    /// A pick may have parked the tenant and any of its lanes.
    pub(super) fn arm_parked(&mut self, app: AppId, now: Now) {
        self.arm(app, None, now);
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        for endpoint in tenant.take_parked() {
            self.arm(app, Some(endpoint), now);
        }
        for id in self.destinations.take_waited() {
            self.arm_destination(id, now);
        }
    }
}
