//! Whose turn it is among the tenants with jobs of a kind: weighted deficit round robin.
//!
//! Every job costs one, so that a turn is as many jobs as the tenant's weight.

use std::collections::{BTreeMap, VecDeque};

use plimsoll_store::{JobLane, JobOwner};
use rustc_hash::FxHashMap;

#[derive(Default)]
pub(crate) struct Ring {
    /// By place in the line, so that whoever leaves does so without a walk through it.
    turns: BTreeMap<Place, Turn>,
    next: Place,
    members: FxHashMap<JobOwner, Member>,
}

type Place = u64;

struct Turn {
    owner: JobOwner,
    credit: u32,
}

/// A tenant with something in memory.
struct Member {
    /// Its lanes with a job in memory, the next first.
    lanes: VecDeque<JobLane>,
    /// Its place in the line; it has none while it is at its bound.
    place: Option<Place>,
    weight: u32,
}

impl Ring {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(crate) fn has(&self, owner: &JobOwner) -> bool {
        self.members.contains_key(owner)
    }

    /// The lane of the tenant has something in memory.
    pub(crate) fn enter(&mut self, owner: &JobOwner, lane: &JobLane, weight: u32) {
        if !self.members.contains_key(owner) {
            let member = Member { lanes: VecDeque::new(), place: None, weight: weight.max(1) };
            self.members.insert(owner.clone(), member);
        }
        if let Some(member) = self.members.get_mut(owner)
            && !member.lanes.contains(lane)
        {
            member.lanes.push_back(lane.clone());
        }
    }

    /// The lane of the tenant has nothing in memory any more.
    pub(crate) fn leave(&mut self, owner: &JobOwner, lane: &JobLane) {
        let Some(member) = self.members.get_mut(owner) else { return };
        member.lanes.retain(|one| one != lane);
        if member.lanes.is_empty() {
            if let Some(place) = member.place {
                self.turns.remove(&place);
            }
            self.members.remove(owner);
        }
    }

    /// The tenant may have a turn (again).
    pub(crate) fn queue(&mut self, owner: &JobOwner) {
        if let Some(member) = self.members.get_mut(owner)
            && member.place.is_none()
        {
            let turn = Turn { owner: owner.clone(), credit: member.weight };
            member.place = Some(self.next);
            self.turns.insert(self.next, turn);
            self.next += 1;
        }
    }

    /// Whose turn it is.
    pub(crate) fn front(&self) -> Option<&JobOwner> {
        self.turns.first_key_value().map(|(_, turn)| &turn.owner)
    }

    /// Who has the turn is at its bound: it has none until it is queued again.
    pub(crate) fn park_front(&mut self) {
        if let Some((_, turn)) = self.turns.pop_first()
            && let Some(member) = self.members.get_mut(&turn.owner)
        {
            member.place = None;
        }
    }

    /// The lanes of whoever has the turn, the next first.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &JobLane> {
        let member = self.front().and_then(|owner| self.members.get(owner));
        member.into_iter().flat_map(|member| member.lanes.iter())
    }

    /// A job of that lane was taken, or none was there; `left` says whether it has another.
    pub(crate) fn took(&mut self, lane: &JobLane, left: Left) {
        let Some(mut first) = self.turns.first_entry() else { return };
        let turn = first.get_mut();
        turn.credit -= 1;
        let Some(member) = self.members.get_mut(&turn.owner) else { return };
        member.lanes.retain(|one| one != lane);
        if left == Left::Some {
            member.lanes.push_back(lane.clone());
        }
        if member.lanes.is_empty() {
            let owner = first.remove().owner;
            self.members.remove(&owner);
        } else if turn.credit == 0 {
            member.place = None;
            let owner = first.remove().owner;
            self.queue(&owner);
        }
    }
}

/// Whether a lane has another job in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    Some,
    Nothing,
}
