//! A limiter before a service.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use plimsoll::Rejected;
use plimsoll::limiter::{Limiter, Waiting};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};
use crate::refuse::{Answer, IntoError, Refuse};

/// Lets requests through to a service as a limiter admits them; the permit is held until the
/// response is there.
///
/// ```
/// use plimsoll::keyed::Keyed;
/// use plimsoll::rate::{Quota, RateLimiter};
/// use plimsoll_tower::Admit;
///
/// struct Request { tenant: String }
/// // 100 a second for each tenant, and a response instead of an error.
/// let tenants = Keyed::builder("tenants", |_: &String| RateLimiter::new(Quota::per_second(100))).build()?;
/// let layer = Admit::rejecting_by(move |request: &Request| tenants.try_acquire(&request.tenant))
///     .on_rejected(|rejected| format!("429 {rejected}"));
/// # let service = tower::service_fn(async |_: Request| Ok::<String, std::convert::Infallible>("200".into()));
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let mut service = tower::ServiceBuilder::new().layer(layer).service(service);
/// # let sent = tower::ServiceExt::oneshot(service, Request { tenant: "acme".into() });
/// # assert_eq!(runtime.block_on(sent), Ok("200".into()));
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admit<A, R = IntoError, D = Dropped> {
    acquire: A,
    refuse: R,
    finish: D,
}

impl<L: Limiter> Admit<Reject<L>> {
    /// Rejects what `limiter` does not admit at once.
    pub const fn rejecting(limiter: L) -> Self {
        Self::new(Reject(limiter))
    }
}

impl<L: Waiting> Admit<Line<L>> {
    /// Waits until `limiter` admits. Bound the line before it: by a load shedder, or by a limiter with
    /// a bounded line in [`waiting_by`](Admit::waiting_by).
    pub const fn waiting(limiter: L) -> Self {
        Self::new(Line(limiter))
    }
}

impl<F> Admit<Now<F>> {
    /// Rejects what `acquire` does not admit: of a limiter for each key, or of several.
    pub const fn rejecting_by<Request, P>(acquire: F) -> Self
    where
        F: Fn(&Request) -> Result<P, Rejected>,
    {
        Self::new(Now(acquire))
    }
}

impl<F> Admit<Begin<F>> {
    /// Waits for the future of `acquire`, which may wait as long as it likes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::semaphore::Semaphore;
    /// use plimsoll_tower::Admit;
    /// let uploads = Semaphore::new(16)?;
    /// let layer = Admit::waiting_by(move |_: &Vec<u8>| {
    ///     let uploads = uploads.clone();
    ///     async move { uploads.acquire_within_owned(1, Duration::from_millis(50)).await }
    /// });
    /// # let service = tower::service_fn(async |_: Vec<u8>| Ok::<(), plimsoll::Rejected>(()));
    /// # let service = tower::ServiceBuilder::new().layer(layer).service(service);
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # assert_eq!(runtime.block_on(tower::ServiceExt::oneshot(service, Vec::new())), Ok(()));
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub const fn waiting_by<Request, Fut, P>(acquire: F) -> Self
    where
        F: Fn(&Request) -> Fut,
        Fut: Future<Output = Result<P, Rejected>>,
    {
        Self::new(Begin(acquire))
    }
}

impl<A> Admit<A> {
    const fn new(acquire: A) -> Self {
        Self { acquire, refuse: IntoError, finish: Dropped }
    }
}

impl<A, R, D> Admit<A, R, D> {
    /// Answers what is rejected with a response, for services that cannot fail.
    pub fn on_rejected<Response, F: Fn(Rejected) -> Response>(self, answer: F) -> Admit<A, Answer<F>, D> {
        Admit { acquire: self.acquire, refuse: Answer(answer), finish: self.finish }
    }

    /// Gives the permit back by `finish`, which sees the result: for limiters that learn from it, such
    /// as a breaker. Without it the permit is dropped, and what is dropped is ignored by them.
    pub fn on_done<P, Response, Error, F>(self, finish: F) -> Admit<A, R, Told<F>>
    where
        F: Fn(P, &Result<Response, Error>),
    {
        Admit { acquire: self.acquire, refuse: self.refuse, finish: Told(finish) }
    }
}

/// How a request is admitted.
pub trait Acquire<Request> {
    /// What is held until the response is there.
    type Permit;
    /// Ready when it is decided.
    type Future: Future<Output = Result<Self::Permit, Rejected>>;

    /// Asks for admission.
    fn acquire(&self, request: &Request) -> Self::Future;
}

/// Admits at once or not; see [`Admit::rejecting`].
#[derive(Clone, Debug)]
pub struct Reject<L>(L);

