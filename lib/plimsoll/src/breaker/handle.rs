//! The breaker: the state machine behind one published word.
//!
//! # Invariants
//! - `word` and `shut_until` are what the machine says; both are stored under its lock, the word
//!   last.
//! - The window and the row of failures hold calls of the current epoch: they are cleared when the
//!   breaker closes. A call
//!   that checks the epoch and is then held up for a whole round of opening and closing may still be
//!   counted in the wrong one.
//! - The observer is called without the lock.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::permit::Admission;
use super::policy::Totals;
use super::state::{Decision, Gate, Machine, Probe, Word};
use super::{Builder, Error, OwnedPermit, Permit, Policy, State, Transition};
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::limiter::{Limiter, is_only_handle};
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::window::Window;
use crate::{Invalid, Name, Outcome, Reason, Rejected};

pub(super) type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// Stops calls to what is down; a handle, cheap to clone, and all clones share one state.
///
/// ```
/// use plimsoll::{Outcome, Reason};
/// use plimsoll::breaker::{Breaker, Policy, State};
/// let bank = Breaker::builder("bank").policy(Policy::ratio(0.5).calls_min(2)).build()?;
/// let ours = bank.clone();
/// for outcome in [Outcome::Success, Outcome::Failure] {
///     ours.try_acquire()?.finish(outcome);
/// }
/// assert_eq!(bank.state(), State::Open);
/// assert_eq!(bank.try_acquire().unwrap_err().reason(), Reason::BreakerOpen);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Breaker(pub(super) Arc<Inner>);

pub(super) struct Inner {
    name: Name,
    policy: Policy,
    word: AtomicU64,
    shut_until: AtomicU64,
    window: Window<3>,
    /// How many failed since the last that succeeded; only where failures in a row count.
    run: AtomicU64,
    machine: Mutex<Machine>,
    observer: Option<Observer>,
    /// Ended without counting: ignored, out of date, or under force.
    uncounted: AtomicU64,
    probed: AtomicU64,
    opened: AtomicU64,
    counters: Counters,
    _registration: Option<Registration>,
}

impl Breaker {
    /// A breaker that has no name and is not in the registry, as for one key of a
    /// [keyed](crate::keyed) limiter.
    ///
    /// # Errors
    /// When a field of the policy is out of its range.
    ///
    /// ```
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// let host = Breaker::new(Policy::ratio(0.5)).unwrap();
    /// assert_eq!(host.state(), State::Closed);
    /// assert_eq!(Breaker::new(Policy::ratio(50.0)).unwrap_err().field(), "ratio");
    /// ```
    pub fn new(policy: Policy) -> Result<Self, Invalid> {
        policy.check(Name::UNNAMED)?;
        Ok(Self(Arc::new(Inner::new(Name::UNNAMED, policy, None, None))))
    }

