//! What is done under the lock: waiting, reserving, giving back, and changing the quota.
//!
//! # Invariants
//! - A [`Turn`] holds the lock and has set the word's locked bit, so that it alone changes the word:
//!   it works on a copy and stores it when it [ends](Turn::end). The bit stays set exactly while
//!   somebody is in the line.
//! - Nobody in the line asks for more than the burst: that is refused on the way in, and by a
//!   change of quota.
//! - Everybody in the line has a timer for the time at which they are served at the latest, and the
//!   first one has it for the time at which they are served. Whoever wakes serves all who are due,
//!   so that a waiter that nobody polls takes its turn from those behind it, but does not stop them.
//!
//! # Lock order
//! One lock; wakers are cloned before it, and woken and dropped after it.

use std::task::Waker;
use std::time::Duration;

use super::gcra::{ARRIVAL_MAX, Gcra};
use super::quota::Quota;
use super::state::{Charge, Short, State, exceeded};
use super::wait::{self, Enrolled, Place};
use super::word::Word;
use crate::Invalid;
use crate::clock::Instant;
use crate::sync::{MutexGuard, Ordering, lock};
use crate::waiters::{Ticket, Waiters, taken};

/// How late a waiter can come and still be served as if it had been on time: tokio's timer is up to
/// a millisecond late, and the task has to be polled.
const LATE_MAX: Duration = Duration::from_millis(2);
/// A debt may always be as deep as what comes back in this time.
const DEBT_MAX: Duration = Duration::from_secs(3_600);
/// The least time to wait when the clock and the timer disagree.
const TIMER_STEP: Duration = Duration::from_millis(1);

pub(super) struct Line {
    waiters: Waiters<Waiter>,
    /// What they ask for together.
    tokens: u64,
    /// The latest arrival time that somebody was promised.
    promised: u64,
    /// By how much everybody in the line was put off, ever, in units: by debts.
    put_off: u64,
    quota: Quota,
    /// The most that was spent at once under earlier quotas.
    high_water: u64,
}

struct Waiter {
    tokens: u64,
    entered: Instant,
    wakes_at: Instant,
    /// How much of the line's being put off its timer knows of.
    put_off: u64,
    stage: Stage,
}

enum Stage {
    Waiting(Waker),
    /// To be used from `at` on; charged, unless it was let through.
    Granted {
        at: Instant,
        charge: Option<Charge>,
    },
    /// A change of quota made it larger than the burst.
    TooLarge,
}

impl Line {
    pub(super) const fn new(quota: Quota) -> Self {
        Self { waiters: Waiters::new(), tokens: 0, promised: 0, put_off: 0, quota, high_water: 0 }
    }
}

/// The lock, and the word with it.
pub(super) struct Turn<'a> {
    state: &'a State,
    line: MutexGuard<'a, Line>,
    word: Word,
    gcra: Gcra,
    /// Woken after the lock; at most one for each waiter.
    wakes: Vec<Waker>,
}

impl<'a> Turn<'a> {
    pub(super) fn begin(state: &'a State) -> Self {
        let line = lock(&state.line);
        let word = Word(state.word.fetch_or(Word::LOCKED, Ordering::AcqRel) | Word::LOCKED);
        Self { state, line, word, gcra: state.settings.load(), wakes: Vec::new() }
    }

    /// Lets the others in again, and wakes whoever got an answer.
    pub(super) fn end(mut self) {
        let queued = self.line.waiters.queued() as u64;
        if queued > 0 {
            let end = self.last_arrival(self.gcra.units(Instant::default()), 1);
            let ready = self.gcra.instant(end.saturating_sub(self.gcra.tolerance()));
            self.state.line_ends.store(ready.as_nanos(), Ordering::Relaxed);
        }
        self.state.waiting.store(queued, Ordering::Relaxed);
        let word = if queued == 0 { self.word.unlocked() } else { self.word };
        self.state.word.store(word.0, Ordering::Release);
        drop(self.line);
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
    }

    pub(super) const fn gcra(&self) -> Gcra {
        self.gcra
    }

    pub(super) fn quota(&self) -> Quota {
        self.line.quota
    }

    pub(super) fn high_water_before(&self) -> u64 {
        self.line.high_water
    }

    pub(super) fn available(&self, now: Instant) -> u64 {
        if self.gcra.admits_everything() {
            return u64::MAX;
        }
        self.gcra.burst.saturating_sub(self.gcra.spent(self.word.arrival(), self.gcra.units(now)))
    }

