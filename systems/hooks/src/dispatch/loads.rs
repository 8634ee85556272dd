//! What the schedule reads from disk, when, and how it takes it in.

use std::sync::Arc;

use plimsoll_store::{AppId, DueWork, EndpointId, Fanout, MessageId, UnixMillis, WorkId};
use rustc_hash::FxHashSet;

use super::envelope::Envelope;
use super::job::Now;
use super::schedule::Schedule;
use super::tenant::{Disk, earliest};

/// How many starved loads are looked at before giving up for now.
const STARVED_LOOK: usize = 64;
/// Due work read at once for one endpoint.
const DUE_BATCH: u32 = 32;
/// Due work of a disabled endpoint is only dropped, so more of it at once.
const DUE_BATCH_CLOSED: u32 = 1_024;

/// A read to make.
#[derive(Debug)]
pub(crate) enum Load {
    /// The oldest messages of an application whose fan-out is not complete.
    Fanouts { app: AppId, except: Vec<MessageId>, limit: u32, bytes: usize },
    /// What is due for an endpoint.
    Due { app: AppId, endpoint: EndpointId, except: Vec<WorkId>, limit: u32 },
}

/// Due work with its messages; `None` where a message is gone.
pub(crate) struct LoadedDue {
    pub(crate) app: AppId,
    pub(crate) endpoint: EndpointId,
    pub(crate) works: Vec<(DueWork, Option<Arc<Envelope>>)>,
    /// When the next is due that is not among them.
    pub(crate) next: Option<UnixMillis>,
}

impl Schedule {
    /// What to read from disk next.
    pub(crate) fn next_load(&mut self) -> Option<Load> {
        if self.draining || self.bytes >= self.limits.window_bytes_total {
            return None;
        }
        self.refill_next = !self.refill_next;
        if self.refill_next {
            self.next_refill().or_else(|| self.next_due_load())
        } else {
            self.next_due_load().or_else(|| self.next_refill())
        }
    }

    fn next_due_load(&mut self) -> Option<Load> {
        for _ in 0..self.due_loads.len().min(STARVED_LOOK) {
            let (app, endpoint) = self.due_loads.pop()?;
            let Some(tenant) = self.tenants.get(&app) else { continue };
            let Some(lane) = tenant.lanes.get(&endpoint) else { continue };
            if tenant.bytes() >= tenant.policy.window_bytes {
                self.due_loads.push(app, endpoint);
                continue;
            }
            let limit = if lane.is_open() { DUE_BATCH } else { DUE_BATCH_CLOSED };
            let except: Vec<WorkId> = lane.held.iter().copied().collect();
            // What commits while it is read is found by its release, which comes after.
            let lane = self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint))?;
            lane.on_disk = None;
            return Some(Load::Due { app, endpoint, except, limit });
        }
        None
    }

    fn next_refill(&mut self) -> Option<Load> {
        while let Some(app) = self.refills.pop_front() {
            let Some(tenant) = self.tenants.get_mut(&app) else { continue };
            tenant.refill_queued = false;
            if tenant.disk != Disk::More || !tenant.has_room() {
                continue;
            }
            tenant.disk = Disk::Loading { more: false };
            let except = tenant.window.ids().chain(tenant.arriving.iter().copied()).collect();
            let limit = tenant.policy.window_messages - tenant.window.len();
            let limit = limit.min(tenant.window.wanted(tenant.route.targets().len()).max(1));
            let bytes = tenant.policy.window_bytes - tenant.bytes();
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            return Some(Load::Fanouts { app, except, limit, bytes });
        }
        None
    }

    /// Messages were read from disk; `complete` says that there were no more.
    pub(crate) fn loaded_fanouts(
        &mut self,
        app: AppId,
        works: Vec<(Fanout, Envelope, FxHashSet<EndpointId>)>,
        complete: bool,
        now: Now,
    ) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let more = matches!(tenant.disk, Disk::Loading { more: true });
        tenant.disk = if complete && !more { Disk::Empty } else { Disk::More };
        for (fanout, message, skip) in works {
            if tenant.route.paused
                || tenant.arriving.contains(&message.id)
                || tenant.window.contains(message.id)
            {
                tenant.disk = Disk::More;
                continue;
            }
            let bytes = message.weight();
            if tenant.window.insert(Arc::new(message), fanout.ceiling, fanout.frontier, skip) {
                self.bytes += bytes;
            }
        }
        tenant.expand(now, &self.limits, &mut self.outbox);
        self.settle(app, now);
    }

    /// Due work was read from disk.
    pub(crate) fn loaded_due(&mut self, loaded: LoadedDue, now: Now) {
        let LoadedDue { app, endpoint, works, next } = loaded;
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        let before = tenant.due_bytes;
        tenant.loaded_due(endpoint, works, next, &mut self.outbox);
        self.bytes += tenant.due_bytes - before;
        self.refresh(app, endpoint, now);
    }

    /// A read failed: what it was for is looked at again after a while.
    pub(crate) fn load_failed(&mut self, load: &Load, now: Now) {
        match load {
            Load::Fanouts { app, .. } => {
                if let Some(tenant) = self.tenants.get_mut(app) {
                    tenant.disk = Disk::More;
                }
                self.settle(*app, now);
            }
            Load::Due { app, endpoint, .. } => {
                let lane = self.tenants.get_mut(app).and_then(|tenant| tenant.lanes.get_mut(endpoint));
                if let Some(lane) = lane {
                    lane.loading = false;
                    lane.on_disk = earliest(lane.on_disk, Some(now.unix));
                }
                self.refresh(*app, *endpoint, now);
            }
        }
    }
}
