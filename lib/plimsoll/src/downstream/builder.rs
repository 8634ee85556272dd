//! Choosing the bounds of a dependency.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::{Downstream, Inner};
use super::parts::{Counts, Parts};
use super::{EveryError, NoFallback};
use crate::breaker::{self, Breaker};
use crate::hedge::{self, Hedge};
use crate::rate::{Quota, RateLimiter};
use crate::retry::{self, Budget};
use crate::semaphore::Semaphore;
use crate::{Invalid, Name, registry};

const SHORTEST: Duration = Duration::from_micros(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Builds a [`Downstream`]; made by [`Downstream::builder`]. Every part is left out unless it is
/// asked for, and the order of the methods does not matter: see the [module](super) for that of the
/// parts.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{downstream::Downstream, rate::Quota};
/// let second = Duration::from_secs(1);
/// let refused = Downstream::builder("stock").timeout(second).deadline(second).build().unwrap_err();
/// assert_eq!(refused.to_string(), "stock: deadline is 1s, allowed is longer than the timeout");
/// let stock = Downstream::builder("stock").concurrency(50).rate(Quota::per_second(100)).wait_up_to(second).build()?;
/// assert_eq!(stock.concurrency().map(|tries| tries.limit()), Some(50));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<J = EveryError, B = NoFallback> {
    /// `None` for what is not in the registry.
    name: Option<String>,
    settings: Settings,
    judge: J,
    fallback: B,
}

#[derive(Clone, Default, Debug)]
struct Settings {
    deadline: Option<Duration>,
    retry: Option<retry::Policy>,
    hedge: Option<hedge::Policy>,
    breaker: Option<breaker::Policy>,
    rate: Option<Quota>,
    concurrency: Option<u64>,
    wait_up_to: Option<Duration>,
    timeout: Option<Duration>,
}

impl Builder {
    pub(super) fn new(name: Option<&str>) -> Self {
        Self {
            name: name.map(Into::into),
            settings: Settings::default(),
            judge: EveryError,
            fallback: NoFallback,
        }
    }
}

impl<J, B> Builder<J, B> {
    /// How long one try may take, from when it was admitted: 1 µs to a day. It counts as a failure
    /// then, and is retried.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::downstream::{Downstream, Error};
    /// let stock = Downstream::unnamed().timeout(Duration::from_millis(2)).build()?;
    /// let late = stock.call(|| std::future::pending::<Result<(), ()>>()).await;
    /// assert!(matches!(late, Err(Error::TimedOut { .. })));
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How many tries may be under way at once: 1 to 4,398,046,511,103. One more is rejected, or
    /// [waits](Self::wait_up_to).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, downstream::Downstream};
    /// let stock = Downstream::unnamed().concurrency(1).build()?;
    /// let work = || async { Ok::<_, ()>(tokio::task::yield_now().await) };
    /// let (first, second) = tokio::join!(stock.call(work), stock.call(work));
    /// assert!(first.is_ok());
    /// assert_eq!(second.unwrap_err().rejected().unwrap().reason(), Reason::Full);
    /// # Ok(()) }
    /// ```
    pub fn concurrency(mut self, limit: u64) -> Self {
        self.settings.concurrency = Some(limit);
        self
    }

    /// How many tries may begin in a time. One more is rejected, or [waits](Self::wait_up_to).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, downstream::Downstream, rate::Quota};
    /// let stock = Downstream::unnamed().rate(Quota::per_hour(1)).build()?;
    /// assert_eq!(stock.call(|| async { Ok::<_, ()>(7) }).await, Ok(7));
    /// let refused = stock.call(|| async { Ok::<_, ()>(7) }).await.unwrap_err();
    /// assert_eq!(refused.rejected().unwrap().reason(), Reason::RateExceeded);
    /// # Ok(()) }
    /// ```
    pub fn rate(mut self, quota: Quota) -> Self {
        self.settings.rate = Some(quota);
        self
    }

