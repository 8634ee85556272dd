//! Who is in and who waits; pure: it is told the time.
//!
//! # Invariants
//! - Every place in use is in a live permit, or in a slot of a line that is marked granted.
//! - Nobody waits who could begin: what frees a place, or allows more, serves the lines.
//! - No more wait than the queue holds; no two thresholds contradict, so that what is more important can
//!   always begin when what is less important can.

use std::task::Waker;
use std::time::Duration;

use super::delay::{Delay, Left, Times};
use super::priority::{LEVELS, Priority};
use crate::Reason;
use crate::clock::{self, Instant};
use crate::waiters::{Ticket, Waiters, Wakes, taken};

/// How much a new sample counts in the smoothed time that a place is held.
const SMOOTHING: f64 = 1.0 / 16.0;
/// Nobody is shed before so many places are expected to have been given back: a service that became slow
/// would run empty between two that end, with everybody shed who waits for the second.
const TURNS_MIN: f64 = 2.0;
/// What was learned of an earlier load is forgotten after this.
const HELD_KEEPS: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) concurrency: u64,
    pub(super) queue: usize,
    pub(super) times: Times,
    /// By level: the share of the concurrency below which it begins.
    pub(super) thresholds: [f64; LEVELS],
}

pub(super) struct Queue {
    settings: Settings,
    classes: [Class; LEVELS],
    in_use: u64,
    waiting: usize,
    /// How long a place is held, smoothed, in nanoseconds, and when that was seen last.
    held: Option<(f64, Instant)>,
    pub(super) admitted: u64,
    pub(super) high_water: u64,
}

struct Class {
    line: Waiters<Waiter>,
    delay: Delay,
}

pub(super) struct Waiter {
    entered: Instant,
    deadline: Option<Instant>,
    turn: Turn,
}

enum Turn {
    Waiting(Waker),
    Granted,
    Refused(Reason),
}

/// What became of the wish to be admitted.
pub(super) enum Enrolled {
    Admitted,
    Queued { ticket: Ticket, until: Instant },
    Refused(Reason),
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        let class = |_| Class { line: Waiters::new(), delay: Delay::new() };
        Self {
            settings,
            classes: std::array::from_fn(class),
            in_use: 0,
            waiting: 0,
            held: None,
            admitted: 0,
            high_water: 0,
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn in_use(&self) -> u64 {
        self.in_use
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many priorities have a line that stands.
    pub(super) fn standing(&self, now: Instant) -> usize {
        let times = self.times(now);
        self.classes.iter().filter(|class| class.delay.stands(now, times)).count()
    }

    /// How long a place is held, smoothed; unknown before the first, and a minute after the last.
    pub(super) fn held(&self, now: Instant) -> Option<Duration> {
        let (nanos, _) = self.held.filter(|(_, seen)| now - *seen < HELD_KEEPS)?;
        Some(Duration::from_nanos(nanos as u64))
    }

    /// How long anybody may wait, at the load as it is.
    fn times(&self, now: Instant) -> Times {
        let Times { target, interval } = self.settings.times;
        let least = self.time_of(now, TURNS_MIN);
        Times { target: target.max(least), interval: interval.max(least) }
    }

    /// How long it takes for so many places to be given back; nothing while that is not known.
    fn time_of(&self, now: Instant, turns: f64) -> Duration {
        self.held(now).map_or(Duration::ZERO, |held| held.mul_f64(turns / self.settings.concurrency as f64))
    }

    /// Nothing is in use, and nothing was learned that changes a decision.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.in_use == 0 && self.waiting == 0 && self.held(now).is_none() && self.standing(now) == 0
    }

    /// Begins at once, or not at all.
    pub(super) fn try_begin(
        &mut self,
        now: Instant,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<(), Reason> {
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Reason::DeadlineTooNear);
        }
        if !self.has_room(priority.index()) || self.ahead_of(priority) > 0 {
            return Err(Reason::Full);
        }
        if !self.classes[priority.index()].delay.is_quiet() {
            let times = self.times(now);
            self.classes[priority.index()].delay.leaves(now, Left::After(Duration::ZERO), times);
        }
        self.begin();
        Ok(())
    }

