//! The task of one worker.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::consume_budget;

use super::Worker;
use super::attempt::Attempt;
use super::core::{Core, Done};
use super::entry::{Entry, More};
#[cfg(feature = "cpu")]
use crate::scope::Scope;
use crate::scope::{Stop, within};
use crate::unwind::{Payload, catch};

/// A worker's place in the pool, and the job that it does. Dropped with the task, however that
/// ends, it gives both back.
pub(crate) struct Seat<J: Send + 'static, T: Send + 'static> {
    core: Arc<Core<J, T>>,
    number: usize,
    job: Option<(usize, Attempt<J, T>)>,
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
    while let Some((lane, entry)) = poll_fn(|cx| seat.poll_next(cx)).await {
        let Some((job, more)) = seat.begin(lane, entry) else { continue };
        // Made here and not before, so that a factory that panics fails a job and is seen.
        let worker = worker.get_or_insert_with(|| factory());
        let ended = if more.is_none() && limit.is_none() {
            Ok(worker.run(job).await)
        } else {
            let scope = more.and_then(|more| more.scope);
            let scope = scope.map(|scope| seat.core.scope_of(Some(scope)));
            within(async { worker.run(job).await }, scope, limit).await
        };
        seat.finish(Ok(ended));
        // Jobs that are ready at once must not keep the thread for themselves.
        consume_budget().await;
    }
}

impl<J: Send + 'static, T: Send + 'static> Seat<J, T> {
    pub(crate) const fn new(core: Arc<Core<J, T>>, number: usize) -> Self {
        Self { core, number, job: None, before: None }
    }

    /// The next job; `None` when the worker is to go. Parked, it is woken when there is one.
    #[inline]
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<(usize, Entry<J, T>)>> {
        self.core.poll_next(self.number, &mut self.before, cx)
    }

    /// Begins the job; `None` when it ended with that.
    #[inline]
    pub(crate) fn begin(&mut self, lane: usize, entry: Entry<J, T>) -> Option<(J, Option<Box<More>>)> {
        let (attempt, begun) = Attempt::begin(&self.core, entry);
        self.job = Some((lane, attempt));
        begun.map_err(|payload| self.finish(Err(payload))).ok()
    }

    /// The scope that a job runs in.
    #[cfg(feature = "cpu")]
    pub(crate) fn scope_of(&self, more: Option<Box<More>>) -> Scope {
        self.core.scope_of(more.and_then(|more| more.scope))
    }

    #[inline]
    pub(crate) fn finish(&mut self, ended: Result<Result<T, Stop>, Payload>) {
        let Some((lane, attempt)) = self.job.take() else { return };
        let done = attempt.end(&self.core, ended);
        self.before = Some((lane, done));
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
