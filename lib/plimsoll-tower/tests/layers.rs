//! What every layer keeps to, and what goes wrong elsewhere.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::downstream::{self, Downstream};
use plimsoll::rate::{Quota, RateLimiter};
use plimsoll::retry::{Budget, Decision, Policy};
use plimsoll::scope::{self, Scope};
use plimsoll::semaphore::Semaphore;
use plimsoll::singleflight::Singleflight;
use plimsoll::{Outcome, Reason, Rejected, breaker, group::Group, hedge};
use plimsoll_tower::{
    Admit, CallCounter, Coalesce, Deadline, DeadlineRefused, DownstreamExt, FanOutFactor, Hedge, Retry,
};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Panics when it is called without having been ready; counts what it reserves while it is ready.
#[derive(Default)]
struct Strict {
    ready: bool,
    reserved: Rc<Cell<u32>>,
    calls: Rc<Cell<u32>>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, reserved: Rc::clone(&self.reserved), calls: Rc::clone(&self.calls) }
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.reserved.set(self.reserved.get() - u32::from(self.ready));
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u32, BoxError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.reserved.set(self.reserved.get() + u32::from(!self.ready));
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called a service that was never ready");
        self.reserved.set(self.reserved.get() - 1);
        self.calls.set(self.calls.get() + 1);
        let fails = request > self.calls.get();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if fails { Err("not yet".into()) } else { Ok(request) }
        })
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<S: Service<u32, Error = BoxError>>(service: &mut S) {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))));
}

fn retries(attempts: u32) -> Policy {
    Policy::exponential(SECOND).jitter_ratio(0.0).attempts(attempts)
}

