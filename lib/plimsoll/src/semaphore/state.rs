//! What all clones of a semaphore share.
//!
//! # Invariants
//! - Every permit is in the word's available count, in a live permit, or in a slot of the queue
//!   that is marked granted.
//! - While the lock is free, the word's "somebody waits" bit is set exactly when the queue is not
//!   empty. While the bit is set only the holder of the lock takes permits from the word; anybody
//!   may give back. A release that sees the bit takes the lock and passes on what it gave.
//! - The limit is at least one, and is changed under the lock. The limit in memory is never above
//!   the one in the word, so that in use is never shown too high.
//! - What is in use is never above [`LIMIT_MAX`]: an admission that was waived takes no permits where
//!   it would be. Waiving is decided and done under the lock, and so is a change of what is waived:
//!   nobody goes to the end of a line that has just been let through.
//!
//! # Lock order
//! One lock; no waker is cloned, woken or dropped, and nothing else is locked, under it.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::word::{LIMIT_MAX, Word};
use crate::counters::Counters;
use crate::observe::Enforcement;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::waiters::{Ticket, Waiters, Wakes};
use crate::{Invalid, Name, Reason, Rejected};

/// What every admission touches comes first.
#[repr(C)]
pub(super) struct State {
    word: AtomicU64,
    limit: AtomicU64,
    high_water: AtomicU64,
    /// Admissions that have wrapped out of the word.
    admitted_before: AtomicU64,
    /// The largest number of admissions shown so far, so that what is shown never goes back.
    admitted_shown: AtomicU64,
    waiting: AtomicU64,
    queue: Mutex<Waiters<Waiter>>,
    limit_built: u64,
    counters: Counters,
    enforcement: Enforcement,
    name: Name,
    _registration: Option<Registration>,
}

struct Waiter {
    /// What it asks for; what it holds once it is granted.
    permits: u64,
    turn: Turn,
}

enum Turn {
    Waiting(Waker),
    Granted,
    /// A shrink made it larger than the limit.
    TooLarge,
}

/// What became of the wish to wait.
pub(super) enum Enrolled {
    /// With so many permits.
    Admitted(u64),
    Queued(Ticket),
    TooLarge,
}

impl State {
    pub(super) fn new(name: Name, limit: u64, registration: Option<Registration>) -> Self {
        Self {
            word: AtomicU64::new(Word::new(limit).0),
            limit: AtomicU64::new(limit),
            high_water: AtomicU64::new(0),
            admitted_before: AtomicU64::new(0),
            admitted_shown: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            queue: Mutex::new(Waiters::new()),
            limit_built: limit,
            counters: Counters::new(),
            enforcement: Enforcement::new(),
            name,
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    /// Checks a limit, as it is given to a builder or to a resize.
    pub(super) fn check(name: Name, limit: u64) -> Result<(), Invalid> {
        if (1..=LIMIT_MAX).contains(&limit) {
            return Ok(());
        }
        Err(Invalid::new(
            name,
            "limit",
            limit,
            "1 to 4,398,046,511,103 permits (a limit of 0 admits nobody, ever)",
        ))
    }

    /// One admission without waiting, or nothing.
    #[inline]
    pub(super) fn try_take(&self, permits: u64) -> bool {
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.has_waiters() || !word.can_give(permits) {
                return false;
            }
            let taken = word.admit(permits);
            match self.word.compare_exchange_weak(word.0, taken.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    if taken.admissions() == 0 {
                        self.count_wrapped();
                    }
                    self.note_use(taken);
                    return true;
                }
                Err(now) => word = Word(now),
            }
        }
    }

    #[inline]
    pub(super) fn release(&self, permits: u64) {
        let before = Word(self.word.fetch_add(Word::permits(permits), Ordering::Release));
        if before.has_waiters() {
            self.pass_on(lock(&self.queue));
        }
    }

