//! The bounded queue between callers, who are tasks, and the store's threads.
//!
//! # Invariants
//! - At most `calls` calls of at most `bytes` bytes together are inside, from admission until the
//!   thread has answered them: what a call holds of the bound is given back by `Drop`.
//! - At most `waiting` callers wait for a place; one more is rejected.
//! - A call that was taken in is carried out, whether or not its caller still waits.
//! - A patient call waits for company no longer than the thread says, and never behind a call that
//!   came after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
use plimsoll::{Name, Reason, Rejected};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;

/// How much a queue holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Calls inside.
    pub(crate) calls: usize,
    /// Bytes inside; a single call can have as many.
    pub(crate) bytes: usize,
    /// Callers waiting for a place.
    pub(crate) waiting: usize,
}

/// How large a call is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Operations.
    pub(crate) operations: usize,
    /// Bytes of content.
    pub(crate) bytes: usize,
}

/// Whether a call may wait for others to go with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// It is taken as soon as the thread is free.
    Now,
    /// It may wait for one that is in haste.
    Patient,
}

/// How long a thread waits for calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the first.
    pub(crate) first: Duration,
    /// For one that is in haste, while all that are there are patient.
    pub(crate) company: Duration,
}

/// A call in the queue, with its part of the bound.
pub(crate) struct Queued<T> {
    pub(crate) call: T,
    pub(crate) size: Size,
    haste: Haste,
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// A bounded queue of calls; see the module.
pub(crate) struct Queue<T> {
    name: Name,
    limits: Limits,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    inside: Mutex<Inside<T>>,
    ready: Condvar,
    waiting: AtomicUsize,
    admitted: AtomicU64,
    rejected: AtomicU64,
    high_water: AtomicUsize,
    details: Details,
    _registration: Registration,
}

type Details = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

struct Inside<T> {
    calls: VecDeque<Queued<T>>,
    /// How many of them are in haste.
    hasty: usize,
    closed: bool,
}

impl<T: Send + 'static> Queue<T> {
    /// A queue that is seen in the registry under `name`.
    pub(crate) fn new(name: Name, limits: Limits, details: Details) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            name,
            limits,
            places: Arc::new(Semaphore::new(limits.calls)),
            bytes: Arc::new(Semaphore::new(limits.bytes)),
            inside: Mutex::new(Inside { calls: VecDeque::new(), hasty: 0, closed: false }),
            ready: Condvar::new(),
            waiting: AtomicUsize::new(0),
            admitted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            high_water: AtomicUsize::new(0),
            details,
            _registration: registry::register(this.clone()),
        })
    }

    /// Waits for a place, first come first served, and puts the call in.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the call is not put in.
    pub(crate) async fn push(&self, call: T, size: Size, haste: Haste) -> Result<(), Error> {
        if size.bytes > self.limits.bytes {
            return Err(Error::TooLarge { what: "bytes", got: size.bytes, limit: self.limits.bytes });
        }
        let bytes = u32::try_from(size.bytes).unwrap_or(u32::MAX);
        let waiting = self.begin_waiting()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| Error::Closed)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Error::Closed)?;
        drop(waiting);
        {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            if inside.closed {
                return Err(Error::Closed);
            }
            inside.hasty += usize::from(haste == Haste::Now);
            inside.calls.push_back(Queued { call, size, haste, _place: place, _bytes: bytes });
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        self.high_water.fetch_max(self.in_use(), Ordering::Relaxed);
        self.ready.notify_one();
        Ok(())
    }

    /// Takes what waits, up to `most` (at least one call), and waits as long as `patience` says.
    /// `None` when the queue is closed and empty.
    pub(crate) fn take(&self, most: Size, patience: Patience) -> Option<Vec<Queued<T>>> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let (inside, _) = self
            .ready
            .wait_timeout_while(inside, patience.first, |inside| inside.calls.is_empty() && !inside.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if inside.calls.is_empty() {
            return if inside.closed { None } else { Some(Vec::new()) };
        }
        let (mut inside, _) = self
            .ready
            .wait_timeout_while(inside, patience.company, |inside| inside.hasty == 0 && !inside.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut calls, mut operations, mut bytes) = (0, 0, 0);
        for queued in &inside.calls {
            operations += queued.size.operations;
            bytes += queued.size.bytes;
            if calls > 0 && (operations > most.operations || bytes > most.bytes) {
                break;
            }
            calls += 1;
        }
        let taken: Vec<_> = inside.calls.drain(..calls).collect();
        inside.hasty -= taken.iter().filter(|queued| queued.haste == Haste::Now).count();
        Some(taken)
    }

    /// Lets nobody in any more; what is inside is still carried out.
    pub(crate) fn close(&self) {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.places.close();
        self.bytes.close();
        self.ready.notify_all();
    }

    /// Drops what is inside, unanswered: for a thread that ends for good.
    pub(crate) fn abandon(&self) {
        self.close();
        let calls = {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            inside.hasty = 0;
            std::mem::take(&mut inside.calls)
        };
        drop(calls);
    }

    fn in_use(&self) -> usize {
        self.limits.calls - self.places.available_permits()
    }

    fn begin_waiting(&self) -> Result<Waiting<'_>, Error> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = Waiting(&self.waiting);
        if before < self.limits.waiting {
            return Ok(guard);
        }
        self.rejected.fetch_add(1, Ordering::Relaxed);
        let rejected = Rejected::new(self.name, Reason::QueueFull)
            .with_use(self.limits.waiting as u64, self.in_use() as u64, before as u64)
            .with_retry_after(Duration::from_secs(1));
        Err(Error::Rejected(rejected))
    }
}

