//! What the committer is asked to do, and its answers.

use std::sync::Arc;

use rusqlite::Result;
use tokio::sync::oneshot;

use super::group::Group;
use super::host::failure;
#[cfg(debug_assertions)]
use crate::fault::Kind;
use crate::queue::Size;
use crate::{
    Accepted, Change, Changed, Claim, Error, Idempotency, JobWrite, JobWritten, NewMessage, Progress,
};

/// A call that writes: under which claim, what, and who is to be told.
pub(crate) struct Call {
    pub(crate) claim: Claim,
    pub(crate) write: Write,
}

/// What to write.
pub(crate) enum Write {
    Accept(Vec<NewMessage>, oneshot::Sender<std::result::Result<Vec<Accepted>, Error>>),
    Record(Arc<[Progress]>, oneshot::Sender<std::result::Result<(), Error>>),
    Change(Vec<Change>, oneshot::Sender<std::result::Result<Vec<Changed>, Error>>),
    Jobs(Vec<JobWrite>, oneshot::Sender<std::result::Result<Vec<JobWritten>, Error>>),
    /// Any statements of the engine, to bring about what only happens to others.
    #[cfg(test)]
    Engine(String, oneshot::Sender<std::result::Result<(), Error>>),
}

#[cfg(debug_assertions)]
impl Write {
    /// As which it passes the points of faults.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Accept(..) => Some(Kind::Accept),
            Self::Record(..) => Some(Kind::Record),
            Self::Change(changes, _) => {
                let releases = changes.iter().any(|change| matches!(change, Change::Release { .. }));
                Some(if releases { Kind::Release } else { Kind::Change })
            }
            Self::Jobs(..) => Some(Kind::Jobs),
            #[cfg(test)]
            Self::Engine(..) => None,
        }
    }
}

/// What a call came to, held back until it is durable.
pub(super) enum Answer {
    Accepted(Vec<Accepted>),
    Recorded,
    Changed(Vec<Changed>),
    Jobs(Vec<JobWritten>),
    Refused(Error),
}

impl Call {
    /// Applies the call in the group's transaction; nothing of it holds before that is committed.
    pub(super) fn apply(&self, group: &mut Group<'_>, in_force: u64) -> Result<Answer> {
        let Claim { shard, epoch } = self.claim;
        if shard != 0 || epoch != in_force {
            return Ok(Answer::Refused(Error::Fenced { carried: epoch, in_force }));
        }
        match &self.write {
            Write::Accept(messages, _) => group.accept(messages).map(Answer::Accepted),
            Write::Record(progress, _) => group.record(progress).map(|()| Answer::Recorded),
            Write::Change(changes, _) => group.change(changes).map(Answer::Changed),
            Write::Jobs(writes, _) => group.write_jobs(writes).map(Answer::Jobs),
            #[cfg(test)]
            Write::Engine(sql, _) => group.connection.execute_batch(sql).map(|()| Answer::Recorded),
        }
    }

    /// Tells the caller, if it still waits.
    pub(super) fn answer(self, answer: Result<Answer>) {
        let answer = match answer {
            Ok(Answer::Refused(error)) => Err(error),
            Ok(answer) => Ok(answer),
            Err(error) => Err(failure(&error)),
        };
        // A caller that went away is not an error: what it asked for was done.
        let _gone = match (self.write, answer) {
            (Write::Accept(_, caller), Ok(Answer::Accepted(each))) => caller.send(Ok(each)).is_err(),
            (Write::Change(_, caller), Ok(Answer::Changed(each))) => caller.send(Ok(each)).is_err(),
            (Write::Jobs(_, caller), Ok(Answer::Jobs(each))) => caller.send(Ok(each)).is_err(),
            (Write::Jobs(_, caller), answer) => caller.send(Err(unexpected(answer))).is_err(),
            (Write::Record(_, caller), answer) => caller.send(answer.map(|_| ())).is_err(),
            (Write::Accept(_, caller), answer) => caller.send(Err(unexpected(answer))).is_err(),
            (Write::Change(_, caller), answer) => caller.send(Err(unexpected(answer))).is_err(),
            #[cfg(test)]
            (Write::Engine(_, caller), answer) => caller.send(answer.map(|_| ())).is_err(),
        };
    }
}

fn unexpected(answer: std::result::Result<Answer, Error>) -> Error {
    answer.err().unwrap_or_else(|| Error::Engine("a call was answered with another's answer".into()))
}

/// How large a call is: its operations, and the bytes that its content takes in memory.
pub(crate) trait Weigh {
    fn weigh(&self) -> Size;
}

impl Weigh for [NewMessage] {
    fn weigh(&self) -> Size {
        let bytes = self.iter().map(|new| {
            let message = &new.message;
            let channels = message.channels.iter().flatten().map(String::len).sum::<usize>();
            size_of::<NewMessage>() + message.payload.as_ref().map_or(0, Vec::len) + channels
        });
        Size { operations: self.len(), bytes: bytes.sum() }
    }
}

impl Weigh for [Progress] {
    fn weigh(&self) -> Size {
        let bytes = self.iter().map(|step| match step {
            Progress::Attempted(attempt) => {
                size_of::<Progress>() + size_of_val(&**attempt) + attempt.response.len()
            }
            _ => size_of::<Progress>(),
        });
        Size { operations: self.len(), bytes: bytes.sum() }
    }
}

impl Weigh for [Change] {
    fn weigh(&self) -> Size {
        let bytes = self.iter().map(|change| {
            size_of::<Change>()
                + match change {
                    Change::PutApp(app) => app.metadata.len() + app.name.len(),
                    Change::PutEndpoint(endpoint) => weigh_endpoint(endpoint),
                    Change::PutEventType(event_type) => event_type.schemas.as_ref().map_or(0, String::len),
                    Change::Remember { body, idempotency: Idempotency { .. }, .. } => body.len(),
                    Change::StepTask { messages, .. } => size_of_val(&**messages),
                    _ => 0,
                }
        });
        Size { operations: self.len(), bytes: bytes.sum() }
    }
}

fn weigh_endpoint(endpoint: &crate::Endpoint) -> usize {
    let lists = [&endpoint.event_types, &endpoint.channels];
    let lists: usize = lists.into_iter().flatten().flatten().map(String::len).sum();
    let headers: usize = endpoint.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    size_of_val(endpoint) + lists + headers + endpoint.metadata.len() + endpoint.url.len()
}