    /// Takes `tokens` for somebody who does not wait.
    fn try_take(&mut self, tokens: u64, now: Instant) -> Result<Charge, Short> {
        let Gcra { burst, .. } = self.gcra;
        if tokens > burst {
            return Err(Short::TooLarge { burst });
        }
        let units = self.gcra.units(now);
        if self.line.waiters.queued() > 0 {
            let ready = self.last_arrival(units, tokens).saturating_sub(self.gcra.tolerance());
            return Err(Short::Behind { burst, after: self.gcra.instant(ready).nanos_since(now) });
        }
        if self.gcra.admits_everything() {
            return Ok(Charge { tokens: 0, end: 0, changes: self.word.changes() });
        }
        match self.gcra.take(self.word.arrival(), units, units, tokens) {
            Ok(end) => Ok(self.charge(end, units, tokens)),
            Err(ready) => Err(exceeded(&self.gcra, self.word, tokens, ready, now)),
        }
    }

    /// As [`try_take`](Self::try_take), after those in the line who are due: one that nobody polls does
    /// not have everybody after it refused.
    pub(super) fn serve_then_take(&mut self, tokens: u64, now: Instant) -> Result<Charge, Short> {
        self.serve(now);
        self.try_take(tokens, now)
    }

    fn enrol(&mut self, tokens: u64, now: Instant, by: Instant, waker: Waker) -> Enrolled<Charge, Short> {
        let short = match self.serve_then_take(tokens, now) {
            Ok(charge) => return Enrolled::Admitted(Some(charge)),
            Err(_) if self.state.waives() => return Enrolled::Admitted(None),
            Err(short) => short,
        };
        let after = match short {
            Short::TooLarge { .. } | Short::QueueFull { .. } => return Enrolled::Short(short),
            Short::Exceeded { after, .. } | Short::Behind { after, .. } => after,
        };
        if let Some(full) = self.queue_full(now) {
            return Enrolled::Short(full);
        }
        let until = now + Duration::from_nanos(after);
        if until > by {
            let burst = self.gcra.burst;
            return Enrolled::Short(Short::Behind { burst, after });
        }
        let stage = Stage::Waiting(waker);
        let put_off = self.line.put_off;
        let waiter = Waiter { tokens, entered: now, wakes_at: until, put_off, stage };
        let ticket = self.line.waiters.push(waiter);
        self.line.tokens = self.line.tokens.saturating_add(tokens);
        Enrolled::Queued { ticket, until }
    }

    /// Leaves a waker that is to be dropped unlocked in the place of the one it is given.
    fn look(&mut self, ticket: &mut Option<Ticket>, now: Instant, waker: &mut Waker) -> Place<Charge> {
        let next = self.serve(now);
        let Some(place) = ticket.as_ref() else { unreachable!("a waiter was polled after it was served") };
        let put_off = self.line.put_off;
        let waiter = self.line.waiters.get_mut(place);
        match &mut waiter.stage {
            Stage::Granted { at, .. } if *at > now => return Place::Wait { until: *at },
            Stage::Waiting(known) => {
                std::mem::swap(known, waker);
                if waiter.wakes_at <= now {
                    // Its turn was put off, or somebody before it is not polled: then it serves them in
                    // their stead.
                    let longer = self.gcra.length((put_off - waiter.put_off).min(ARRIVAL_MAX));
                    waiter.put_off = put_off;
                    waiter.wakes_at =
                        (waiter.wakes_at + longer).max(next.unwrap_or(now)).max(now + TIMER_STEP);
                }
                return Place::Wait { until: waiter.wakes_at };
            }
            Stage::Granted { .. } | Stage::TooLarge => {}
        }
        match ticket.take().map(|ticket| self.line.waiters.remove(ticket).0.stage) {
            Some(Stage::Granted { charge, .. }) => Place::Served(charge),
            _ => Place::TooLarge,
        }
    }

    fn leave(&mut self, ticket: Ticket, now: Instant) {
        let (waiter, queued) = self.line.waiters.remove(ticket);
        if queued {
            self.line.tokens = self.line.tokens.saturating_sub(waiter.tokens);
        }
        if let Stage::Granted { charge: Some(charge), .. } = waiter.stage {
            self.refund(charge, now);
        }
        self.serve(now);
    }

    /// Gives back a charge, and serves whoever is due because of it.
    pub(super) fn give_back(&mut self, charge: Charge, now: Instant) {
        self.refund(charge, now);
        self.serve(now);
    }

    /// Puts the `actual` cost in the place of an `estimate` that was charged.
    pub(super) fn settle(&mut self, charge: Charge, estimate: u64, actual: u64, now: Instant) {
        if actual > estimate {
            self.owe(actual - estimate, now);
        } else {
            let tokens = charge.tokens.min(estimate - actual);
            self.refund(Charge { tokens, ..charge }, now);
        }
        self.serve(now);
    }