impl<T: Send + 'static> Bound for Queue<T> {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = self.limits.calls as u64;
        snapshot.in_use = self.in_use() as u64;
        snapshot.high_water = self.high_water.load(Ordering::Relaxed) as u64;
        snapshot.waiting = self.waiting.load(Ordering::Relaxed) as u64;
        snapshot.admitted = self.admitted.load(Ordering::Relaxed);
        snapshot.rejected = self.rejected.load(Ordering::Relaxed);
        let bytes = self.limits.bytes - self.bytes.available_permits();
        snapshot.details = vec![("bytes", bytes as u64), ("bytes_limit", self.limits.bytes as u64)];
        snapshot.details.extend((self.details)());
        snapshot
    }
}

struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ALL: Size = Size { operations: 100, bytes: 100 };
    const AT_ONCE: Patience = Patience { first: Duration::ZERO, company: Duration::ZERO };

    fn queue(limits: Limits) -> Arc<Queue<u32>> {
        Queue::new(Name::new("store.test").unwrap(), limits, Box::new(Vec::new))
    }

    fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn one(bytes: usize) -> Size {
        Size { operations: 1, bytes }
    }

    #[test]
    fn a_full_queue_makes_callers_wait_until_a_call_is_answered() {
        let queue = queue(Limits { calls: 1, bytes: 10, waiting: 4 });
        assert!(matches!(poll_once(queue.push(1, one(1), Haste::Now)), Poll::Ready(Ok(()))));
        assert!(poll_once(queue.push(2, one(1), Haste::Now)).is_pending());
        let taken = queue.take(ALL, AT_ONCE).unwrap();
        assert!(poll_once(queue.push(2, one(1), Haste::Now)).is_pending(), "taken is not yet answered");
        drop(taken);
        assert!(poll_once(queue.push(2, one(1), Haste::Now)).is_ready());
    }

    #[test]
    fn bytes_are_a_bound_of_their_own() {
        let queue = queue(Limits { calls: 9, bytes: 10, waiting: 4 });
        assert!(poll_once(queue.push(1, one(6), Haste::Now)).is_ready());
        assert!(poll_once(queue.push(2, one(6), Haste::Now)).is_pending());
        assert!(
            poll_once(queue.push(3, one(4), Haste::Now)).is_ready(),
            "the one that gave up took nothing along"
        );
        assert!(matches!(
            poll_once(queue.push(4, one(11), Haste::Now)),
            Poll::Ready(Err(Error::TooLarge { .. }))
        ));
    }

    #[test]
    fn too_many_who_wait_are_rejected() {
        let queue = queue(Limits { calls: 1, bytes: 10, waiting: 1 });
        assert!(poll_once(queue.push(1, one(1), Haste::Now)).is_ready());
        let mut waits = pin!(queue.push(2, one(1), Haste::Now));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert!(matches!(poll_once(queue.push(3, one(1), Haste::Now)), Poll::Ready(Err(Error::Rejected(_)))));
        assert_eq!(queue.snapshot().rejected, 1);
    }

    #[test]
    fn a_group_is_bounded_and_is_never_empty() {
        let queue = queue(Limits { calls: 9, bytes: 100, waiting: 4 });
        for call in 0..5 {
            assert!(poll_once(queue.push(call, one(10), Haste::Now)).is_ready());
        }
        let sizes = |most| queue.take(most, AT_ONCE).unwrap().len();
        assert_eq!(sizes(Size { operations: 2, bytes: 100 }), 2);
        assert_eq!(sizes(Size { operations: 9, bytes: 5 }), 1, "one call is taken, however large");
        assert_eq!(sizes(ALL), 2);
    }

    #[test]
    fn closing_lets_nobody_in_and_keeps_what_is_inside() {
        let queue = queue(Limits { calls: 1, bytes: 10, waiting: 4 });
        assert!(poll_once(queue.push(1, one(1), Haste::Now)).is_ready());
        queue.close();
        assert!(matches!(poll_once(queue.push(2, one(1), Haste::Now)), Poll::Ready(Err(Error::Closed))));
        assert_eq!(queue.take(ALL, AT_ONCE).unwrap().len(), 1);
        assert!(queue.take(ALL, AT_ONCE).is_none());
    }

    #[test]
    fn a_patient_call_waits_for_one_in_haste_and_goes_with_it_in_its_order() {
        let queue = queue(Limits { calls: 9, bytes: 100, waiting: 4 });
        let long = Patience { first: Duration::ZERO, company: Duration::MAX };
        assert!(poll_once(queue.push(1, one(1), Haste::Patient)).is_ready());
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| queue.take(ALL, long).unwrap());
            assert!(poll_once(queue.push(2, one(1), Haste::Now)).is_ready());
            let calls: Vec<_> = taken.join().unwrap().iter().map(|queued| queued.call).collect();
            assert_eq!(calls, [1, 2]);
        });
        assert!(poll_once(queue.push(3, one(1), Haste::Patient)).is_ready());
        assert_eq!(queue.take(ALL, AT_ONCE).unwrap().len(), 1, "no longer than it is told");
        assert!(poll_once(queue.push(4, one(1), Haste::Patient)).is_ready());
        queue.close();
        assert_eq!(queue.take(ALL, long).unwrap().len(), 1, "nobody comes any more");
        assert!(queue.take(ALL, long).is_none());
    }
}