fn every_error<T, E>(result: &Result<T, E>) -> Decision {
    if result.is_ok() { Decision::GiveUp } else { Decision::Retry }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that a layer asks for")]
fn copy(request: &u32) -> Option<u32> {
    Some(*request)
}

/// Sends two requests through a layer around [`Strict`], from clones and from one service.
async fn keeps_the_contract<L>(layer: L)
where
    L: Layer<Strict>,
    L::Service: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let strict = Strict::default();
    let (reserved, calls) = (Rc::clone(&strict.reserved), Rc::clone(&strict.calls));
    let mut service = layer.layer(strict);
    ready(&mut service);
    let first = service.call(1);
    ready(&mut service);
    let second = service.call(1);
    assert!(matches!((first.await, second.await), (Ok(1), Ok(1))));
    let clone = service.clone();
    assert!(matches!(clone.oneshot(1).await, Ok(1)));
    assert_eq!(calls.get(), 3);
    // A response that is dropped gives back what the service within had reserved.
    ready(&mut service);
    drop(service.call(1));
    drop(service);
    assert_eq!(reserved.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_286_293_no_layer_calls_a_clone_that_was_never_ready() {
    let flights = |name| Singleflight::<u32, u32, Arc<str>>::builder(name).build().unwrap();
    keeps_the_contract(Admit::rejecting(Semaphore::new(2).unwrap())).await;
    keeps_the_contract(Admit::waiting(Semaphore::new(1).unwrap())).await;
    keeps_the_contract(Retry::new(retries(3), every_error::<u32, BoxError>, copy).unwrap()).await;
    keeps_the_contract(Deadline::after(SECOND).unwrap()).await;
    keeps_the_contract(FanOutFactor::builder("layers-test-contract").build().unwrap()).await;
    keeps_the_contract(CallCounter::new()).await;

    // The service within may be no more than these ask: shared errors are to be clones.
    let strict = Strict::default();
    let shared = strict.clone().map_err(|error: BoxError| Arc::<str>::from(error.to_string()));
    let layer = Coalesce::new(flights("layers-test-strict"), copy).on_refused(|_| 0);
    let mut service = layer.layer(shared);
    for _ in 0..2 {
        assert_eq!(service.ready().await.unwrap().call(1).await, Ok(1));
    }
    drop(service);
    assert_eq!((strict.reserved.get(), strict.calls.get()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn each_retry_waits_for_its_own_readiness_and_is_the_last_when_it_succeeds() {
    let strict = Strict::default();
    let calls = Rc::clone(&strict.calls);
    let budget = Budget::new(0.5, 10).unwrap();
    let layer = Retry::new(retries(9).budget(&budget), every_error::<u32, BoxError>, copy).unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(layer.layer(strict).oneshot(4).await.unwrap(), 4);
    assert_eq!((calls.get(), begun.elapsed()), (4, 7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_not_held_while_a_retry_sleeps_and_what_cannot_be_copied_is_not_retried() {
    let places = Semaphore::new(1).unwrap();
    let stack = |copy: fn(&u32) -> Option<u32>| {
        ServiceBuilder::new()
            .layer(Retry::new(retries(3), every_error::<u32, BoxError>, copy).unwrap())
            .layer(Admit::rejecting(places.clone()))
            .service(service_fn(async |_: u32| {
                tokio::task::yield_now().await;
                Err::<u32, BoxError>("down".into())
            }))
    };
    let mut running = Box::pin(stack(copy).oneshot(1));
    assert!(poll(&mut running).is_pending());
    assert_eq!(places.in_use(), 1);
    assert!(poll(&mut running).is_pending());
    assert_eq!(places.in_use(), 0, "it sleeps");
    drop(running);
    let begun = tokio::time::Instant::now();
    assert!(stack(|_| None).oneshot(1).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn tower_408_being_ready_reserves_nothing() {
    let places = Semaphore::new(1).unwrap();
    let nothing = service_fn(async |request: u32| Ok::<_, BoxError>(request));
    let service = ServiceBuilder::new().layer(Admit::rejecting(places.clone())).service(nothing);
    let mut clones: Vec<_> = (0..10).map(|_| service.clone()).collect();
    clones.iter_mut().for_each(ready);
    assert_eq!(places.in_use(), 0);
    assert_eq!(clones[9].call(9).await.unwrap(), 9, "though nine others are ready, and will never be called");
}

#[tokio::test]
async fn tower_547_a_service_that_was_ready_can_be_cloned_and_the_clone_called() {
    // tower's own bounds, which do reserve, below ours: the reserved place is the one that is used.
    let inner = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(service_fn(async |request: u32| Ok::<_, BoxError>(request)));
    let admit = Admit::waiting(Semaphore::new(4).unwrap());
    let mut service =
        ServiceBuilder::new().layer(Deadline::after(SECOND).unwrap()).layer(admit).service(inner);
    for request in 0..4 {
        ready(&mut service);
        let clone = service.clone();
        assert_eq!(service.call(request).await.unwrap(), request);
        drop(clone);
    }
}

#[tokio::test]
async fn axum_2582_two_connections_share_one_limit() {
    let places = Semaphore::builder("layers-test-2582").limit(1).build().unwrap();
    // Made once, and cloned for each connection, as servers do; or layered for each route.
    let layer = Admit::rejecting(places.clone());
    let never = service_fn(async |_: u32| pending::<Result<u32, BoxError>>().await);
    let connection = layer.clone().layer(never);
    let mut first = Box::pin(connection.clone().oneshot(1));
    assert!(poll(&mut first).is_pending());
    for other in [connection.clone().oneshot(2), layer.layer(never).oneshot(2)] {
        let refused = other.await.unwrap_err();
        assert_eq!(refused.downcast::<Rejected>().unwrap().reason(), Reason::Full);
    }
    drop(first);
    assert_eq!(places.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_response_at_every_await_leaves_no_permit_behind() {
    let places = Semaphore::new(1).unwrap();
    let fan_out = FanOutFactor::builder("layers-test-drop").build().unwrap();
    let hedging = hedge::Hedge::new(hedge::Policy::fixed(SECOND)).unwrap();
    let slow = service_fn(async |request: u32| {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        Ok::<_, BoxError>(request)
    });
    let service = ServiceBuilder::new()
        .layer(fan_out.clone())
        .layer(Deadline::after(60 * SECOND).unwrap())
        .layer(Retry::new(retries(2), every_error::<u32, BoxError>, copy).unwrap())
        .layer(Hedge::new(hedging, copy))
        .layer(Admit::waiting(places.clone()))
        .layer(CallCounter::new())
        .service(slow);
    for (polls, blocked) in (0..8).flat_map(|polls| [(polls, false), (polls, true)]) {
        let held = blocked.then(|| places.try_acquire().unwrap());
        let mut response = Box::pin(service.clone().oneshot(7));
        let done = (0..polls).any(|_| poll(&mut response).is_ready());
        assert_eq!(done, polls > 3 && !blocked, "{polls} {blocked}");
        drop(response);
        drop(held);
        assert_eq!((places.in_use(), places.waiting(), fan_out.snapshot().in_use), (0, 0, 0), "{polls}");
    }
}

#[tokio::test]
async fn a_breaker_learns_from_the_results_that_pass_its_layer() {
    let policy = breaker::Policy::ratio(0.5).calls_min(2);
    let breaker = breaker::Breaker::builder("layers-test-breaker").policy(policy).build().unwrap();
    let layer = Admit::rejecting(breaker.clone()).on_done(
        |permit: breaker::OwnedPermit, result: &Result<u32, BoxError>| permit.finish(Outcome::of(result)),
    );
    let down = layer.layer(service_fn(async |_: u32| Err::<u32, BoxError>("down".into())));
    for _ in 0..2 {
        assert_eq!(down.clone().oneshot(1).await.unwrap_err().to_string(), "down");
    }
    let refused = down.oneshot(1).await.unwrap_err().downcast::<Rejected>().unwrap();
    assert_eq!(refused.reason(), Reason::BreakerOpen);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_waited_for_in_order() {
    let layer = Admit::waiting(RateLimiter::new(Quota::per_second(1)).unwrap());
    let service = layer.layer(service_fn(async |_: u32| Ok::<_, BoxError>(tokio::time::Instant::now())));
    let begun = tokio::time::Instant::now();
    let (first, second, third) =
        tokio::join!(service.clone().oneshot(1), service.clone().oneshot(2), service.oneshot(3));
    let after = [first, second, third].map(|at| at.unwrap() - begun);
    assert_eq!(after, [Duration::ZERO, SECOND, 2 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_reaches_the_tasks_that_a_request_starts() {
    let work = service_fn(async |_: u32| {
        let mut group = Group::builder("layers-test-children").limit(2).build().expect("valid");
        group.spawn(async { Ok::<_, BoxError>(scope::current().remaining()) }).await;
        group.join().await.map(|remaining| remaining[0]).map_err(|error| BoxError::from(error.to_string()))
    });
    let layer = Deadline::by(|_: &u32| Ok(Scope::new().deadline_in(5 * SECOND).label("tenant", "acme")));
    assert_eq!(layer.layer(work).oneshot(1).await.unwrap(), Some(5 * SECOND));

    let never = service_fn(async |_: u32| pending::<Result<(), BoxError>>().await);
    let ended = Deadline::after(SECOND).unwrap().layer(never).oneshot(1).await.unwrap_err();
    let ended = *ended.downcast::<DeadlineRefused>().unwrap();
    assert_eq!(ended, DeadlineRefused::Ended(scope::Ended::DeadlinePassed));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_late_is_sent_again_and_the_loser_dropped() {
    let hedging = hedge::Hedge::new(hedge::Policy::fixed(SECOND)).unwrap();
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let service = Hedge::new(hedging, copy).layer(service_fn(move |_: u32| {
        let slow = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            tokio::time::sleep(if slow { 60 * SECOND } else { SECOND }).await;
            Ok::<_, BoxError>(slow)
        }
    }));
    let begun = tokio::time::Instant::now();
    assert!(!service.oneshot(1).await.unwrap());
    assert_eq!((begun.elapsed(), tries.load(Ordering::SeqCst)), (2 * SECOND, 2));
}

#[tokio::test(start_paused = true)]
async fn a_downstream_retries_through_its_layer_within_its_bounds() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let client = service_fn(move |request: u32| {
        let fails = count.fetch_add(1, Ordering::SeqCst) < 2;
        async move { if fails { Err("down") } else { Ok(request) } }
    });
    let inventory = Downstream::unnamed().concurrency(1).timeout(SECOND).retry(retries(3)).build().unwrap();
    let service = ServiceBuilder::new().layer(inventory.layer()).service(client);
    assert!(matches!(service.clone().oneshot(7).await, Ok(7)));
    assert_eq!(tries.load(Ordering::SeqCst), 3);

    let busy = inventory.concurrency().unwrap().try_acquire().unwrap();
    let refused = service.oneshot(7).await.unwrap_err();
    assert!(matches!(&refused, downstream::Error::Rejected(rejected) if rejected.in_use() == 1), "{refused}");
    drop(busy);
}

#[tokio::test]
async fn a_cancelled_request_hands_over_to_one_that_was_coalesced_with_it() {
    let flights = Singleflight::builder("layers-test-coalesce").build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let inner = service_fn(move |request: u32| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            Ok::<_, Arc<str>>(request)
        }
    });
    let keyed = |request: &u32| (*request > 0).then_some(*request);
    let service = Coalesce::new(flights.clone(), keyed).on_refused(|_| 0).layer(inner);
    let mut leader = Box::pin(service.clone().oneshot(7));
    let mut follower = Box::pin(service.clone().oneshot(7));
    assert!(poll(&mut leader).is_pending() && poll(&mut follower).is_pending());
    drop(leader);
    assert_eq!(follower.await, Ok(7));
    let apart = tokio::join!(service.clone().oneshot(0), service.oneshot(0));
    assert_eq!((apart, calls.load(Ordering::SeqCst)), ((Ok(0), Ok(0)), 4));
    assert_eq!((flights.snapshot().in_use, flights.snapshot().admitted), (0, 2));
}

#[tokio::test]
async fn the_calls_of_each_request_are_counted_and_none_outside_of_one() {
    let fan_out = FanOutFactor::builder("layers-test-fan-out").max(100).build().unwrap();
    let client = CallCounter::new().layer(service_fn(async |request: u32| Ok::<_, BoxError>(request)));
    let inner = client.clone();
    let server = fan_out.clone().layer(service_fn(move |calls: u32| {
        let client = inner.clone();
        async move {
            let mut group = Group::builder("layers-test-calls").limit(8).build().expect("valid");
            for call in 0..calls {
                group.spawn(client.clone().oneshot(call)).await;
            }
            group.join().await.map(|_| calls).map_err(|error| BoxError::from(error.to_string()))
        }
    }));
    for calls in 1..=100 {
        assert_eq!(server.clone().oneshot(calls).await.unwrap(), calls);
    }
    assert!(client.oneshot(1).await.is_ok());
    let refused = server.oneshot(101).await.unwrap_err().to_string();
    assert!(refused.contains("the limit of 100"), "{refused}");
    let seen = fan_out.snapshot();
    assert_eq!(seen.details, [("requests", 101), ("p50", 51), ("p99", 100), ("max", 100)]);
    assert_eq!((seen.admitted, seen.rejected, seen.in_use), (5_150, 1, 0), "calls, not requests");
    for refused in [0, 1_000_001] {
        let built = FanOutFactor::builder("layers-test-fan-out").max(refused).build();
        assert_eq!(built.unwrap_err().field(), "max");
    }
}

#[tokio::test]
async fn tower_buffer_clones_work_below_an_admission_that_refuses() {
    let places = Semaphore::new(1).unwrap();
    let inner = service_fn(async |request: u32| Ok::<_, BoxError>(request));
    let service = ServiceBuilder::new().layer(Admit::rejecting(places.clone())).buffer(1).service(inner);
    // Each refused request has found the buffer ready, and must not keep the place it got there.
    let held = places.try_acquire().unwrap();
    for request in 0..10 {
        assert!(service.clone().oneshot(request).await.is_err());
    }
    drop(held);
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}