    /// Begins whatever stands in the way: while it observes.
    pub(super) const fn begin(&mut self) {
        self.in_use += 1;
        self.admitted += 1;
        self.note_use();
    }

    /// Begins, or goes to the end of its line, with the waker then; whoever has to make room for it is
    /// in `wakes`.
    pub(super) fn enrol(
        &mut self,
        now: Instant,
        priority: Priority,
        deadline: Option<Instant>,
        waker: &mut Waker,
        wakes: &mut Wakes,
    ) -> Enrolled {
        match self.try_begin(now, priority, deadline) {
            Ok(()) => return Enrolled::Admitted,
            Err(Reason::Full) => {}
            Err(reason) => return Enrolled::Refused(reason),
        }
        if deadline.is_some_and(|deadline| deadline - now < self.expected_wait(now, priority)) {
            return Enrolled::Refused(Reason::DeadlineTooNear);
        }
        if self.waiting >= self.settings.queue && !self.evict(now, priority, wakes) {
            return Enrolled::Refused(Reason::QueueFull);
        }
        let times = self.times(now);
        let Class { line, delay } = &mut self.classes[priority.index()];
        let patience = now + delay.patience(now, times);
        let until = deadline.map_or(patience, |deadline| patience.min(deadline));
        let ticket = line.push(Waiter { entered: now, deadline, turn: Turn::Waiting(taken(waker)) });
        self.waiting += 1;
        Enrolled::Queued { ticket, until }
    }

    /// Looks whether it is the ticket's turn; the ticket is used up when there is an answer, and the
    /// waker exchanged for the one that was known when there is none.
    pub(super) fn look(
        &mut self,
        priority: Priority,
        ticket: &mut Option<Ticket>,
        waker: &mut Waker,
    ) -> Option<Result<Waited, Reason>> {
        let line = &mut self.classes[priority.index()].line;
        let Some(place) = ticket.take() else { unreachable!("a waiter was polled after it was answered") };
        let waiter = line.get_mut(&place);
        if let Turn::Waiting(known) = &mut waiter.turn {
            std::mem::swap(known, waker);
            *ticket = Some(place);
            return None;
        }
        let (waiter, _) = line.remove(place);
        Some(self.claim(clock::now(), &waiter))
    }

