//! Equal requests at the same time as one.

use std::convert::Infallible;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use plimsoll::singleflight::{Error, Run, Singleflight};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};
use crate::refuse::{Answer, IntoError, Refuse};

/// Sends one of the requests that have equal keys and are there at the same time; its response, or
/// error, is cloned for the others.
///
/// A request for which the closure has no key passes by. All of what decides the response belongs into
/// the key: who asks, too, where that makes a difference.
///
/// ```
/// use plimsoll::singleflight::Singleflight;
/// use plimsoll_tower::Coalesce;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let profiles = Singleflight::builder("profile requests").build()?;
/// let layer = Coalesce::new(profiles.clone(), |request: &u64| Some(*request)).on_refused(|refused| refused.to_string());
/// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |user: u64| {
///     tokio::task::yield_now().await;
///     Ok::<_, std::convert::Infallible>(format!("user {user}"))
/// }));
/// let responses = tokio::join!(service.clone().oneshot(7), service.oneshot(7));
/// assert_eq!(responses, (Ok("user 7".to_owned()), Ok("user 7".to_owned())));
/// assert_eq!(profiles.snapshot().admitted, 1);
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Coalesce<K, T, E, F, R = IntoError> {
    flights: Singleflight<K, T, E>,
    key_of: F,
    refuse: R,
}

impl<K, T, E, F> Coalesce<K, T, E, F> {
    /// Coalesces by `flights` the requests for which `key_of` has a key.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::singleflight::{Error, Singleflight};
    /// use plimsoll_tower::Coalesce;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let flights: Singleflight<u64, u64, Error<Infallible>> = Singleflight::builder("reads").build()?;
    /// // What changes something has no key, and is never shared.
    /// let layer = Coalesce::new(flights.clone(), |(method, user): &(&str, u64)| (*method == "GET").then_some(*user));
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |(_, user): (&str, u64)| Ok(user)));
    /// # let service = service.map_err(|error: Error<Infallible>| error.to_string());
    /// assert_eq!(service.clone().oneshot(("GET", 7)).await, Ok(7));
    /// assert_eq!(service.oneshot(("POST", 7)).await, Ok(7));
    /// assert_eq!(flights.snapshot().admitted, 1);
    /// # Ok(()) }
    /// ```
    pub const fn new<Request>(flights: Singleflight<K, T, E>, key_of: F) -> Self
    where
        F: Fn(&Request) -> Option<K>,
    {
        Self { flights, key_of, refuse: IntoError }
    }
}

impl<K, T, E, F, R> Coalesce<K, T, E, F, R> {
    /// Answers a request with a response when there is no room for its key, or the one that was shared
    /// panicked: for services that cannot fail. Never called with [`Error::Inner`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::singleflight::Singleflight;
    /// use plimsoll_tower::Coalesce;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let flights = Singleflight::builder("one-key").keys_max(1).build()?;
    /// let layer = Coalesce::new(flights, |user: &u64| Some(*user)).on_refused(|_| 503);
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: u64| {
    ///     tokio::task::yield_now().await;
    ///     Ok::<_, Infallible>(200)
    /// }));
    /// let responses = tokio::join!(service.clone().oneshot(7), service.oneshot(8));
    /// assert_eq!(responses, (Ok(200), Ok(503)));
    /// # Ok(()) }
    /// ```
    pub fn on_refused<A: Fn(Error<Infallible>) -> T>(self, answer: A) -> Coalesce<K, T, E, F, Answer<A>> {
        Coalesce { flights: self.flights, key_of: self.key_of, refuse: Answer(answer) }
    }
}

impl<K, T, E, F: Clone, R: Clone> Clone for Coalesce<K, T, E, F, R> {
    fn clone(&self) -> Self {
        Self { flights: self.flights.clone(), key_of: self.key_of.clone(), refuse: self.refuse.clone() }
    }
}

impl<S, K, T, E, F: Clone, R: Clone> Layer<S> for Coalesce<K, T, E, F, R> {
    type Service = CoalesceService<S, K, T, E, F, R>;

    fn layer(&self, inner: S) -> Self::Service {
        CoalesceService { inner, coalesce: self.clone() }
    }
}

/// A service behind a [`Coalesce`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use plimsoll::singleflight::Singleflight;
/// use plimsoll_tower::{Coalesce, CoalesceService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let layer = Coalesce::new(Singleflight::builder("service").build()?, |user: &u64| Some(*user)).on_refused(|_| 503);
/// let service: CoalesceService<_, _, _, _, _, _> = layer.layer(service_fn(async |_: u64| Ok::<_, Infallible>(200)));
/// assert_eq!(service.oneshot(7).await, Ok(200));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CoalesceService<S, K, T, E, F, R> {
    inner: S,
    coalesce: Coalesce<K, T, E, F, R>,
}

impl<S: Clone, K, T, E, F: Clone, R: Clone> Clone for CoalesceService<S, K, T, E, F, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), coalesce: self.coalesce.clone() }
    }
}

impl<S, Request, K, F, R> Service<Request> for CoalesceService<S, K, S::Response, S::Error, F, R>
where
    S: Service<Request> + Clone,
    K: Hash + Eq + Send + Sync + 'static,
    S::Response: Clone + Send + Sync + 'static,
    S::Error: Clone + Send + Sync + 'static,
    F: Fn(&Request) -> Option<K>,
    R: Refuse<Error<Infallible>, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CoalesceFuture<S, Request, K, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Coalesce { flights, key_of, refuse } = &self.coalesce;
        let key = key_of(&request);
        let call = Call::new(take_ready(&mut self.inner), request);
        let (shared, alone) = match key {
            Some(key) => (Some(flights.share(key, call)), None),
            None => (None, Some(call)),
        };
        CoalesceFuture { shared, alone, refuse: refuse.clone() }
    }
}

pin_project! {
    /// The response of a [`CoalesceService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::singleflight::Singleflight;
    /// use plimsoll_tower::{Coalesce, CoalesceFuture};
    /// use tower::{Layer, Service, service_fn};
    /// let layer = Coalesce::new(Singleflight::builder("future").build()?, |user: &u64| Some(*user)).on_refused(|_| 503);
    /// let mut service = layer.layer(service_fn(async |_: u64| Ok::<_, Infallible>(200)));
    /// let response: CoalesceFuture<_, _, _, _> = service.call(7);
    /// assert_eq!(response.await, Ok(200));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct CoalesceFuture<S, Request, K, R>
    where
        S: Service<Request>,
        K: Hash,
        K: Eq,
    {
        #[pin]
        shared: Option<Run<K, S::Response, S::Error, Call<S, Request>>>,
        #[pin]
        alone: Option<Call<S, Request>>,
        refuse: R,
    }
}

impl<S, Request, K, R> Future for CoalesceFuture<S, Request, K, R>
where
    S: Service<Request>,
    S::Response: Clone,
    S::Error: Clone,
    K: Hash + Eq,
    R: Refuse<Error<Infallible>, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(shared) = this.shared.as_pin_mut() {
            return Poll::Ready(match ready!(shared.poll(cx)) {
                Ok(response) => Ok(response),
                Err(error) => match error.split() {
                    Ok(error) => Err(error),
                    Err(refused) => this.refuse.refuse(refused),
                },
            });
        }
        match this.alone.as_pin_mut() {
            Some(alone) => alone.poll(cx),
            None => unreachable!("a request is shared or alone"),
        }
    }
}