    /// Charges `tokens` that are not there, up to the deepest debt; the rest is forgiven.
    fn owe(&mut self, tokens: u64, now: Instant) {
        if self.gcra.admits_everything() {
            return;
        }
        let (units, tolerance) = (self.gcra.units(now), self.gcra.tolerance());
        let begin = self.word.arrival().max(units);
        let end = begin.saturating_add(self.gcra.interval.saturating_mul(tokens));
        let deepest = units + tolerance + self.gcra.span(DEBT_MAX).max(tolerance);
        let charged = end.min(deepest.min(ARRIVAL_MAX)).max(begin);
        self.state.note_forgiven(tokens - (charged - begin).div_ceil(self.gcra.interval).min(tokens));
        self.line.put_off = self.line.put_off.saturating_add(charged - begin);
        self.word = self.word.with_arrival(charged);
    }

    /// Gives back what is still ahead of now, unless somebody was promised a later time on top of it.
    fn refund(&mut self, charge: Charge, now: Instant) {
        if charge.changes != self.word.changes() || self.line.promised > charge.end {
            return;
        }
        let back = self.gcra.refund(charge.end, self.gcra.units(now), charge.tokens);
        self.word = self.word.with_arrival(self.word.arrival().saturating_sub(back));
        if self.line.promised == charge.end {
            self.line.promised = charge.end.saturating_sub(back);
        }
    }

    /// Takes `tokens` for later: everybody in the line is promised their time, and then this caller.
    /// No charge if it is let through.
    pub(super) fn reserve(&mut self, tokens: u64, now: Instant) -> Result<(Option<Charge>, Instant), Short> {
        if tokens == 0 {
            return Ok((Some(Charge { tokens, end: 0, changes: self.word.changes() }), now));
        }
        match self.serve_then_take(tokens, now) {
            Ok(charge) => return Ok((Some(charge), now)),
            Err(_) if self.state.waives() => return Ok((None, now)),
            Err(short @ (Short::TooLarge { .. } | Short::QueueFull { .. })) => return Err(short),
            Err(Short::Exceeded { .. } | Short::Behind { .. }) => {}
        }
        if let Some(full) = self.queue_full(now) {
            return Err(full);
        }
        self.promise_all(now);
        let end = self.last_arrival(self.gcra.units(now), tokens);
        if end > ARRIVAL_MAX {
            let after = self.gcra.instant(ARRIVAL_MAX).nanos_since(now);
            return Err(Short::Exceeded { burst: self.gcra.burst, spent: self.gcra.burst, after });
        }
        let (charge, at) = self.promise(end, tokens);
        Ok((Some(charge), at))
    }

    /// Asks for everybody in the line whether they are let through. Those who were promised a time
    /// keep it.
    pub(super) fn let_through(&mut self, now: Instant) {
        let Line { waiters, tokens, .. } = &mut *self.line;
        waiters.call_unless(|waiter| {
            if !self.state.waives() {
                return true;
            }
            *tokens = tokens.saturating_sub(waiter.tokens);
            let granted = Stage::Granted { at: now, charge: None };
            if let Stage::Waiting(waker) = std::mem::replace(&mut waiter.stage, granted) {
                self.wakes.push(waker);
            }
            false
        });
        self.serve(now);
    }

    /// Changes the quota; as many tokens are spent afterwards as before.
    pub(super) fn set_quota(&mut self, quota: Quota, now: Instant) -> Result<(), Invalid> {
        quota.check(self.state.name())?;
        let before = self.gcra;
        let gcra = Gcra::new(quota, Some(before));
        let arrival = gcra.convert(&before, self.word.arrival(), now);
        self.line.high_water =
            self.line.high_water.max(self.state.take_high_water(&before).min(before.burst));
        self.line.quota = quota;
        self.line.promised = if self.line.promised > before.units(now) { arrival } else { 0 };
        self.word = self.word.changed().with_arrival(arrival);
        self.gcra = gcra;
        self.state.settings.store(&gcra);
        self.rearm(now);
        self.serve(now);
        Ok(())
    }

    /// After a change of quota: refuses those who have become too large, and wakes the others to set
    /// their timers anew.
    fn rearm(&mut self, now: Instant) {
        let (gcra, mut end) = (self.gcra, self.word.arrival().max(self.gcra.units(now)));
        let (mut tokens, wakes) = (0_u64, &mut self.wakes);
        let Line { waiters, put_off, .. } = &mut *self.line;
        waiters.call_unless(|waiter| {
            if waiter.tokens > gcra.burst {
                if let Stage::Waiting(waker) = std::mem::replace(&mut waiter.stage, Stage::TooLarge) {
                    wakes.push(waker);
                }
                return false;
            }
            tokens = tokens.saturating_add(waiter.tokens);
            if !gcra.admits_everything() {
                end = end.saturating_add(gcra.cost(waiter.tokens)).min(ARRIVAL_MAX);
                waiter.wakes_at = gcra.instant(end.saturating_sub(gcra.tolerance()));
                waiter.put_off = *put_off;
            }
            if let Stage::Waiting(waker) = &mut waiter.stage {
                wakes.push(taken(waker));
            }
            true
        });
        self.line.tokens = tokens;
    }