    /// Admits, or puts the caller at the end of the line.
    pub(super) fn enrol(&self, permits: u64, waker: &Waker) -> Enrolled {
        let waker = waker.clone();
        let mut queue = lock(&self.queue);
        if permits > self.limit() {
            return if self.enforcement.waives() {
                Enrolled::Admitted(self.admit_over_the_limit(&queue, permits))
            } else {
                Enrolled::TooLarge
            };
        }
        if self.try_take(permits) {
            return Enrolled::Admitted(permits);
        }
        if self.enforcement.waives() {
            return Enrolled::Admitted(self.admit_over_the_limit(&queue, permits));
        }
        // The bit is set before the queue is unlocked: a release comes either before it, and is seen
        // here, or after it, and then waits for the lock to serve the queue.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        while !word.has_waiters() {
            let can_give = word.can_give(permits);
            let next = if can_give { word.admit(permits) } else { Word(word.0 | Word::WAITERS) };
            match self.word.compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if can_give => {
                    drop(queue);
                    if next.admissions() == 0 {
                        self.count_wrapped();
                    }
                    self.note_use(next);
                    return Enrolled::Admitted(permits);
                }
                Ok(_) => break,
                Err(now) => word = Word(now),
            }
        }
        let ticket = queue.push(Waiter { permits, turn: Turn::Waiting(waker) });
        self.note_waiting(&queue);
        Enrolled::Queued(ticket)
    }

    /// Looks whether it is the ticket's turn; the ticket is used up when there is an answer: how many
    /// permits it holds.
    pub(super) fn poll_turn(
        &self,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Result<u64, Reason>> {
        // Before the lock, and so dropped after it.
        let mut waker = waker.clone();
        let mut queue = lock(&self.queue);
        let waiter = queue.get_mut(ticket.as_ref()?);
        if let Turn::Waiting(known) = &mut waiter.turn {
            std::mem::swap(known, &mut waker);
            return None;
        }
        let (waiter, _) = queue.remove(ticket.take()?);
        drop(queue);
        match waiter.turn {
            Turn::TooLarge => Some(Err(Reason::TooLarge)),
            Turn::Granted | Turn::Waiting(_) => {
                // Counted when it is claimed, not when it is granted: a grant may never be used.
                self.count_admission();
                Some(Ok(waiter.permits))
            }
        }
    }

    /// Leaves the line, and passes on what was already granted.
    pub(super) fn leave(&self, ticket: Ticket) {
        let mut queue = lock(&self.queue);
        let (waiter, _) = queue.remove(ticket);
        if let Turn::Granted = waiter.turn {
            self.word.fetch_add(Word::permits(waiter.permits), Ordering::Release);
        }
        // Those behind a heavy waiter may fit now that it is gone.
        self.pass_on(queue);
        drop(waiter);
    }

    pub(super) fn resize(&self, limit: u64) -> Result<(), Invalid> {
        Self::check(self.name, limit)?;
        let mut refused = Vec::new();
        let mut queue = lock(&self.queue);
        let before = self.limit();
        if limit >= before {
            self.word.fetch_add(Word::permits(limit - before), Ordering::Release);
            self.limit.store(limit, Ordering::Relaxed);
        } else {
            self.limit.store(limit, Ordering::Relaxed);
            self.word.fetch_sub(Word::permits(before - limit), Ordering::Release);
            refused = Self::refuse_too_large(&mut queue, limit);
        }
        self.pass_on(queue);
        refused.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Grants to the front of the line for as long as it fits, and wakes whoever was granted.
    #[cold]
    fn pass_on<'a>(&'a self, mut queue: MutexGuard<'a, Waiters<Waiter>>) {
        let mut wakes = Wakes::new();
        while self.grant(&mut queue, &mut wakes) {
            self.answer(queue, &mut wakes);
            queue = lock(&self.queue);
        }
        self.answer(queue, &mut wakes);
    }

    /// Makes the word agree with the queue, unlocks it, and wakes.
    fn answer(&self, queue: MutexGuard<'_, Waiters<Waiter>>, wakes: &mut Wakes) {
        if queue.queued() == 0 && Word(self.word.load(Ordering::Relaxed)).has_waiters() {
            self.word.fetch_and(!Word::WAITERS, Ordering::Release);
        }
        self.note_waiting(&queue);
        drop(queue);
        wakes.wake_all();
    }

    /// True when it stopped because there was no room for more wakers.
    fn grant(&self, queue: &mut Waiters<Waiter>, wakes: &mut Wakes) -> bool {
        while let Some(first) = queue.first_mut() {
            let word = Word(self.word.load(Ordering::Relaxed));
            if !word.can_give(first.permits) {
                return false;
            }
            if wakes.is_full() {
                return true;
            }
            // Nobody else takes while the bit is set and the lock is held: what could be given a
            // moment ago still can.
            let taken = Word::permits(first.permits);
            let before = self.word.fetch_sub(taken, Ordering::AcqRel);
            self.note_use(Word(before - taken));
            if let Turn::Waiting(waker) = std::mem::replace(&mut first.turn, Turn::Granted) {
                wakes.push(waker);
            }
            queue.call_first();
        }
        false
    }

    /// Answers those that a shrink has made impossible; returns their wakers, to be woken unlocked.
    fn refuse_too_large(queue: &mut Waiters<Waiter>, limit: u64) -> Vec<Waker> {
        // All in one go: whoever stays would be looked at again for each few that are woken.
        let mut wakers = Vec::new();
        queue.call_unless(|waiter| {
            if waiter.permits <= limit {
                return true;
            }
            if let Turn::Waiting(waker) = std::mem::replace(&mut waiter.turn, Turn::TooLarge) {
                wakers.push(waker);
            }
            false
        });
        wakers
    }
}

/// Observing.
impl State {
    /// Admits what would be refused, or made to wait; says how many permits it holds.
    fn admit_over_the_limit(&self, queue: &MutexGuard<'_, Waiters<Waiter>>, permits: u64) -> u64 {
        let held = self.take_over_the_limit(queue, permits);
        self.count_admission();
        held
    }

