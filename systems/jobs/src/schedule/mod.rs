//! Decides who gets which job next. Pure: it is told what happened and what time it is, and says
//! what is to be done.
//!
//! # Invariants
//! - A job is given to one worker at a time; its tenant has no more at work than it may, its kind no
//!   more than it has slots.
//! - Between the tenants of a kind turns go round by weight, whatever each has waiting; between the
//!   keys of a tenant they go round by share of the keys (stochastic fairness: two keys that fall
//!   into one share are one), the most urgent first.
//! - Memory has windows of at most [`Limits::lanes`] lanes, and at most [`Limits::window_total`] jobs
//!   beyond the first few of each, whatever waits on disk.
//! - A lane that is ready on disk has a window, or it is known that lanes were left out: they are
//!   then looked for until none is.

mod assignment;
mod claims;
mod limits;
mod polls;
mod ring;
mod window;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll::clock::Instant;
use plimsoll_store::{Job, JobId, JobLane, JobOwner, JobRef, JobState, UnixMillis};
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use assignment::{Assignment, To};
pub(crate) use claims::{Expired, Held, NotHeld, Worker};
pub(crate) use limits::{Full, Limits, Whose};
pub(crate) use polls::{Poll, PollId};

use claims::Claims;
use polls::Polls;
use ring::Ring;
use window::Window;

/// A lane's window while [`Limits::window_total`] jobs are in memory.
const WINDOW_MIN: usize = 4;
/// Jobs of a lane that are read at once: a page of the store.
const LOAD_MAX: u32 = 10_000;

/// Jobs of one kind: of one organisation, or of all where a handler of the process does them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RingKey {
    pub(crate) org: Option<Arc<str>>,
    pub(crate) kind: Arc<str>,
}

#[derive(Default)]
struct Owner {
    unfinished: u64,
    running: usize,
    /// Its lanes in memory.
    lanes: usize,
    /// Rings in which it has no turn because it is at its bound.
    parked: FxHashSet<RingKey>,
}

/// How it stands, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Census {
    pub(crate) unfinished: u64,
    pub(crate) tenants: usize,
    pub(crate) tenant_unfinished_max: u64,
    pub(crate) in_flight: usize,
    pub(crate) claims: usize,
    pub(crate) polls: usize,
    pub(crate) lanes: usize,
    pub(crate) in_memory: usize,
    /// When the oldest job in memory became due.
    pub(crate) oldest: Option<UnixMillis>,
}

/// Whether lanes are ready on disk that are not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LeftOut {
    Nothing,
    /// All lanes on disk are being looked at, and none was left out since that began.
    Looking,
    Some,
}

pub(crate) struct Schedule {
    limits: Limits,
    owners: FxHashMap<JobOwner, Owner>,
    unfinished: u64,
    windows: FxHashMap<JobLane, Window>,
    in_memory: usize,
    rings: FxHashMap<RingKey, Ring>,
    /// Free slots of the kinds that this process does itself.
    slots: FxHashMap<Arc<str>, usize>,
    claims: Claims,
    polls: Polls,
    /// Rings in which something may have become possible.
    stirred: FxHashSet<RingKey>,
    loads: VecDeque<JobLane>,
    left_out: LeftOut,
    draining: bool,
}

impl Schedule {
    pub(crate) fn new(limits: Limits, slots: FxHashMap<Arc<str>, usize>) -> Self {
        Self {
            limits,
            owners: FxHashMap::default(),
            unfinished: 0,
            windows: FxHashMap::default(),
            in_memory: 0,
            rings: FxHashMap::default(),
            slots,
            claims: Claims::default(),
            polls: Polls::default(),
            stirred: FxHashSet::default(),
            loads: VecDeque::new(),
            left_out: LeftOut::Nothing,
            draining: false,
        }
    }

