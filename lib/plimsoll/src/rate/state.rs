//! What all clones of a rate limiter share, and admission without waiting.
//!
//! # Invariants
//! - Whoever exchanges the word outside of the lock has seen it without the locked bit, and the
//!   settings of its era. The bit is set before anything is done under the lock, and stays set
//!   while somebody waits; see [`line`](super::line).
//! - What is refused changes no word.

use std::fmt;

use super::gcra::Gcra;
use super::line::{Line, Turn};
use super::quota::Quota;
use super::word::Word;
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::observe::Enforcement;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::{Invalid, Name, Reason, Rejected};

/// What every admission touches comes first and fills one cache line.
#[repr(C, align(64))]
pub(super) struct State {
    pub(super) word: AtomicU64,
    pub(super) settings: Settings,
    /// The furthest that the arrival time was ever ahead of now under this quota, in units.
    ahead_max: AtomicU64,
    admitted: AtomicU64,
    pub(super) waiting: AtomicU64,
    /// When one more token could be had if everybody waits for theirs, in nanoseconds.
    pub(super) line_ends: AtomicU64,
    pub(super) line: Mutex<Line>,
    built: Gcra,
    /// Tokens that were owed beyond the deepest debt.
    forgiven: AtomicU64,
    /// How many may wait, where that is bounded: of a leaky bucket.
    queue_max: Option<u64>,
    pub(super) counters: Counters,
    enforcement: Enforcement,
    name: Name,
    _registration: Option<Registration>,
}

/// A [`Gcra`] that is read without a lock.
#[repr(C)]
pub(super) struct Settings {
    interval: AtomicU64,
    skew: AtomicU64,
    stretch: AtomicU64,
    burst: AtomicU64,
}

/// What was taken from the bucket, to be able to give it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) tokens: u64,
    /// The arrival time that it made.
    pub(super) end: u64,
    /// Which quota it was computed for, modulo 8.
    pub(super) changes: u64,
}

/// A time to wait, as the clock counts it: a `Duration` costs a division to make and two
/// multiplications to take apart, on the way of every refusal.
pub(super) type Nanos = u64;

/// Why nothing was taken.
pub(super) enum Short {
    TooLarge {
        burst: u64,
    },
    Exceeded {
        burst: u64,
        spent: u64,
        after: Nanos,
    },
    /// Others wait already; the wait is an estimate.
    Behind {
        burst: u64,
        after: Nanos,
    },
    /// As many wait as may; there is a place after that time.
    QueueFull {
        queue: u64,
        after: Nanos,
    },
}

impl Settings {
    fn new(gcra: &Gcra) -> Self {
        Self {
            interval: AtomicU64::new(gcra.interval),
            skew: AtomicU64::new(gcra.skew),
            stretch: AtomicU64::new(gcra.stretch),
            burst: AtomicU64::new(gcra.burst),
        }
    }

    /// A whole one only when the word's era is the same before and after, or under the lock.
    #[inline]
    pub(super) fn load(&self) -> Gcra {
        Gcra {
            interval: self.interval.load(Ordering::Acquire),
            skew: self.skew.load(Ordering::Acquire),
            stretch: self.stretch.load(Ordering::Acquire),
            burst: self.burst.load(Ordering::Acquire),
        }
    }

    /// Release: whoever reads any of these has seen the locked bit that was set before.
    pub(super) fn store(&self, gcra: &Gcra) {
        self.interval.store(gcra.interval, Ordering::Release);
        self.skew.store(gcra.skew, Ordering::Release);
        self.stretch.store(gcra.stretch, Ordering::Release);
        self.burst.store(gcra.burst, Ordering::Release);
    }
}

impl State {
    /// With a quota that was [checked](Quota::check).
    pub(super) fn new(name: Name, quota: Quota, registration: Option<Registration>) -> Self {
        Self::with_queue(name, quota, None, registration)
    }

    /// With a quota whose burst is 1, and a bound on those who wait.
    pub(super) fn leaky(name: Name, quota: Quota, queue: u64, registration: Option<Registration>) -> Self {
        Self::with_queue(name, quota, Some(queue), registration)
    }

