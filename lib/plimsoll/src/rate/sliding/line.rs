//! What all clones of a sliding window share: the window, and the line before it.
//!
//! # Invariants
//! - Everything is under one lock: a log of times is no word. No waker is cloned, woken or
//!   dropped under it.
//! - While somebody is in the line, nobody is admitted but the first in it.
//! - The first in the line has a timer for the time at which it is served, and everybody else has one
//!   for no later than that of their own turn. Whoever wakes serves all who are due.
//!
//! # Lock order
//! One lock.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::window::{Exactness, Stamp, Window};
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::observe::Enforcement;
use crate::rate::quota::Quota;
use crate::rate::wait::{Enrolled, Line, Place};
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::waiters::{Ticket, Waiters, taken};
use crate::{Invalid, Name, Reason, Rejected};

/// The least time to wait when the clock and the timer disagree.
const TIMER_STEP: Duration = Duration::from_millis(1);

pub(super) struct State {
    inner: Mutex<Inner>,
    admitted: AtomicU64,
    counters: Counters,
    enforcement: Enforcement,
    built: Quota,
    name: Name,
    _registration: Option<Registration>,
}

struct Inner {
    window: Window,
    waiters: Waiters<Waiter>,
    high_water: u64,
}

struct Waiter {
    wakes_at: Instant,
    stage: Stage,
}

enum Stage {
    Waiting(Waker),
    /// Counted, unless it was let through.
    Granted(Option<Stamp>),
    /// The quota became none.
    TooLarge,
}

/// Why somebody was not admitted.
#[derive(Clone, Copy)]
pub(super) enum Short {
    TooLarge,
    Exceeded { limit: u64, used: u64, waiting: u64, after: Duration },
}

/// The lock, and whoever is to be woken after it.
struct Turn<'a> {
    state: &'a State,
    inner: MutexGuard<'a, Inner>,
    wakes: Vec<Waker>,
}

