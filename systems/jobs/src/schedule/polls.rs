//! Workers that wait for jobs over HTTP, first come first served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{RingKey, Worker};

/// Which poll.
pub(crate) type PollId = u64;

/// What a worker waits for.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    pub(crate) org: Arc<str>,
    pub(crate) worker: Worker,
    pub(crate) kinds: Vec<Arc<str>>,
    /// Jobs at the most.
    pub(crate) max: usize,
}

#[derive(Default)]
pub(crate) struct Polls {
    waiting: BTreeMap<PollId, Poll>,
    by_ring: FxHashMap<RingKey, BTreeSet<PollId>>,
    by_org: FxHashMap<Arc<str>, usize>,
    next: PollId,
}

impl Poll {
    pub(crate) fn rings(&self) -> impl Iterator<Item = RingKey> {
        self.kinds.iter().map(|kind| RingKey { org: Some(Arc::clone(&self.org)), kind: Arc::clone(kind) })
    }
}

impl Polls {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait of one organisation.
    pub(crate) fn of_org(&self, org: &Arc<str>) -> usize {
        self.by_org.get(org).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, poll: Poll) -> PollId {
        let id = self.next;
        self.next += 1;
        for ring in poll.rings() {
            self.by_ring.entry(ring).or_default().insert(id);
        }
        *self.by_org.entry(Arc::clone(&poll.org)).or_default() += 1;
        self.waiting.insert(id, poll);
        id
    }

    pub(crate) fn get(&self, id: PollId) -> Option<&Poll> {
        self.waiting.get(&id)
    }

    /// It does not wait any more; `None` where it did not.
    pub(crate) fn remove(&mut self, id: PollId) -> Option<Poll> {
        let poll = self.waiting.remove(&id)?;
        if let Some(count) = self.by_org.get_mut(&poll.org) {
            *count -= 1;
            if *count == 0 {
                self.by_org.remove(&poll.org);
            }
        }
        for ring in poll.rings() {
            if let Some(ids) = self.by_ring.get_mut(&ring) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_ring.remove(&ring);
                }
            }
        }
        Some(poll)
    }

    /// Those that wait for this kind, longest first, from `after` on.
    pub(crate) fn next_of(&self, ring: &RingKey, after: Option<PollId>) -> Option<PollId> {
        let from = after.map_or(0, |after| after + 1);
        self.by_ring.get(ring)?.range(from..).next().copied()
    }

    /// What those wait for whom `wanted` lets through.
    pub(crate) fn rings_of(&self, wanted: impl Fn(&Poll) -> bool) -> impl Iterator<Item = RingKey> {
        self.waiting.values().filter(move |poll| wanted(poll)).flat_map(Poll::rings)
    }

    pub(crate) fn ids(&self) -> Vec<PollId> {
        self.waiting.keys().copied().collect()
    }
}