    /// Begins a breaker with a name.
    ///
    /// ```
    /// use plimsoll::breaker::Breaker;
    /// let search = Breaker::builder("search").build()?; // opens at 50 % failures
    /// assert_eq!(search.name().as_str(), "search");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// Lets a call pass or rejects it, without waiting.
    ///
    /// # Errors
    /// [`Reason::BreakerOpen`] when it is open, with the time until it is half-open in
    /// `retry_after`; or when it is half-open and its probes are all out.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy}};
    /// let bank = Breaker::new(Policy::consecutive(1).open_for(Duration::from_secs(5)))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// let refused = bank.try_acquire().unwrap_err();
    /// assert!(refused.retry_after().unwrap() > Duration::from_secs(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        let admission = self.0.admit(None)?;
        Ok(Permit::new(&self.0, admission))
    }

    /// Lets a call pass or rejects it, without waiting; the permit holds a handle of the breaker.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::consecutive(1))?;
    /// let permit = bank.try_acquire_owned()?;
    /// tokio::task::JoinSet::from_iter([async move { permit.finish(Outcome::Failure) }]).join_all().await;
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok(()) }
    /// ```
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        let admission = self.0.admit(None)?;
        Ok(OwnedPermit::new(Arc::clone(&self.0), admission))
    }

    /// Calls `f` if the breaker passes it: `Ok` counts as success, `Err` as failure.
    ///
    /// Use [`call_judged`](Self::call_judged) where some errors are the caller's own fault.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the call was not begun, [`Error::Inner`] when it failed.
    ///
    /// # Cancel safety
    /// Dropping it drops the call, which then counts as nothing.
    ///
    /// ```
    /// use plimsoll::breaker::{Breaker, Error, Policy};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = Breaker::new(Policy::ratio(0.5).calls_min(1))?;
    /// let answer = breaker.call(|| async { "7".parse::<u8>() }).await;
    /// assert_eq!(answer, Ok(7));
    /// let failed = breaker.call(|| async { "x".parse::<u8>() }).await;
    /// assert!(matches!(failed, Err(Error::Inner(_))));
    /// let rejected = breaker.call(|| async { "7".parse::<u8>() }).await;
    /// assert!(matches!(rejected, Err(Error::Rejected(_))));
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn call<F, Fut, T, E>(&self, f: F) -> Result<T, Error<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_judged(Outcome::of, f).await
    }

    /// Calls `f` if the breaker passes it; `judge` says what its result tells of the dependency.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// Dropping it drops the call, which then counts as nothing.
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = Breaker::new(Policy::ratio(0.5).calls_min(1))?;
    /// // 404 is an answer; only 5xx says that the service is unwell.
    /// let judge = |status: &Result<(), u16>| match status {
    ///     Err(500..) => Outcome::Failure,
    ///     _ => Outcome::Success,
    /// };
    /// let _ = breaker.call_judged(judge, || async { Err::<(), u16>(404) }).await;
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn call_judged<J, F, Fut, T, E>(&self, judge: J, f: F) -> Result<T, Error<E>>
    where
        J: FnOnce(&Result<T, E>) -> Outcome,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let permit = self.try_acquire()?;
        let result = f().await;
        permit.finish(judge(&result));
        result.map_err(Error::Inner)
    }

    /// The state it is in. An open breaker whose time is over is half-open from the next call on.
    ///
    /// ```
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// let bank = Breaker::new(Policy::ratio(0.5))?;
    /// assert_eq!(bank.state(), State::Closed);
    /// bank.force_open();
    /// assert_eq!(bank.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> State {
        self.0.word().state()
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, breaker::{Breaker, Policy}};
    /// assert_eq!(Breaker::builder("bank-name").build()?.name().as_str(), "bank-name");
    /// assert_eq!(Breaker::new(Policy::ratio(0.5))?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// The numbers as they are now: the limit is how many calls it lets through at once
    /// ([`NO_LIMIT`](Snapshot::NO_LIMIT) when closed), in use are probes, and the details say what the
    /// window holds.
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// use plimsoll::breaker::{Breaker, Policy};
    /// let breaker = Breaker::new(Policy::ratio(0.5))?;
    /// breaker.try_acquire().expect("closed").finish(Outcome::Failure);
    /// assert!(breaker.snapshot().details.contains(&("window_failures", 1)));
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        registry::Bound::snapshot(&*self.0)
    }

    /// Opens it until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    ///
    /// ```
    /// use plimsoll::breaker::{Breaker, Policy, State};
    /// let bank = Breaker::new(Policy::ratio(0.5))?;
    /// bank.force_open(); // it is being moved: nobody calls it tonight
    /// assert!(bank.try_acquire().is_err());
    /// bank.reset();
    /// assert!(bank.state() == State::Closed && bank.try_acquire().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn force_open(&self) {
        self.0.change(Machine::force_open);
    }

    /// Closes it and stops counting until [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open).
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::consecutive(1))?;
    /// bank.force_closed();
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(bank.state(), State::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn force_closed(&self) {
        self.0.change(Machine::force_closed);
    }

    /// Makes it as it was built: closed, and nothing counted yet.
    ///
    /// ```
    /// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
    /// let bank = Breaker::new(Policy::consecutive(1))?;
    /// bank.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(bank.state(), State::Open);
    /// bank.reset();
    /// assert_eq!(bank.state(), State::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self) {
        self.0.change(Machine::close);
    }
}

