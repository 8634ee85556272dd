//! What is answered when the dependency does not.

use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Error;
use crate::clock::{self, Instant};

/// What is answered when the dependency does not: a [`Value`], the [`LastGood`] answer, what an
/// [`OtherCall`] gives, or something of your own.
///
/// It is asked outside of every other bound, once, and told why. It is not asked when the dependency
/// did answer: with an `Ok`, or with an error that the [`Judge`](super::Judge) says is neither a
/// failure nor worth another try.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::downstream::{Downstream, Error, Fallback};
///
/// /// No stock is known: but only where the request itself was in order.
/// struct Unknown;
///
/// impl Fallback<Option<u32>, u16> for Unknown {
///     async fn instead(&self, why: &Error<u16>) -> Option<Option<u32>> {
///         (!matches!(why, Error::Inner(400..500))).then_some(None)
///     }
/// }
/// let stock = Downstream::unnamed().fallback(Unknown).build()?;
/// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(None));
/// assert_eq!(stock.call(|| async { Err(404) }).await, Err(Error::Inner(404)));
/// # Ok(()) }
/// ```
pub trait Fallback<T, E>: Send + Sync + 'static {
    /// The answer instead; `None` when there is none, and the call fails for the reason `why`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Error, Fallback, Value};
    /// let answer: Option<u32> = Value(7).instead(&Error::Inner("down")).await;
    /// assert_eq!(answer, Some(7));
    /// # Ok(()) }
    /// ```
    fn instead(&self, why: &Error<E>) -> impl Future<Output = Option<T>> + Send;

    /// The dependency answered with this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Error, Fallback, LastGood};
    /// let last = LastGood::new();
    /// Fallback::<u32, &str>::keep(&last, &7);
    /// assert_eq!(last.instead(&Error::Inner("down")).await, Some(7));
    /// # Ok(()) }
    /// ```
    fn keep(&self, value: &T) {
        let _ = value;
    }
}

/// No fallback: the call fails.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::downstream::{Downstream, Error, EveryError, NoFallback};
/// let stock: Downstream<EveryError, NoFallback> = Downstream::unnamed().concurrency(1).build()?;
/// assert_eq!(stock.call(|| async { Err::<(), _>(500) }).await, Err(Error::Inner(500)));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NoFallback;

impl<T, E> Fallback<T, E> for NoFallback {
    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` holds its arguments: it would be `Send` only where `E` is `Sync`"
    )]
    fn instead(&self, _why: &Error<E>) -> impl Future<Output = Option<T>> + Send {
        async { None }
    }
}

/// The same value each time.
///
/// ```
/// use plimsoll::downstream::{Downstream, Value};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let stock = Downstream::unnamed().fallback(Value(0)).build()?;
/// assert_eq!(stock.call(|| async { Err("down") }).await, Ok(0));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Value<T>(
    /// The value.
    pub T,
);

impl<T: Clone + Send + Sync + 'static, E> Fallback<T, E> for Value<T> {
    fn instead(&self, _why: &Error<E>) -> impl Future<Output = Option<T>> + Send {
        ready(Some(self.0.clone()))
    }
}

/// The last answer that the dependency gave to anybody; one, whatever was asked. For what is the same
/// for every caller: a price list, a set of keys, a configuration.
///
/// Each answer is cloned and put under a short lock: keep what is large in an [`Arc`](std::sync::Arc).
///
/// ```
/// use std::time::Duration;
/// use plimsoll::downstream::{Downstream, LastGood};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// async fn fetch(status: u16) -> Result<&'static str, u16> {
///     if status == 200 { Ok("2026-11") } else { Err(status) }
/// }
/// let prices = Downstream::unnamed().fallback(LastGood::within(Duration::from_secs(600))).build()?;
/// assert!(prices.call(|| fetch(500)).await.is_err(), "there was none yet");
/// assert_eq!(prices.call(|| fetch(200)).await, Ok("2026-11"));
/// assert_eq!(prices.call(|| fetch(500)).await, Ok("2026-11"));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
pub struct LastGood<T> {
    age_max: Option<Duration>,
    // Behind an `Arc`, so that nothing of the user's is cloned or dropped under the lock.
    kept: Mutex<Option<(Arc<T>, Instant)>>,
}