    /// Grants to the first for as long as they are due; says when the next one is.
    fn serve(&mut self, now: Instant) -> Option<Instant> {
        let (gcra, units) = (self.gcra, self.gcra.units(now));
        let on_time = units.saturating_sub(gcra.span(LATE_MAX));
        while let Some(first) = self.line.waiters.first_mut() {
            if gcra.admits_everything() {
                let charge = Charge { tokens: 0, end: 0, changes: self.word.changes() };
                self.grant(charge, now);
                continue;
            }
            let tokens = first.tokens;
            let from = gcra.units(first.entered).max(on_time).min(units);
            match gcra.take(self.word.arrival(), from, units, tokens) {
                Ok(end) => {
                    let charge = self.charge(end, units, tokens);
                    self.grant(charge, now);
                }
                Err(ready) => {
                    let at = gcra.instant(ready);
                    let late = std::mem::replace(&mut first.wakes_at, at) > at;
                    if late && let Stage::Waiting(waker) = &mut first.stage {
                        // Somebody before it left: its timer is too late now.
                        self.wakes.push(taken(waker));
                    }
                    return Some(at);
                }
            }
        }
        None
    }

    /// Promises their time to all in the line.
    fn promise_all(&mut self, now: Instant) {
        let units = self.gcra.units(now);
        while let Some(first) = self.line.waiters.first_mut() {
            let tokens = first.tokens;
            let end = (self.word.arrival().max(units) + self.gcra.cost(tokens)).min(ARRIVAL_MAX);
            let (charge, at) = self.promise(end, tokens);
            self.grant(charge, at);
        }
    }

    fn promise(&mut self, end: u64, tokens: u64) -> (Charge, Instant) {
        self.word = self.word.with_arrival(end);
        self.line.promised = end;
        let at = self.gcra.instant(end.saturating_sub(self.gcra.tolerance()));
        (Charge { tokens, end, changes: self.word.changes() }, at)
    }

    fn charge(&mut self, end: u64, units: u64, tokens: u64) -> Charge {
        self.word = self.word.with_arrival(end);
        self.state.note_ahead(end.saturating_sub(units));
        Charge { tokens, end, changes: self.word.changes() }
    }

    /// Takes the first out of the line, charged.
    fn grant(&mut self, charge: Charge, at: Instant) {
        if let Some(first) = self.line.waiters.first_mut() {
            let tokens = first.tokens;
            if let Stage::Waiting(waker) =
                std::mem::replace(&mut first.stage, Stage::Granted { at, charge: Some(charge) })
            {
                self.wakes.push(waker);
            }
            self.line.waiters.call_first();
            self.line.tokens = self.line.tokens.saturating_sub(tokens);
        }
    }

    /// Whether one more would wait longer than as many slots as may wait, and until when.
    ///
    /// Counted in time, so that it holds for those who wait and those who were promised a slot alike.
    fn queue_full(&self, now: Instant) -> Option<Short> {
        let queue = self.state.queue_max()?;
        let units = self.gcra.units(now);
        let ready = self.last_arrival(units, 1).saturating_sub(self.gcra.tolerance());
        let latest = units.saturating_add(self.gcra.interval.saturating_mul(queue));
        if ready <= latest {
            return None;
        }
        let after = self.gcra.instant(units + (ready - latest)).nanos_since(now);
        Some(Short::QueueFull { queue, after })
    }

    /// The arrival time after everybody in the line, and then `tokens` more, were charged.
    fn last_arrival(&self, units: u64, tokens: u64) -> u64 {
        let tokens = self.line.tokens.saturating_add(tokens);
        let cost = self.gcra.interval.saturating_mul(tokens).min(ARRIVAL_MAX);
        self.word.arrival().max(units) + cost
    }
}

impl wait::Line for State {
    /// How many tokens.
    type Ask = u64;
    type Charge = Charge;
    type Short = Short;

    fn enrol(&self, tokens: u64, now: Instant, by: Instant, waker: Waker) -> Enrolled<Charge, Short> {
        let mut turn = Turn::begin(self);
        let enrolled = turn.enrol(tokens, now, by, waker);
        turn.end();
        enrolled
    }

    fn look(&self, ticket: &mut Option<Ticket>, now: Instant, waker: &Waker) -> Place<Charge> {
        // Before the lock, and so dropped after it.
        let mut waker = waker.clone();
        let mut turn = Turn::begin(self);
        let place = turn.look(ticket, now, &mut waker);
        turn.end();
        place
    }

    fn leave(&self, ticket: Ticket, now: Instant) {
        let mut turn = Turn::begin(self);
        turn.leave(ticket, now);
        turn.end();
    }

    fn note_waited(&self, time: Duration) {
        self.counters.waited(time);
    }
}
