//! The hedge: what it has seen, what it has begun, and what that has cost.
//!
//! # Invariants
//! - `delay` and `typical` are what `seen` says, published for calls to read without its lock; they
//!   are renewed at every sixteenth sample, under the lock.
//! - `extra` is the number of [`Extra`]s that exist.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::policy::{CountedBy, Payer, Terms};
use super::seen::Seen;
use super::{Builder, Policy};
use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::retry::Budget;
use crate::sync::{AtomicU64, Ordering};
use crate::{Invalid, Name, Reason, scope};

/// The budget that a hedge has of its own: a share of the calls, and a few a second.
pub(super) const OWN_RATIO: f64 = 0.1;
pub(super) const OWN_PER_SECOND: u32 = 1;

/// Every so many samples the delay is taken anew.
const RENEWED_EVERY: u32 = 16;

/// Begins a call again when it is late, and takes the first answer; a handle, cheap to clone, and
/// all clones share one state.
///
/// See the [module](crate::hedge) for an example.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{cell::Cell, time::Duration};
/// use plimsoll::hedge::{Hedge, Policy};
/// let search = Hedge::new(Policy::fixed(Duration::from_millis(20)))?;
/// let tries = Cell::new(0);
/// let answer = search.call(|| async {
///     tries.set(tries.get() + 1);
///     let first = tries.get() == 1; // and it hangs
///     tokio::time::sleep(Duration::from_millis(if first { 10_000 } else { 3 })).await;
///     Ok::<_, ()>(if first { "first" } else { "second" })
/// }).await;
/// assert_eq!((answer, tries.get()), (Ok("second"), 2));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hedge(pub(super) Arc<Inner>);

pub(super) struct Inner {
    name: Name,
    terms: Terms,
    payer: Payer,
    extra_max: u64,
    /// `None` when the delay is fixed: nothing is learned then.
    seen: Option<Mutex<Seen>>,
    delay: AtomicU64,
    typical: AtomicU64,
    calls: AtomicU64,
    extra: AtomicU64,
    extra_high_water: AtomicU64,
    begun: AtomicU64,
    won: AtomicU64,
    counters: Counters,
    _registration: Option<Registration>,
}

/// A second try that runs; dropping it ends it.
pub(super) struct Extra<'a>(&'a Inner);

impl Hedge {
    /// A hedge that has no name and is not in the registry.
    ///
    /// # Errors
    /// When a field of the policy is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// assert!(Hedge::new(Policy::fixed(Duration::from_millis(20))).is_ok());
    /// assert!(Hedge::new(Policy::fixed(Duration::from_secs(3_601))).is_err());
    /// ```
    pub fn new(policy: Policy) -> Result<Self, Invalid> {
        let terms = policy.terms(Name::UNNAMED)?;
        let extra_max = policy.extra();
        let payer = policy.into_payer(|| Budget::new(OWN_RATIO, OWN_PER_SECOND))?;
        Ok(Self(Arc::new(Inner::new(Name::UNNAMED, terms, extra_max, payer, None))))
    }

    /// Begins a hedge with a name.
    ///
    /// ```
    /// use plimsoll::hedge::Hedge;
    /// let search = Hedge::builder("search-hedge").build()?;
    /// assert_eq!(search.name().as_str(), "search-hedge");
    /// assert_eq!(search.delay().as_secs(), 10); // until 100 calls were seen
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// After how long a second try is begun, as things are.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let hedge = Hedge::new(Policy::percentile(0.99).delay_max(Duration::from_millis(300)))?;
    /// assert_eq!(hedge.delay(), Duration::from_millis(300), "nothing was seen yet");
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.0.delay()
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::hedge::Hedge;
    /// assert_eq!(Hedge::builder("hedge-name").build()?.name().as_str(), "hedge-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// The numbers as they are now: the limit is of second tries at once, admitted are calls, and
    /// rejected is how often a second try was due and not begun.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::hedge::Hedge;
    /// let search = Hedge::builder("hedge-snapshot").build()?;
    /// search.call(|| async { Ok::<_, ()>(7) }).await.unwrap();
    /// let now = search.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted), (100, 0, 1));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        registry::Bound::snapshot(&*self.0)
    }
}

