//! How many calls one request makes.
//!
//! # Invariants
//! - A request's calls are in the histogram once, when its response is there or its future dropped.
//! - The counter travels in the [scope](plimsoll::scope): tasks of a group, and jobs of a pool, that a
//!   request starts count for it too.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
use plimsoll::scope::{self, Enter, Scope};
use plimsoll::{Invalid, Name, Reason, Rejected};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};
use crate::refuse::{Answer, IntoError, Refuse};

/// Up to here a number of calls is kept exactly; above it to a factor of two.
const EXACT: u64 = 64;
const BUCKETS: usize = 64 + 58;

/// Counts the calls that each incoming request makes, and bounds them if asked to: the layer of the
/// server, with a [`CallCounter`] on each client. A handle, cheap to clone; all clones share one state.
///
/// The number that a request makes multiplies whatever comes in: at a factor of 20, fifty requests
/// more are a thousand calls more. Its snapshot shows the `p50`, `p99` and `max`.
///
/// ```
/// use plimsoll::Rejected;
/// use plimsoll_tower::{CallCounter, FanOutFactor};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let fan_out = FanOutFactor::builder("fan-out").max(3).build()?;
/// let stock = service_fn(async |_: u32| Ok::<_, Rejected>(7));
/// let client = ServiceBuilder::new().layer(CallCounter::new()).service(stock);
/// let server = ServiceBuilder::new().layer(fan_out.clone()).service(service_fn(move |items: u32| {
///     let client = client.clone();
///     async move {
///         for item in 0..items {
///             client.clone().oneshot(item).await?;
///         }
///         Ok::<_, Rejected>(items)
///     }
/// }));
/// assert_eq!(server.clone().oneshot(3).await, Ok(3));
/// let refused = server.oneshot(4).await.unwrap_err();
/// assert_eq!(refused.to_string(), "fan-out: asked for more than the limit of 3 can ever give");
/// assert!(fan_out.snapshot().details.contains(&("max", 3)));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FanOutFactor(Arc<Factor>);

struct Factor {
    name: Name,
    max: u64,
    requests: AtomicU64,
    running: AtomicU64,
    running_high_water: AtomicU64,
    calls: AtomicU64,
    rejected: AtomicU64,
    calls_max: AtomicU64,
    histogram: [AtomicU64; BUCKETS],
    _registration: Registration,
}

/// Builds a [`FanOutFactor`]; made by [`FanOutFactor::builder`].
///
/// ```
/// use plimsoll_tower::FanOutFactor;
/// let refused = FanOutFactor::builder("fan-out").max(0).build().unwrap_err();
/// assert_eq!((refused.bound().as_str(), refused.field()), ("fan-out", "max"));
/// assert_eq!(FanOutFactor::builder("fan-out").max(50).build()?.snapshot().in_use, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct FanOutBuilder {
    name: String,
    max: Option<u64>,
}

/// The calls of one request; carried by its scope.
struct Calls {
    factor: Arc<Factor>,
    made: AtomicU64,
}

impl FanOutFactor {
    /// Begins one that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll_tower::FanOutFactor;
    /// let counts = FanOutFactor::builder("only-counts").build()?;
    /// assert_eq!(counts.snapshot().name.as_str(), "only-counts");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> FanOutBuilder {
        FanOutBuilder { name: name.into(), max: None }
    }

    /// The numbers as they are now: in use are requests that run, admitted are the calls of those that
    /// have ended (`requests` in the details), and rejected are calls; of the calls that each request
    /// made, the details have `p50`, `p99` (exact below 64, and at most a factor of two too high above)
    /// and `max`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::Rejected;
    /// use plimsoll_tower::{CallCounter, FanOutFactor};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// let fan_out = FanOutFactor::builder("fan-out-snapshot").build()?;
    /// let client = CallCounter::new().layer(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
    /// let server = fan_out.layer(service_fn(move |n: u32| client.clone().oneshot(n)));
    /// assert_eq!(server.oneshot(7).await, Ok(7));
    /// assert_eq!((fan_out.snapshot().in_use, fan_out.snapshot().admitted), (0, 1)); // one call
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl FanOutBuilder {
    /// How many calls a request can make: 1 to 1,000,000; one more is rejected by the [`CallCounter`].
    /// Default: as many as it likes.
    ///
    /// ```
    /// use plimsoll_tower::FanOutFactor;
    /// assert!(FanOutFactor::builder("fan-out-max").max(50).build().is_ok());
    /// assert_eq!(FanOutFactor::builder("fan-out-max").max(1_000_001).build().unwrap_err().field(), "max");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn max(mut self, calls: u64) -> Self {
        self.max = Some(calls);
        self
    }

    /// Makes it and puts it into the [registry].
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the maximum is out of its range.
    ///
    /// ```
    /// use plimsoll::registry;
    /// use plimsoll_tower::FanOutFactor;
    /// let fan_out = FanOutFactor::builder("fan-out-built").max(50).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == fan_out.snapshot().name));
    /// assert!(FanOutFactor::builder("").build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<FanOutFactor, Invalid> {
        let name = Name::new(&self.name)?;
        if let Some(max) = self.max.filter(|max| !(1..=1_000_000).contains(max)) {
            return Err(Invalid::new(name, "max", max, "1 to 1,000,000"));
        }
        Ok(FanOutFactor(Arc::new_cyclic(|factor: &Weak<Factor>| Factor {
            name,
            max: self.max.unwrap_or(u64::MAX),
            requests: AtomicU64::new(0),
            running: AtomicU64::new(0),
            running_high_water: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            calls_max: AtomicU64::new(0),
            histogram: [const { AtomicU64::new(0) }; BUCKETS],
            _registration: registry::register(factor.clone()),
        })))
    }
}