impl Limiter for Breaker {
    type Permit = OwnedPermit;

    fn try_acquire_owned_at(&self, now: Instant) -> Result<OwnedPermit, Rejected> {
        let admission = self.0.admit(Some(now))?;
        Ok(OwnedPermit::new(Arc::clone(&self.0), admission))
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        if !is_only_handle(&self.0) {
            return false;
        }
        let fresh = lock(&self.0.machine).is_fresh();
        fresh && self.0.run.load(Ordering::Relaxed) == 0 && self.0.window.sum(now) == [0; 3]
    }
}

impl Inner {
    pub(super) fn new(
        name: Name,
        policy: Policy,
        observer: Option<Observer>,
        registration: Option<Registration>,
    ) -> Self {
        let machine = Machine::new(policy);
        Self {
            name,
            policy,
            word: AtomicU64::new(machine.word().bits()),
            shut_until: AtomicU64::new(0),
            window: Window::new(policy.window_span()),
            run: AtomicU64::new(0),
            machine: Mutex::new(machine),
            observer,
            uncounted: AtomicU64::new(0),
            probed: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            counters: Counters::new(),
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    #[inline]
    fn word(&self) -> Word {
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// Lets a call pass or rejects it; reads the clock only if it must and the caller has not.
    #[inline]
    fn admit(&self, now: Option<Instant>) -> Result<Admission, Rejected> {
        let word = self.word();
        match word.gate() {
            Gate::Counted | Gate::Uncounted => {
                let began = if self.policy.times_calls() {
                    now.unwrap_or_else(clock::now)
                } else {
                    Instant::default()
                };
                Ok(Admission { word, began })
            }
            Gate::Probed | Gate::Shut => self.admit_probe(word, now.unwrap_or_else(clock::now)),
        }
    }

    #[cold]
    fn admit_probe(&self, word: Word, now: Instant) -> Result<Admission, Rejected> {
        let shut_until = Instant::from_nanos(self.shut_until.load(Ordering::Relaxed));
        let (decision, transition) = if word.gate() == Gate::Shut && now < shut_until {
            let known = shut_until.as_nanos() < u64::MAX;
            let decision = Decision::Reject { retry_after: known.then(|| shut_until - now), probes_out: 0 };
            (decision, None)
        } else {
            self.apply(|machine| machine.admit(now))
        };
        match decision {
            Decision::Pass(word) => {
                let admission = Admission { word, began: now };
                if let Some(transition) = transition {
                    // Gives the probe back if the observer panics; else it is the caller's.
                    let probe = Permit::new(self, admission);
                    self.tell(&transition);
                    mem::forget(probe);
                }
                Ok(admission)
            }
            Decision::Reject { retry_after, probes_out } => {
                self.counters.reject(Reason::BreakerOpen);
                let rejected = Rejected::new(self.name, Reason::BreakerOpen).with_use(
                    u64::from(self.policy.probes()),
                    u64::from(probes_out),
                    0,
                );
                Err(match retry_after {
                    Some(after) => rejected.with_retry_after(after),
                    None => rejected,
                })
            }
        }
    }

    /// True when slow calls count, and one that was admitted so is one by now.
    pub(super) fn is_slow(&self, admission: Admission) -> bool {
        self.policy.times_calls() && self.policy.is_slow(clock::now() - admission.began)
    }

    /// A call has ended.
    #[inline]
    pub(super) fn settle(&self, admission: Admission, outcome: Outcome) {
        let Admission { word, began } = admission;
        match word.gate() {
            Gate::Counted if outcome != Outcome::Ignored && self.word() == word => {
                let now = clock::now();
                let failed = outcome == Outcome::Failure;
                let slow = self.policy.is_slow(now - began);
                self.window.add(now, [1, u64::from(failed), u64::from(slow)]);
                let run = self.count_run(failed);
                if failed || slow {
                    self.judge(word, now, run);
                }
            }
            Gate::Probed => self.settle_probe(admission, outcome),
            _ => {
                self.uncounted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many failed in a row, this one included.
    #[inline]
    fn count_run(&self, failed: bool) -> u64 {
        if !self.policy.counts_runs() {
            return 0;
        }
        if failed {
            return self.run.fetch_add(1, Ordering::Relaxed) + 1;
        }
        // A shared line that is not written stays in every cache.
        if self.run.load(Ordering::Relaxed) != 0 {
            self.run.store(0, Ordering::Relaxed);
        }
        0
    }

    #[cold]
    fn judge(&self, word: Word, now: Instant, run: u64) {
        let [calls, failures, slow] = self.window.sum(now);
        let totals = Totals { calls, failures, slow, run };
        if self.policy.trips(totals) {
            self.change(|machine| machine.judge(now, word, totals));
        }
    }

    #[cold]
    fn settle_probe(&self, admission: Admission, outcome: Outcome) {
        let now = clock::now();
        self.probed.fetch_add(1, Ordering::Relaxed);
        let probe = match outcome {
            Outcome::Ignored => Probe::Neutral,
            Outcome::Success if !self.policy.is_slow(now - admission.began) => Probe::Good,
            Outcome::Success | Outcome::Failure => Probe::Bad,
        };
        self.change(|machine| machine.probe(now, admission.word, probe));
    }

    /// Does something to the machine, publishes what came of it, and tells the observer.
    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let (answer, transition) = self.apply(change);
        if let Some(transition) = transition {
            self.tell(&transition);
        }
        answer
    }

    /// Does something to the machine and publishes what came of it, of which the observer is to be told.
    fn apply<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> (T, Option<Transition>) {
        let (answer, before, after) = {
            let mut machine = lock(&self.machine);
            let before = machine.word();
            let answer = change(&mut machine);
            let after = machine.word();
            if before != after {
                if after.gate() == Gate::Counted {
                    self.window.clear();
                    self.run.store(0, Ordering::Relaxed);
                }
                self.shut_until.store(machine.shut_until().as_nanos(), Ordering::Relaxed);
                self.word.store(after.bits(), Ordering::Release);
            }
            (answer, before, after)
        };
        let (from, to) = (before.state(), after.state());
        if from == to {
            return (answer, None);
        }
        if to == State::Open {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        (answer, Some(Transition { breaker: self.name, from, to, epoch: after.epoch() }))
    }

    fn tell(&self, transition: &Transition) {
        if let Some(observer) = &self.observer {
            observer(transition);
        }
    }
}

impl registry::Bound for Inner {
    fn snapshot(&self) -> Snapshot {
        let probes_out = lock(&self.machine).probes_out();
        let state = self.word().state();
        let [calls, failures, slow] = self.window.sum(clock::now());
        let [ever, ..] = self.window.ever();
        let mut snapshot = Snapshot {
            limit: match state {
                State::Closed => Snapshot::NO_LIMIT,
                State::HalfOpen => u64::from(self.policy.probes()),
                State::Open => 0,
            },
            in_use: u64::from(probes_out),
            admitted: ever + self.uncounted.load(Ordering::Relaxed) + self.probed.load(Ordering::Relaxed),
            details: vec![
                ("open", u64::from(state == State::Open)),
                ("half_open", u64::from(state == State::HalfOpen)),
                ("opened", self.opened.load(Ordering::Relaxed)),
                ("window_calls", calls),
                ("window_failures", failures),
                ("window_slow", slow),
            ],
            ..Snapshot::new(self.name, Kind::Breaker)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
