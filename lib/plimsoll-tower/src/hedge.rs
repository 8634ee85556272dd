//! A second try when the first is late.

use std::pin::Pin;
use std::task::{Context, Poll};

use plimsoll::hedge;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};

/// Sends a request a second time when the first try takes longer than nearly all do; the first
/// success wins, and the other is dropped.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::hedge::{self, Policy};
/// use plimsoll_tower::Hedge;
///
/// let replicas = hedge::Hedge::new(Policy::percentile(0.95).delay_max(Duration::from_millis(300)))?;
/// // What may not run twice at once is not cloned, and so not hedged.
/// let layer = Hedge::new(replicas, |request: &String| Some(request.clone()));
/// # let service = tower::service_fn(async |_: String| Ok::<u16, std::io::Error>(200));
/// # let service = tower::ServiceBuilder::new().layer(layer).service(service);
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # assert!(matches!(runtime.block_on(tower::ServiceExt::oneshot(service, String::new())), Ok(200)));
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hedge<K> {
    hedge: hedge::Hedge,
    copy: K,
}

impl<K> Hedge<K> {
    /// Hedges by `hedge` the requests that `copy` makes a copy of.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{sync::atomic::{AtomicU64, Ordering::Relaxed}, time::Duration};
    /// use plimsoll::hedge::{self, Policy};
    /// use plimsoll_tower::Hedge;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// static TRIES: AtomicU64 = AtomicU64::new(0);
    /// let layer = Hedge::new(hedge::Hedge::new(Policy::fixed(Duration::from_millis(20)))?, |get: &&str| Some(*get));
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: &str| {
    ///     let hangs = TRIES.fetch_add(1, Relaxed) == 0;
    ///     tokio::time::sleep(Duration::from_millis(if hangs { 60_000 } else { 5 })).await;
    ///     Ok::<_, ()>(200)
    /// }));
    /// assert_eq!(service.oneshot("/search").await, Ok(200));
    /// assert_eq!(TRIES.load(Relaxed), 2);
    /// # Ok(()) }
    /// ```
    pub const fn new<Request>(hedge: hedge::Hedge, copy: K) -> Self
    where
        K: Fn(&Request) -> Option<Request>,
    {
        Self { hedge, copy }
    }
}

impl<S, K: Clone> Layer<S> for Hedge<K> {
    type Service = HedgeService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService { inner, hedge: self.clone() }
    }
}

/// A service behind a [`Hedge`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::hedge::{self, Policy};
/// use plimsoll_tower::{Hedge, HedgeService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let hedge = hedge::Hedge::new(Policy::fixed(Duration::from_secs(1)))?;
/// let layer = Hedge::new(hedge, |request: &u32| Some(*request));
/// let service: HedgeService<_, _> = layer.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HedgeService<S, K> {
    inner: S,
    hedge: Hedge<K>,
}

impl<S, Request, K> Service<Request> for HedgeService<S, K>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    Request: Send + 'static,
    K: Fn(&Request) -> Option<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let copy = (self.hedge.copy)(&request);
        let ready = take_ready(&mut self.inner);
        let Some(copy) = copy else { return HedgeFuture(Box::pin(Call::new(ready, request))) };
        // The first try takes the service that is ready; there are two at the most.
        let (mut first, mut second) = (Some((ready, request)), Some((self.inner.clone(), copy)));
        let hedge = self.hedge.hedge.clone();
        HedgeFuture(Box::pin(async move {
            let next = || match first.take().or_else(|| second.take()) {
                Some((service, request)) => Call::new(service, request),
                None => unreachable!("a hedge makes two tries at the most"),
            };
            hedge.call(next).await
        }))
    }
}

/// The response of a [`HedgeService`], in one box: the future of [`Hedge::call`](hedge::Hedge::call), an
/// async function, has no name on stable Rust, and a service must name its future.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::hedge::{self, Policy};
/// use plimsoll_tower::{Hedge, HedgeFuture};
/// use tower::{Layer, Service, service_fn};
/// let hedge = hedge::Hedge::new(Policy::fixed(Duration::from_secs(1)))?;
/// let mut service = Hedge::new(hedge, |request: &u32| Some(*request)).layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// let response: HedgeFuture<u32, ()> = service.call(7);
/// assert_eq!(response.await, Ok(7));
/// # Ok(()) }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct HedgeFuture<T, E>(Pin<Box<dyn Future<Output = Result<T, E>> + Send>>);

impl<T, E> Future for HedgeFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}