impl Inner {
    pub(super) fn new(
        name: Name,
        terms: Terms,
        extra_max: u32,
        payer: Payer,
        registration: Option<Registration>,
    ) -> Self {
        let (delay, seen) = match terms {
            Terms::Fixed(delay) => (delay, None),
            Terms::Percentile { max, .. } => (max, Some(Mutex::new(Seen::new()))),
        };
        Self {
            name,
            terms,
            payer,
            extra_max: u64::from(extra_max),
            seen,
            delay: AtomicU64::new(nanos(delay)),
            typical: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            extra: AtomicU64::new(0),
            extra_high_water: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            won: AtomicU64::new(0),
            counters: Counters::new(),
            _registration: registration,
        }
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay.load(Ordering::Relaxed))
    }

    /// A call begins.
    pub(super) fn admit(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Earns the call's share of a second try, unless somebody else does that.
    pub(super) fn count(&self, now: Instant) {
        if self.payer.counted_by == CountedBy::Hedge {
            self.payer.budget.record_call_at(now);
        }
    }

    pub(super) const fn learns(&self) -> bool {
        self.seen.is_some()
    }

    /// A first try took so long, or longer.
    pub(super) fn learn(&self, took: Duration) {
        let Some(seen) = &self.seen else { return };
        // Somebody else is adding a sample: this one is not worth waiting for.
        let Ok(mut seen) = seen.try_lock() else { return };
        seen.add(took);
        let Terms::Percentile { percentile, samples_min, min, max } = self.terms else { return };
        let samples = seen.samples();
        if samples == samples_min || samples > samples_min && samples % RENEWED_EVERY == 0 {
            let delay = seen.quantile(percentile).clamp(min, max);
            self.delay.store(nanos(delay), Ordering::Relaxed);
            self.typical.store(nanos(seen.quantile(0.5)), Ordering::Relaxed);
        }
    }

    /// Admits a second try, or says no: where it would be of no use, where too many run, or where
    /// the budget is spent, in this order, so that only a try that is made is paid for.
    pub(super) fn try_extra(&self) -> Option<Extra<'_>> {
        let typical = Duration::from_nanos(self.typical.load(Ordering::Relaxed));
        let remaining = scope::inherited_deadline().map(|deadline| deadline - clock::now());
        if remaining.is_some_and(|remaining| remaining.is_zero() || remaining < typical) {
            self.counters.reject(Reason::DeadlineTooNear);
            return None;
        }
        let more = |extra: u64| (extra < self.extra_max).then_some(extra + 1);
        let Ok(before) = self.extra.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) else {
            self.counters.reject(Reason::Full);
            return None;
        };
        let extra = Extra(self);
        if self.payer.budget.try_spend().is_err() {
            self.counters.reject(Reason::BudgetSpent);
            return None;
        }
        self.extra_high_water.fetch_max(before + 1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Some(extra)
    }
}

impl Extra<'_> {
    /// This second try gave the answer.
    pub(super) fn win(&self) {
        self.0.won.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Extra<'_> {
    fn drop(&mut self) {
        self.0.extra.fetch_sub(1, Ordering::Relaxed);
    }
}

impl registry::Bound for Inner {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            limit: self.extra_max,
            in_use: self.extra.load(Ordering::Relaxed),
            high_water: self.extra_high_water.load(Ordering::Relaxed),
            admitted: self.calls.load(Ordering::Relaxed),
            details: vec![
                ("hedges", self.begun.load(Ordering::Relaxed)),
                ("hedges_won", self.won.load(Ordering::Relaxed)),
                ("hedge_delay_us", self.delay.load(Ordering::Relaxed) / 1_000),
            ],
            ..Snapshot::new(self.name, Kind::Hedge)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("name", &self.0.name)
            .field("delay", &self.delay())
            .finish_non_exhaustive()
    }
}

/// Delays are at most an hour, and samples that count at most 73 minutes.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