    /// How long a try may wait for rate and concurrency together: 1 µs to a day. By default it does
    /// not wait and is rejected at once; a retry, if there is one, may then try again, with nothing held
    /// meanwhile.
    ///
    /// Waiting is first come, first served. Use it where callers can wait and come in bursts; where
    /// they come steadily and too many, waiting only makes every call late. What waits for a place in
    /// vain has spent its token.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::downstream::Downstream;
    /// let work = || async { Ok::<_, ()>(tokio::task::yield_now().await) };
    /// let now = Downstream::unnamed().concurrency(1).build()?;
    /// assert!(tokio::join!(now.call(work), now.call(work)).1.is_err());
    /// let waits = Downstream::unnamed().concurrency(1).wait_up_to(Duration::from_secs(1)).build()?;
    /// assert!(tokio::join!(waits.call(work), waits.call(work)).1.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn wait_up_to(mut self, wait: Duration) -> Self {
        self.settings.wait_up_to = Some(wait);
        self
    }

    /// Stops calling the dependency while it is down.
    ///
    /// That it hangs is seen by a [`timeout`](Self::timeout); or by the breaker's
    /// [`slow_call`](breaker::Policy::slow_call), when a deadline ends a try that has run for so long.
    /// With neither, a try that a deadline of the caller's scope ends says nothing: it may have been begun
    /// a millisecond before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{breaker, downstream::Downstream, Reason};
    /// let stock = Downstream::unnamed().breaker(breaker::Policy::consecutive(2)).build()?;
    /// for _ in 0..2 {
    ///     assert_eq!(stock.call(|| async { Err::<(), _>(500) }).await.unwrap_err().into_inner(), Some(500));
    /// }
    /// let refused = stock.call(|| async { Ok::<_, u16>(()) }).await.unwrap_err();
    /// assert_eq!(refused.rejected().unwrap().reason(), Reason::BreakerOpen);
    /// # Ok(()) }
    /// ```
    pub fn breaker(mut self, policy: breaker::Policy) -> Self {
        self.settings.breaker = Some(policy);
        self
    }

    /// Tries again what failed; for [`call_once`](Downstream::call_once) it is left out. Without a
    /// [budget](retry::Policy::budget), the policy is given one of 20 % of the calls and 10 a second.
    ///
    /// A breaker that is open says when it will let calls through, and a retry waits for that. Set
    /// [`retry_after_max`](retry::Policy::retry_after_max) below the breaker's
    /// [`open_for`](breaker::Policy::open_for), or a deadline, where callers should be told at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{cell::Cell, time::Duration};
    /// use plimsoll::{downstream::Downstream, retry};
    /// let stock = Downstream::unnamed().retry(retry::Policy::exponential(Duration::from_millis(1))).build()?;
    /// let tries = Cell::new(0);
    /// let answer = stock.call(|| { tries.set(tries.get() + 1); async { if tries.get() < 3 { Err(500) } else { Ok(7) } } });
    /// assert_eq!((answer.await, tries.get()), (Ok(7), 3));
    /// # Ok(()) }
    /// ```
    pub fn retry(mut self, policy: retry::Policy) -> Self {
        self.settings.retry = Some(policy);
        self
    }

    /// Begins a second try when the first is late; for [`call_once`](Downstream::call_once) it is left
    /// out. Without a [budget](hedge::Policy::budget) of its own, it draws on that of the retry.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{cell::Cell, time::Duration};
    /// use plimsoll::{downstream::Downstream, hedge};
    /// let stock = Downstream::unnamed().hedge(hedge::Policy::fixed(Duration::from_millis(2))).build()?;
    /// let tries = Cell::new(0);
    /// let answer = stock.call(|| {
    ///     tries.set(tries.get() + 1);
    ///     let first = tries.get() == 1; // and it hangs
    ///     async move { if first { std::future::pending().await } else { Ok::<_, ()>("second") } }
    /// });
    /// assert_eq!(answer.await, Ok("second"));
    /// # Ok(()) }
    /// ```
    pub fn hedge(mut self, policy: hedge::Policy) -> Self {
        self.settings.hedge = Some(policy);
        self
    }

    /// How long a call may take in all, every try and every wait included, but not the fallback: 1 µs
    /// to a day, and longer than the timeout. What is called sees it as the deadline of its
    /// [scope](crate::scope). The deadline of the scope around it counts in any case.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{downstream::{Downstream, Error}, scope::{self, Ended}};
    /// let stock = Downstream::unnamed().deadline(Duration::from_millis(5)).build()?;
    /// let slow = stock.call(|| async {
    ///     assert!(scope::current().remaining().unwrap() <= Duration::from_millis(5));
    ///     std::future::pending::<Result<(), ()>>().await
    /// }).await;
    /// assert_eq!(slow, Err(Error::ScopeEnded(Ended::DeadlinePassed)));
    /// # Ok(()) }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Says what the end of a try tells of the dependency, and whether to try again; instead of
    /// [`EveryError`]. A closure `|result: &Result<_, MyError>| -> Outcome` will do, or a type that
    /// implements [`Judge`](super::Judge).
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// use plimsoll::breaker::{self, State};
    /// use plimsoll::downstream::Downstream;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let inventory = Downstream::unnamed()
    ///     .breaker(breaker::Policy::ratio(0.5).calls_min(1))
    ///     .judge(|answer: &Result<u32, u16>| match answer {
    ///         Err(500..) => Outcome::Failure,
    ///         _ => Outcome::Success,
    ///     })
    ///     .build()?;
    /// assert!(inventory.call(|| async { Err(404) }).await.is_err());
    /// assert_eq!(inventory.breaker().unwrap().state(), State::Closed, "404 is an answer");
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn judge<K>(self, judge: K) -> Builder<K, B> {
        let Self { name, settings, judge: _, fallback } = self;
        Builder { name, settings, judge, fallback }
    }

    /// What is answered when the dependency does not: a [`Value`](super::Value), the
    /// [`LastGood`](super::LastGood) answer, an [`OtherCall`](super::OtherCall), or your own
    /// [`Fallback`](super::Fallback).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Downstream, Value};
    /// let stock = Downstream::unnamed().fallback(Value(0)).build()?;
    /// assert_eq!(stock.call(|| async { Ok::<_, u16>(7) }).await, Ok(7));
    /// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(0));
    /// # Ok(()) }
    /// ```
    pub fn fallback<C>(self, fallback: C) -> Builder<J, C> {
        let Self { name, settings, judge, fallback: _ } = self;
        Builder { name, settings, judge, fallback }
    }

    /// Makes it, and puts it into the [registry](crate::registry) with each of its parts, all by the
    /// same name.
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, a setting is out of its range, the deadline
    /// is not longer than the timeout, something is to be waited for and there is neither a rate nor a
    /// concurrency, or there is a breaker and a deadline and nothing by which the breaker could tell that
    /// a try hangs: a timeout, or a [slow call](breaker::Policy::slow_call) that is shorter than the
    /// deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{downstream::Downstream, registry};
    /// let stock = Downstream::builder("stock-built").concurrency(50).build()?;
    /// let seen = registry::snapshot().iter().filter(|seen| seen.name == stock.name()).count();
    /// assert_eq!(seen, 2); // itself, and its semaphore
    /// assert!(Downstream::unnamed().wait_up_to(Duration::from_secs(1)).build().is_err()); // wait for what?
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Downstream<J, B>, Invalid> {
        let Self { name, settings, judge, fallback } = self;
        let parts = settings.into_parts(name.as_deref())?;
        let parts = match name {
            Some(_) => Arc::new_cyclic(|known: &Weak<Parts>| Parts {
                _registration: Some(registry::register(known.clone())),
                ..parts
            }),
            None => Arc::new(parts),
        };
        Ok(Downstream(Arc::new(Inner { parts, judge, fallback })))
    }
}