    /// Its patience, or its deadline, is over: it leaves, unless it was answered in this moment. The
    /// second value is to be dropped unlocked.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        priority: Priority,
        ticket: Ticket,
    ) -> (Result<Waited, Reason>, Waiter) {
        let times = self.times(now);
        let Class { line, delay } = &mut self.classes[priority.index()];
        let (waiter, queued) = line.remove(ticket);
        if !queued {
            return (self.claim(now, &waiter), waiter);
        }
        self.waiting -= 1;
        if waiter.is_past_deadline(now) {
            delay.leaves(now, Left::After(now - waiter.entered), times);
            return (Err(Reason::DeadlineTooNear), waiter);
        }
        delay.leaves(now, Left::InVain, times);
        (Err(Reason::Shed), waiter)
    }

    /// Leaves the line; true when it gave a place back, so that the lines are to be served. The second
    /// value is to be dropped unlocked.
    pub(super) fn leave(&mut self, priority: Priority, ticket: Ticket) -> (bool, Waiter) {
        let (waiter, queued) = self.classes[priority.index()].line.remove(ticket);
        if queued {
            self.waiting -= 1;
            return (false, waiter);
        }
        let granted = matches!(waiter.turn, Turn::Granted);
        self.in_use -= u64::from(granted);
        (granted, waiter)
    }

    /// A place that was taken at `began` is given back.
    pub(super) fn end(&mut self, now: Instant, began: Instant) {
        self.in_use -= 1;
        let held = (now - began).as_nanos() as f64;
        let smoothed = match self.held {
            Some((before, seen)) if now - seen < HELD_KEEPS => before + SMOOTHING * (held - before),
            _ => held,
        };
        self.held = Some((smoothed, now));
    }

    pub(super) const fn resize(&mut self, concurrency: u64) {
        self.settings.concurrency = concurrency;
    }

    /// Sheds whoever has waited too long, and grants to the most important for as long as there is
    /// room. True when it stopped because there was no room for more wakers.
    pub(super) fn serve(&mut self, now: Instant, wakes: &mut Wakes) -> bool {
        let (mut level, times) = (0, self.times(now));
        while level < LEVELS && self.waiting > 0 {
            if wakes.is_full() {
                return true;
            }
            let room = self.has_room(level);
            let Class { line, delay } = &mut self.classes[level];
            let patience = delay.patience(now, times);
            let answer = line.first_mut().and_then(|first| {
                if first.is_past_deadline(now) {
                    Some(Turn::Refused(Reason::DeadlineTooNear))
                } else if now - first.entered > patience {
                    Some(Turn::Refused(Reason::Shed))
                } else {
                    room.then_some(Turn::Granted)
                }
            });
            match answer {
                Some(answer) => self.answer_first(now, level, answer, wakes),
                None => level += 1,
            }
        }
        false
    }

    /// How long somebody of that priority who comes now is expected to wait: until as many places were
    /// given back as there are ahead, and one more.
    pub(super) fn expected_wait(&self, now: Instant, priority: Priority) -> Duration {
        self.time_of(now, (self.ahead_of(priority) + 1) as f64)
    }

    /// How many wait that are served before an arrival of that priority.
    fn ahead_of(&self, priority: Priority) -> usize {
        match self.waiting {
            0 => 0,
            _ => self.classes[..=priority.index()].iter().map(|class| class.line.queued()).sum(),
        }
    }

    fn has_room(&self, level: usize) -> bool {
        let Settings { concurrency, thresholds, .. } = &self.settings;
        if thresholds[level] >= 1.0 {
            return self.in_use < *concurrency;
        }
        self.in_use < ((*concurrency as f64 * thresholds[level]) as u64).max(1)
    }

    /// Takes somebody less important than `priority` out of the line, the least important first.
    fn evict(&mut self, now: Instant, priority: Priority, wakes: &mut Wakes) -> bool {
        let less = (priority.index() + 1..LEVELS).rev();
        let Some(level) = less.into_iter().find(|level| self.classes[*level].line.queued() > 0) else {
            return false;
        };
        self.answer_first(now, level, Turn::Refused(Reason::Shed), wakes);
        true
    }

    fn answer_first(&mut self, now: Instant, level: usize, answer: Turn, wakes: &mut Wakes) {
        let granted = matches!(answer, Turn::Granted);
        let times = self.times(now);
        let Class { line, delay } = &mut self.classes[level];
        let Some(first) = line.first_mut() else { return };
        let waited = now - first.entered;
        if let Turn::Waiting(waker) = std::mem::replace(&mut first.turn, answer) {
            wakes.push(waker);
        }
        line.call_first();
        delay.leaves(now, Left::After(waited), times);
        self.waiting -= 1;
        self.in_use += u64::from(granted);
        self.note_use();
    }

    /// What the owner of a slot that was answered is told. A place that comes after the deadline is
    /// given back by the caller.
    fn claim(&mut self, now: Instant, waiter: &Waiter) -> Result<Waited, Reason> {
        match waiter.turn {
            Turn::Refused(reason) => Err(reason),
            Turn::Granted | Turn::Waiting(_) if waiter.is_past_deadline(now) => {
                self.in_use -= 1;
                Err(Reason::DeadlineTooNear)
            }
            Turn::Granted | Turn::Waiting(_) => {
                self.admitted += 1;
                Ok(Waited { now, waited: now - waiter.entered })
            }
        }
    }

    const fn note_use(&mut self) {
        if self.in_use > self.high_water {
            self.high_water = self.in_use;
        }
    }
}

/// Somebody was admitted after it had waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    pub(super) now: Instant,
    pub(super) waited: Duration,
}

impl Waiter {
    fn is_past_deadline(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