impl Calls {
    fn begin(factor: &Arc<Factor>) -> Arc<Self> {
        let running = factor.running.fetch_add(1, Ordering::Relaxed) + 1;
        factor.running_high_water.fetch_max(running, Ordering::Relaxed);
        Arc::new(Self { factor: Arc::clone(factor), made: AtomicU64::new(0) })
    }

    fn count(&self) -> Result<(), Rejected> {
        let Factor { name, max, rejected, .. } = &*self.factor;
        let counted = |made: u64| (made < *max).then_some(made + 1);
        match self.made.try_update(Ordering::Relaxed, Ordering::Relaxed, counted) {
            Ok(_) => Ok(()),
            Err(made) => {
                rejected.fetch_add(1, Ordering::Relaxed);
                Err(Rejected::new(*name, Reason::TooLarge).with_use(*max, made, 0))
            }
        }
    }
}

/// Records a request's calls when it ends, however it does.
struct Ends(Arc<Calls>);

impl Drop for Ends {
    fn drop(&mut self) {
        let (factor, made) = (&self.0.factor, self.0.made.load(Ordering::Relaxed));
        factor.running.fetch_sub(1, Ordering::Relaxed);
        factor.requests.fetch_add(1, Ordering::Relaxed);
        factor.calls.fetch_add(made, Ordering::Relaxed);
        factor.calls_max.fetch_max(made, Ordering::Relaxed);
        factor.histogram[bucket_of(made)].fetch_add(1, Ordering::Relaxed);
    }
}

const fn bucket_of(made: u64) -> usize {
    if made < EXACT { made as usize } else { (EXACT + made.ilog2() as u64 - EXACT.ilog2() as u64) as usize }
}

/// The most that falls into a bucket.
const fn most_in(bucket: usize) -> u64 {
    if bucket < EXACT as usize { bucket as u64 } else { u64::MAX >> (BUCKETS - 1 - bucket) }
}

impl Bound for Factor {
    fn snapshot(&self) -> Snapshot {
        let counts: [u64; BUCKETS] = std::array::from_fn(|at| self.histogram[at].load(Ordering::Relaxed));
        let calls_max = self.calls_max.load(Ordering::Relaxed);
        let quantile = |percent: u64| {
            let rank = (counts.iter().sum::<u64>() * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.map_or(0, |bucket| most_in(bucket).min(calls_max))
        };
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = self.max;
        snapshot.in_use = self.running.load(Ordering::Relaxed);
        snapshot.high_water = self.running_high_water.load(Ordering::Relaxed);
        snapshot.admitted = self.calls.load(Ordering::Relaxed);
        snapshot.rejected = self.rejected.load(Ordering::Relaxed);
        if snapshot.rejected > 0 {
            snapshot.rejected_by = vec![(Reason::TooLarge, snapshot.rejected)];
        }
        snapshot.details = vec![
            ("requests", self.requests.load(Ordering::Relaxed)),
            ("p50", quantile(50)),
            ("p99", quantile(99)),
            ("max", calls_max),
        ];
        snapshot
    }
}

impl fmt::Debug for FanOutFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOutFactor").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for FanOutFactor {
    type Service = FanOutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FanOutService { inner, factor: self.clone() }
    }
}

/// A service behind a [`FanOutFactor`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll_tower::{FanOutFactor, FanOutService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let fan_out = FanOutFactor::builder("fan-out-service").build()?;
/// let service: FanOutService<_> = fan_out.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// assert!(fan_out.snapshot().details.contains(&("max", 0))); // it made no calls
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FanOutService<S> {
    inner: S,
    factor: FanOutFactor,
}

impl<S: Service<Request> + Clone, Request> Service<Request> for FanOutService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = FanOutFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let ends = Ends(Calls::begin(&self.factor.0));
        let scope = Scope::new().with_value(Arc::clone(&ends.0));
        FanOutFuture { run: scope.enter(Call::new(take_ready(&mut self.inner), request)), ends: Some(ends) }
    }
}