impl Settings {
    fn into_parts(self, named: Option<&str>) -> Result<Parts, Invalid> {
        let name = named.map_or(Ok(Name::UNNAMED), Name::new)?;
        self.check(name)?;
        let Self { deadline, retry, hedge, breaker, rate, concurrency, wait_up_to, timeout } = self;
        let retry = retry.map(|policy| with_budget(policy, name, named)).transpose()?;
        let hedge = hedge.map(|policy| match retry.as_ref().and_then(retry::Policy::shared_budget) {
            Some(budget) => policy.within_retry(budget),
            None => policy,
        });
        Ok(Parts {
            name,
            deadline,
            retry,
            hedge: part(named, hedge, Hedge::new, |name, policy| {
                Hedge::builder(name).policy(policy).build()
            })?,
            breaker: part(named, breaker, Breaker::new, |name, policy| {
                Breaker::builder(name).policy(policy).build()
            })?,
            rate: part(named, rate, RateLimiter::new, |name, quota| {
                RateLimiter::builder(name).quota(quota).build()
            })
            .map_err(|refused| of_field("rate", &refused))?,
            concurrency: part(named, concurrency, Semaphore::new, |name, limit| {
                Semaphore::builder(name).limit(limit).build()
            })
            .map_err(|refused| of_field("concurrency", &refused))?,
            wait_up_to,
            timeout,
            counts: Counts::new(),
            _registration: None,
        })
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        let times = [("timeout", self.timeout), ("deadline", self.deadline), ("wait_up_to", self.wait_up_to)];
        for (field, time) in times {
            if let Some(time) = time.filter(|time| !(SHORTEST..=DAY).contains(time)) {
                return Err(Invalid::new(name, field, format_args!("{time:?}"), "1 µs to a day"));
            }
        }
        if let (Some(deadline), Some(timeout)) = (self.deadline, self.timeout)
            && deadline <= timeout
        {
            let value = format_args!("{deadline:?}");
            return Err(Invalid::new(name, "deadline", value, "longer than the timeout"));
        }
        if let (Some(breaker), Some(deadline), None) = (&self.breaker, self.deadline, self.timeout)
            && breaker.slow_from().is_none_or(|slow| slow >= deadline)
        {
            let allowed = "set where there is a breaker and a deadline, or a slow_call of the breaker below \
                           the deadline: what hangs would never count as a failure";
            return Err(Invalid::new(name, "timeout", "not set", allowed));
        }
        if self.wait_up_to.is_some() && self.rate.is_none() && self.concurrency.is_none() {
            return Err(Invalid::new(name, "wait_up_to", "set", "only with a rate or a concurrency"));
        }
        Ok(())
    }
}

/// A part, if it was asked for: with the name of the whole, or one that nobody sees.
fn part<S, P>(
    named: Option<&str>,
    setting: Option<S>,
    unseen: impl FnOnce(S) -> Result<P, Invalid>,
    seen: impl FnOnce(&str, S) -> Result<P, Invalid>,
) -> Result<Option<P>, Invalid> {
    let Some(setting) = setting else { return Ok(None) };
    match named {
        Some(name) => seen(name, setting),
        None => unseen(setting),
    }
    .map(Some)
}

/// What a part refused, by the name that the setting has here.
fn of_field(field: &'static str, refused: &Invalid) -> Invalid {
    Invalid::new(refused.bound(), field, refused.value(), refused.allowed())
}

fn with_budget(policy: retry::Policy, name: Name, named: Option<&str>) -> Result<retry::Policy, Invalid> {
    policy.check_for(name)?;
    if policy.shared_budget().is_some() {
        return Ok(policy);
    }
    let budget = match named {
        Some(name) => Budget::builder(name).build()?,
        None => Budget::new(0.2, 10)?,
    };
    Ok(policy.budget(&budget))
}

impl<J, B> fmt::Debug for Builder<J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
