//! A limiter before a service.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use plimsoll::Rejected;
use plimsoll::limiter::{Limiter, Waiting};
use tower_layer::Layer;
use tower_service::Service;

use crate::acquire::{Acquire, Begin, Line, Now, Reject};
use crate::call::{Call, take_ready};
use crate::finish::{Dropped, Finish, Hold, Told};
use crate::refuse::{Answer, IntoError, Refuse};

/// Lets requests through to a service as a limiter admits them.
///
/// The permit is held until the response is there: its head, where the body is streamed. Where the body
/// is part of the work, [`hold`](Self::hold) keeps the permit to its end.
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, Rejected, semaphore::Semaphore};
    /// use plimsoll_tower::Admit;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let uploads = Semaphore::new(1)?;
    /// let service = ServiceBuilder::new()
    ///     .layer(Admit::rejecting(uploads.clone()))
    ///     .service(service_fn(async |bytes: u64| Ok::<_, Rejected>(bytes)));
    /// assert_eq!(service.clone().oneshot(700).await, Ok(700));
    /// let held = uploads.try_acquire()?;
    /// assert_eq!(service.oneshot(700).await.unwrap_err().reason(), Reason::Full);
    /// # drop(held);
    /// # Ok(()) }
    /// ```
    pub const fn rejecting(limiter: L) -> Self {
        Self::new(Reject(limiter))
    }
}

impl<L: Waiting> Admit<Line<L>> {
    /// Waits until `limiter` admits. Bound the line before it: by a load shedder, or by a limiter with
    /// a bounded line in [`waiting_by`](Admit::waiting_by).
    ///
    /// It makes one allocation for each request: a trait's async method has a future without a name,
    /// which a service cannot hold unless in a box. Where that counts, `waiting_by` has none:
    /// `Admit::waiting_by(move |_: &Request| { let limiter = limiter.clone(); async move {
    /// Waiting::acquire_owned(&limiter).await } })`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Rejected, rate::{Quota, RateLimiter}};
    /// use plimsoll_tower::Admit;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let calls = RateLimiter::new(Quota::per_second(1_000).burst(1))?;
    /// let service = ServiceBuilder::new()
    ///     .layer(Admit::waiting(calls.clone()))
    ///     .service(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
    /// let both = tokio::join!(service.clone().oneshot(1), service.oneshot(2));
    /// assert_eq!(both, (Ok(1), Ok(2)));
    /// assert_eq!(calls.snapshot().waits.count(), 1); // a millisecond
    /// # Ok(()) }
    /// ```
    pub const fn waiting(limiter: L) -> Self {
        Self::new(Line(limiter))
    }
}

