//! The messages of one tenant that are being fanned out from memory.
//!
//! # Invariants
//! - A message is here from the moment it is loaded or offered until the commit that takes its
//!   fan-out row away: whoever reads rows from the store leaves out the ids that are here.
//! - `outstanding` holds the sequences that were handed to a lane and are not settled. The frontier
//!   is below the first of them, and below the cursor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use plimsoll_store::{EndpointId, MessageId, Priority};
use rustc_hash::FxHashSet;

use super::envelope::Envelope;

/// How many endpoints are settled between two writes of a frontier: what a crash makes the next
/// start look up again.
const FRONTIER_STEP: u32 = 256;

/// One message.
pub(crate) struct Active {
    pub(crate) message: Arc<Envelope>,
    pub(crate) ceiling: u64,
    /// Endpoints up to this sequence were handed out, or are not to be sent to.
    pub(crate) cursor: u64,
    outstanding: BTreeSet<u64>,
    settled_since_write: u32,
    /// Endpoints that were settled in an earlier life of the process.
    pub(crate) skip: FxHashSet<EndpointId>,
    finished: bool,
    /// It leaves memory when nothing of it is outstanding.
    going: bool,
}

impl Active {
    /// Endpoints up to this sequence are settled.
    fn frontier(&self) -> u64 {
        self.outstanding.first().map_or(self.cursor, |first| first - 1)
    }
}

/// What settling a delivery asks to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    Nothing,
    Advanced(u64),
    Finished,
    /// It leaves memory with its fan-out incomplete, up to the frontier.
    Away(u64),
}

/// Endpoints that messages in memory are still to be handed out to: with more, no further message is
/// read. Those of a large fan-out would only wait, each with what is known of its endpoints.
const AMPLE: usize = 65_536;

#[derive(Default)]
pub(crate) struct Window {
    active: BTreeMap<MessageId, Active>,
    /// Those that have endpoints left to hand out, by priority, oldest first.
    expanding: [VecDeque<MessageId>; Priority::ALL.len()],
    bytes: usize,
}

impl Window {
    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn contains(&self, message: MessageId) -> bool {
        self.active.contains_key(&message)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.active.keys().copied()
    }

    /// How many more messages are worth reading that go to so many endpoints; one where nothing is
    /// left to hand out.
    pub(crate) fn wanted(&self, endpoints: usize) -> usize {
        let ample = (AMPLE / endpoints.max(1)).max(1);
        let expanding: usize = self.expanding.iter().map(VecDeque::len).sum();
        ample.saturating_sub(expanding)
    }

    /// Whether something is left to hand out.
    pub(crate) fn is_expanding(&self) -> bool {
        self.expanding.iter().any(|queue| !queue.is_empty())
    }

    /// Whether something of the priority is left to hand out.
    pub(crate) fn is_expanding_at(&self, priority: Priority) -> bool {
        !self.expanding[priority as usize].is_empty()
    }

    /// The message of the priority to hand out next.
    pub(crate) fn expanding(&mut self, priority: Priority) -> Option<&mut Active> {
        self.active.get_mut(self.expanding[priority as usize].front()?)
    }

    /// Takes a message in; `false` if it is here already.
    pub(crate) fn insert(
        &mut self,
        message: Arc<Envelope>,
        ceiling: u64,
        frontier: u64,
        skip: FxHashSet<EndpointId>,
    ) -> bool {
        let (id, priority) = (message.id, message.priority);
        if self.active.contains_key(&id) {
            return false;
        }
        self.bytes += message.weight();
        let active = Active {
            message,
            ceiling,
            cursor: frontier,
            outstanding: BTreeSet::new(),
            settled_since_write: 0,
            skip,
            finished: false,
            going: false,
        };
        self.active.insert(id, active);
        self.expanding[priority as usize].push_back(id);
        true
    }

    /// The front message was handed out to every endpoint.
    pub(crate) fn expanded(&mut self, priority: Priority) -> Settled {
        let front = self.expanding[priority as usize].pop_front();
        let Some(active) = front.and_then(|id| self.active.get_mut(&id)) else {
            return Settled::Nothing;
        };
        active.cursor = active.cursor.max(active.ceiling);
        active.skip = FxHashSet::default();
        if active.outstanding.is_empty() && !active.finished {
            active.finished = true;
            return Settled::Finished;
        }
        Settled::Nothing
    }

    /// A delivery of the message was settled: it has an attempt or due work, or needs none.
    pub(crate) fn settle(&mut self, message: MessageId, sequence: u64) -> Settled {
        let Some(active) = self.active.get_mut(&message) else { return Settled::Nothing };
        if !active.outstanding.remove(&sequence) {
            return Settled::Nothing;
        }
        if active.outstanding.is_empty() && active.cursor >= active.ceiling && !active.finished {
            active.finished = true;
            return Settled::Finished;
        }
        if active.going && active.outstanding.is_empty() && !active.finished {
            active.finished = true;
            return Settled::Away(active.cursor);
        }
        active.settled_since_write += 1;
        if active.settled_since_write >= FRONTIER_STEP {
            active.settled_since_write = 0;
            return Settled::Advanced(active.frontier());
        }
        Settled::Nothing
    }

    /// Nothing more is handed out, and each message leaves when nothing of it is outstanding. Returns
    /// those that can leave now, each with what was settled of it.
    pub(crate) fn put_away(&mut self) -> Vec<(MessageId, Settled)> {
        let mut away = Vec::new();
        for id in std::mem::take(&mut self.expanding).into_iter().flatten() {
            let Some(active) = self.active.get_mut(&id) else { continue };
            active.going = true;
            if active.outstanding.is_empty() && !active.finished {
                active.finished = true;
                away.push((id, Settled::Away(active.cursor)));
            }
        }
        away
    }

    /// The commit of its last step is durable: it is not expanding any more. Returns the bytes that
    /// left.
    pub(crate) fn remove(&mut self, message: MessageId) -> usize {
        let Some(gone) = self.active.remove(&message) else { return 0 };
        let bytes = gone.message.weight();
        self.bytes -= bytes;
        bytes
    }
}

impl Active {
    /// The endpoint with this sequence was given to a lane.
    pub(crate) fn hand_out(&mut self, sequence: u64) {
        self.cursor = sequence;
        self.outstanding.insert(sequence);
    }
}
