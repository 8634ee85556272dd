//! A job that is being done, by a worker or in the place of whoever waits for it.

use std::mem::needs_drop;
use std::time::Duration;

use super::core::{Core, Done};
use super::entry::{Entry, More};
use super::failures::Spare;
use super::ticket::{Answer, Answering};
use super::{JobError, Panic};
use crate::scope::Stop;
use crate::unwind::{Payload, caught};

/// What is kept of a job while it is done.
pub(super) struct Attempt<J, T> {
    answering: Answering<T>,
    /// `None` in a pool that does nothing about failures; boxed, so that these move nothing for it.
    spare: Option<Box<Spare<J>>>,
}

/// A job, and what it was submitted with.
type ToDo<J> = (J, Option<Box<More>>);

impl<J: Send + 'static, T: Send + 'static> Attempt<J, T> {
    /// Takes what was queued apart; the second is the job, unless cloning it panicked.
    #[inline]
    pub(super) fn begin(core: &Core<J, T>, entry: Entry<J, T>) -> (Self, Result<ToDo<J>, Payload>) {
        let Entry { job, answering, more, .. } = entry;
        let Some(failures) = &core.failures else {
            return (Self { answering, spare: None }, Ok((job, more)));
        };
        match caught(|| failures.spare(&job, more.as_deref())) {
            Ok(spare) => (Self { answering, spare: Some(Box::new(spare)) }, Ok((job, more))),
            Err(payload) => (Self { answering, spare: None }, Err(payload)),
        }
    }

    /// Deals with how it ended. What panics in the code of the caller here (the drop of an output
    /// that nobody waits for, the text of an error) is counted as a panic of the job.
    #[inline]
    pub(super) fn end(self, core: &Core<J, T>, ended: Result<Result<T, Stop>, Payload>) -> Done {
        let Self { answering, spare } = self;
        if answering.is_for_nobody() && spare.is_none() && !needs_drop::<T>() && matches!(ended, Ok(Ok(_))) {
            // Nothing of the caller's is called.
            return Done::Completed;
        }
        let (answer, done) = answer_of(ended, core.settings.job_timeout);
        let told = caught(|| match (&core.failures, spare) {
            (Some(failures), Some(spare)) => failures.after(core, *spare, answer, done, answering),
            _ => {
                answering.answer(answer);
                done
            }
        });
        told.unwrap_or(Done::Panicked)
    }
}

/// What the ticket is told, and how it is counted.
fn answer_of<T>(ended: Result<Result<T, Stop>, Payload>, limit: Option<Duration>) -> (Answer<T>, Done) {
    match ended {
        Ok(Ok(output)) => (Ok(output), Done::Completed),
        Ok(Err(Stop::Limit)) => {
            (Err(JobError::TimedOut { after: limit.unwrap_or_default() }), Done::TimedOut)
        }
        Ok(Err(Stop::Ended(ended))) => (Err(JobError::ScopeEnded(ended)), Done::Cancelled),
        Err(payload) => (Err(JobError::Panicked(Panic::new(payload))), Done::Panicked),
    }
}
