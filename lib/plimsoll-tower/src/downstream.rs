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
    fn layer_once(&self) -> DownstreamOnceLayer<J, B>;
}

impl<J, B> DownstreamExt<J, B> for Downstream<J, B> {
    fn layer(&self) -> DownstreamLayer<J, B> {
        DownstreamLayer(self.clone())
    }

    fn layer_once(&self) -> DownstreamOnceLayer<J, B> {
        DownstreamOnceLayer(self.clone())
    }
}

/// The layer of a [`Downstream`]; made by [`DownstreamExt::layer`].
pub struct DownstreamLayer<J, B>(Downstream<J, B>);

impl<S, J, B> Layer<S> for DownstreamLayer<J, B> {
    type Service = DownstreamService<S, J, B>;

    fn layer(&self, inner: S) -> Self::Service {
        DownstreamService { inner, downstream: self.0.clone() }
    }
}

/// A service behind a [`DownstreamLayer`].
pub struct DownstreamService<S, J, B> {
    inner: S,
    downstream: Downstream<J, B>,
}

impl<S, Request, J, B> Service<Request> for DownstreamService<S, J, B>
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

/// The layer of a [`Downstream`] that sends each request once; made by [`DownstreamExt::layer_once`].
pub struct DownstreamOnceLayer<J, B>(Downstream<J, B>);

impl<S, J, B> Layer<S> for DownstreamOnceLayer<J, B> {
    type Service = DownstreamOnceService<S, J, B>;

    fn layer(&self, inner: S) -> Self::Service {
        DownstreamOnceService { inner, downstream: self.0.clone() }
    }
}

/// A service behind a [`DownstreamOnceLayer`].
pub struct DownstreamOnceService<S, J, B> {
    inner: S,
    downstream: Downstream<J, B>,
}

impl<S, Request, J, B> Service<Request> for DownstreamOnceService<S, J, B>
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

/// The response of a [`DownstreamService`] or a [`DownstreamOnceService`].
#[must_use = "futures do nothing unless polled"]
pub struct DownstreamFuture<T, E>(Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>);

impl<T, E> Future for DownstreamFuture<T, E> {
    type Output = Result<T, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<J, B> Clone for DownstreamLayer<J, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Clone, J, B> Clone for DownstreamService<S, J, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), downstream: self.downstream.clone() }
    }
}

impl<J, B> Clone for DownstreamOnceLayer<J, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Clone, J, B> Clone for DownstreamOnceService<S, J, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), downstream: self.downstream.clone() }
    }
}

impl<J, B> fmt::Debug for DownstreamLayer<J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DownstreamLayer").field(&self.0).finish()
    }
}

impl<S: fmt::Debug, J, B> fmt::Debug for DownstreamService<S, J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownstreamService")
            .field("inner", &self.inner)
            .field("downstream", &self.downstream)
            .finish()
    }
}

impl<J, B> fmt::Debug for DownstreamOnceLayer<J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DownstreamOnceLayer").field(&self.0).finish()
    }
}

impl<S: fmt::Debug, J, B> fmt::Debug for DownstreamOnceService<S, J, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownstreamOnceService")
            .field("inner", &self.inner)
            .field("downstream", &self.downstream)
            .finish()
    }
}
