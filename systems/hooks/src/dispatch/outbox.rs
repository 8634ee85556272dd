//! Steps that wait for their commit, in the order they happened.
//!
//! # Invariants
//! - Steps become durable in the order they are pushed; a message is finished behind the last of
//!   its attempts, so that no commit can hold the one without the other.
//! - What a step keeps in memory (a held unit of due work, a message in the window) is let go when
//!   its commit is durable, never before.

use plimsoll_store::{AppId, EndpointId, MessageId, Progress, UnixMillis, WorkId};

/// What a durable step lets go of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    Nothing,
    /// Due work of an endpoint: this unit is not in memory any more, and its earliest may be then.
    Due {
        app: AppId,
        endpoint: EndpointId,
        work: Option<WorkId>,
        due_at: Option<UnixMillis>,
    },
    /// The message is fanned out.
    Message {
        app: AppId,
        message: MessageId,
    },
    /// The message is fanned out in part: it is read again from its row.
    Away {
        app: AppId,
        message: MessageId,
    },
}

#[derive(Default)]
pub(crate) struct Outbox {
    steps: Vec<Progress>,
    releases: Vec<Release>,
    /// How many are with the recorder.
    recording: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, step: Progress, release: Release) {
        self.steps.push(step);
        self.releases.push(release);
    }

    /// How many are not durable yet.
    pub(crate) fn unrecorded(&self) -> usize {
        self.steps.len() + self.recording
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The oldest steps, for one commit: so many at the most, and so many bytes of content, but
    /// one at the least.
    pub(crate) fn take(&mut self, steps_max: usize, bytes_max: usize) -> (Vec<Progress>, Vec<Release>) {
        let mut bytes = 0;
        let fits = |step: &&Progress| {
            bytes += content(step);
            bytes <= bytes_max
        };
        let count = self.steps.iter().take(steps_max).take_while(fits).count();
        let count = count.max(1).min(self.steps.len());
        self.recording += count;
        if count == self.steps.len() {
            return (std::mem::take(&mut self.steps), std::mem::take(&mut self.releases));
        }
        (self.steps.drain(..count).collect(), self.releases.drain(..count).collect())
    }

    /// A commit of `count` steps is durable.
    pub(crate) fn recorded(&mut self, count: usize) {
        self.recording -= count;
    }
}

fn content(step: &Progress) -> usize {
    match step {
        Progress::Attempted(attempt) => attempt.response.len() + attempt.url.len(),
        _ => 0,
    }
}
