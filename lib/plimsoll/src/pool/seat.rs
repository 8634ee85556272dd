//! The task of one worker.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::core::{Core, Done, Entry};
use super::ticket::{Answer, Answering};
use super::{JobError, Panic, Worker};
use crate::scope::{Stop, within};
use crate::unwind::{Payload, catch};

/// A worker's place in the pool, and the job that it does. Dropped with the task, however that
/// ends, it gives both back.
pub(super) struct Seat<J: Send + 'static, T: Send + 'static> {
    core: Arc<Core<J, T>>,
    number: usize,
    job: Option<(usize, Answering<T>)>,
    before: Option<(usize, Done)>,
}

pub(super) type Factory<W> = Arc<dyn Fn() -> W + Send + Sync>;

/// Does jobs until the pool ends.
pub(super) async fn work<J, W>(mut seat: Seat<J, W::Output>, factory: Factory<W>)
where
    J: Send + 'static,
    W: Worker<J>,
{
    // Each round has a worker of its own: what a panic left of the old one is not used again.
    while let Err(payload) = catch(serve(&mut seat, &factory)).await {
        seat.panicked(payload);
    }
}

async fn serve<J, W>(seat: &mut Seat<J, W::Output>, factory: &Factory<W>)
where
    J: Send + 'static,
    W: Worker<J>,
{
    let mut worker = None;
    let limit = seat.core.settings.job_timeout;
    while let Some((lane, Entry { job, scope, answering })) = seat.next().await {
        seat.job = Some((lane, answering));
        // Made here and not before, so that a factory that panics fails a job and is seen.
        let worker = worker.get_or_insert_with(|| factory());
        let ended = if scope.is_none() && limit.is_none() {
            Ok(worker.run(job).await)
        } else {
            let scope = scope.map(|scope| seat.core.scope_of(Some(scope)));
            within(async { worker.run(job).await }, scope, limit).await
        };
        seat.finish(Ok(ended));
        // Jobs that are ready at once must not keep the thread for themselves.
        consume_budget().await;
    }
}

/// What the ticket is told, and how it is counted.
pub(super) fn answer_of<T>(
    ended: Result<Result<T, Stop>, Payload>,
    limit: Option<Duration>,
) -> (Answer<T>, Done) {
    match ended {
        Ok(Ok(output)) => (Ok(output), Done::Completed),
        Ok(Err(Stop::Limit)) => {
            (Err(JobError::TimedOut { after: limit.unwrap_or_default() }), Done::TimedOut)
        }
        Ok(Err(Stop::Ended(ended))) => (Err(JobError::ScopeEnded(ended)), Done::Cancelled),
        Err(payload) => (Err(JobError::Panicked(Panic::new(payload))), Done::Panicked),
    }
}

impl<J: Send + 'static, T: Send + 'static> Seat<J, T> {
    pub(super) const fn new(core: Arc<Core<J, T>>, number: usize) -> Self {
        Self { core, number, job: None, before: None }
    }

    async fn next(&mut self) -> Option<(usize, Entry<J, T>)> {
        poll_fn(|cx| self.core.poll_next(self.number, &mut self.before, cx)).await
    }

    fn finish(&mut self, ended: Result<Result<T, Stop>, Payload>) {
        let Some((lane, answering)) = self.job.take() else { return };
        let (answer, done) = answer_of(ended, self.core.settings.job_timeout);
        self.before = Some((lane, done));
        answering.answer(answer);
    }

    fn panicked(&mut self, payload: Payload) {
        if self.job.is_none() {
            // Not the job's: ours. Let it be seen, and the seat given up.
            resume_unwind(payload);
        }
        self.finish(Err(payload));
    }
}

impl<J: Send + 'static, T: Send + 'static> Drop for Seat<J, T> {
    fn drop(&mut self) {
        let job = self.job.as_ref().map(|(lane, _)| *lane);
        self.core.leave(self.number, self.before.take(), job);
    }
}
