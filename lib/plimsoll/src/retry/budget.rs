//! How much load retries may add.
//!
//! # Invariants
//! - Of the calls and retries in the window, `retries <= ratio * calls + min_per_second * seconds`
//!   when a retry is admitted. Retries are admitted one at a time, under `spending`; counting a call
//!   takes no lock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::counters::Counters;
use crate::registry::{self, Kind, Registration, Snapshot};
use crate::sync::{Mutex, lock};
use crate::window::Window;
use crate::{Invalid, Name, Reason, Rejected};

const SPAN: Duration = Duration::from_secs(10);

/// How much load retries may add to that of the calls: a share of them over a window, plus a few
/// a second. A handle, cheap to clone; all clones share one budget.
///
/// Share one between all callers of a dependency. [`Policy::budget`](super::Policy::budget) does
/// the counting; something that adds load of its own, such as hedging, can use
/// [`record_call`](Budget::record_call) and [`try_spend`](Budget::try_spend).
///
/// ```
/// use plimsoll::retry::Budget;
/// let budget = Budget::new(0.2, 0)?;
/// for _ in 0..10 {
///     budget.record_call();
/// }
/// assert!(budget.try_spend().is_ok());
/// assert!(budget.try_spend().is_ok());
/// assert_eq!(budget.try_spend().unwrap_err().to_string(), "unnamed: retry budget of 2 spent");
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    name: Name,
    terms: Terms,
    window: Window<2>,
    spending: Mutex<()>,
    counters: Counters,
    high_water: AtomicU64,
    _registration: Option<Registration>,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    ratio: f64,
    min_per_second: u32,
    window: Duration,
}

/// Builds a [`Budget`] with a name; made by [`Budget::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::retry::Budget;
/// let refused = Budget::builder("retries").ratio(0.0).min_per_second(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "retries: min_per_second is 0, allowed is above 0 when the ratio is 0");
/// let budget = Budget::builder("retries").ratio(0.0).min_per_second(1).window(Duration::from_secs(2)).build()?;
/// assert!(budget.try_spend().is_ok() && budget.try_spend().is_ok());
/// assert!(budget.try_spend().is_err(), "two in two seconds");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct BudgetBuilder {
    name: String,
    terms: Terms,
}

impl Budget {
    /// A budget over 10 seconds that has no name and is not in the registry.
    ///
    /// # Errors
    /// As [`BudgetBuilder::build`].
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// assert!(Budget::new(0.1, 0).is_ok());
    /// assert_eq!(Budget::new(f64::NAN, 0).unwrap_err().field(), "ratio");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(ratio: f64, min_per_second: u32) -> Result<Self, Invalid> {
        let terms = Terms { ratio, min_per_second, window: SPAN };
        terms.check(Name::UNNAMED)?;
        Ok(Self(Arc::new(Inner::new(Name::UNNAMED, terms, None))))
    }

    /// Begins a budget with a name: 20 % of the calls and 10 a second over 10 s, unless said
    /// otherwise.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::builder("bank retries").build()?;
    /// for _ in 0..100 {
    ///     budget.try_spend()?; // 10 a second, over 10 s
    /// }
    /// assert!(budget.try_spend().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> BudgetBuilder {
        BudgetBuilder { name: name.into(), terms: Terms { ratio: 0.2, min_per_second: 10, window: SPAN } }
    }

    /// Counts a call (not a retry), which earns its share of one.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::new(0.5, 0)?;
    /// budget.record_call();
    /// assert!(budget.try_spend().is_err()); // half a retry
    /// budget.record_call();
    /// assert!(budget.try_spend().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_call(&self) {
        self.record_call_at(clock::now());
    }

    /// As [`record_call`](Self::record_call), for a caller that has read the clock already.
    pub(crate) fn record_call_at(&self, now: Instant) {
        self.0.window.add(now, [1, 0]);
    }

    /// Whether both are handles of one budget.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Takes one retry from the budget, without waiting.
    ///
    /// # Errors
    /// [`Reason::BudgetSpent`] when there is nothing left of it.
    ///
    /// ```
    /// use plimsoll::{Reason, retry::Budget};
    /// let budget = Budget::new(0.1, 0)?;
    /// for _ in 0..20 {
    ///     budget.record_call();
    /// }
    /// assert!(budget.try_spend().is_ok() && budget.try_spend().is_ok()); // 10 % of 20
    /// assert_eq!(budget.try_spend().unwrap_err().reason(), Reason::BudgetSpent);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_spend(&self) -> Result<(), Rejected> {
        self.0.try_spend(clock::now())
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// assert_eq!(Budget::builder("bank-retries").build()?.name().as_str(), "bank-retries");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// The numbers as they are now: the limit is how many retries the window allows, in use are those it
    /// holds.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::new(0.5, 0)?;
    /// (0..10).for_each(|_| budget.record_call());
    /// assert!(budget.try_spend().is_ok());
    /// assert_eq!((budget.snapshot().limit, budget.snapshot().in_use), (5, 1));
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        registry::Bound::snapshot(&*self.0)
    }
}