impl State {
    /// With a quota that was checked.
    pub(super) fn new(
        name: Name,
        quota: Quota,
        exactness: Exactness,
        registration: Option<Registration>,
    ) -> Self {
        let window = Window::new(quota, exactness);
        Self {
            inner: Mutex::new(Inner { window, waiters: Waiters::new(), high_water: 0 }),
            admitted: AtomicU64::new(0),
            counters: Counters::new(),
            enforcement: Enforcement::new(),
            built: quota,
            name,
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    pub(super) fn quota(&self) -> Quota {
        lock(&self.inner).window.quota()
    }

    pub(super) fn waiting(&self) -> u64 {
        lock(&self.inner).waiters.queued() as u64
    }

    pub(super) fn available(&self, now: Instant) -> u64 {
        let mut inner = lock(&self.inner);
        let used = inner.window.used(now);
        if inner.waiters.queued() > 0 { 0 } else { inner.window.limit().saturating_sub(used) }
    }

    /// Admits one, now.
    #[inline]
    pub(super) fn try_acquire(&self, now: Instant) -> Result<(), Rejected> {
        let mut turn = Turn::begin(self);
        // One in the line that nobody polls does not have everybody after it refused.
        turn.serve(now);
        let admitted = turn.inner.try_take(now);
        turn.end();
        match admitted {
            Ok(_) => {}
            Err(_) if self.waives() => {}
            Err(short) => return Err(self.refuse(short)),
        }
        self.admit();
        Ok(())
    }

    /// Counts an admission.
    #[inline]
    pub(super) fn admit(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    fn waives(&self) -> bool {
        let waives = self.enforcement.waives();
        if waives {
            self.counters.would_reject();
        }
        waives
    }

    /// Counts a refusal, and makes it.
    #[cold]
    pub(super) fn refuse(&self, short: Short) -> Rejected {
        let rejected = match short {
            Short::TooLarge => Rejected::new(self.name, Reason::TooLarge),
            Short::Exceeded { limit, used, waiting, after } => Rejected::new(self.name, Reason::RateExceeded)
                .with_use(limit, used, waiting)
                .with_retry_after(after),
        };
        self.counters.reject(rejected.reason());
        rejected
    }

    /// Counts and refuses somebody who waited in vain.
    pub(super) fn refuse_late(&self) -> Rejected {
        self.counters.reject(Reason::WaitTimedOut);
        let mut inner = lock(&self.inner);
        let (used, waiting) = (inner.window.used(clock::now()), inner.waiters.queued() as u64);
        Rejected::new(self.name, Reason::WaitTimedOut).with_use(inner.window.limit(), used, waiting)
    }

    pub(super) fn set_quota(&self, quota: Quota, now: Instant) -> Result<(), Invalid> {
        let mut turn = Turn::begin(self);
        let checked = Window::check(self.name, quota, turn.inner.window.exactness());
        if checked.is_ok() {
            turn.inner.window.set_quota(quota);
            turn.rearm(now);
            turn.serve(now);
        }
        turn.end();
        checked
    }

    pub(super) fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.enforce(|enforcement| enforcement.set_ratio(self.name, ratio))
    }

    pub(super) fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.enforce(|enforcement| enforcement.rebase(self.name, ratio))
    }

    /// Under the lock, so that nobody goes to the end of a line that has just been let through.
    fn enforce(&self, set: impl FnOnce(&Enforcement) -> Result<(), Invalid>) -> Result<(), Invalid> {
        let mut turn = Turn::begin(self);
        let set = set(&self.enforcement);
        if set.is_ok() {
            turn.let_through();
            turn.serve(clock::now());
        }
        turn.end();
        set
    }

    pub(super) fn enforced_ratio(&self) -> f64 {
        self.enforcement.ratio()
    }

    pub(super) fn would_reject(&self) -> u64 {
        self.counters.waived()
    }

    /// Nothing in the window, nobody waits, and the settings as they were built.
    pub(super) fn is_as_built(&self, now: Instant) -> bool {
        let mut inner = lock(&self.inner);
        self.enforcement.is_as_built()
            && inner.window.quota() == self.built
            && inner.waiters.queued() == 0
            && inner.window.used(now) == 0
    }
}

impl Inner {
    /// Counts one for somebody who does not wait.
    fn try_take(&mut self, now: Instant) -> Result<Stamp, Short> {
        let limit = self.window.limit();
        if limit == 0 {
            return Err(Short::TooLarge);
        }
        let ahead = self.waiters.queued() as u64;
        if ahead == 0
            && let Some(stamp) = self.take(now)
        {
            return Ok(stamp);
        }
        let used = self.window.used(now);
        let after = self.window.ready(ahead, now) - now;
        Err(Short::Exceeded { limit, used, waiting: ahead, after })
    }

    fn take(&mut self, now: Instant) -> Option<Stamp> {
        let (stamp, used) = self.window.take(now)?;
        self.high_water = self.high_water.max(used);
        Some(stamp)
    }
}

impl<'a> Turn<'a> {
    fn begin(state: &'a State) -> Self {
        Self { state, inner: lock(&state.inner), wakes: Vec::new() }
    }

    fn end(mut self) {
        drop(self.inner);
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
    }

    /// Grants to the first for as long as they are due; says when the next one is.
    fn serve(&mut self, now: Instant) -> Option<Instant> {
        loop {
            self.inner.waiters.first_mut()?;
            let Some(stamp) = self.inner.take(now) else {
                let at = self.inner.window.ready(0, now);
                let first = self.inner.waiters.first_mut()?;
                let late = std::mem::replace(&mut first.wakes_at, at) > at;
                if late && let Stage::Waiting(waker) = &mut first.stage {
                    // Somebody before it left: its timer is too late now.
                    self.wakes.push(taken(waker));
                }
                return Some(at);
            };
            let first = self.inner.waiters.first_mut()?;
            if let Stage::Waiting(waker) = std::mem::replace(&mut first.stage, Stage::Granted(Some(stamp))) {
                self.wakes.push(waker);
            }
            self.inner.waiters.call_first();
        }
    }