    fn with_queue(
        name: Name,
        quota: Quota,
        queue_max: Option<u64>,
        registration: Option<Registration>,
    ) -> Self {
        let built = Gcra::new(quota, None);
        Self {
            word: AtomicU64::new(0),
            settings: Settings::new(&built),
            admitted: AtomicU64::new(0),
            ahead_max: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            line_ends: AtomicU64::new(0),
            line: Mutex::new(Line::new(quota)),
            built,
            forgiven: AtomicU64::new(0),
            queue_max,
            counters: Counters::new(),
            enforcement: Enforcement::new(),
            name,
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    pub(super) const fn queue_max(&self) -> Option<u64> {
        self.queue_max
    }

    pub(super) fn burst(&self) -> u64 {
        self.settings.burst.load(Ordering::Acquire)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes `tokens` (at least one) now, or nothing.
    #[inline]
    pub(super) fn try_take(&self, tokens: u64, now: Instant) -> Result<Charge, Short> {
        let mut word = Word(self.word.load(Ordering::Acquire));
        'era: loop {
            if word.is_locked() {
                return self.try_take_locked(tokens, now);
            }
            let gcra = self.settings.load();
            let again = Word(self.word.load(Ordering::Acquire));
            if again.era() != word.era() {
                word = again;
                continue;
            }
            word = again;
            if tokens > gcra.burst {
                return Err(Short::TooLarge { burst: gcra.burst });
            }
            let changes = word.changes();
            if gcra.admits_everything() {
                return Ok(Charge { tokens: 0, end: 0, changes });
            }
            let units = gcra.units(now);
            loop {
                let end = match gcra.take(word.arrival(), units, units, tokens) {
                    Ok(end) => end,
                    Err(ready) => return Err(exceeded(&gcra, word, tokens, ready, now)),
                };
                let next = word.with_arrival(end).0;
                match self.word.compare_exchange_weak(word.0, next, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => {
                        self.note_ahead(end.saturating_sub(units));
                        return Ok(Charge { tokens, end, changes });
                    }
                    Err(found) => {
                        let changed = Word(found).era() != word.era();
                        word = Word(found);
                        if changed {
                            continue 'era;
                        }
                    }
                }
            }
        }
    }

    #[cold]
    fn try_take_locked(&self, tokens: u64, now: Instant) -> Result<Charge, Short> {
        if self.waiting() > 0 {
            // Refused without the lock: a crowd that is refused must not slow down those who wait.
            let burst = self.burst();
            if tokens > burst {
                return Err(Short::TooLarge { burst });
            }
            let more = self.settings.interval.load(Ordering::Acquire).saturating_mul(tokens - 1);
            let ready = Instant::from_nanos(self.line_ends.load(Ordering::Relaxed).saturating_add(more));
            if ready > now {
                return Err(Short::Behind { burst, after: ready.nanos_since(now) });
            }
        }
        let mut turn = Turn::begin(self);
        let taken = turn.serve_then_take(tokens, now);
        turn.end();
        taken
    }

    /// Counts an admission.
    #[inline]
    pub(super) fn admit(&self) {
        // Relaxed, on the word's own cache line, which the exchange has just fetched. There is no
        // room in the word: time takes it all.
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this one refusal, or making this one wait, is not carried out; counts it if so.
    #[inline]
    pub(super) fn waives(&self) -> bool {
        let waives = self.enforcement.waives();
        if waives {
            self.counters.would_reject();
        }
        waives
    }

    /// Changes which share of the refusals is carried out, and asks anew for everybody in the line.
    pub(super) fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.enforce(|enforcement| enforcement.set_ratio(self.name, ratio))
    }

    /// As [`set_enforced_ratio`](Self::set_enforced_ratio), for the share that it counts as built with.
    pub(super) fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.enforce(|enforcement| enforcement.rebase(self.name, ratio))
    }

    /// Under the lock, so that nobody goes to the end of a line that has just been let through.
    fn enforce(&self, set: impl FnOnce(&Enforcement) -> Result<(), Invalid>) -> Result<(), Invalid> {
        let mut turn = Turn::begin(self);
        let set = set(&self.enforcement);
        if set.is_ok() {
            turn.let_through(clock::now());
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

    /// Counts a refusal, and makes it: the whole result, so that it is written once, where the caller
    /// of the caller wants it. Hence the parts first and the whole last: a whole that is made before it is
    /// counted would be copied.
    #[cold]
    pub(super) fn refuse<T>(&self, short: &Short) -> Result<T, Rejected> {
        let (reason, limit, in_use, after) = match *short {
            Short::TooLarge { burst } => (Reason::TooLarge, burst, 0, None),
            Short::Exceeded { burst, spent, after } => {
                (Reason::RateExceeded, burst, spent.min(burst), Some(after))
            }
            Short::Behind { burst, after } => (Reason::RateExceeded, burst, burst, Some(after)),
            Short::QueueFull { queue, after } => (Reason::QueueFull, queue, queue, Some(after)),
        };
        self.counters.reject(reason);
        let rejected = Rejected::new(self.name, reason).with_use(limit, in_use, self.waiting());
        Err(match after {
            Some(after) => rejected.with_retry_after_nanos(after),
            None => rejected,
        })
    }

    /// Counts and refuses somebody who waited in vain.
    pub(super) fn refuse_late(&self) -> Rejected {
        self.counters.reject(Reason::WaitTimedOut);
        let burst = self.burst();
        Rejected::new(self.name, Reason::WaitTimedOut).with_use(burst, burst, self.waiting())
    }

    /// Counts and refuses somebody who waited for what the quota no longer holds.
    pub(super) fn refuse_too_large<T>(&self) -> Result<T, Rejected> {
        self.refuse(&Short::TooLarge { burst: self.burst() })
    }

    pub(super) fn note_forgiven(&self, tokens: u64) {
        if tokens > 0 {
            self.forgiven.fetch_add(tokens, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn note_ahead(&self, ahead: u64) {
        if ahead > self.ahead_max.load(Ordering::Relaxed) {
            self.ahead_max.fetch_max(ahead, Ordering::Relaxed);
        }
    }

    /// Ends the record of one quota: the most that was spent at once, in tokens.
    pub(super) fn take_high_water(&self, gcra: &Gcra) -> u64 {
        self.ahead_max.swap(0, Ordering::Relaxed).div_ceil(gcra.interval)
    }

    /// How many tokens could be taken at once, now.
    pub(super) fn available(&self, now: Instant) -> u64 {
        let turn = Turn::begin(self);
        let available = turn.available(now);
        turn.end();
        available
    }

    /// Full, nobody waits, and the quota as it was built.
    pub(super) fn is_as_built(&self, now: Instant) -> bool {
        let word = Word(self.word.load(Ordering::Acquire));
        self.enforcement.is_as_built()
            && !word.is_locked()
            && self.settings.load() == self.built
            && word.arrival() <= self.built.units(now)
    }
}

pub(super) fn exceeded(gcra: &Gcra, word: Word, tokens: u64, ready: u64, now: Instant) -> Short {
    // When one is too much, all are spent: the division is left out where it is commonest.
    let spent = if tokens == 1 { gcra.burst } else { gcra.spent(word.arrival(), gcra.units(now)) };
    Short::Exceeded { burst: gcra.burst, spent, after: gcra.instant(ready).nanos_since(now) }
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let turn = Turn::begin(self);
        let (gcra, high_water, available) =
            (turn.gcra(), turn.high_water_before(), turn.available(clock::now()));
        turn.end();
        let ahead = self.ahead_max.load(Ordering::Relaxed).div_ceil(gcra.interval).min(gcra.burst);
        let mut snapshot = Snapshot {
            limit: gcra.burst,
            in_use: gcra.burst - available,
            high_water: high_water.max(ahead),
            waiting: self.waiting(),
            admitted: self.admitted.load(Ordering::Relaxed),
            details: vec![("interval_nanos", gcra.interval)],
            ..Snapshot::new(self.name, Kind::Rate)
        };
        let forgiven = self.forgiven.load(Ordering::Relaxed);
        if forgiven > 0 {
            snapshot.details.push(("forgiven", forgiven));
        }
        if let Some(queue) = self.queue_max {
            snapshot.kind = Kind::Leaky;
            snapshot.details.push(("queue_max", queue));
        }
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("name", &self.name)
            .field("burst", &self.burst())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
