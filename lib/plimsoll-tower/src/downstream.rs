//! All the bounds of one dependency as a layer.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use plimsoll::downstream::{Downstream, Error, Fallback, Judge};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};

/// Makes a layer of a [`Downstream`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{breaker, downstream::Downstream};
/// use plimsoll_tower::DownstreamExt;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// let bank = Downstream::unnamed().breaker(breaker::Policy::consecutive(2)).build()?;
/// let down = service_fn(async |_: ()| Err::<(), _>(503));
/// let service = ServiceBuilder::new().layer(bank.layer()).service(down);
/// for _ in 0..2 {
///     assert_eq!(service.clone().oneshot(()).await.unwrap_err().into_inner(), Some(503));
/// }
/// assert!(service.oneshot(()).await.unwrap_err().rejected().is_some());
/// # Ok(()) }
/// ```
pub trait DownstreamExt<J, B> {
    /// A layer that calls the service within all the bounds: again, and beside the first try, as the
    /// downstream was built to. Requests are cloned for it, and must be safe to send twice.
    ///
    /// The service's error becomes a [`downstream::Error`](Error). Requests that are no clones take
    /// [`layer_once`](Self::layer_once).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::downstream::{Downstream, Error};
    /// use plimsoll_tower::DownstreamExt;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let inventory = Downstream::builder("inventory")
    ///     .timeout(Duration::from_millis(1))
    ///     .concurrency(50)
    ///     .build()?;
    /// let client = service_fn(async |_sku: u32| std::future::pending::<Result<u32, ()>>().await);
    /// let service = ServiceBuilder::new().layer(inventory.layer()).service(client);
    /// assert!(matches!(service.oneshot(7).await, Err(Error::TimedOut { .. })));
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    fn layer(&self) -> DownstreamLayer<J, B>;

    /// As [`layer`](Self::layer), but each request is sent once, neither retried nor hedged, and need not
    /// be a clone: for what is not safe to send twice, and for requests with a body that is streamed, as
    /// those of axum, hyper and tonic are.
    ///
    /// ```
    /// use plimsoll::downstream::Downstream;
    /// use plimsoll_tower::DownstreamExt;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// struct Upload(Vec<u8>); // no `Clone`
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let archive = Downstream::builder("archive").concurrency(8).build()?;
    /// let client = service_fn(async |upload: Upload| Ok::<_, std::io::Error>(upload.0.len()));
    /// let service = ServiceBuilder::new().layer(archive.layer_once()).service(client);
    /// assert_eq!(service.oneshot(Upload(vec![0; 7])).await.unwrap(), 7);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    fn layer_once(&self) -> DownstreamLayer<J, B, Once>;
}

impl<J, B> DownstreamExt<J, B> for Downstream<J, B> {
    fn layer(&self) -> DownstreamLayer<J, B> {
        DownstreamLayer { downstream: self.clone(), sends: Often }
    }

    fn layer_once(&self) -> DownstreamLayer<J, B, Once> {
        DownstreamLayer { downstream: self.clone(), sends: Once }
    }
}

/// The layer of a [`Downstream`]; made by [`DownstreamExt::layer`] and [`DownstreamExt::layer_once`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::downstream::{Downstream, EveryError, NoFallback};
/// use plimsoll_tower::{DownstreamExt, DownstreamLayer, Once};
/// use tower::{Layer, ServiceExt, service_fn};
/// let stock = Downstream::unnamed().concurrency(2).build()?;
/// let layer: DownstreamLayer<EveryError, NoFallback> = stock.layer();
/// let service = layer.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// assert!(matches!(service.oneshot(7).await, Ok(7)));
/// let layer: DownstreamLayer<_, _, Once> = stock.layer_once();
/// let service = layer.layer(service_fn(async |body: String| Ok::<_, ()>(body.len())));
/// assert!(matches!(service.oneshot("seven".into()).await, Ok(5)));
/// # Ok(()) }
/// ```
pub struct DownstreamLayer<J, B, N = Often> {
    downstream: Downstream<J, B>,
    sends: N,
}

/// A request is sent as often as the downstream's retry and hedge ask for.
///
/// ```
/// use plimsoll::downstream::{Downstream, EveryError, NoFallback};
/// use plimsoll_tower::{DownstreamExt, DownstreamLayer, Often};
/// let layer: DownstreamLayer<EveryError, NoFallback, Often> = Downstream::unnamed().build()?.layer();
/// # let _ = layer;
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Often;

