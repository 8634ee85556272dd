//! Whose turn it is among the tenants with jobs of a kind: weighted deficit round robin.
//!
//! Every job costs one, so that a turn is as many jobs as the tenant's weight.

use std::collections::VecDeque;

use plimsoll_store::{JobLane, JobOwner};
use rustc_hash::FxHashMap;

#[derive(Default)]
pub(crate) struct Ring {
    turns: VecDeque<Turn>,
    members: FxHashMap<JobOwner, Member>,
}

struct Turn {
    owner: JobOwner,
    credit: u32,
}

/// A tenant with something in memory.
struct Member {
    /// Its lanes with a job in memory, the next first.
    lanes: VecDeque<JobLane>,
    /// Whether it has a turn; it has none while it is at its bound.
    queued: bool,
    weight: u32,
}

impl Ring {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The lane of the tenant has something in memory.
    pub(crate) fn enter(&mut self, owner: &JobOwner, lane: &JobLane, weight: u32) {
        if !self.members.contains_key(owner) {
            let member = Member { lanes: VecDeque::new(), queued: false, weight: weight.max(1) };
            self.members.insert(owner.clone(), member);
        }
        if let Some(member) = self.members.get_mut(owner)
            && !member.lanes.contains(lane)
        {
            member.lanes.push_back(lane.clone());
        }
    }

    /// The tenant may have a turn (again).
    pub(crate) fn queue(&mut self, owner: &JobOwner) {
        if let Some(member) = self.members.get_mut(owner)
            && !member.queued
        {
            member.queued = true;
            self.turns.push_back(Turn { owner: owner.clone(), credit: member.weight });
        }
    }

    /// Whose turn it is.
    pub(crate) fn front(&self) -> Option<&JobOwner> {
        self.turns.front().map(|turn| &turn.owner)
    }

    /// Who has the turn is at its bound: it has none until it is queued again.
    pub(crate) fn park_front(&mut self) {
        if let Some(turn) = self.turns.pop_front()
            && let Some(member) = self.members.get_mut(&turn.owner)
        {
            member.queued = false;
        }
    }

    /// The lanes of whoever has the turn, the next first.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &JobLane> {
        let member = self.front().and_then(|owner| self.members.get(owner));
        member.into_iter().flat_map(|member| member.lanes.iter())
    }

    /// A job of that lane was taken, or none was there; `left` says whether it has another.
    pub(crate) fn took(&mut self, lane: &JobLane, left: Left) {
        let Some(turn) = self.turns.front_mut() else { return };
        let Some(member) = self.members.get_mut(&turn.owner) else { return };
        member.lanes.retain(|one| one != lane);
        if left == Left::Some {
            member.lanes.push_back(lane.clone());
        }
        turn.credit -= 1;
        if member.lanes.is_empty() {
            if let Some(turn) = self.turns.pop_front() {
                self.members.remove(&turn.owner);
            }
        } else if turn.credit == 0 {
            turn.credit = member.weight;
            self.turns.rotate_left(1);
        }
    }
}

/// Whether a lane has another job in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    Some,
    Nothing,
}
