//! Trying again, within a budget.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use plimsoll::Invalid;
use plimsoll::retry::{Decision, Policy};
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};

/// Sends a request again by a [`Policy`] and its budget, as `classify` says of each result; the last
/// result is what the caller gets.
///
/// The attempt that failed is dropped before the wait, with the permits it held; a wait never lasts
/// past the deadline of the scope.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::retry::{Budget, Decision, Policy};
/// use plimsoll_tower::Retry;
///
/// let budget = Budget::builder("inventory retries").ratio(0.1).build()?;
/// let policy = Policy::exponential(Duration::from_millis(50)).attempts(3).budget(&budget);
/// let classify = |result: &Result<u16, std::io::Error>| match result {
///     Ok(503) | Err(_) => Decision::Retry,
///     Ok(_) => Decision::GiveUp, // it is what it is
/// };
/// // What cannot be sent twice is not cloned, and so not tried again.
/// let layer = Retry::new(policy, classify, |request: &String| Some(request.clone()))?;
/// # let service = tower::service_fn(async |_: String| Ok::<u16, std::io::Error>(200));
/// # let service = tower::ServiceBuilder::new().layer(layer).service(service);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # assert!(matches!(runtime.block_on(tower::ServiceExt::oneshot(service, String::new())), Ok(200)));
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Retry<C, K> {
    policy: Policy,
    classify: C,
    copy: K,
}

impl<C, K> Retry<C, K> {
    /// Retries by `policy` what `classify` says is worth it, and `copy` makes a copy of.
    ///
    /// # Errors
    /// When a field of the policy is out of its range.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{sync::atomic::{AtomicU64, Ordering::Relaxed}, time::Duration};
    /// use plimsoll::retry::{Decision, Policy};
    /// use plimsoll_tower::Retry;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// static TRIES: AtomicU64 = AtomicU64::new(0);
    /// let policy = Policy::exponential(Duration::from_millis(1)).attempts(3);
    /// let classify = |result: &Result<u16, ()>| if *result == Ok(503) { Decision::Retry } else { Decision::GiveUp };
    /// let layer = Retry::new(policy, classify, |request: &&str| Some(*request))?;
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: &str| {
    ///     Ok::<u16, ()>(if TRIES.fetch_add(1, Relaxed) < 2 { 503 } else { 200 })
    /// }));
    /// assert_eq!(service.oneshot("/stock/7").await, Ok(200));
    /// assert_eq!(TRIES.load(Relaxed), 3);
    /// # Ok(()) }
    /// ```
    pub fn new<Request, Response, Error>(policy: Policy, classify: C, copy: K) -> Result<Self, Invalid>
    where
        C: Fn(&Result<Response, Error>) -> Decision,
        K: Fn(&Request) -> Option<Request>,
    {
        policy.check()?;
        Ok(Self { policy, classify, copy })
    }
}

impl<S, C: Clone, K: Clone> Layer<S> for Retry<C, K> {
    type Service = RetryService<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, retry: self.clone() }
    }
}

/// A service behind a [`Retry`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::retry::{Decision, Policy};
/// use plimsoll_tower::{Retry, RetryService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let policy = Policy::exponential(Duration::from_millis(1));
/// let layer = Retry::new(policy, |_: &Result<u32, ()>| Decision::GiveUp, |request: &u32| Some(*request))?;
/// let service: RetryService<_, _, _> = layer.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RetryService<S, C, K> {
    inner: S,
    retry: Retry<C, K>,
}

impl<S, Request, C, K> Service<Request> for RetryService<S, C, K>
where
    S: Service<Request> + Clone,
    C: Fn(&Result<S::Response, S::Error>) -> Decision + Clone,
    K: Fn(&Request) -> Option<Request> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, Request, C, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.retry.policy.record_call();
        RetryFuture {
            copy: (self.retry.copy)(&request),
            call: Some(Call::new(take_ready(&mut self.inner), request)),
            sleep: None,
            attempts: 1,
            retry: self.retry.clone(),
            inner: self.inner.clone(),
        }
    }
}

pin_project! {
    /// The response of a [`RetryService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::retry::{Decision, Policy};
    /// use plimsoll_tower::{Retry, RetryFuture};
    /// use tower::{Layer, Service, service_fn};
    /// let policy = Policy::exponential(Duration::from_millis(1));
    /// let layer = Retry::new(policy, |_: &Result<u32, ()>| Decision::GiveUp, |request: &u32| Some(*request))?;
    /// let mut service = layer.layer(service_fn(async |n: u32| Ok::<_, ()>(n)));
    /// let response: RetryFuture<_, _, _, _> = service.call(7);
    /// assert_eq!(response.await, Ok(7));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S, Request, C, K>
    where
        S: Service<Request>,
    {
        // The attempt that runs; none while it sleeps.
        #[pin]
        call: Option<Call<S, Request>>,
        #[pin]
        sleep: Option<Sleep>,
        copy: Option<Request>,
        attempts: u32,
        retry: Retry<C, K>,
        inner: S,
    }
}

impl<S, Request, C, K> Future for RetryFuture<S, Request, C, K>
where
    S: Service<Request> + Clone,
    C: Fn(&Result<S::Response, S::Error>) -> Decision,
    K: Fn(&Request) -> Option<Request>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(call) = this.call.as_mut().as_pin_mut() {
                let result = ready!(call.poll(cx));
                this.call.set(None);
                let decision = (this.retry.classify)(&result);
                if this.copy.is_none() {
                    return Poll::Ready(result);
                }
                match this.retry.policy.wait_after(*this.attempts, decision) {
                    Ok(delay) => this.sleep.set(Some(sleep(delay))),
                    Err(_) => return Poll::Ready(result),
                }
            }
            let Some(waiting) = this.sleep.as_mut().as_pin_mut() else { panic!("polled after it was done") };
            ready!(waiting.poll(cx));
            this.sleep.set(None);
            let Some(request) = this.copy.take() else { unreachable!("it sleeps only with a copy at hand") };
            *this.copy = (this.retry.copy)(&request);
            *this.attempts += 1;
            this.call.set(Some(Call::new(this.inner.clone(), request)));
        }
    }
}