impl<L: Limiter, Request> Acquire<Request> for Reject<L> {
    type Permit = L::Permit;
    type Future = Ready<Result<L::Permit, Rejected>>;

    fn acquire(&self, _: &Request) -> Self::Future {
        ready(self.0.try_acquire_owned())
    }
}

/// Waits; see [`Admit::waiting`].
#[derive(Clone, Debug)]
pub struct Line<L>(L);

impl<L: Waiting, Request> Acquire<Request> for Line<L> {
    type Permit = L::Permit;
    // The future of a method of a trait has no name.
    type Future = Pin<Box<dyn Future<Output = Result<L::Permit, Rejected>> + Send>>;

    fn acquire(&self, _: &Request) -> Self::Future {
        let limiter = self.0.clone();
        Box::pin(async move { limiter.acquire_owned().await })
    }
}

/// Admits at once or not, by a closure; see [`Admit::rejecting_by`].
#[derive(Clone, Debug)]
pub struct Now<F>(F);

impl<Request, P, F: Fn(&Request) -> Result<P, Rejected>> Acquire<Request> for Now<F> {
    type Permit = P;
    type Future = Ready<Result<P, Rejected>>;

    fn acquire(&self, request: &Request) -> Self::Future {
        ready((self.0)(request))
    }
}

/// Waits for a closure's future; see [`Admit::waiting_by`].
#[derive(Clone, Debug)]
pub struct Begin<F>(F);

impl<Request, P, Fut, F> Acquire<Request> for Begin<F>
where
    F: Fn(&Request) -> Fut,
    Fut: Future<Output = Result<P, Rejected>>,
{
    type Permit = P;
    type Future = Fut;

    fn acquire(&self, request: &Request) -> Fut {
        (self.0)(request)
    }
}

/// How a permit is given back.
pub trait Finish<P, Response, Error> {
    /// Gives it back.
    fn finish(&self, permit: P, result: &Result<Response, Error>);
}

/// By dropping it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped;

impl<P, Response, Error> Finish<P, Response, Error> for Dropped {
    fn finish(&self, permit: P, _: &Result<Response, Error>) {
        drop(permit);
    }
}

/// By a closure; see [`Admit::on_done`].
#[derive(Clone, Copy, Debug)]
pub struct Told<F>(F);

impl<P, Response, Error, F: Fn(P, &Result<Response, Error>)> Finish<P, Response, Error> for Told<F> {
    fn finish(&self, permit: P, result: &Result<Response, Error>) {
        (self.0)(permit, result);
    }
}

impl<S, A: Clone, R: Clone, D: Clone> Layer<S> for Admit<A, R, D> {
    type Service = AdmitService<S, A, R, D>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmitService { inner, admit: self.clone() }
    }
}

/// A service behind an [`Admit`].
#[derive(Clone, Debug)]
pub struct AdmitService<S, A, R, D> {
    inner: S,
    admit: Admit<A, R, D>,
}

impl<S, Request, A, R, D> Service<Request> for AdmitService<S, A, R, D>
where
    S: Service<Request> + Clone,
    A: Acquire<Request>,
    R: Refuse<Rejected, S::Response, S::Error> + Clone,
    D: Finish<A::Permit, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AdmitFuture<A::Future, S, Request, A::Permit, R, D>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        AdmitFuture {
            acquire: Some(self.admit.acquire.acquire(&request)),
            call: Call::new(take_ready(&mut self.inner), request),
            permit: None,
            refuse: self.admit.refuse.clone(),
            finish: self.admit.finish.clone(),
        }
    }
}

pin_project! {
    /// The response of an [`AdmitService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AdmitFuture<A, S, Request, P, R, D>
    where
        S: Service<Request>,
    {
        // Until it has admitted.
        #[pin]
        acquire: Option<A>,
        // Before the permit: the call is dropped before its place is given back.
        #[pin]
        call: Call<S, Request>,
        permit: Option<P>,
        refuse: R,
        finish: D,
    }
}

impl<A, S, Request, P, R, D> Future for AdmitFuture<A, S, Request, P, R, D>
where
    A: Future<Output = Result<P, Rejected>>,
    S: Service<Request>,
    R: Refuse<Rejected, S::Response, S::Error>,
    D: Finish<P, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(acquire) = this.acquire.as_mut().as_pin_mut() {
            let admitted = ready!(acquire.poll(cx));
            this.acquire.set(None);
            match admitted {
                Ok(permit) => *this.permit = Some(permit),
                Err(rejected) => return Poll::Ready(this.refuse.refuse(rejected)),
            }
        }
        let result = ready!(this.call.poll(cx));
        if let Some(permit) = this.permit.take() {
            this.finish.finish(permit, &result);
        }
        Poll::Ready(result)
    }
}
