//! The dependency as its callers hold it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use super::parts::Parts;
use super::{Builder, Error, EveryError, Fallback, Judge, NoFallback};
use crate::Name;
use crate::breaker::Breaker;
use crate::hedge::Hedge;
use crate::rate::RateLimiter;
use crate::registry::{Bound, Snapshot};
use crate::semaphore::Semaphore;

/// One dependency with all its bounds; a handle, cheap to clone, and all clones share one state.
///
/// See the [module](super) for the order of the bounds and an example. `Downstream` alone is the type
/// of one that goes by [`EveryError`] and has no fallback; with a [`Judge`] or a [`Fallback`] it is
/// `Downstream<MyJudge, LastGood<Prices>>`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{breaker, downstream::Downstream};
/// let stock = Downstream::builder("stock").concurrency(50).breaker(breaker::Policy::ratio(0.5)).build()?;
/// let ours = stock.clone();
/// assert_eq!(ours.call(|| async { Ok::<_, u16>(7) }).await, Ok(7));
/// stock.breaker().unwrap().force_open();
/// assert!(ours.call(|| async { Ok::<_, u16>(7) }).await.is_err());
/// assert_eq!((stock.snapshot().admitted, stock.snapshot().rejected), (2, 1));
/// # Ok(()) }
/// ```
pub struct Downstream<J = EveryError, B = NoFallback>(pub(super) Arc<Inner<J, B>>);

pub(super) struct Inner<J, B> {
    /// On its own, so that the registry sees it whatever `J` and `B` are.
    pub(super) parts: Arc<Parts>,
    pub(super) judge: J,
    pub(super) fallback: B,
}

impl Downstream {
    /// Begins one with a name, under which the registry shows it and each of its parts.
    ///
    /// ```
    /// use plimsoll::downstream::Downstream;
    /// let bank = Downstream::builder("bank").concurrency(8).build()?;
    /// assert_eq!(bank.concurrency().unwrap().name().as_str(), "bank");
    /// assert!(bank.rate().is_none() && bank.breaker().is_none() && bank.hedge().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(Some(name))
    }

    /// Begins one that has no name, and is not in the registry: for one of many, as one for each host.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use plimsoll::downstream::Downstream;
    /// let mut hosts = HashMap::new();
    /// for host in ["a.example", "b.example"] {
    ///     hosts.insert(host, Downstream::unnamed().concurrency(4).build()?);
    /// }
    /// let permit = hosts["a.example"].concurrency().unwrap().try_acquire_many(4)?;
    /// assert!(hosts["b.example"].concurrency().unwrap().try_acquire().is_ok());
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unnamed() -> Builder {
        Builder::new(None)
    }
}

/// Calling.
impl<J, B> Downstream<J, B> {
    /// Calls `f` within all the bounds: again if it fails and there is a retry, and beside the first
    /// try if that is late and there is a hedge. `f` must be safe to run twice, also at once.
    ///
    /// `f` is called anew for each try, once the try is admitted. The future is `Send` when what `f`
    /// captures is `Sync`, as what is captured by reference must be anyway.
    ///
    /// # Errors
    /// [`Error`] says which bound ended it, or holds the error of the dependency. With a fallback, only
    /// when it has no answer either.
    ///
    /// # Panics
    /// When `f` or its future does, with every permit given back; and when it has to wait outside of a
    /// tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping it drops every try that runs and gives every permit back; for the breaker it counts as
    /// nothing.
    ///
    /// # Fairness
    /// With [`wait_up_to`](Builder::wait_up_to), rate and concurrency are waited for in order of
    /// arrival.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Downstream, Error};
    /// let stock = Downstream::unnamed().concurrency(50).build()?;
    /// assert_eq!(stock.call(|| async { "7".parse::<u32>() }).await, Ok(7));
    /// let wrong = stock.call(|| async { "x".parse::<u32>() }).await;
    /// assert!(matches!(wrong, Err(Error::Inner(_))));
    /// # Ok(()) }
    /// ```
    pub async fn call<F, Fut, T, E>(&self, f: F) -> Result<T, Error<E>>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: Judge<T, E>,
        B: Fallback<T, E>,
    {
        let inner = &*self.0;
        inner.parts.counts.call();
        let ended = inner.in_time(pin!(inner.retried(&f))).await;
        inner.concluded(ended).await
    }

