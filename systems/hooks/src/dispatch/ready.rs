//! Whose turn it is among a tenant's lanes, of one class.

use std::collections::VecDeque;

use plimsoll_store::{EndpointId, Priority};

/// How many deliveries of each priority go in a round, where all of them wait.
const SHARES: [u32; Priority::ALL.len()] = [16, 4, 1];

/// Lanes that can be served, by priority.
#[derive(Default)]
pub(crate) struct Ready {
    rings: [VecDeque<EndpointId>; Priority::ALL.len()],
    left: [u32; Priority::ALL.len()],
}

impl Ready {
    pub(crate) fn is_empty(&self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn len(&self, priority: Priority) -> usize {
        self.rings[priority as usize].len()
    }

    pub(crate) fn push(&mut self, priority: Priority, endpoint: EndpointId) {
        self.rings[priority as usize].push_back(endpoint);
    }

    /// It had its turn for nothing, through no fault of its own.
    pub(crate) fn push_first(&mut self, priority: Priority, endpoint: EndpointId) {
        self.rings[priority as usize].push_front(endpoint);
    }

    pub(crate) fn pop(&mut self, priority: Priority) -> Option<EndpointId> {
        self.rings[priority as usize].pop_front()
    }

    /// The priority whose turn it is.
    pub(crate) fn turn(&mut self) -> Option<Priority> {
        let waits = |priority: &Priority| !self.rings[*priority as usize].is_empty();
        let has_turn = |priority: &Priority| waits(priority) && self.left[*priority as usize] > 0;
        if let Some(priority) = Priority::ALL.into_iter().find(has_turn) {
            return Some(priority);
        }
        let first = Priority::ALL.into_iter().find(waits)?;
        self.left = SHARES;
        Some(first)
    }

    /// A delivery of the priority began.
    pub(crate) fn served(&mut self, priority: Priority) {
        let left = &mut self.left[priority as usize];
        *left = left.saturating_sub(1);
    }
}
