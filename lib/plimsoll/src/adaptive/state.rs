//! What all clones of an adaptive limiter share.
//!
//! # Invariants
//! - The limit in force is the whole part of the one that the algorithm is at, within the range; the
//!   semaphore is at most one change behind it while a change is being made.
//! - Nobody waits for the lock of the algorithm but who takes a snapshot: a sample that finds it
//!   taken is let go. So what ends at the same instant on many threads costs none of them a wait.
//!
//! # Lock order
//! The algorithm's lock is released before the semaphore is resized, which wakes.

use std::fmt;
use std::sync::TryLockError;
use std::sync::atomic::AtomicBool;

use super::algorithm::{Algorithm, Sample};
use super::permit::Began;
use crate::clock::{self, Instant};
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::semaphore::Semaphore;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{Name, Outcome, Rejected};

pub(super) struct State {
    pub(super) semaphore: Semaphore,
    learning: Mutex<Learning>,
    /// What the limit is to be.
    limit: AtomicU64,
    learned: AtomicBool,
    name: Name,
    range: (u64, u64),
    _registration: Option<Registration>,
}

struct Learning {
    algorithm: Box<dyn Algorithm>,
    limit: f64,
}

impl State {
    pub(super) fn new(
        name: Name,
        semaphore: Semaphore,
        algorithm: Box<dyn Algorithm>,
        range: (u64, u64),
        registration: Option<Registration>,
    ) -> Self {
        let limit = semaphore.limit();
        Self {
            semaphore,
            learning: Mutex::new(Learning { algorithm, limit: limit as f64 }),
            limit: AtomicU64::new(limit),
            learned: AtomicBool::new(false),
            name,
            range,
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    pub(super) const fn range(&self) -> (u64, u64) {
        self.range
    }

    /// What is admitted now.
    pub(super) fn begin(&self, at: Instant) -> Began {
        Began { at, in_flight: self.semaphore.in_use().max(1) }
    }

    /// The refusal of the semaphore, in the name of this limiter.
    #[cold]
    pub(super) fn refuse(&self, by: &Rejected) -> Rejected {
        Rejected::new(self.name, by.reason()).with_use(by.limit(), by.in_use(), by.waiting())
    }

    pub(super) fn learn(&self, began: Began, outcome: Outcome) {
        if outcome == Outcome::Ignored {
            return;
        }
        self.learn_at(began, outcome, clock::now());
    }

    fn learn_at(&self, began: Began, outcome: Outcome, now: Instant) {
        let sample = Sample::new(now, now.since(began.at), began.in_flight).with_outcome(outcome);
        let limit = {
            let mut learning = match self.learning.try_lock() {
                Ok(learning) => learning,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.learned.store(true, Ordering::Relaxed);
            let (min, max) = (self.range.0 as f64, self.range.1 as f64);
            let before = learning.limit;
            let next = learning.algorithm.update(before, &sample);
            learning.limit = if next.is_nan() { before } else { next.clamp(min, max) };
            let limit = learning.limit as u64;
            if limit == before as u64 {
                return;
            }
            self.limit.store(limit, Ordering::Release);
            limit
        };
        self.follow(limit);
    }

    /// Makes the semaphore's limit what it is to be, also when another thread is about the same.
    fn follow(&self, mut limit: u64) {
        // Ends when nobody has changed it meanwhile: each turn answers a change by somebody.
        loop {
            let resized = self.semaphore.resize(limit);
            debug_assert!(resized.is_ok(), "the range was checked when it was built");
            let wanted = self.limit.load(Ordering::Acquire);
            if wanted == limit {
                return;
            }
            limit = wanted;
        }
    }

    /// Nothing was learned, and nothing is in use; the caller has seen that there is one handle.
    pub(super) fn is_as_built(&self, now: Instant) -> bool {
        use crate::limiter::Limiter;
        !self.learned.load(Ordering::Relaxed) && self.semaphore.is_forgettable(now)
    }
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.semaphore.snapshot();
        (snapshot.name, snapshot.kind) = (self.name, Kind::Adaptive);
        let base = lock(&self.learning).algorithm.latency_base();
        if let Some(base) = base {
            snapshot.details.push(("latency_base_us", u64::try_from(base.as_micros()).unwrap_or(u64::MAX)));
        }
        snapshot.details.extend([("limit_min", self.range.0), ("limit_max", self.range.1)]);
        snapshot
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adaptive")
            .field("name", &self.name)
            .field("limit", &self.semaphore.limit())
            .field("in_use", &self.semaphore.in_use())
            .field("waiting", &self.semaphore.waiting())
            .finish_non_exhaustive()
    }
}