pin_project! {
    /// The response of a [`FanOutService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll_tower::{FanOutFactor, FanOutFuture};
    /// use tower::{Layer, Service, service_fn};
    /// let fan_out = FanOutFactor::builder("fan-out-future").build()?;
    /// let mut service = fan_out.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
    /// let response: FanOutFuture<_, _> = service.call(7);
    /// assert_eq!(response.await, Ok(7));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct FanOutFuture<S, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        run: Enter<Call<S, Request>>,
        ends: Option<Ends>,
    }
}

impl<S: Service<Request>, Request> Future for FanOutFuture<S, Request> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.run.poll(cx);
        if polled.is_ready() {
            *this.ends = None;
        }
        polled
    }
}

/// The layer for a client: each call counts for the request in whose [`FanOutFactor`] it is made, and
/// is rejected if that has made its maximum. Outside of any it counts nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::Rejected;
/// use plimsoll_tower::{CallCounter, FanOutFactor};
/// use tower::{Layer, ServiceExt, service_fn};
/// let client = CallCounter::new().layer(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
/// let alone = client.clone();
/// let fan_out = FanOutFactor::builder("one-call").max(1).build()?;
/// let server = fan_out.layer(service_fn(move |n: u32| {
///     let client = client.clone();
///     async move { client.clone().oneshot(n).await?; client.oneshot(n).await }
/// }));
/// assert!(server.oneshot(7).await.is_err()); // the second call is one too many
/// assert_eq!(alone.oneshot(7).await, Ok(7)); // in no request: not counted
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCounter<R = IntoError> {
    refuse: R,
}

impl CallCounter {
    /// A counter whose rejections are errors.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::Rejected;
    /// use plimsoll_tower::CallCounter;
    /// use tower::{Layer, ServiceExt, service_fn};
    /// let client = CallCounter::new().layer(service_fn(async |n: u32| Ok::<_, Rejected>(n * 2)));
    /// assert_eq!(client.oneshot(7).await, Ok(14)); // in no request there is nothing to count
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { refuse: IntoError }
    }

    /// Answers what is rejected with a response.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll_tower::{CallCounter, FanOutFactor};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// let counter = CallCounter::new().on_rejected(|_| 503);
    /// let client = counter.layer(service_fn(async |_: ()| Ok::<_, Infallible>(200)));
    /// let fan_out = FanOutFactor::builder("answers").max(1).build()?;
    /// let server = fan_out.layer(service_fn(move |_: ()| {
    ///     let client = client.clone();
    ///     async move { Ok::<_, Infallible>([client.clone().oneshot(()).await, client.oneshot(()).await]) }
    /// }));
    /// assert_eq!(server.oneshot(()).await, Ok([Ok(200), Ok(503)]));
    /// # Ok(()) }
    /// ```
    pub fn on_rejected<Response, F: Fn(Rejected) -> Response>(self, answer: F) -> CallCounter<Answer<F>> {
        CallCounter { refuse: Answer(answer) }
    }
}

impl<S, R: Clone> Layer<S> for CallCounter<R> {
    type Service = CallCounterService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        CallCounterService { inner, counter: self.clone() }
    }
}

/// A service behind a [`CallCounter`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::Rejected;
/// use plimsoll_tower::{CallCounter, CallCounterService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let service: CallCounterService<_, _> = CallCounter::new().layer(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CallCounterService<S, R> {
    inner: S,
    counter: CallCounter<R>,
}

impl<S, Request, R> Service<Request> for CallCounterService<S, R>
where
    S: Service<Request> + Clone,
    R: Refuse<Rejected, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CallCounterFuture<S, Request, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        CallCounterFuture {
            rejected: scope::value::<Calls>().and_then(|calls| calls.count().err()),
            call: Call::new(take_ready(&mut self.inner), request),
            refuse: self.counter.refuse.clone(),
        }
    }
}

pin_project! {
    /// The response of a [`CallCounterService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::Rejected;
    /// use plimsoll_tower::{CallCounter, CallCounterFuture};
    /// use tower::{Layer, Service, service_fn};
    /// let mut service = CallCounter::new().layer(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
    /// let response: CallCounterFuture<_, _, _> = service.call(7);
    /// assert_eq!(response.await, Ok(7));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct CallCounterFuture<S, Request, R>
    where
        S: Service<Request>,
    {
        rejected: Option<Rejected>,
        #[pin]
        call: Call<S, Request>,
        refuse: R,
    }
}

impl<S, Request, R> Future for CallCounterFuture<S, Request, R>
where
    S: Service<Request>,
    R: Refuse<Rejected, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.rejected.take() {
            Some(rejected) => Poll::Ready(this.refuse.refuse(rejected)),
            None => this.call.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_calls_is_in_a_bucket_that_is_exact_or_a_factor_of_two_wide() {
        for made in (0..2_000).chain([1 << 40, u64::MAX - 1, u64::MAX]) {
            let most = most_in(bucket_of(made));
            assert!(made <= most && (made == most || made >= EXACT && most / 2 < made), "{made} {most}");
        }
    }
}
