//! The breaker's states and what leads from one to the next; pure: it is told the time.

use std::time::Duration;

use super::policy::{Policy, Totals};
use crate::Name;
use crate::clock::Instant;

/// Whether a breaker passes calls.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
/// let bank = Breaker::new(Policy::consecutive(1).open_for(Duration::from_millis(1)).probes_max(1))?;
/// bank.try_acquire()?.finish(Outcome::Failure);
/// assert_eq!(bank.state(), State::Open);
/// # std::thread::sleep(Duration::from_millis(2));
/// let probe = bank.try_acquire()?; // after a millisecond
/// assert_eq!(bank.state(), State::HalfOpen);
/// probe.finish(Outcome::Success);
/// assert_eq!(bank.state().as_str(), "closed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It passes every call and counts how they go.
    Closed,
    /// It rejects every call.
    Open,
    /// It lets a few probes through and rejects the others.
    HalfOpen,
}

impl State {
    /// A short, stable word for metrics and logs.
    ///
    /// ```
    /// use plimsoll::breaker::State;
    /// let words = [State::Closed, State::Open, State::HalfOpen].map(State::as_str);
    /// assert_eq!(words, ["closed", "open", "half_open"]);
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A change of state, as an observer is told of it.
///
/// ```
/// use std::sync::mpsc;
/// use plimsoll::breaker::{Breaker, State};
/// let (told, changes) = mpsc::sync_channel(16);
/// let bank = Breaker::builder("bank").on_transition(move |change| drop(told.try_send(*change))).build()?;
/// bank.force_open();
/// bank.reset();
/// let (opened, closed) = (changes.try_recv()?, changes.try_recv()?);
/// assert_eq!((opened.breaker.as_str(), opened.from, opened.to), ("bank", State::Closed, State::Open));
/// assert!(closed.epoch > opened.epoch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Transition {
    /// The breaker.
    pub breaker: Name,
    /// The state it left.
    pub from: State,
    /// The state it is in.
    pub to: State,
    /// Counts the changes of this breaker; observers run outside of any lock, so that two changes
    /// close together may be told in the other order.
    pub epoch: u64,
}

/// What is published of a state in one word, so that the closed path reads nothing else: the epoch
/// above two bits that say what a call may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(u64);

/// What a call may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    /// Pass, and count.
    Counted = 0,
    /// Pass, and do not count: closed by force.
    Uncounted = 1,
    /// Rejected, or a probe: ask the machine.
    Probed = 2,
    /// Rejected unless the time is over.
    Shut = 3,
}

impl Word {
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn epoch(self) -> u64 {
        self.0 >> 2
    }

    #[inline]
    pub(super) const fn gate(self) -> Gate {
        match self.0 & 3 {
            0 => Gate::Counted,
            1 => Gate::Uncounted,
            2 => Gate::Probed,
            _ => Gate::Shut,
        }
    }

    pub(super) const fn state(self) -> State {
        match self.gate() {
            Gate::Counted | Gate::Uncounted => State::Closed,
            Gate::Probed => State::HalfOpen,
            Gate::Shut => State::Open,
        }
    }
}

/// What the machine answers to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// It passes; whoever finishes it shows this word again.
    Pass(Word),
    /// It is rejected; worth another try after this long, where that is known.
    Reject { retry_after: Option<Duration>, probes_out: u32 },
}

/// How a probe went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probe {
    Good,
    Bad,
    Neutral,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Closed,
    ForcedClosed,
    /// Without an end when it was opened by force.
    Open {
        until: Option<Instant>,
    },
    HalfOpen {
        out: u32,
        good: u32,
    },
}

/// The state machine. Counting the calls of a closed breaker is not its business: it is shown the
/// totals when they are bad enough to ask.
#[derive(Debug)]
pub(super) struct Machine {
    policy: Policy,
    mode: Mode,
    /// Counts the changes of mode: what began in an earlier one does not count in this.
    epoch: u64,
    /// How many times in a row probes opened it again.
    reopened: u32,
}

impl Machine {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, mode: Mode::Closed, epoch: 0, reopened: 0 }
    }

    pub(super) const fn word(&self) -> Word {
        let gate = match self.mode {
            Mode::Closed => Gate::Counted,
            Mode::ForcedClosed => Gate::Uncounted,
            Mode::HalfOpen { .. } => Gate::Probed,
            Mode::Open { .. } => Gate::Shut,
        };
        Word(self.epoch << 2 | gate as u64)
    }

    /// Until when it rejects without being asked; the end of time when it was opened by force.
    pub(super) fn shut_until(&self) -> Instant {
        match self.mode {
            Mode::Open { until } => until.unwrap_or(Instant::from_nanos(u64::MAX)),
            _ => Instant::default(),
        }
    }

    pub(super) const fn probes_out(&self) -> u32 {
        match self.mode {
            Mode::HalfOpen { out, .. } => out,
            _ => 0,
        }
    }

    /// True while it is as it was made, but for its epoch.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self.mode, Mode::Closed) && self.reopened == 0
    }

    /// A call asks to pass.
    pub(super) fn admit(&mut self, now: Instant) -> Decision {
        match self.mode {
            Mode::Closed | Mode::ForcedClosed => return Decision::Pass(self.word()),
            Mode::Open { until: None } => return Decision::Reject { retry_after: None, probes_out: 0 },
            Mode::Open { until: Some(until) } if now < until => {
                return Decision::Reject { retry_after: Some(until - now), probes_out: 0 };
            }
            Mode::Open { .. } => self.enter(Mode::HalfOpen { out: 0, good: 0 }),
            Mode::HalfOpen { .. } => {}
        }
        let probes_max = self.policy.probes();
        let word = self.word();
        let Mode::HalfOpen { out, good } = &mut self.mode else { unreachable!("half-open from here on") };
        if *out + *good >= probes_max {
            return Decision::Reject { retry_after: None, probes_out: *out };
        }
        *out += 1;
        Decision::Pass(word)
    }

    /// A call that passed at `word` left the window with these totals.
    pub(super) fn judge(&mut self, now: Instant, word: Word, totals: Totals) {
        if word == self.word() && self.mode == Mode::Closed && self.policy.trips(totals) {
            self.open(now);
        }
    }

    /// A probe that passed at `word` has ended.
    pub(super) fn probe(&mut self, now: Instant, word: Word, probe: Probe) {
        if word != self.word() {
            return;
        }
        let Mode::HalfOpen { out, good } = &mut self.mode else { return };
        *out = out.saturating_sub(1);
        match probe {
            Probe::Neutral => {}
            Probe::Bad => {
                self.reopened = self.reopened.saturating_add(1);
                self.open(now);
            }
            Probe::Good => {
                *good += 1;
                if *good >= self.policy.probes() {
                    self.close();
                }
            }
        }
    }

    pub(super) fn force_open(&mut self) {
        self.reopened = 0;
        self.enter(Mode::Open { until: None });
    }

    pub(super) fn force_closed(&mut self) {
        self.reopened = 0;
        self.enter(Mode::ForcedClosed);
    }

    pub(super) fn close(&mut self) {
        self.reopened = 0;
        self.enter(Mode::Closed);
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.policy.open_time(self.reopened);
        self.enter(Mode::Open { until: Some(until) });
    }

    const fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.epoch += 1;
    }
}