    /// A job is about to be accepted: takes its place in the backlog. One that is ready needs one in
    /// memory too, where its lane has none.
    pub(crate) fn admit(&mut self, lane: &JobLane, state: JobState) -> Result<(), Full> {
        let Limits { tenant_backlog, backlog, tenants, tenant_lanes, lanes, .. } = self.limits;
        let callers = |bound, limit, in_use| Full { bound, limit, in_use, whose: Whose::Caller }.if_reached();
        let ours = |bound, limit, in_use| Full { bound, limit, in_use, whose: Whose::Ours }.if_reached();
        let owner = lane.owner();
        let mut has_lanes = 0;
        match self.owners.get(&owner) {
            Some(known) => {
                callers("jobs.tenant_backlog_max", tenant_backlog, known.unfinished)?;
                has_lanes = known.lanes;
            }
            None => ours("jobs.tenants_max", tenants as u64, self.owners.len() as u64)?,
        }
        ours("jobs.backlog_max", backlog, self.unfinished)?;
        if state == JobState::Ready && !self.windows.contains_key(lane) {
            callers("jobs.tenant_lanes_max", tenant_lanes as u64, has_lanes as u64)?;
            ours("jobs.lanes_max", lanes as u64, self.windows.len() as u64)?;
        }
        self.found(owner, 1);
        Ok(())
    }

    /// A tenant has so many unfinished jobs (more).
    pub(crate) fn found(&mut self, owner: JobOwner, unfinished: u64) {
        self.owners.entry(owner).or_default().unfinished += unfinished;
        self.unfinished += unfinished;
    }