/// A request is sent once.
///
/// ```
/// use plimsoll::downstream::{Downstream, EveryError, NoFallback};
/// use plimsoll_tower::{DownstreamExt, DownstreamLayer, Once};
/// let layer: DownstreamLayer<EveryError, NoFallback, Once> = Downstream::unnamed().build()?.layer_once();
/// # let _ = layer;
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Once;

impl<S, J, B, N: Copy> Layer<S> for DownstreamLayer<J, B, N> {
    type Service = DownstreamService<S, J, B, N>;

    fn layer(&self, inner: S) -> Self::Service {
        DownstreamService { inner, downstream: self.downstream.clone(), sends: self.sends }
    }
}

/// A service behind a [`DownstreamLayer`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::downstream::Downstream;
/// use plimsoll_tower::{DownstreamExt, DownstreamService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let stock = Downstream::unnamed().concurrency(2).build()?;
/// let service: DownstreamService<_, _, _> = stock.layer().layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// assert!(matches!(service.oneshot(7).await, Ok(7)));
/// assert_eq!(stock.snapshot().admitted, 1);
/// # Ok(()) }
/// ```
pub struct DownstreamService<S, J, B, N = Often> {
    inner: S,
    downstream: Downstream<J, B>,
    sends: N,
}

impl<S, Request, J, B> Service<Request> for DownstreamService<S, J, B, Often>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    Request: Clone + Send + 'static,
    J: Judge<S::Response, S::Error> + Send + Sync + 'static,
    B: Fallback<S::Response, S::Error> + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = DownstreamFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let downstream = self.downstream.clone();
        // The first try takes the service that is ready. A mutex, since neither it nor the request need
        // be shared between threads; held for a clone.
        let ready = take_ready(&mut self.inner);
        let source = Mutex::new((Some(ready), self.inner.clone(), request));
        DownstreamFuture(Box::pin(async move {
            let next = || {
                let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
                let service = source.0.take().unwrap_or_else(|| source.1.clone());
                Call::new(service, source.2.clone())
            };
            downstream.call(next).await
        }))
    }
}

impl<S, Request, J, B> Service<Request> for DownstreamService<S, J, B, Once>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    Request: Send + 'static,
    J: Judge<S::Response, S::Error>,
    B: Fallback<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = DownstreamFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let downstream = self.downstream.clone();
        let call = Call::new(take_ready(&mut self.inner), request);
        DownstreamFuture(Box::pin(async move { downstream.call_once(|| call).await }))
    }
}

/// The response of a [`DownstreamService`], in one box for all the bounds together.
///
/// On stable Rust a future that an `async` block makes has no name, and a service must name its future;
/// to write the whole order of the bounds again as a state machine by hand would be a second one to keep
/// right. Where an allocation for each request counts, [`Downstream::call`] makes none.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::downstream::Downstream;
/// use plimsoll_tower::{DownstreamExt, DownstreamFuture};
/// use tower::{Layer, Service, service_fn};
/// let stock = Downstream::unnamed().concurrency(2).build()?;
/// let mut service = stock.layer().layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// let response: DownstreamFuture<u32, ()> = service.call(7);
/// assert!(matches!(response.await, Ok(7)));
/// # Ok(()) }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct DownstreamFuture<T, E>(Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>);

impl<T, E> Future for DownstreamFuture<T, E> {
    type Output = Result<T, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<J, B, N: Copy> Clone for DownstreamLayer<J, B, N> {
    fn clone(&self) -> Self {
        Self { downstream: self.downstream.clone(), sends: self.sends }
    }
}

impl<S: Clone, J, B, N: Copy> Clone for DownstreamService<S, J, B, N> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), downstream: self.downstream.clone(), sends: self.sends }
    }
}

impl<J, B, N: fmt::Debug> fmt::Debug for DownstreamLayer<J, B, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownstreamLayer")
            .field("downstream", &self.downstream)
            .field("sends", &self.sends)
            .finish()
    }
}

impl<S: fmt::Debug, J, B, N: fmt::Debug> fmt::Debug for DownstreamService<S, J, B, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownstreamService")
            .field("inner", &self.inner)
            .field("downstream", &self.downstream)
            .field("sends", &self.sends)
            .finish()
    }
}
