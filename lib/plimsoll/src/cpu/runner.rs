//! A worker that is no task but a piece of work for rayon, whenever there is a job.
//!
//! # Invariants
//! - A runner is parked in the pool's core with a waker that spawns it on rayon's threads, or it is
//!   spawned, or it runs: one of these. So it holds no thread while there is no job, and rayon's
//!   threads are free for the parallel iterators of the jobs that run.
//! - One job for each spawn: a job that waits for its own parallel iterators may be given a runner to
//!   do meanwhile, which must end with that one job.
//! - The seat is in its place whenever the runner is parked, or on its way because it was woken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use rayon::ThreadPool;

use crate::pool::{Core, Seat};
use crate::scope::{Scope, Stop, enter_now};
use crate::unwind::{Payload, caught};

/// One of a pool's workers.
pub(super) struct Runner<J: Send + 'static, T: Send + 'static, F> {
    seat: Mutex<Option<Seat<J, T>>>,
    function: Arc<F>,
    threads: Arc<ThreadPool>,
}

impl<J, T, F> Runner<J, T, F>
where
    J: Send + 'static,
    T: Send + 'static,
    F: Fn(J) -> T + Send + Sync + 'static,
{
    /// Starts the worker of a seat; it goes when the pool ends.
    pub(super) fn start(core: Arc<Core<J, T>>, number: usize, function: &Arc<F>, threads: &Arc<ThreadPool>) {
        let seat = Mutex::new(Some(Seat::new(core, number)));
        let runner = Self { seat, function: Arc::clone(function), threads: Arc::clone(threads) };
        Arc::new(runner).wake();
    }

    fn place(&self) -> MutexGuard<'_, Option<Seat<J, T>>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the next job, if there is one.
    fn serve(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let (next, mut seat) = {
            // Held while it is looked for a job: once parked it may be woken before this returns.
            let mut place = self.place();
            let Some(seat) = &mut *place else { return };
            let Poll::Ready(next) = seat.poll_next(&Context::from_waker(&waker)) else { return };
            (next, place.take())
        };
        let (Some((lane, entry)), Some(working)) = (next, seat.as_mut()) else { return };
        if let Some((job, more)) = working.begin(lane, entry) {
            let ended = self.compute(working.scope_of(more), job);
            working.finish(ended);
        }
        *self.place() = seat;
        self.wake();
    }

    fn compute(&self, scope: Scope, job: J) -> Result<Result<T, Stop>, Payload> {
        caught(|| match scope.ended() {
            Some(ended) => Err(Stop::Ended(ended)),
            None => Ok(enter_now(scope, || (self.function)(job))),
        })
    }
}

impl<J, T, F> Wake for Runner<J, T, F>
where
    J: Send + 'static,
    T: Send + 'static,
    F: Fn(J) -> T + Send + Sync + 'static,
{
    fn wake(self: Arc<Self>) {
        let threads = Arc::clone(&self.threads);
        threads.spawn(move || self.serve());
    }
}
