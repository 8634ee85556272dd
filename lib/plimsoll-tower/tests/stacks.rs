//! The layers as other people's stacks use them: boxed, shared between threads, spawned, in a router,
//! around requests that are no clones.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use futures_util::{StreamExt, stream};
use plimsoll::breaker::{self, State};
use plimsoll::downstream::{self, Downstream, LastGood};
use plimsoll::hedge;
use plimsoll::rate::Quota;
use plimsoll::retry::{self, Decision};
use plimsoll::scope::{self, Scope};
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use plimsoll::singleflight::Singleflight;
use plimsoll::{Invalid, Outcome};
use plimsoll_tower::{Admit, CallCounter, Coalesce, Deadline, DownstreamExt, FanOutFactor, Hedge, Retry};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Boxes it, and calls it from a task of its own.
async fn boxed_and_spawned<S>(service: S) -> S::Response
where
    S: Service<u32> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: std::fmt::Debug + Send + 'static,
{
    let service = BoxCloneSyncService::new(service);
    let task = async move { service.clone().oneshot(7).await.expect("it answers") };
    tokio::task::JoinSet::from_iter([task]).join_next().await.expect("one task").expect("it ends")
}

fn retries() -> retry::Policy {
    retry::Policy::exponential(Duration::from_millis(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layer_makes_a_service_that_can_be_boxed_shared_and_spawned() -> Result<(), Invalid> {
    let client = || service_fn(async |sku: u32| Ok::<_, BoxError>(sku));
    let shared = service_fn(async |sku: u32| Ok::<_, Arc<str>>(sku));
    let flights = Singleflight::builder("stacks-test-flights").build()?;
    let decide = |_: &Result<u32, BoxError>| Decision::GiveUp;
    let copy = |sku: &u32| Some(*sku);
    let inventory = Downstream::unnamed().concurrency(1).fallback(LastGood::new()).build()?;
    let answers = [
        boxed_and_spawned(Admit::rejecting(Semaphore::new(1)?).layer(client())).await,
        boxed_and_spawned(Admit::waiting(Semaphore::new(1)?).layer(client())).await,
        boxed_and_spawned(Retry::new(retries(), decide, copy)?.layer(client())).await,
        boxed_and_spawned(Hedge::new(hedge::Hedge::new(hedge::Policy::fixed(SECOND))?, copy).layer(client()))
            .await,
        boxed_and_spawned(Deadline::after(SECOND)?.layer(client())).await,
        boxed_and_spawned(FanOutFactor::builder("stacks-test-fan-out").build()?.layer(client())).await,
        boxed_and_spawned(CallCounter::new().layer(client())).await,
        boxed_and_spawned(Coalesce::new(flights, copy).on_refused(|_| 0).layer(shared)).await,
        boxed_and_spawned(inventory.layer().layer(client())).await,
        boxed_and_spawned(inventory.layer_once().layer(client())).await,
    ];
    assert_eq!(answers, [7; 10]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dependency_with_all_its_bounds_is_a_layer() -> Result<(), Invalid> {
    let retries = retry::Budget::builder("inventory retries").build()?;
    let client = service_fn(async |sku: u32| Ok::<_, BoxError>(sku));

    let inventory = Downstream::builder("inventory")
        .timeout(Duration::from_millis(250))
        .concurrency(50)
        .rate(Quota::per_second(100).burst(20))
        .breaker(breaker::Policy::ratio(0.5).calls_min(20).window(Duration::from_secs(10)))
        .retry(retry::Policy::exponential(Duration::from_millis(50)).attempts(3).budget(&retries))
        .build()?;
    let service = ServiceBuilder::new().layer(inventory.layer()).service(client);

    assert_eq!(boxed_and_spawned(service).await, 7);
    Ok(())
}

/// An answer instead of an error, for a router's services cannot fail.
async fn unanswered(error: downstream::Error<Infallible>) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

#[tokio::test]
async fn a_router_takes_every_layer_around_requests_that_are_no_clones() -> Result<(), Invalid> {
    let places = Semaphore::new(1)?;
    let refuse = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    let never_again = |_: &Request| None::<Request>;
    let judge = |answer: &Result<Response, Infallible>| match answer {
        Ok(response) if response.status().is_server_error() => Outcome::Failure,
        _ => Outcome::Success,
    };
    let stock = Downstream::unnamed()
        .breaker(breaker::Policy::ratio(0.5).calls_min(1))
        .timeout(SECOND)
        .judge(judge)
        .build()?;
    let layers = ServiceBuilder::new()
        .layer(FanOutFactor::builder("stacks-test-router").build()?)
        .layer(Deadline::after(SECOND)?.on_refused(move |why| refuse(why.to_string())))
        .layer(Admit::rejecting(places.clone()).on_rejected(move |why| refuse(why.to_string())))
        .layer(Retry::new(retries(), |_: &Result<Response, Infallible>| Decision::GiveUp, never_again)?)
        .layer(Hedge::new(hedge::Hedge::new(hedge::Policy::fixed(SECOND))?, never_again))
        .layer(CallCounter::new().on_rejected(move |why| refuse(why.to_string())))
        .layer(HandleErrorLayer::new(unanswered))
        .layer(stock.layer_once());
    let router = Router::new()
        .route(
            "/stock",
            get(async || if scope::current().remaining().is_some() { "7" } else { "no deadline" }),
        )
        .route("/down", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .layer(layers);
    let ask = |path| router.clone().oneshot(Request::get(path).body(Body::empty()).expect("a request"));
    let status = |answer: Result<Response, Infallible>| answer.map(|response| response.status().as_u16());

    let answer = ask("/stock").await.expect("an answer");
    assert_eq!(axum::body::to_bytes(answer.into_body(), 16).await.expect("a body"), "7");
    let held = places.try_acquire().expect("nobody else is there");
    assert_eq!(status(ask("/stock").await), Ok(503));
    drop(held);
    assert_eq!(status(ask("/down").await), Ok(500));
    assert_eq!(stock.breaker().expect("it has one").state(), State::Open, "half of two");
    assert_eq!(status(ask("/stock").await), Ok(503));
    assert_eq!(places.in_use(), 0);
    Ok(())
}

/// A body that keeps its place until it has ended or is dropped.
fn kept(response: Response, place: OwnedPermit) -> Response {
    let mut place = Some(place);
    response.map(|body| {
        let end = stream::poll_fn(move |_| {
            drop(place.take());
            Poll::Ready(None)
        });
        Body::from_stream(body.into_data_stream().chain(end))
    })
}

#[tokio::test]
async fn a_place_is_free_again_only_when_the_body_has_ended_or_is_dropped() -> Result<(), Invalid> {
    let places = Semaphore::new(1)?;
    let layer = Admit::rejecting(places.clone())
        .on_rejected(|why| (StatusCode::SERVICE_UNAVAILABLE, why.to_string()).into_response())
        .hold(kept);
    let chunks = async || Body::from_stream(stream::iter(["7", "8"].map(Ok::<_, Infallible>)));
    let router = Router::new().route("/chunks", get(chunks)).layer(layer);
    let ask = || router.clone().oneshot(Request::get("/chunks").body(Body::empty()).expect("a request"));

    let response = ask().await.expect("it does not fail");
    assert_eq!((response.status(), places.in_use()), (StatusCode::OK, 1), "its head is there");
    let mut body = response.into_body().into_data_stream();
    for chunk in ["7", "8"] {
        assert_eq!(body.next().await.expect("a chunk").expect("it does not fail"), chunk);
        assert_eq!(places.in_use(), 1);
        assert_eq!(ask().await.expect("an answer").status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(body.next().await.is_none());
    assert_eq!(places.in_use(), 0, "the body has ended");

    let response = ask().await.expect("it does not fail");
    assert_eq!((response.status(), places.in_use()), (StatusCode::OK, 1));
    drop(response);
    assert_eq!(places.in_use(), 0, "its reader has gone");
    Ok(())
}

#[tokio::test]
async fn tower_buffer_loses_the_scope_of_its_caller_unless_the_request_brings_it() -> Result<(), BoxError> {
    // When it is called, not when its future is polled: that is left to the caller.
    let seen = service_fn(|_: u32| {
        let scope = scope::current();
        ready(Ok::<_, BoxError>((scope.label_value("tenant").map(str::to_owned), scope.deadline())))
    });
    let given = Scope::root().label("tenant", "acme").deadline_in(SECOND);
    let outer = given.clone();
    let deadline = Deadline::by(move |_: &u32| Ok(outer.clone()));

    let above = ServiceBuilder::new().layer(deadline.clone()).buffer(1).service(seen);
    assert_eq!(above.oneshot(7).await?, (None, None), "the worker's own scope");

    let brought = ServiceBuilder::new()
        .layer(deadline)
        .map_request(|request: u32| (scope::current(), request))
        .buffer(1)
        .layer(Deadline::by(|(scope, _): &(Scope, u32)| Ok(scope.clone())))
        .map_request(|(_, request): (Scope, u32)| request)
        .service(seen);
    assert_eq!(brought.oneshot(7).await?, (Some("acme".to_owned()), given.deadline()));
    Ok(())
}
