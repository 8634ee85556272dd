//! What is given to whom.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_store::{JobLane, JobRef};

use super::ring::{Left, Ring};
use super::window::Window;
use super::{Limits, PollId, RingKey, Schedule, Worker};

/// Jobs for somebody. Their claims are to be made durable first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Assignment {
    pub(crate) to: To,
    pub(crate) jobs: Vec<JobRef>,
}

/// For whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum To {
    Handler,
    Poll(PollId),
}

impl Schedule {
    /// Gives what can be given.
    pub(crate) fn serve(&mut self) -> Vec<Assignment> {
        let mut given = Vec::new();
        if self.draining {
            return given;
        }
        for key in std::mem::take(&mut self.stirred) {
            if key.org.is_none() {
                while self.slots.get(&key.kind).is_some_and(|free| *free > 0)
                    && let Some((lane, job)) = self.pick(&key)
                {
                    self.claims.begin(lane, job, Worker::Handler);
                    if let Some(free) = self.slots.get_mut(&key.kind) {
                        *free -= 1;
                    }
                    given.push(Assignment { to: To::Handler, jobs: vec![job] });
                }
                continue;
            }
            let mut after = None;
            while self.rings.get(&key).is_some_and(Ring::has_turns)
                && key.org.as_ref().is_some_and(|org| self.room_of(org) > 0)
                && let Some(id) = self.polls.next_of(&key, after)
            {
                after = Some(id);
                let jobs = self.fill(id);
                if !jobs.is_empty() {
                    self.polls.remove(id);
                    given.push(Assignment { to: To::Poll(id), jobs });
                }
            }
        }
        given
    }

    /// How many more jobs workers of the organisation may have.
    fn room_of(&self, org: &Arc<str>) -> usize {
        let Limits { claims, org_claims, .. } = self.limits;
        let room = claims.saturating_sub(self.claims.remote());
        room.min(org_claims.saturating_sub(self.claims.of_org(org)))
    }

    /// Jobs for a worker, of its kinds in turn.
    fn fill(&mut self, id: PollId) -> Vec<JobRef> {
        let mut jobs = Vec::new();
        let Some(poll) = self.polls.get(id).cloned() else { return jobs };
        let room = self.limits.worker_claims.saturating_sub(self.claims.of(&poll.worker));
        let room = room.min(self.room_of(&poll.org)).min(poll.max);
        let mut rings: VecDeque<_> = poll.rings().collect();
        while jobs.len() < room
            && let Some(ring) = rings.pop_front()
        {
            if let Some((lane, job)) = self.pick(&ring) {
                self.claims.begin(lane, job, poll.worker.clone());
                jobs.push(job);
                rings.push_back(ring);
            }
        }
        jobs
    }

    /// The next job of a kind. Its tenant then has one more at work.
    fn pick(&mut self, key: &RingKey) -> Option<(JobLane, JobRef)> {
        loop {
            let ring = self.rings.get_mut(key)?;
            let owner = ring.front()?.clone();
            let running = self.owners.get(&owner).map_or(0, |known| known.running);
            if running >= self.limits.tenant_concurrency {
                ring.park_front();
                self.owners.entry(owner).or_default().parked.insert(key.clone());
                continue;
            }
            let first = |lane: &&JobLane| {
                let first = self.windows.get(*lane).and_then(Window::first);
                first.map_or(u8::MAX, |job| job.priority)
            };
            let lane = ring.lanes().min_by_key(first)?.clone();
            let job = self.windows.get_mut(&lane).and_then(Window::take);
            let left = self.windows.get(&lane).is_some_and(|window| !window.is_empty());
            ring.took(&lane, if left { Left::Some } else { Left::Nothing });
            let Some(job) = job else { continue };
            self.in_memory -= 1;
            if self.claims.has(job.id) {
                // Known from before somebody got it.
                self.settle(&lane);
                continue;
            }
            self.owners.entry(owner).or_default().running += 1;
            if let Some(window) = self.windows.get_mut(&lane) {
                window.claiming += 1;
            }
            self.load_if_low(&lane);
            return Some((lane, job));
        }
    }
}