    /// A job of the tenant is over, or was not accepted after all.
    pub(crate) fn over(&mut self, owner: &JobOwner) {
        if let Some(known) = self.owners.get_mut(owner) {
            known.unfinished = known.unfinished.saturating_sub(1);
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        self.forget_idle_owner(owner);
    }

    fn forget_idle_owner(&mut self, owner: &JobOwner) {
        let idle = |known: &Owner| known.unfinished == 0 && known.running == 0 && known.lanes == 0;
        if self.owners.get(owner).is_some_and(idle) {
            self.owners.remove(owner);
        }
    }

    /// A job is ready, and durably so.
    pub(crate) fn offer(&mut self, lane: &JobLane, job: JobRef) {
        if self.claims.has(job.id) || !self.open(lane) {
            return;
        }
        let cap = self.cap();
        self.change_window(lane, |window| window.offer(job, cap));
        self.settle(lane);
    }

    /// Lanes may be ready on disk: they are to be looked for.
    pub(crate) fn look_for_lanes(&mut self) {
        self.left_out = LeftOut::Some;
    }

    /// Whether lanes are to be looked for, and there is room for what is found.
    pub(crate) fn is_to_look(&self) -> bool {
        self.left_out != LeftOut::Nothing && self.windows.len() < self.limits.lanes
    }

    /// All lanes on disk are looked at, from the first.
    pub(crate) fn begin_look(&mut self) {
        self.left_out = LeftOut::Looking;
    }

    /// The lane has jobs on disk. Returns whether it was not in memory and now is.
    pub(crate) fn found_on_disk(&mut self, lane: &JobLane) -> bool {
        let found = !self.windows.contains_key(lane) && self.open(lane);
        if found {
            self.settle(lane);
        }
        found
    }

    /// All lanes on disk were looked at.
    pub(crate) fn end_look(&mut self) {
        if self.left_out == LeftOut::Looking {
            self.left_out = LeftOut::Nothing;
        }
    }

    /// Whether the lane has a window: it gets one where there is room.
    fn open(&mut self, lane: &JobLane) -> bool {
        if self.windows.contains_key(lane) {
            return true;
        }
        let owner = lane.owner();
        let lanes = self.owners.get(&owner).map_or(0, |known| known.lanes);
        if lanes >= self.limits.tenant_lanes || self.windows.len() >= self.limits.lanes {
            self.left_out = LeftOut::Some;
            return false;
        }
        self.owners.entry(owner).or_default().lanes += 1;
        let mut window = Window::default();
        if self.left_out != LeftOut::Nothing {
            // It may be one of them.
            window.expect_more();
        }
        self.windows.insert(lane.clone(), window);
        true
    }

    /// Whether there is a lane to be read from disk.
    pub(crate) fn has_loads(&self) -> bool {
        !self.loads.is_empty()
    }

    /// The next lane to be read from disk, and how many of its jobs.
    pub(crate) fn next_load(&mut self) -> Option<(JobLane, u32)> {
        let lane = self.loads.pop_front()?;
        let claiming = self.windows.get_mut(&lane).map_or(0, |window| {
            window.begin_loading();
            window.claiming
        });
        // What is being claimed is still ready on disk: it must not be all that is seen of it.
        let limit = u32::try_from(self.cap() + claiming).map_or(LOAD_MAX, |limit| limit.min(LOAD_MAX));
        Some((lane, limit))
    }

    /// What was read of a lane.
    pub(crate) fn loaded(&mut self, lane: &JobLane, jobs: &[JobRef], limit: u32) {
        let cap = self.cap();
        let complete = jobs.len() < limit as usize;
        let jobs: Vec<_> = jobs.iter().filter(|job| !self.claims.has(job.id)).copied().collect();
        self.change_window(lane, |window| window.loaded(jobs.into_iter(), complete, cap));
        self.settle(lane);
    }

    /// A lane could not be read: it is tried again.
    pub(crate) fn not_loaded(&mut self, lane: &JobLane) {
        self.change_window(lane, Window::not_loaded);
        self.settle(lane);
    }

    fn cap(&self) -> usize {
        if self.in_memory >= self.limits.window_total { WINDOW_MIN } else { self.limits.window }
    }

    fn change_window(&mut self, lane: &JobLane, change: impl FnOnce(&mut Window)) {
        let Some(window) = self.windows.get_mut(lane) else { return };
        let before = window.len();
        change(window);
        self.in_memory = self.in_memory + window.len() - before;
    }

    /// After a window changed: reads more of it, gives its tenant a turn, or forgets it.
    fn settle(&mut self, lane: &JobLane) {
        let cap = self.cap();
        let Some(window) = self.windows.get_mut(lane) else { return };
        if window.want_loading(cap) {
            self.loads.push_back(lane.clone());
        }
        if window.is_idle() {
            self.close(lane);
        } else if !window.is_empty() {
            let owner = lane.owner();
            let weight = self.limits.weights.get(owner.tenant()).copied().unwrap_or(1);
            let key = self.ring_of(lane);
            let parked = self.owners.get(&owner).is_some_and(|known| known.parked.contains(&key));
            let ring = self.rings.entry(key.clone()).or_default();
            ring.enter(&owner, lane, weight);
            if !parked {
                ring.queue(&owner);
                self.stirred.insert(key);
            }
        }
    }

    /// Nothing of the lane is to be remembered.
    fn close(&mut self, lane: &JobLane) {
        self.windows.remove(lane);
        let (owner, key) = (lane.owner(), self.ring_of(lane));
        let mut has_turns = false;
        if let Some(ring) = self.rings.get_mut(&key) {
            ring.leave(&owner, lane);
            has_turns = ring.has(&owner);
            if ring.is_empty() {
                self.rings.remove(&key);
            }
        }
        if let Some(known) = self.owners.get_mut(&owner) {
            known.lanes = known.lanes.saturating_sub(1);
            if !has_turns {
                known.parked.remove(&key);
            }
        }
        self.forget_idle_owner(&owner);
    }

    fn ring_of(&self, lane: &JobLane) -> RingKey {
        match self.slots.get_key_value(lane.kind()) {
            Some((kind, _)) => RingKey { org: None, kind: Arc::clone(kind) },
            None => RingKey { org: Some(lane.org().into()), kind: lane.kind().into() },
        }
    }

    /// Whether a handler of this process does the kind.
    pub(crate) fn has_handler(&self, kind: &str) -> bool {
        self.slots.contains_key(kind)
    }

    /// A worker waits for jobs; [`serve`](Self::serve) says when it gets some.
    pub(crate) fn poll(&mut self, poll: Poll) -> Result<PollId, Full> {
        let Limits { polls, org_polls, worker_claims, .. } = self.limits;
        let full = |bound, limit, in_use, whose| {
            Full { bound, limit: limit as u64, in_use: in_use as u64, whose }.if_reached()
        };
        full("jobs.org_polls_max", org_polls, self.polls.of_org(&poll.org), Whose::Caller)?;
        full("jobs.polls_max", polls, self.polls.len(), Whose::Ours)?;
        full("jobs.worker_claims_max", worker_claims, self.claims.of(&poll.worker), Whose::Caller)?;
        self.stirred.extend(poll.rings());
        Ok(self.polls.add(poll))
    }

    /// The worker does not wait any more; false where it has been given jobs already.
    pub(crate) fn leave(&mut self, poll: PollId) -> bool {
        self.polls.remove(poll).is_some()
    }

    fn load_if_low(&mut self, lane: &JobLane) {
        let cap = self.cap();
        if self.windows.get_mut(lane).is_some_and(|window| window.want_loading(cap)) {
            self.loads.push_back(lane.clone());
        }
    }

    /// A claim is durable. Returns until when its worker must have been heard of.
    pub(crate) fn claimed(&mut self, job: &Job, now: Instant) -> Option<Instant> {
        self.not_claiming(&job.lane);
        self.claims.durable(job, self.limits.lease, now)
    }

    /// A claim came to nothing: the job was cancelled meanwhile, or the claim could not be stored and
    /// the job is still ready.
    pub(crate) fn not_claimed(&mut self, id: JobId, then: Then) {
        let Some(held) = self.claims.remove(id) else { return };
        if then == Then::Nothing
            && let Some(window) = self.windows.get_mut(&held.lane)
        {
            // What was known of the job was old: the disk knows better.
            window.expect_more();
        }
        self.not_claiming(&held.lane);
        self.gone(&held);
        self.follow(&held.lane, then);
    }

    fn not_claiming(&mut self, lane: &JobLane) {
        if let Some(window) = self.windows.get_mut(lane) {
            window.claiming = window.claiming.saturating_sub(1);
        }
        self.settle(lane);
    }

    /// A claim that the last life of the process left with a worker over HTTP.
    pub(crate) fn inherited(&mut self, job: &Job, now: Instant) {
        let reference = JobRef { priority: job.priority, due_at: job.due_at, id: job.id };
        let worker = Worker::Remote(job.lane.org().into(), "".into());
        self.owners.entry(job.lane.owner()).or_default().running += 1;
        self.claims.begin(job.lane.clone(), reference, worker);
        self.claims.durable(job, self.limits.lease, now);
    }

    /// Its worker is alive. Returns until when it must be heard of again.
    pub(crate) fn heartbeat(&mut self, id: JobId, number: u32, now: Instant) -> Result<Instant, NotHeld> {
        self.claims.heartbeat(id, number, self.limits.lease, now)
    }

    pub(crate) fn held(&self, id: JobId) -> Option<&Held> {
        self.claims.get(id)
    }

    /// The end of a claim is on its way to the store.
    pub(crate) fn ending(&mut self, id: JobId, number: u32) -> Result<Held, NotHeld> {
        self.claims.ending(id, number)
    }

    /// It could not be stored: the claim goes on.
    pub(crate) fn not_ended(&mut self, id: JobId, now: Instant) {
        self.claims.not_ended(id, self.limits.lease, now);
    }

    /// The end of a claim is durable.
    pub(crate) fn ended(&mut self, id: JobId, then: Then) {
        let Some(held) = self.claims.remove(id) else { return };
        self.gone(&held);
        self.forget(&held.lane, &held.job);
        self.follow(&held.lane, then);
    }

    /// The job does not wait any more, even where it was just read as one that does.
    fn forget(&mut self, lane: &JobLane, job: &JobRef) {
        self.change_window(lane, |window| window.forget(job));
        self.settle(lane);
    }

    fn follow(&mut self, lane: &JobLane, then: Then) {
        match then {
            Then::Over => self.over(&lane.owner()),
            Then::Ready(job) => self.offer(lane, job),
            Then::Nothing => {}
        }
    }

    /// Whoever worked on it has a place free, and its tenant too.
    fn gone(&mut self, held: &Held) {
        let owner = held.lane.owner();
        if let Some(known) = self.owners.get_mut(&owner) {
            known.running = known.running.saturating_sub(1);
            for key in std::mem::take(&mut known.parked) {
                if let Some(ring) = self.rings.get_mut(&key) {
                    ring.queue(&owner);
                    self.stirred.insert(key);
                }
            }
        }
        self.forget_idle_owner(&owner);
        match &held.worker {
            Worker::Handler => self.slot_is_free(held.lane.kind()),
            Worker::Remote(org, _) => self.claim_is_free(org, &held.worker),
        }
    }

    fn slot_is_free(&mut self, kind: &str) {
        if let Some((kind, free)) = self.slots.get_key_value(kind).map(|(k, f)| (Arc::clone(k), *f)) {
            self.slots.insert(Arc::clone(&kind), free + 1);
            self.stirred.insert(RingKey { org: None, kind });
        }
    }

    /// Whoever waits because of a bound that was reached may have something now.
    fn claim_is_free(&mut self, org: &Arc<str>, worker: &Worker) {
        let Limits { claims, org_claims, worker_claims, .. } = self.limits;
        if self.claims.remote() + 1 >= claims {
            self.stirred.extend(self.polls.rings_of(|_| true));
        } else if self.claims.of_org(org) + 1 >= org_claims {
            self.stirred.extend(self.polls.rings_of(|poll| poll.org == *org));
        } else if self.claims.of(worker) + 1 >= worker_claims {
            self.stirred.extend(self.polls.rings_of(|poll| poll.worker == *worker));
        }
    }

    /// A job that waits was cancelled.
    pub(crate) fn cancelled(&mut self, lane: &JobLane, job: &JobRef) {
        self.forget(lane, job);
        self.over(&lane.owner());
    }

    /// Claims whose worker was not heard of in time, or which took too long; they are then ending.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<(Held, Expired)> {
        self.claims.expired(now)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.claims.next_deadline()
    }

    /// Gives nothing any more; who waits is to be told that there is nothing.
    pub(crate) fn drain(&mut self) -> Vec<PollId> {
        self.draining = true;
        let waiting = self.polls.ids();
        for id in &waiting {
            self.polls.remove(*id);
        }
        waiting
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Jobs that handlers of this process have.
    pub(crate) fn handlers_at_work(&self) -> usize {
        self.claims.of(&Worker::Handler)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Looks at every lane and tenant.
    pub(crate) fn census(&self) -> Census {
        let firsts = self.windows.values().filter_map(Window::first);
        Census {
            unfinished: self.unfinished,
            tenants: self.owners.len(),
            tenant_unfinished_max: self.owners.values().map(|owner| owner.unfinished).max().unwrap_or(0),
            in_flight: self.claims.len(),
            claims: self.claims.remote(),
            polls: self.polls.len(),
            lanes: self.windows.len(),
            in_memory: self.in_memory,
            oldest: firsts.map(|job| job.due_at).min(),
        }
    }
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// The job is over.
    Over,
    /// It is ready (again).
    Ready(JobRef),
    /// It is scheduled, or was not there: nothing.
    Nothing,
}
