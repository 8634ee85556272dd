//! How work gets to a tenant's lanes, and from them to disk.

use std::sync::Arc;

use plimsoll_store::{
    AppId, DueWork, EndpointId, MessageId, Priority, Progress, Trigger, UnixMillis, WorkId,
};

use super::envelope::Envelope;
use super::job::{Class, Limits, Now};
use super::lane::{Item, Lane, Place, Placing, is_manual};
use super::outbox::{Outbox, Release};
use super::tenant::{Disk, Tenant, earliest};
use super::window::Settled;
use crate::routing::{AppRoute, Target};

/// How many endpoints are looked at while a message is handed out, before somebody else's turn.
const EXPAND_BUDGET: usize = 1_024;

impl Tenant {
    /// Whether nothing can be served while messages wait on disk for room in the window.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.route.paused && self.disk == Disk::More && self.nothing_ready() && !self.has_room()
    }

    /// Hands messages out to the lanes of the endpoints that want them.
    pub(crate) fn expand(&mut self, now: Now, limits: &Limits, outbox: &mut Outbox) {
        if !self.window.is_expanding() {
            return;
        }
        let targets = self.route.targets();
        let mut budget = EXPAND_BUDGET;
        for priority in Priority::ALL {
            self.stalled[priority as usize] = false;
            while budget > 0
                && self.ready[Class::First as usize].len(priority) < self.policy.concurrency
                && self.hand_out(priority, &targets, &mut budget, now, limits, outbox)
            {}
        }
    }

    /// Hands out the first message of the priority; `false` where there is none, or no more of it can
    /// be handed out now.
    fn hand_out(
        &mut self,
        priority: Priority,
        targets: &[Arc<Target>],
        budget: &mut usize,
        now: Now,
        limits: &Limits,
        outbox: &mut Outbox,
    ) -> bool {
        let limit = self.lane_limit();
        let Some(active) = self.window.expanding(priority) else { return false };
        let message = Arc::clone(&active.message);
        let from = targets.partition_point(|target| target.endpoint.sequence <= active.cursor);
        for target in &targets[from..] {
            self.look();
            let Some(active) = self.window.expanding(priority) else { return false };
            let (sequence, endpoint) = (target.endpoint.sequence, target.endpoint.id);
            if sequence > active.ceiling {
                break;
            }
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            if !target.is_open()
                || !target.wants(&message.event_type, message.channels.as_deref())
                || active.skip.contains(&endpoint)
            {
                active.cursor = sequence;
                continue;
            }
            let waiting = self.first_tries[priority as usize] >= limits.tenant_first_tries;
            let others_wait = waiting && !self.ready[Class::First as usize].is_empty();
            let placing = Placing {
                priority,
                first_tries: self.policy.lane_first_tries(),
                limit,
                alone: targets.len() == 1,
                others_wait,
            };
            let lane =
                self.lanes.entry(endpoint).or_insert_with(|| Lane::new(Arc::clone(target), &limits.breaker));
            match lane.place(now, placing) {
                Place::Stall => {
                    self.stalled[priority as usize] = true;
                    return false;
                }
                Place::Defer(due_at) => {
                    active.cursor = sequence;
                    defer(&self.route, &message, endpoint, due_at, outbox);
                }
                Place::Queue => {
                    active.hand_out(sequence);
                    lane.push(Item::First { message: Arc::clone(&message), sequence });
                    self.first_tries[priority as usize] += 1;
                    if !std::mem::replace(&mut lane.listed, true) {
                        self.with_first_tries.push(endpoint);
                    }
                    self.enlist(endpoint);
                }
            }
        }
        let settled = self.window.expanded(priority);
        self.write(message.id, settled, outbox);
        true
    }

    /// Where the window is full of messages that wait for endpoints which cannot take them, what
    /// waits goes to disk, so that the others are served.
    pub(crate) fn squeeze(&mut self, now: Now, outbox: &mut Outbox) {
        if self.first_tries == [0; Priority::ALL.len()]
            || self.has_room()
            || self.route.targets().len() <= 1
            || !self.nothing_ready()
        {
            return;
        }
        self.spill(now, outbox);
    }

    /// Moves what waits for a first try to disk.
    fn spill(&mut self, now: Now, outbox: &mut Outbox) {
        self.first_tries = Default::default();
        for endpoint in std::mem::take(&mut self.with_first_tries) {
            self.look();
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.listed = false;
            let due_at = lane.due_when_spilled(now);
            for (message, sequence) in lane.take_first_tries() {
                defer(&self.route, &message, endpoint, due_at, outbox);
                self.settle(message.id, sequence, outbox);
            }
        }
    }

    /// The application is paused: what waits goes to disk, and the window is emptied.
    pub(crate) fn put_away(&mut self, now: Now, outbox: &mut Outbox) {
        self.spill(now, outbox);
        for (message, settled) in self.window.put_away() {
            self.write(message, settled, outbox);
        }
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        for endpoint in lanes {
            self.put_away_due(endpoint);
        }
    }

    /// Forgets what is due and not under way: it is on disk.
    pub(crate) fn put_away_due(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        for (work, message) in lane.take_due() {
            self.due_bytes -= message.weight();
            lane.held.remove(&work.id);
            lane.on_disk = earliest(lane.on_disk, Some(work.due_at));
        }
    }

    /// The endpoint is gone for good.
    pub(crate) fn remove(&mut self, endpoint: EndpointId, outbox: &mut Outbox) {
        self.discard(endpoint, outbox);
        if let Some(place) = self.lanes.remove(&endpoint).and_then(|lane| lane.held_back) {
            self.held_back.remove(&place);
        }
    }

    /// Nothing can be sent to the endpoint: what waits for it is settled without an attempt.
    pub(crate) fn discard(&mut self, endpoint: EndpointId, outbox: &mut Outbox) {
        let app = self.id();
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let (first_tries, due) = (lane.take_first_tries(), lane.take_due());
        for (message, sequence) in first_tries {
            self.first_tries[message.priority as usize] -= 1;
            self.settle(message.id, sequence, outbox);
        }
        for (work, message) in due {
            self.due_bytes -= message.weight();
            outbox.push(Progress::Dropped(work.id), dropped(app, endpoint, work.id));
        }
    }

    /// A first try has an attempt, or due work, or needs none.
    pub(crate) fn settle(&mut self, message: MessageId, sequence: u64, outbox: &mut Outbox) {
        let settled = self.window.settle(message, sequence);
        self.write(message, settled, outbox);
    }

    fn write(&mut self, message: MessageId, settled: Settled, outbox: &mut Outbox) {
        let app = self.id();
        let (step, release) = match settled {
            Settled::Nothing => return,
            Settled::Advanced(frontier) => (Progress::Advanced { app, message, frontier }, Release::Nothing),
            Settled::Finished => (Progress::Finished { app, message }, Release::Message { app, message }),
            Settled::Away(frontier) => {
                (Progress::Advanced { app, message, frontier }, Release::Away { app, message })
            }
        };
        outbox.push(step, release);
    }

    /// Takes in due work that was read from disk; `None` where the message is gone.
    pub(crate) fn loaded_due(
        &mut self,
        endpoint: EndpointId,
        loaded: Vec<(DueWork, Option<Arc<Envelope>>)>,
        next: Option<UnixMillis>,
        outbox: &mut Outbox,
    ) {
        let (app, paused) = (self.id(), self.route.paused);
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        lane.loading = false;
        lane.on_disk = earliest(lane.on_disk, next);
        let open = lane.is_open();
        let paused = paused || lane.target.is_paused();
        for (work, message) in loaded {
            let id = work.id;
            if !lane.held.insert(id) {
                continue;
            }
            match message {
                // A resend by hand goes out even where the endpoint does not listen to the type.
                Some(message)
                    if open
                        && (is_manual(&work)
                            || lane.target.wants(&message.event_type, message.channels.as_deref())) =>
                {
                    self.due_bytes += message.weight();
                    lane.push(Item::Due { work, message });
                }
                _ => outbox.push(Progress::Dropped(id), dropped(app, endpoint, id)),
            }
        }
        if paused {
            self.put_away_due(endpoint);
        }
    }
}

const fn dropped(app: AppId, endpoint: EndpointId, work: WorkId) -> Release {
    Release::Due { app, endpoint, work: Some(work), due_at: None }
}

/// A first try goes to disk.
fn defer(
    route: &AppRoute,
    message: &Envelope,
    endpoint: EndpointId,
    due_at: UnixMillis,
    outbox: &mut Outbox,
) {
    let work = DueWork {
        id: WorkId::delivery(message.id, endpoint, Trigger::Scheduled),
        org: Arc::clone(&route.org),
        tenant: route.id,
        due_at,
        priority: message.priority as u8,
        tries: 0,
    };
    let release = Release::Due { app: route.id, endpoint, work: None, due_at: Some(due_at) };
    outbox.push(Progress::Deferred(work), release);
}