    /// Takes permits whether they are there or not, or none where the word has no room for them. The
    /// guard is proof that the limit stands still.
    fn take_over_the_limit(&self, _queue: &MutexGuard<'_, Waiters<Waiter>>, permits: u64) -> u64 {
        self.counters.would_reject();
        let limit = self.limit();
        let mut word = Word(self.word.load(Ordering::Relaxed));
        while in_use(limit, word).saturating_add(permits) <= LIMIT_MAX {
            let next = Word(word.0 - Word::permits(permits));
            match self.word.compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.note_use(next);
                    return permits;
                }
                Err(now) => word = Word(now),
            }
        }
        0
    }

    /// Changes which share of the refusals is carried out, and asks anew for everybody in the line.
    pub(super) fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        let queue = lock(&self.queue);
        self.enforcement.set_ratio(self.name, ratio)?;
        self.let_through(queue);
        Ok(())
    }

    /// As [`set_enforced_ratio`](Self::set_enforced_ratio), for the share that it counts as built with.
    pub(super) fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        let queue = lock(&self.queue);
        self.enforcement.rebase(self.name, ratio)?;
        self.let_through(queue);
        Ok(())
    }

    fn let_through(&self, mut queue: MutexGuard<'_, Waiters<Waiter>>) {
        // All in one go, or those who stay would be asked for more than once.
        let mut wakers = Vec::new();
        let mut line = std::mem::replace(&mut *queue, Waiters::new());
        line.call_unless(|waiter| {
            if !self.enforcement.waives() {
                return true;
            }
            waiter.permits = self.take_over_the_limit(&queue, waiter.permits);
            if let Turn::Waiting(waker) = std::mem::replace(&mut waiter.turn, Turn::Granted) {
                wakers.push(waker);
            }
            false
        });
        *queue = line;
        // Whoever is first now may fit, if somebody went before it who took nothing.
        self.pass_on(queue);
        for waker in wakers {
            waker.wake();
        }
    }

    pub(super) fn enforced_ratio(&self) -> f64 {
        self.enforcement.ratio()
    }

    pub(super) fn would_reject(&self) -> u64 {
        self.counters.waived()
    }
}

/// Counting.
impl State {
    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn available(&self) -> u64 {
        u64::try_from(Word(self.word.load(Ordering::Relaxed)).available()).unwrap_or(0)
    }

    pub(super) fn in_use(&self) -> u64 {
        in_use(self.limit(), Word(self.word.load(Ordering::Relaxed)))
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nothing in use, nobody waiting, the settings as they were built.
    pub(super) fn is_as_built(&self) -> bool {
        self.enforcement.is_as_built()
            && self.limit() == self.limit_built
            && self.word.load(Ordering::Acquire) & !Word::COUNTER == Word::new(self.limit_built).0
    }

    /// Counts a refusal, and makes it; or says how many permits are held because it is not carried out.
    #[cold]
    pub(super) fn refuse(&self, permits: u64) -> Result<u64, Rejected> {
        if self.enforcement.waives() {
            return Ok(self.admit_over_the_limit(&lock(&self.queue), permits));
        }
        Err(self.refuse_for(if permits > self.limit() { Reason::TooLarge } else { Reason::Full }))
    }

    #[cold]
    pub(super) fn refuse_for(&self, reason: Reason) -> Rejected {
        self.counters.reject(reason);
        Rejected::new(self.name, reason).with_use(self.limit(), self.in_use(), self.waiting())
    }

    /// Counts somebody who was admitted after waiting.
    pub(super) fn note_waited(&self, time: Duration) {
        self.counters.waited(time);
    }

    fn admitted(&self) -> u64 {
        let before = self.admitted_before.load(Ordering::Acquire);
        let now = before + Word(self.word.load(Ordering::Acquire)).admissions();
        // Between the word's wrap and the addition that follows it the sum is 2^20 too low.
        self.admitted_shown.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// Counts an admission whose permits were taken before.
    fn count_admission(&self) {
        let before = Word(self.word.fetch_add(Word::ADMISSION, Ordering::Relaxed));
        if before.admissions() == Word::ADMISSIONS_MAX - 1 {
            self.count_wrapped();
        }
    }

    #[cold]
    fn count_wrapped(&self) {
        self.admitted_before.fetch_add(Word::ADMISSIONS_MAX, Ordering::AcqRel);
    }

    fn note_waiting(&self, queue: &Waiters<Waiter>) {
        self.waiting.store(queue.queued() as u64, Ordering::Relaxed);
    }

    #[inline]
    fn note_use(&self, word: Word) {
        let limit = self.limit();
        if in_use(limit, word) > self.high_water.load(Ordering::Relaxed) {
            self.note_high_water(limit, word);
        }
    }

    #[cold]
    fn note_high_water(&self, limit: u64, word: Word) {
        // A resize may have come between the word and the limit: the lower limit errs downwards.
        self.high_water.fetch_max(in_use(limit.min(self.limit()), word), Ordering::Relaxed);
    }
}

fn in_use(limit: u64, word: Word) -> u64 {
    u64::try_from(limit as i64 - word.available()).unwrap_or(0)
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            limit: self.limit(),
            in_use: self.in_use(),
            high_water: self.high_water.load(Ordering::Relaxed),
            waiting: self.waiting(),
            admitted: self.admitted(),
            ..Snapshot::new(self.name, Kind::Semaphore)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("name", &self.name)
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