impl BudgetBuilder {
    /// How many retries a call earns: 0 to 1. Default 0.2.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::builder("retries-ratio").ratio(0.1).min_per_second(0).build()?;
    /// (0..50).for_each(|_| budget.record_call());
    /// assert_eq!(budget.snapshot().limit, 5); // a tenth of 50
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn ratio(mut self, ratio: f64) -> Self {
        self.terms.ratio = ratio;
        self
    }

    /// How many retries there are a second, whatever the calls: 0 to 1,000,000, and not 0 when the
    /// ratio is. Default 10. Those of a whole window may be spent at once.
    ///
    /// ```
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::builder("retries-min").ratio(0.0).min_per_second(3).build()?;
    /// assert_eq!(budget.snapshot().limit, 30); // of ten seconds
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn min_per_second(mut self, min: u32) -> Self {
        self.terms.min_per_second = min;
        self
    }

    /// How far back calls and retries count: 1 s to an hour. Default 10 s.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::Budget;
    /// let budget = Budget::builder("retries-window")
    ///     .ratio(0.0).min_per_second(1).window(Duration::from_secs(1)).build()?;
    /// budget.try_spend()?;
    /// assert!(budget.try_spend().is_err());
    /// tokio::time::advance(Duration::from_secs(2)).await;
    /// assert!(budget.try_spend().is_ok());
    /// # Ok(()) }
    /// ```
    pub const fn window(mut self, window: Duration) -> Self {
        self.terms.window = window;
        self
    }

    /// Makes the budget and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field is out of its range.
    ///
    /// ```
    /// use plimsoll::{registry, retry::Budget};
    /// let budget = Budget::builder("retries-built").build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == budget.name()));
    /// assert_eq!(Budget::builder("retries-built").ratio(1.5).build().unwrap_err().field(), "ratio");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Budget, Invalid> {
        let name = Name::new(&self.name)?;
        self.terms.check(name)?;
        Ok(Budget(Arc::new_cyclic(|inner: &Weak<Inner>| {
            Inner::new(name, self.terms, Some(registry::register(inner.clone())))
        })))
    }
}

impl Terms {
    fn check(&self, name: Name) -> Result<(), Invalid> {
        let Self { ratio, min_per_second, window } = *self;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Invalid::new(name, "ratio", ratio, "0 to 1"));
        }
        if min_per_second > 1_000_000 {
            return Err(Invalid::new(name, "min_per_second", min_per_second, "0 to 1,000,000"));
        }
        if ratio == 0.0 && min_per_second == 0 {
            return Err(Invalid::new(name, "min_per_second", 0, "above 0 when the ratio is 0"));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&window) {
            return Err(Invalid::new(name, "window", format_args!("{window:?}"), "1 s to an hour"));
        }
        Ok(())
    }

    /// How many retries that many calls in the window allow.
    fn allowance(&self, calls: u64) -> u64 {
        // Ratios are decimals that binary cannot hold: 0.29 of 100 is 29, not 28.999.
        let earned = (self.ratio * calls as f64 + 1e-6).floor() as u64;
        let granted = (f64::from(self.min_per_second) * self.window.as_secs_f64()).floor() as u64;
        earned.saturating_add(granted)
    }
}

impl Inner {
    fn new(name: Name, terms: Terms, registration: Option<Registration>) -> Self {
        Self {
            name,
            terms,
            window: Window::new(terms.window),
            spending: Mutex::new(()),
            counters: Counters::new(),
            high_water: AtomicU64::new(0),
            _registration: registration,
        }
    }

    fn try_spend(&self, now: Instant) -> Result<(), Rejected> {
        let _spending = lock(&self.spending);
        let [calls, retries] = self.window.sum(now);
        let allowance = self.terms.allowance(calls);
        if retries >= allowance {
            self.counters.reject(Reason::BudgetSpent);
            return Err(Rejected::new(self.name, Reason::BudgetSpent).with_use(allowance, retries, 0));
        }
        self.window.add(now, [0, 1]);
        self.high_water.fetch_max(retries + 1, Ordering::Relaxed);
        Ok(())
    }
}

impl registry::Bound for Inner {
    fn snapshot(&self) -> Snapshot {
        let [calls, retries] = self.window.sum(clock::now());
        let [_, ever] = self.window.ever();
        let mut snapshot = Snapshot {
            limit: self.terms.allowance(calls),
            in_use: retries,
            high_water: self.high_water.load(Ordering::Relaxed),
            admitted: ever,
            details: vec![("window_calls", calls)],
            ..Snapshot::new(self.name, Kind::RetryBudget)
        };
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("name", &self.0.name)
            .field("terms", &self.0.terms)
            .finish_non_exhaustive()
    }
}
