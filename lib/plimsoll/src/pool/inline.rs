//! Jobs that are run in the place of whoever submits them or waits for them.
//!
//! Inside of a pool, waiting for the pool would deadlock it as soon as every worker does so. A
//! job that waits for one that is still queued therefore takes it out and runs it itself, as a
//! thread does in Doug Lea's fork/join framework (2000).

use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::JobError;
use super::attempt::Attempt;
use super::core::{Core, Done};
use super::entry::Entry;
use super::ticket::Promise;
use crate::scope::{inherited, within};
use crate::unwind::catch;

/// How deep jobs may run inside of one another: each takes stack of the same task.
pub(super) const DEPTH_MAX: u8 = 32;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A job that is run in the place of whoever waits for it; it answers its ticket itself.
pub(super) type Inline = Boxed<()>;

/// Makes a worker for one job and runs it.
pub(super) type MakeRun<J, T> = Arc<dyn Fn(J) -> Boxed<T> + Send + Sync>;

/// What a pool leaves in the scopes of its jobs: the way to take a queued job out.
pub(super) struct Claims<T>(pub(super) Weak<dyn Claim<T>>);

/// Takes a queued job out, to be run by whoever waits for it.
pub(super) trait Claim<T>: Send + Sync {
    fn claim(self: Arc<Self>, promise: &Arc<Promise<T>>, depth: u8) -> Option<Inline>;
}

impl<J: Send + 'static, T: Send + 'static> Claim<T> for Core<J, T> {
    fn claim(self: Arc<Self>, promise: &Arc<Promise<T>>, depth: u8) -> Option<Inline> {
        let lane = promise.lane();
        let entry = Self::claim(&self, lane, |entry: &Entry<J, T>| entry.answering.is_for(promise))?;
        if depth >= DEPTH_MAX {
            self.end_inline(Some(lane), Done::Cancelled);
            entry.answering.answer(Err(JobError::TooDeep { max: DEPTH_MAX }));
            return Some(Box::pin(async {}));
        }
        Some(run_inline(self, entry, Some(lane), depth))
    }
}

/// Takes the promised job out of the queue of pool number `pool`, if this is inside of that pool.
pub(super) fn claim<T: Send + 'static>(pool: usize, promise: &Arc<Promise<T>>) -> Option<Inline> {
    let scope = inherited()?;
    let claims = scope.inside()?.find(pool)?.downcast_ref::<Claims<T>>()?;
    claims.0.upgrade()?.claim(promise, scope.depth())
}

/// Runs a job in the caller, with the pool's time limit and a worker of its own.
pub(super) fn run_inline<J: Send + 'static, T: Send + 'static>(
    core: Arc<Core<J, T>>,
    entry: Entry<J, T>,
    lane: Option<usize>,
    depth: u8,
) -> Inline {
    let running = Running { core, lane, done: Done::Cancelled };
    Box::pin(async move {
        // The whole of it, not the fields that are used: it counts when it is dropped.
        let mut running = running;
        let core = &running.core;
        let (attempt, begun) = Attempt::begin(core, entry);
        let ended = match begun {
            Ok((job, more)) => {
                let scope =
                    core.scope_of(more.and_then(|more| more.scope)).with_depth(depth.saturating_add(1));
                let run = async { (core.make_run)(job).await };
                catch(within(run, Some(scope), core.settings.job_timeout)).await
            }
            Err(payload) => Err(payload),
        };
        running.done = attempt.end(core, ended);
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
