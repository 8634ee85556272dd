//! A scope around each request.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use plimsoll::scope::header::Malformed;
use plimsoll::scope::{Ended, Run, Scope};
use plimsoll::{Invalid, Name};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{Call, take_ready};
use crate::refuse::{Answer, IntoError, Refuse};

/// Runs each request in a [`Scope`]: with a deadline, at which it is dropped, and with labels, which
/// all that it starts inherits.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::scope::{self, header::Edge};
/// use plimsoll_tower::{Deadline, DeadlineRefused};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// struct Request { timeout: &'static str, baggage: &'static str }
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let edge = Edge::builder().labels(["tenant"]).deadline_max(Duration::from_secs(30)).build()?;
/// let layer = Deadline::by(move |request: &Request| edge.read(Some(request.timeout), Some(request.baggage)));
/// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |_: Request| {
///     Ok::<_, DeadlineRefused>(scope::current().label_value("tenant").map(str::to_owned))
/// }));
/// let tenant = service.clone().oneshot(Request { timeout: "250m", baggage: "tenant=acme" }).await;
/// assert_eq!(tenant, Ok(Some("acme".to_owned())));
/// let refused = service.oneshot(Request { timeout: "soon", baggage: "tenant=acme" }).await;
/// assert!(matches!(refused, Err(DeadlineRefused::Malformed(_))));
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Deadline<F, R = IntoError> {
    scope_for: F,
    refuse: R,
}

/// Why a [`Deadline`] refused a request, or ended it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::scope::Ended;
/// use plimsoll_tower::{Deadline, DeadlineRefused};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// let stuck = service_fn(async |_: ()| std::future::pending::<Result<(), DeadlineRefused>>().await);
/// let service = ServiceBuilder::new().layer(Deadline::after(Duration::from_millis(1))?).service(stuck);
/// assert_eq!(service.oneshot(()).await, Err(DeadlineRefused::Ended(Ended::DeadlinePassed)));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DeadlineRefused {
    /// Its scope ended: its deadline passed, or it was cancelled.
    Ended(Ended),
    /// What it came with is no deadline, or are no labels: it was not begun.
    Malformed(Malformed),
}

impl Deadline<After> {
    /// Gives each request so much time, 1 µs to a day, and no more than its surroundings have.
    ///
    /// # Errors
    /// When the time is out of its range: in no time at all, every request would be refused.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll_tower::Deadline;
    /// let refused = Deadline::after(Duration::ZERO).unwrap_err();
    /// assert_eq!(refused.to_string(), "deadline: after is 0ns, allowed is 1 µs to a day");
    /// ```
    pub fn after(time: Duration) -> Result<Self, Invalid> {
        if !(Duration::from_micros(1)..=Duration::from_secs(86_400)).contains(&time) {
            return Err(Invalid::new(
                Name::new("deadline")?,
                "after",
                format_args!("{time:?}"),
                "1 µs to a day",
            ));
        }
        Ok(Self { scope_for: After(time), refuse: IntoError })
    }
}

impl<F> Deadline<F> {
    /// Runs each request in the scope that `scope_for` makes for it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::scope::{self, Scope};
    /// use plimsoll_tower::{Deadline, DeadlineRefused};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let layer = Deadline::by(|tenant: &&str| Ok(Scope::new().label("tenant", tenant)));
    /// let labels = service_fn(async |_: &str| Ok::<_, DeadlineRefused>(scope::current().label_value("tenant").map(str::to_owned)));
    /// let service = ServiceBuilder::new().layer(layer).service(labels);
    /// assert_eq!(service.oneshot("acme").await?.as_deref(), Some("acme"));
    /// # Ok(()) }
    /// ```
    pub const fn by<Request>(scope_for: F) -> Self
    where
        F: Fn(&Request) -> Result<Scope, Malformed>,
    {
        Self { scope_for, refuse: IntoError }
    }
}

impl<F, R> Deadline<F, R> {
    /// Answers with a response what is refused or ended, for services that cannot fail.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll_tower::{Deadline, DeadlineRefused};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// let layer = Deadline::after(Duration::from_millis(1))?.on_refused(|why| match why {
    ///     DeadlineRefused::Ended(_) => 504,
    ///     _ => 400,
    /// });
    /// let stuck = service_fn(async |_: ()| std::future::pending::<Result<u16, Infallible>>().await);
    /// assert_eq!(ServiceBuilder::new().layer(layer).service(stuck).oneshot(()).await, Ok(504));
    /// # Ok(()) }
    /// ```
    pub fn on_refused<Response, A: Fn(DeadlineRefused) -> Response>(
        self,
        answer: A,
    ) -> Deadline<F, Answer<A>> {
        Deadline { scope_for: self.scope_for, refuse: Answer(answer) }
    }
}

