//! Who has which job, and until when.
//!
//! # Invariants
//! - A claim has a number, which the store gave it: whoever comes with an older one is refused.
//! - A claim over HTTP is held as long as its worker says so: no time is fixed in which it must be
//!   done but the job's own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::Instant;
use plimsoll_store::{Job, JobId, JobLane, JobRef};
use rustc_hash::FxHashMap;

/// Who works on a job.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Worker {
    /// A handler of this process.
    Handler,
    /// Somebody over HTTP: the organisation and the name that it gave itself.
    Remote(Arc<str>, Arc<str>),
}

/// A claim.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) lane: JobLane,
    pub(crate) job: JobRef,
    pub(crate) worker: Worker,
    /// Its number; 0 until it is durable.
    pub(crate) number: u32,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    pub(crate) crashes: u32,
    phase: Phase,
    /// When its worker must have been heard of.
    lease_until: Instant,
    /// When it must be done.
    run_until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// On its way to the store.
    Claiming,
    Running,
    /// Its end is on its way to the store.
    Ending,
}

/// Why a word about a claim is not heeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotHeld {
    /// Nobody has the job, as far as is known here.
    Unknown,
    /// Somebody else has it.
    Stale,
    /// It is ending already.
    Ending,
}

/// Why a claim is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expired {
    /// Its worker was not heard of.
    Silent,
    /// It took longer than it may.
    TimedOut,
}

#[derive(Default)]
pub(crate) struct Claims {
    held: FxHashMap<JobId, Held>,
    /// Of those that run over HTTP.
    deadlines: BTreeSet<(Instant, JobId)>,
    by_worker: FxHashMap<Worker, usize>,
    by_org: FxHashMap<Arc<str>, usize>,
}

impl Claims {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// How many a worker has.
    pub(crate) fn of(&self, worker: &Worker) -> usize {
        self.by_worker.get(worker).copied().unwrap_or(0)
    }

    /// How many are held over HTTP.
    pub(crate) fn remote(&self) -> usize {
        self.held.len() - self.of(&Worker::Handler)
    }

    /// How many an organisation's workers hold over HTTP.
    pub(crate) fn of_org(&self, org: &Arc<str>) -> usize {
        self.by_org.get(org).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, id: JobId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub(crate) fn has(&self, id: JobId) -> bool {
        self.held.contains_key(&id)
    }

    /// A claim is on its way to the store.
    pub(crate) fn begin(&mut self, lane: JobLane, job: JobRef, worker: Worker) {
        *self.by_worker.entry(worker.clone()).or_default() += 1;
        if let Worker::Remote(org, _) = &worker {
            *self.by_org.entry(Arc::clone(org)).or_default() += 1;
        }
        let held = Held {
            lane,
            job,
            worker,
            number: 0,
            attempts: 0,
            attempts_max: 1,
            crashes: 0,
            phase: Phase::Claiming,
            lease_until: Instant::default(),
            run_until: Instant::default(),
        };
        self.held.insert(job.id, held);
    }

    /// It is durable: `job` as it stands now. Returns until when its worker must have been heard of.
    pub(crate) fn durable(&mut self, job: &Job, lease: Duration, now: Instant) -> Option<Instant> {
        let held = self.held.get_mut(&job.id)?;
        held.number = job.claims;
        held.attempts = job.attempts;
        held.attempts_max = job.attempts_max;
        held.crashes = job.crashes;
        held.run_until = now + Duration::from_millis(job.timeout_ms);
        held.phase = Phase::Running;
        self.extend(job.id, lease, now)
    }

    fn extend(&mut self, id: JobId, lease: Duration, now: Instant) -> Option<Instant> {
        let held = self.held.get_mut(&id)?;
        if held.worker != Worker::Handler {
            self.deadlines.remove(&(held.deadline(), id));
            held.lease_until = now + lease;
            self.deadlines.insert((held.deadline(), id));
        }
        Some(held.deadline())
    }

    /// Its worker is alive. Returns until when it must be heard of again.
    pub(crate) fn heartbeat(
        &mut self,
        id: JobId,
        number: u32,
        lease: Duration,
        now: Instant,
    ) -> Result<Instant, NotHeld> {
        self.running(id, number)?;
        self.extend(id, lease, now).ok_or(NotHeld::Unknown)
    }

    fn running(&self, id: JobId, number: u32) -> Result<&Held, NotHeld> {
        let held = self.held.get(&id).ok_or(NotHeld::Unknown)?;
        match held.phase {
            _ if held.number != number => Err(NotHeld::Stale),
            Phase::Claiming => Err(NotHeld::Stale),
            Phase::Ending => Err(NotHeld::Ending),
            Phase::Running => Ok(held),
        }
    }

    /// Its end is on its way to the store: it does not expire any more.
    pub(crate) fn ending(&mut self, id: JobId, number: u32) -> Result<Held, NotHeld> {
        let deadline = self.running(id, number)?.deadline();
        self.deadlines.remove(&(deadline, id));
        let held = self.held.get_mut(&id).ok_or(NotHeld::Unknown)?;
        held.phase = Phase::Ending;
        Ok(held.clone())
    }

    /// Its end could not be stored: it goes on.
    pub(crate) fn not_ended(&mut self, id: JobId, lease: Duration, now: Instant) {
        if let Some(held) = self.held.get_mut(&id) {
            held.phase = Phase::Running;
            self.extend(id, lease, now);
        }
    }

    /// It is over.
    pub(crate) fn remove(&mut self, id: JobId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.deadlines.remove(&(held.deadline(), id));
        if let Some(count) = self.by_worker.get_mut(&held.worker) {
            *count -= 1;
            if *count == 0 {
                self.by_worker.remove(&held.worker);
            }
        }
        if let Worker::Remote(org, _) = &held.worker
            && let Some(count) = self.by_org.get_mut(org)
        {
            *count -= 1;
            if *count == 0 {
                self.by_org.remove(org);
            }
        }
        Some(held)
    }

    /// A claim whose worker was not heard of in time, or which took too long; it is then ending.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<(Held, Expired)> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.deadlines.remove(&(deadline, id));
        let held = self.held.get_mut(&id)?;
        held.phase = Phase::Ending;
        let why = if held.run_until <= now { Expired::TimedOut } else { Expired::Silent };
        Some((held.clone(), why))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

impl Held {
    fn deadline(&self) -> Instant {
        self.lease_until.min(self.run_until)
    }
}