impl<T> LastGood<T> {
    /// The last answer, however old.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Downstream, LastGood};
    /// let stock = Downstream::unnamed().fallback(LastGood::new()).build()?;
    /// assert!(stock.call(|| async { Err(500) }).await.is_err()); // there was none yet
    /// assert_eq!(stock.call(|| async { Ok::<_, u16>(7) }).await, Ok(7));
    /// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(7));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { age_max: None, kept: Mutex::new(None) }
    }

    /// The last answer, if it is not older than that.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::downstream::{Downstream, LastGood};
    /// let stock = Downstream::unnamed().fallback(LastGood::within(Duration::from_secs(600))).build()?;
    /// assert_eq!(stock.call(|| async { Ok::<_, u16>(7) }).await, Ok(7));
    /// tokio::time::advance(Duration::from_secs(599)).await;
    /// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(7));
    /// tokio::time::advance(Duration::from_secs(2)).await;
    /// assert!(stock.call(|| async { Err(500) }).await.is_err()); // too old
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn within(age_max: Duration) -> Self {
        Self { age_max: Some(age_max), kept: Mutex::new(None) }
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Arc<T>, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Option<Arc<T>> {
        let (last, at) = self.kept().clone()?;
        self.age_max.is_none_or(|max| clock::now() - at <= max).then_some(last)
    }
}

impl<T: Clone + Send + Sync + 'static, E> Fallback<T, E> for LastGood<T> {
    fn instead(&self, _why: &Error<E>) -> impl Future<Output = Option<T>> + Send {
        ready(self.last().map(Arc::unwrap_or_clone))
    }

    fn keep(&self, value: &T) {
        let newest = Some((Arc::new(value.clone()), clock::now()));
        let last = std::mem::replace(&mut *self.kept(), newest);
        drop(last);
    }
}

impl<T> Default for LastGood<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for LastGood<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood").field("age_max", &self.age_max).finish_non_exhaustive()
    }
}

/// What another call gives: a replica, a cache, something computed from why the call failed.
///
/// It is not bound by the [`Downstream`](super::Downstream) it stands in for: give it one of its own.
///
/// ```
/// use plimsoll::downstream::{Downstream, Error, OtherCall};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let replica = Downstream::unnamed().concurrency(5).build()?;
/// let other = OtherCall::new(move |why: &Error<u16>| {
///     let (replica, tell) = (replica.clone(), why.rejected().is_none());
///     async move {
///         if tell {
///             eprintln!("the first answered with an error: asking the replica");
///         }
///         replica.call(|| async { Ok::<_, u16>(7) }).await.ok()
///     }
/// });
/// let stock = Downstream::unnamed().fallback(other).build()?;
/// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(7));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct OtherCall<F>(F);

impl<F> OtherCall<F> {
    /// Asks `call`, which looks at why before it returns its future: the future cannot borrow it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::{Downstream, Error, OtherCall};
    /// let replica = OtherCall::new(|why: &Error<u16>| {
    ///     let ask = !matches!(why, Error::Inner(404)); // it would not know either
    ///     async move { ask.then_some(7) }
    /// });
    /// let stock = Downstream::unnamed().fallback(replica).build()?;
    /// assert_eq!(stock.call(|| async { Err(500) }).await, Ok(7));
    /// assert_eq!(stock.call(|| async { Err(404) }).await, Err(Error::Inner(404)));
    /// # Ok(()) }
    /// ```
    pub const fn new<T, E, Fut>(call: F) -> Self
    where
        F: Fn(&Error<E>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<T>> + Send,
    {
        Self(call)
    }
}

impl<F, Fut, T, E> Fallback<T, E> for OtherCall<F>
where
    F: Fn(&Error<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Option<T>> + Send,
{
    fn instead(&self, why: &Error<E>) -> impl Future<Output = Option<T>> + Send {
        (self.0)(why)
    }
}

impl<F> fmt::Debug for OtherCall<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherCall").finish_non_exhaustive()
    }
}