    /// Calls `f` within the same bounds as [`call`](Self::call), but neither retries nor hedges it: for
    /// what is not safe to run twice, or cannot be made twice.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Panics
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    ///
    /// # Fairness
    /// As [`call`](Self::call).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{downstream::Downstream, retry};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let policy = retry::Policy::exponential(Duration::from_millis(50));
    /// let bank = Downstream::unnamed().concurrency(10).retry(policy).build()?;
    /// let order = String::from("pay 7 to the harbour master");
    /// let paid = bank.call_once(|| async move { Err::<(), _>(order.len()) }).await;
    /// assert_eq!(paid.unwrap_err().into_inner(), Some(27), "tried once");
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn call_once<F, Fut, T, E>(&self, f: F) -> Result<T, Error<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        J: Judge<T, E>,
        B: Fallback<T, E>,
    {
        let inner = &*self.0;
        inner.parts.counts.call();
        let ended = inner.in_time(pin!(inner.tried(f))).await;
        inner.concluded(ended).await
    }
}

/// Seeing and changing.
impl<J, B> Downstream<J, B> {
    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::{Name, downstream::Downstream};
    /// assert_eq!(Downstream::builder("stock-name").build()?.name().as_str(), "stock-name");
    /// assert_eq!(Downstream::unnamed().build()?.name(), Name::UNNAMED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.parts.name
    }

    /// The breaker, if there is one: to see its state, or to force it open.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, breaker, downstream::Downstream};
    /// let stock = Downstream::unnamed().breaker(breaker::Policy::ratio(0.5)).build()?;
    /// stock.breaker().unwrap().force_open();
    /// let refused = stock.call(|| async { Ok::<_, ()>(7) }).await.unwrap_err();
    /// assert_eq!(refused.rejected().unwrap().reason(), Reason::BreakerOpen);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn breaker(&self) -> Option<&Breaker> {
        self.0.parts.breaker.as_ref()
    }

    /// The rate limiter, if there is one: to change its quota, or to have it
    /// [observe](crate::limiter::Observable) only.
    ///
    /// ```
    /// use plimsoll::{downstream::Downstream, rate::Quota};
    /// let stock = Downstream::unnamed().rate(Quota::per_second(100)).build()?;
    /// stock.rate().unwrap().set_quota(Quota::per_second(50))?;
    /// assert_eq!(stock.rate().unwrap().quota(), Quota::per_second(50));
    /// assert!(Downstream::unnamed().build()?.rate().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rate(&self) -> Option<&RateLimiter> {
        self.0.parts.rate.as_ref()
    }

    /// The bound on tries at once, if there is one: to resize it, or to have it
    /// [observe](crate::limiter::Observable) only.
    ///
    /// ```
    /// use plimsoll::downstream::Downstream;
    /// let stock = Downstream::unnamed().concurrency(50).build()?;
    /// stock.concurrency().unwrap().resize(80)?;
    /// assert_eq!(stock.concurrency().unwrap().limit(), 80);
    /// assert!(Downstream::unnamed().build()?.concurrency().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn concurrency(&self) -> Option<&Semaphore> {
        self.0.parts.concurrency.as_ref()
    }

    /// The hedge, if there is one: to see its delay.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{downstream::Downstream, hedge};
    /// let stock = Downstream::unnamed().hedge(hedge::Policy::fixed(Duration::from_millis(50))).build()?;
    /// assert_eq!(stock.hedge().unwrap().delay(), Duration::from_millis(50));
    /// assert!(Downstream::unnamed().build()?.hedge().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hedge(&self) -> Option<&Hedge> {
        self.0.parts.hedge.as_ref()
    }

    /// The numbers as they are now. Admitted are calls; limit, in use and high-water mark are of tries
    /// at once; rejected are calls that ended so, after every retry.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::Downstream;
    /// let stock = Downstream::unnamed().concurrency(50).build()?;
    /// stock.call(|| async { Ok::<_, ()>(7) }).await.unwrap();
    /// let now = stock.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.high_water, now.admitted), (50, 0, 1, 1));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.parts.snapshot()
    }
}

impl<J, B> Clone for Downstream<J, B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<J, B> fmt::Debug for Downstream<J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0.parts;
        f.debug_struct("Downstream")
            .field("name", &parts.name)
            .field("breaker", &parts.breaker)
            .field("rate", &parts.rate)
            .field("concurrency", &parts.concurrency)
            .field("hedge", &parts.hedge)
            .finish_non_exhaustive()
    }
}