impl<F> Admit<Now<F>> {
    /// Rejects what `acquire` does not admit: of a limiter for each key, or of several.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Rejected, semaphore::Semaphore};
    /// use plimsoll_tower::Admit;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// // Bounded by what is uploaded, not by how many upload.
    /// let memory = Semaphore::builder("upload bytes").limit(1_000).build()?;
    /// let layer = Admit::rejecting_by(move |body: &Vec<u8>| memory.try_acquire_many_owned(body.len() as u64));
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |body: Vec<u8>| Ok::<_, Rejected>(body.len())));
    /// assert_eq!(service.clone().oneshot(vec![0; 1_000]).await, Ok(1_000));
    /// let refused = service.oneshot(vec![0; 1_001]).await.unwrap_err();
    /// assert_eq!(refused.to_string(), "upload bytes: asked for more than the limit of 1000 can ever give");
    /// # Ok(()) }
    /// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// use plimsoll_tower::Admit;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let layer = Admit::rejecting(RateLimiter::new(Quota::per_hour(1))?).on_rejected(|_| 429);
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: ()| Ok::<_, Infallible>(200)));
    /// assert_eq!(service.clone().oneshot(()).await, Ok(200));
    /// assert_eq!(service.oneshot(()).await, Ok(429));
    /// # Ok(()) }
    /// ```
    pub fn on_rejected<Response, F: Fn(Rejected) -> Response>(self, answer: F) -> Admit<A, Answer<F>, D> {
        Admit { acquire: self.acquire, refuse: Answer(answer), finish: self.finish }
    }

    /// Gives the permit back by `finish`, which sees the result: for limiters that learn from it, such
    /// as a breaker. Without it the permit is dropped, and what is dropped is ignored by them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Outcome, Rejected, breaker::{Breaker, OwnedPermit, Policy, State}};
    /// use plimsoll_tower::Admit;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let bank = Breaker::new(Policy::consecutive(2))?;
    /// let layer = Admit::rejecting(bank.clone()).on_done(|permit: OwnedPermit, result: &Result<u16, Rejected>| {
    ///     permit.finish(if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure });
    /// });
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: ()| Ok(503)));
    /// for _ in 0..2 {
    ///     assert_eq!(service.clone().oneshot(()).await, Ok(503));
    /// }
    /// assert_eq!(bank.state(), State::Open);
    /// assert!(service.oneshot(()).await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn on_done<P, Response, Error, F>(self, finish: F) -> Admit<A, R, Told<F>>
    where
        F: Fn(P, &Result<Response, Error>),
    {
        Admit { acquire: self.acquire, refuse: self.refuse, finish: Told(finish) }
    }

    /// Hands the permit on to `hold` with the response, to be kept in it: in its body, where that is
    /// streamed and a place is to be taken until the last byte was sent, or its reader has gone.
    ///
    /// What `hold` makes of the two is the service's response from here on. A response of
    /// [`on_rejected`](Self::on_rejected) has no permit, and must be of the same type. Where the service
    /// fails, the permit is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Rejected, semaphore::{OwnedPermit, Semaphore}};
    /// use plimsoll_tower::Admit;
    /// use tokio::sync::mpsc;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// /// A body that is streamed, and the place that it takes meanwhile.
    /// struct Body { chunks: mpsc::Receiver<u8>, _place: OwnedPermit }
    ///
    /// let downloads = Semaphore::new(1)?;
    /// let layer = Admit::rejecting(downloads.clone())
    ///     .hold(|chunks: mpsc::Receiver<u8>, place: OwnedPermit| Body { chunks, _place: place });
    /// let (sender, receiver) = mpsc::channel(1);
    /// let receiver = std::sync::Mutex::new(Some(receiver));
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: ()| {
    ///     Ok::<_, Rejected>(receiver.lock().unwrap().take().unwrap())
    /// }));
    /// let mut body = service.oneshot(()).await?; // the head is there
    /// sender.send(7).await?;
    /// assert_eq!((body.chunks.recv().await, downloads.in_use()), (Some(7), 1));
    /// drop(body);
    /// assert_eq!(downloads.in_use(), 0);
    /// # Ok(()) }
    /// ```
    pub fn hold<P, Response, Held, F>(self, hold: F) -> Admit<A, R, Hold<F>>
    where
        F: Fn(Response, P) -> Held,
    {
        Admit { acquire: self.acquire, refuse: self.refuse, finish: Hold(hold) }
    }
}

impl<S, A: Clone, R: Clone, D: Clone> Layer<S> for Admit<A, R, D> {
    type Service = AdmitService<S, A, R, D>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmitService { inner, admit: self.clone() }
    }
}

/// A service behind an [`Admit`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::{Rejected, semaphore::Semaphore};
/// use plimsoll_tower::{Admit, AdmitService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let echo = service_fn(async |n: u32| Ok::<_, Rejected>(n));
/// let service: AdmitService<_, _, _, _> = Admit::rejecting(Semaphore::new(16)?).layer(echo);
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct AdmitService<S, A, R, D> {
    inner: S,
    admit: Admit<A, R, D>,
}

impl<S, Request, A, R, D> Service<Request> for AdmitService<S, A, R, D>
where
    S: Service<Request> + Clone,
    A: Acquire<Request>,
    R: Refuse<Rejected, D::Response, S::Error> + Clone,
    D: Finish<A::Permit, S::Response, S::Error> + Clone,
{
    type Response = D::Response;
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Rejected, semaphore::Semaphore};
    /// use plimsoll_tower::{Admit, AdmitFuture};
    /// use tower::{Layer, Service, service_fn};
    /// let uploads = Semaphore::new(16)?;
    /// let mut service = Admit::rejecting(uploads.clone()).layer(service_fn(async |n: u32| Ok::<_, Rejected>(n)));
    /// let response: AdmitFuture<_, _, _, _, _, _> = service.call(7);
    /// drop(response); // the caller has gone: its permit is back
    /// assert_eq!(uploads.in_use(), 0);
    /// # Ok(()) }
    /// ```
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
    R: Refuse<Rejected, D::Response, S::Error>,
    D: Finish<P, S::Response, S::Error>,
{
    type Output = Result<D::Response, S::Error>;

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
        match this.permit.take() {
            Some(permit) => Poll::Ready(this.finish.finish(permit, result)),
            None => unreachable!("it is called only with a permit at hand"),
        }
    }
}
