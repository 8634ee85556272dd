//! What all handles share: the queue under its lock, and the counts off the fast path.
//!
//! # Lock order
//! One lock; no waker is woken or dropped, and nothing else is locked, under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::priority::{LEVELS, Priority};
use super::queue::{Enrolled, Queue, Settings, Waited};
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::observe::Enforcement;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::waiters::{Ticket, Wakes};
use crate::{Name, Reason, Rejected};

pub(super) struct State {
    name: Name,
    concurrency_built: u64,
    queue: Mutex<Queue>,
    counters: Counters,
    enforcement: Enforcement,
    rejected: [AtomicU64; LEVELS],
    _registration: Option<Registration>,
}

const REJECTED: [&str; LEVELS] = [
    "rejected_priority_0",
    "rejected_priority_1",
    "rejected_priority_2",
    "rejected_priority_3",
    "rejected_priority_4",
    "rejected_priority_5",
    "rejected_priority_6",
    "rejected_priority_7",
];

impl State {
    pub(super) fn new(name: Name, settings: Settings, registration: Option<Registration>) -> Self {
        Self {
            name,
            concurrency_built: settings.concurrency,
            queue: Mutex::new(Queue::new(settings)),
            counters: Counters::new(),
            enforcement: Enforcement::new(),
            rejected: [const { AtomicU64::new(0) }; LEVELS],
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    pub(super) const fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Reads numbers from under the lock.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Queue) -> T) -> T {
        read(&self.queue())
    }

    pub(super) fn is_as_built(&self, now: Instant) -> bool {
        let as_built =
            |queue: &Queue| queue.is_idle(now) && queue.settings().concurrency == self.concurrency_built;
        self.enforcement.ratio() == 1.0 && self.read(as_built)
    }

    pub(super) fn try_begin(
        &self,
        now: Instant,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<(), Rejected> {
        let mut queue = self.queue();
        let Err(reason) = queue.try_begin(now, priority, deadline) else { return Ok(()) };
        if self.enforcement.waives() {
            queue.begin();
            drop(queue);
            self.counters.would_reject();
            return Ok(());
        }
        drop(queue);
        Err(self.refuse(priority, reason))
    }

    pub(super) fn enrol(
        &self,
        now: Instant,
        priority: Priority,
        deadline: Option<Instant>,
        waker: &Waker,
    ) -> Enrolled {
        if self.queue().try_begin(now, priority, deadline).is_ok() {
            return Enrolled::Admitted;
        }
        if self.enforcement.waives() {
            self.queue().begin();
            self.counters.would_reject();
            return Enrolled::Admitted;
        }
        let (mut waker, mut wakes) = (waker.clone(), Wakes::new());
        let enrolled = self.queue().enrol(now, priority, deadline, &mut waker, &mut wakes);
        wakes.wake_all();
        enrolled
    }

    pub(super) fn look(
        &self,
        priority: Priority,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Result<Waited, Reason>> {
        // Before the lock, and so dropped after it.
        let mut waker = waker.clone();
        let mut queue = self.queue();
        let answer = queue.look(priority, ticket, &mut waker)?;
        self.after_claim(queue, answer);
        Some(answer)
    }

    pub(super) fn expire(&self, priority: Priority, ticket: Ticket) -> Result<Waited, Reason> {
        let mut queue = self.queue();
        let (answer, gone) = queue.expire(clock::now(), priority, ticket);
        self.after_claim(queue, answer);
        drop(gone);
        answer
    }

    pub(super) fn leave(&self, priority: Priority, ticket: Ticket) {
        let mut queue = self.queue();
        let (gave_back, gone) = queue.leave(priority, ticket);
        if gave_back {
            self.serve(queue, clock::now());
        } else {
            drop(queue);
        }
        drop(gone);
    }

    pub(super) fn end(&self, began: Instant) {
        let now = clock::now();
        let mut queue = self.queue();
        queue.end(now, began);
        self.serve(queue, now);
    }

    pub(super) fn resize(&self, concurrency: u64) {
        let mut queue = self.queue();
        queue.resize(concurrency);
        self.serve(queue, clock::now());
    }

    /// Counts a rejection, and makes it.
    #[cold]
    pub(super) fn refuse(&self, priority: Priority, reason: Reason) -> Rejected {
        self.counters.reject(reason);
        self.rejected[priority.index()].fetch_add(1, Ordering::Relaxed);
        let queue = self.queue();
        let Settings { concurrency, queue: places, times, .. } = *queue.settings();
        let (in_use, waiting, wait) =
            (queue.in_use(), queue.waiting() as u64, queue.expected_wait(clock::now(), priority));
        drop(queue);
        let limit = if reason == Reason::QueueFull { places as u64 } else { concurrency };
        let rejected = Rejected::new(self.name, reason).with_use(limit, in_use, waiting);
        match reason {
            // A queue that stands is not gone sooner.
            Reason::Shed | Reason::QueueFull => rejected.with_retry_after(times.interval.max(wait)),
            _ => rejected,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Counts who was admitted; a place that came too late goes to the next.
    fn after_claim(&self, queue: MutexGuard<'_, Queue>, answer: Result<Waited, Reason>) {
        match answer {
            Ok(Waited { waited, .. }) => {
                drop(queue);
                self.counters.waited(waited);
            }
            Err(_) => self.serve(queue, clock::now()),
        }
    }

    fn serve<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, now: Instant) {
        if queue.waiting() == 0 {
            return;
        }
        let mut wakes = Wakes::new();
        while queue.serve(now, &mut wakes) {
            drop(queue);
            wakes.wake_all();
            queue = self.queue();
        }
        drop(queue);
        wakes.wake_all();
    }
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Shed);
        {
            let queue = self.queue();
            snapshot.limit = queue.settings().concurrency;
            snapshot.in_use = queue.in_use();
            snapshot.high_water = queue.high_water;
            snapshot.waiting = queue.waiting() as u64;
            snapshot.admitted = queue.admitted;
            let held = queue.held(clock::now()).unwrap_or(Duration::ZERO).as_micros();
            snapshot.details = vec![
                ("queue_limit", queue.settings().queue as u64),
                ("standing", queue.standing(clock::now()) as u64),
                ("held_micros", u64::try_from(held).unwrap_or(u64::MAX)),
            ];
        }
        let rejected =
            REJECTED.into_iter().zip(self.rejected.iter().map(|count| count.load(Ordering::Relaxed)));
        snapshot.details.extend(rejected.filter(|(_, count)| *count > 0));
        self.counters.show(&mut snapshot);
        snapshot
    }
}