    /// Asks for everybody in the line whether they are let through.
    fn let_through(&mut self) {
        self.inner.waiters.call_unless(|waiter| {
            if !self.state.waives() {
                return true;
            }
            if let Stage::Waiting(waker) = std::mem::replace(&mut waiter.stage, Stage::Granted(None)) {
                self.wakes.push(waker);
            }
            false
        });
    }

    /// After a change of quota: refuses all if nobody will ever be admitted, or wakes all to set their
    /// timers anew.
    fn rearm(&mut self, now: Instant) {
        let Inner { window, waiters, .. } = &mut *self.inner;
        window.used(now);
        let (limit, mut ahead) = (window.limit(), 0);
        waiters.call_unless(|waiter| {
            if limit == 0 {
                if let Stage::Waiting(waker) = std::mem::replace(&mut waiter.stage, Stage::TooLarge) {
                    self.wakes.push(waker);
                }
                return false;
            }
            waiter.wakes_at = window.ready(ahead, now);
            ahead += 1;
            if let Stage::Waiting(waker) = &mut waiter.stage {
                self.wakes.push(taken(waker));
            }
            true
        });
    }
}

impl Line for State {
    type Ask = ();
    type Charge = Stamp;
    type Short = Short;

    fn enrol(&self, (): (), now: Instant, by: Instant, waker: Waker) -> Enrolled<Stamp, Short> {
        let mut turn = Turn::begin(self);
        turn.serve(now);
        let enrolled = match turn.inner.try_take(now) {
            Ok(stamp) => Enrolled::Admitted(Some(stamp)),
            Err(_) if self.waives() => Enrolled::Admitted(None),
            Err(Short::Exceeded { after, .. }) if now + after <= by => {
                let until = now + after;
                let waiter = Waiter { wakes_at: until, stage: Stage::Waiting(waker) };
                Enrolled::Queued { ticket: turn.inner.waiters.push(waiter), until }
            }
            Err(short) => Enrolled::Short(short),
        };
        turn.end();
        enrolled
    }

    fn look(&self, ticket: &mut Option<Ticket>, now: Instant, waker: &Waker) -> Place<Stamp> {
        // Before the lock, and so dropped after it.
        let mut waker = waker.clone();
        let mut turn = Turn::begin(self);
        let next = turn.serve(now);
        let Some(place) = ticket.as_ref() else { unreachable!("a waiter was polled after it was served") };
        let waiter = turn.inner.waiters.get_mut(place);
        let found = if let Stage::Waiting(known) = &mut waiter.stage {
            std::mem::swap(known, &mut waker);
            if waiter.wakes_at <= now {
                // Those before it came late, or are not polled: it serves them in their stead.
                waiter.wakes_at = next.unwrap_or(now).max(now + TIMER_STEP);
            }
            Place::Wait { until: waiter.wakes_at }
        } else {
            match ticket.take().map(|ticket| turn.inner.waiters.remove(ticket).0.stage) {
                Some(Stage::Granted(stamp)) => Place::Served(stamp),
                _ => Place::TooLarge,
            }
        };
        turn.end();
        found
    }

    fn leave(&self, ticket: Ticket, now: Instant) {
        let mut turn = Turn::begin(self);
        let (waiter, _) = turn.inner.waiters.remove(ticket);
        if let Stage::Granted(Some(stamp)) = waiter.stage {
            turn.inner.window.give_back(stamp);
        }
        turn.serve(now);
        turn.end();
        drop(waiter);
    }

    fn note_waited(&self, time: Duration) {
        self.counters.waited(time);
    }
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let mut inner = lock(&self.inner);
        let used = inner.window.used(clock::now());
        let mut snapshot = Snapshot {
            limit: inner.window.limit(),
            in_use: used,
            high_water: inner.high_water,
            waiting: inner.waiters.queued() as u64,
            admitted: self.admitted.load(Ordering::Relaxed),
            details: vec![("period_nanos", inner.window.period_nanos())],
            ..Snapshot::new(self.name, Kind::Sliding)
        };
        drop(inner);
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliding")
            .field("name", &self.name)
            .field("quota", &self.quota())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
