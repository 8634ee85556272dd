//! Jobs that are run in the place of whoever submits them or waits for them.
//!
//! Inside of a pool, waiting for the pool would deadlock it as soon as every worker does so. A
//! job that waits for one that is still queued therefore takes it out and runs it itself, as a
//! thread does in Doug Lea's fork/join framework (2000).

use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::JobError;
use super::core::{Core, Done, Entry};
use super::seat::answer_of;
use super::ticket::{Answer, Promise};
use crate::scope::{Scope, inherited, within};
use crate::unwind::catch;

/// How deep jobs may run inside of one another: each takes stack of the same task.
pub(super) const DEPTH_MAX: u8 = 32;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A job that is run in the place of whoever waits for it.
pub(super) type Inline<T> = Boxed<Answer<T>>;

/// Makes a worker for one job and runs it.
pub(super) type MakeRun<J, T> = Arc<dyn Fn(J) -> Boxed<T> + Send + Sync>;

/// What a pool leaves in the scopes of its jobs: the way to take a queued job out.
pub(super) struct Claims<T>(pub(super) Weak<dyn Claim<T>>);

/// Takes a queued job out, to be run by whoever waits for it.
pub(super) trait Claim<T>: Send + Sync {
    fn claim(self: Arc<Self>, lane: usize, promise: &Arc<Promise<T>>, depth: u8) -> Option<Inline<T>>;
}

impl<J: Send + 'static, T: Send + 'static> Claim<T> for Core<J, T> {
    fn claim(self: Arc<Self>, lane: usize, promise: &Arc<Promise<T>>, depth: u8) -> Option<Inline<T>> {
        let entry = Core::claim(&self, lane, |entry: &Entry<J, T>| entry.answering.is_for(promise))?;
        // Its promise is broken when the entry is dropped: the ticket looks at this future instead.
        let Entry { job, scope, .. } = entry;
        if depth >= DEPTH_MAX {
            self.end_inline(Some(lane), Done::Cancelled);
            return Some(Box::pin(ready(Err(JobError::TooDeep { max: DEPTH_MAX }))));
        }
        Some(run_inline(self, job, scope, Some(lane), depth))
    }
}

/// Takes the promised job out of the queue of pool number `pool`, if this is inside of that pool.
pub(super) fn claim<T: Send + 'static>(
    pool: usize,
    lane: usize,
    promise: &Arc<Promise<T>>,
) -> Option<Inline<T>> {
    let scope = inherited()?;
    let claims = scope.inside()?.find(pool)?.downcast_ref::<Claims<T>>()?;
    claims.0.upgrade()?.claim(lane, promise, scope.depth())
}

/// Runs a job in the caller, with the pool's time limit and a worker of its own.
pub(super) fn run_inline<J: Send + 'static, T: Send + 'static>(
    core: Arc<Core<J, T>>,
    job: J,
    scope: Option<Scope>,
    lane: Option<usize>,
    depth: u8,
) -> Inline<T> {
    let running = Running { core, lane, done: Done::Cancelled };
    Box::pin(async move {
        // The whole of it, not the fields that are used: it counts when it is dropped.
        let mut running = running;
        let core = &running.core;
        let scope = core.scope_of(scope).with_depth(depth.saturating_add(1));
        let run = async { (core.make_run)(job).await };
        let ended = catch(within(run, Some(scope), core.settings.job_timeout)).await;
        let (answer, done) = answer_of(ended, core.settings.job_timeout);
        running.done = done;
        answer
    })
}

/// Counts the job as ended, however it ends.
struct Running<J: Send + 'static, T: Send + 'static> {
    core: Arc<Core<J, T>>,
    lane: Option<usize>,
    done: Done,
}

impl<J: Send + 'static, T: Send + 'static> Drop for Running<J, T> {
    fn drop(&mut self) {
        self.core.end_inline(self.lane, self.done);
    }
}
