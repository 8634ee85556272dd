//! Plimsoll's bounds as tower layers, for axum, tonic, hyper and whatever else is a tower service.
//!
//! ```
//! use plimsoll::{Rejected, semaphore::Semaphore};
//! use plimsoll_tower::Admit;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let admission = Admit::rejecting(Semaphore::builder("requests").limit(1).build()?);
//! let slow = service_fn(async |request: u32| {
//!     tokio::task::yield_now().await;
//!     Ok::<_, Rejected>(request)
//! });
//! let service = ServiceBuilder::new().layer(admission).service(slow);
//! // A clone has the same bound, as a second connection has.
//! let (first, second) = (service.clone().oneshot(1), service.oneshot(2));
//! let (first, second) = tokio::join!(first, second);
//! assert_eq!(first, Ok(1));
//! assert_eq!(second.unwrap_err().to_string(), "requests: 1 of 1 in use, 0 waiting");
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | a limiter of any kind before a service, one for all or one for each key | [`Admit`] |
//! | all bounds of one dependency, in the right order | [`DownstreamExt::layer`], or [`layer_once`](DownstreamExt::layer_once) for requests that are no clones |
//! | labels and a deadline for all that a request does | [`Deadline`] |
//! | equal requests at the same time to be one | [`Coalesce`] |
//! | to know, and to bound, how many calls one request makes | [`FanOutFactor`] |
//! | only to try again | [`Retry`] |
//! | only a second try when the first is late | [`Hedge`] |
//!
//! # What all of them keep to
//!
//! - **Nothing is reserved in `poll_ready`**, which cannot be undone: it only asks the service within.
//!   Admission is decided when a request is there.
//! - **All clones share one state**: that of the limiter that the layer holds. A server that clones its
//!   service for each connection has one limit, not one for each.
//! - **What was ready is what is called**: the clone that stays behind is asked again before it is used.
//! - A permit is held until the response is there: its head, where the body is streamed. [`Admit::hold`]
//!   keeps it to the end of the body.
//!
//! # What a task in between loses
//!
//! Labels and the deadline of a [`Deadline`], and the counts of a [`FanOutFactor`], are in the
//! [scope](plimsoll::scope) of the task that has the request. tower's `Buffer` calls the service below it
//! from a task of its own, and hands back the response's future to be polled by the caller: an async
//! function below it still runs in the caller's scope, but what reads the scope when it is *called* finds
//! none. Of these layers that are [`CallCounter`], which counts nothing there, the closures of [`Admit`],
//! and a second [`Deadline`], which the first no longer shortens. Anything that runs the request in a
//! worker loses the scope altogether.
//!
//! Put `Buffer` at the bottom, or leave it out: these layers are clones without it. Where there must be one
//! in between, bring the scope along with the request, and enter it below:
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::scope::{self, Scope};
//! use plimsoll_tower::Deadline;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! // Reads it when it is called, not when its future is polled.
//! let below = service_fn(|_: ()| {
//!     std::future::ready(Ok::<_, BoxError>(scope::current().remaining().is_some()))
//! });
//! let lost = ServiceBuilder::new().layer(Deadline::after(Duration::from_secs(1))?).buffer(16).service(below);
//! assert_eq!(lost.oneshot(()).await?, false);
//!
//! let kept = ServiceBuilder::new()
//!     .layer(Deadline::after(Duration::from_secs(1))?)
//!     .map_request(|request: ()| (scope::current(), request))
//!     .buffer(16)
//!     .layer(Deadline::by(|(scope, _): &(Scope, ())| Ok(scope.clone())))
//!     .map_request(|(_, request): (Scope, ())| request)
//!     .service(below);
//! assert_eq!(kept.oneshot(()).await?, true);
//! # Ok::<(), BoxError>(()) }).unwrap();
//! ```
//!
//! # What a refusal becomes
//!
//! A layer that can refuse makes an error of why, when the service's error type has a
//! [`From`] for it (a `Box<dyn Error + Send + Sync>` has); or a response, by a closure, where a
//! service cannot fail, as in axum and in tonic's server: see [`Refuse`].
//!
//! # Cost
//!
//! The futures are named types within one another. [`Hedge`], a [`DownstreamExt::layer`] and
//! [`Admit::waiting`] make one allocation for each request (not one for each bound); the others none.
//! Their futures are those of async functions of the library, which have no name on stable Rust, and a
//! service must name its future. [`Admit::waiting_by`], which is generic over the future, makes none, nor
//! do the library's own [`Downstream::call`](plimsoll::downstream::Downstream::call) and
//! [`Hedge::call`](plimsoll::hedge::Hedge::call).

mod acquire;
mod admit;
mod call;
mod coalesce;
mod deadline;
mod downstream;
mod fan_out;
mod finish;
mod hedge;
mod refuse;
mod retry;

pub use acquire::{Acquire, Begin, Line, Now, Reject};
pub use admit::{Admit, AdmitFuture, AdmitService};
pub use call::Call;
pub use coalesce::{Coalesce, CoalesceFuture, CoalesceService};
pub use deadline::{After, Deadline, DeadlineFuture, DeadlineRefused, DeadlineService, ScopeFor};
pub use downstream::{DownstreamExt, DownstreamFuture, DownstreamLayer, DownstreamService, Often, Once};
pub use fan_out::{
    CallCounter, CallCounterFuture, CallCounterService, FanOutBuilder, FanOutFactor, FanOutFuture,
    FanOutService,
};
pub use finish::{Dropped, Finish, Hold, Told};
pub use hedge::{Hedge, HedgeFuture, HedgeService};
pub use refuse::{Answer, IntoError, Refuse};
pub use retry::{Retry, RetryFuture, RetryService};