/// Makes the scope of a request.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::scope::{Scope, header::Malformed};
/// use plimsoll_tower::{Deadline, ScopeFor};
///
/// struct Request { millis: u64 }
///
/// struct AsAsked;
///
/// impl ScopeFor<Request> for AsAsked {
///     fn scope_for(&self, request: &Request) -> Result<Scope, Malformed> {
///         Ok(Scope::new().deadline_in(Duration::from_millis(request.millis)))
///     }
/// }
/// let scope = AsAsked.scope_for(&Request { millis: 800 })?;
/// assert!(scope.remaining() <= Some(Duration::from_millis(800)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ScopeFor<Request> {
    /// The scope for `request`.
    ///
    /// # Errors
    /// When what the request came with is not well formed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::{Scope, header::Malformed};
    /// use plimsoll_tower::ScopeFor;
    /// struct ByTenant;
    /// impl ScopeFor<&str> for ByTenant {
    ///     fn scope_for(&self, tenant: &&str) -> Result<Scope, Malformed> {
    ///         Ok(Scope::new().label("tenant", tenant).deadline_in(Duration::from_secs(2)))
    ///     }
    /// }
    /// assert_eq!(ByTenant.scope_for(&"acme")?.label_value("tenant"), Some("acme"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn scope_for(&self, request: &Request) -> Result<Scope, Malformed>;
}

/// The same time for every request; see [`Deadline::after`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll_tower::{After, Deadline};
/// let layer: Deadline<After> = Deadline::after(Duration::from_secs(2))?;
/// # let _ = layer;
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct After(Duration);

impl<Request> ScopeFor<Request> for After {
    fn scope_for(&self, _: &Request) -> Result<Scope, Malformed> {
        Ok(Scope::new().deadline_in(self.0))
    }
}

impl<Request, F: Fn(&Request) -> Result<Scope, Malformed>> ScopeFor<Request> for F {
    fn scope_for(&self, request: &Request) -> Result<Scope, Malformed> {
        self(request)
    }
}

impl<S, F: Clone, R: Clone> Layer<S> for Deadline<F, R> {
    type Service = DeadlineService<S, F, R>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, deadline: self.clone() }
    }
}

/// A service behind a [`Deadline`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll_tower::{Deadline, DeadlineRefused, DeadlineService};
/// use tower::{Layer, ServiceExt, service_fn};
/// let echo = service_fn(async |n: u32| Ok::<_, DeadlineRefused>(n));
/// let service: DeadlineService<_, _, _> = Deadline::after(Duration::from_secs(2))?.layer(echo);
/// assert_eq!(service.oneshot(7).await, Ok(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct DeadlineService<S, F, R> {
    inner: S,
    deadline: Deadline<F, R>,
}

impl<S, Request, F, R> Service<Request> for DeadlineService<S, F, R>
where
    S: Service<Request> + Clone,
    F: ScopeFor<Request>,
    R: Refuse<DeadlineRefused, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S, Request, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (run, malformed) = match self.deadline.scope_for.scope_for(&request) {
            // The service is called inside of the scope as well.
            Ok(scope) => (Some(scope.run(Call::new(take_ready(&mut self.inner), request))), None),
            Err(malformed) => (None, Some(malformed)),
        };
        DeadlineFuture { run, malformed, refuse: self.deadline.refuse.clone() }
    }
}

pin_project! {
    /// The response of a [`DeadlineService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::scope::Scope;
    /// use plimsoll_tower::{Deadline, DeadlineFuture, DeadlineRefused};
    /// use tower::{Layer, Service, service_fn};
    /// let late = Deadline::by(|_: &u32| Ok(Scope::new().deadline_in(Duration::ZERO)));
    /// let mut service = late.layer(service_fn(async |n: u32| Ok::<_, DeadlineRefused>(n)));
    /// let response: DeadlineFuture<_, _, _> = service.call(7);
    /// assert!(response.await.is_err()); // its time had passed before it began
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<S, Request, R>
    where
        S: Service<Request>,
    {
        #[pin]
        run: Option<Run<Call<S, Request>>>,
        malformed: Option<Malformed>,
        refuse: R,
    }
}

impl<S, Request, R> Future for DeadlineFuture<S, Request, R>
where
    S: Service<Request>,
    R: Refuse<DeadlineRefused, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let refused = match (this.run.as_pin_mut(), this.malformed.take()) {
            (Some(run), _) => match ready!(run.poll(cx)) {
                Ok(result) => return Poll::Ready(result),
                Err(ended) => DeadlineRefused::Ended(ended),
            },
            (None, Some(malformed)) => DeadlineRefused::Malformed(malformed),
            (None, None) => panic!("polled after it was done"),
        };
        Poll::Ready(this.refuse.refuse(refused))
    }
}

impl fmt::Display for DeadlineRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl Error for DeadlineRefused {}
