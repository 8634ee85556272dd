use std::cell::Cell;
use std::future::{Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::advance;

use super::*;
use crate::scope::{self, Scope};
use crate::{Reason, registry};

const SECOND: Duration = Duration::from_secs(1);

type Flights = Singleflight<u32, u32, &'static str>;

fn flights(name: &str) -> Flights {
    Singleflight::builder(name).build().unwrap()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn nothing_is_left<K, T, E>(flights: &Singleflight<K, T, E>) -> bool
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    let seen = flights.snapshot();
    (seen.in_use, seen.waiting) == (0, 0)
}

/// Ready with `result` at the poll number `polls + 1`.
async fn after<T>(polls: u32, result: T) -> T {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
    result
}

#[tokio::test]
async fn all_who_ask_while_it_runs_share_one_call() {
    let (flights, calls) = (flights("singleflight-test-share"), Cell::new(0));
    let work = || {
        calls.set(calls.get() + 1);
        after(3, Ok(7))
    };
    let results = join_all((0..100).map(|_| flights.run(1, work))).await;
    assert!(results.iter().all(|result| *result == Ok(7)));
    assert_eq!(calls.get(), 1);
    let seen = flights.snapshot();
    assert_eq!((seen.admitted, seen.details[0], seen.in_use, seen.high_water), (1, ("shared", 99), 0, 1));
    assert_eq!(flights.run(1, work).await, Ok(7));
    assert_eq!(calls.get(), 2, "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn failures_whose_time_is_over_do_not_keep_new_ones_from_being_remembered() {
    let flights: Flights = Singleflight::builder("singleflight-test-outdated")
        .negative_for(SECOND)
        .negative_max(4)
        .build()
        .unwrap();
    let failed = |key| flights.run(key, || ready(Err("down")));
    for key in 0..4 {
        let _ = failed(key).await;
    }
    // All of these are outdated; whichever shards they are in, they make room before long.
    advance(2 * SECOND).await;
    for key in 1_000..1_064 {
        let _ = failed(key).await;
    }
    assert_eq!(flights.0.remembered_still(), 4, "as many as there is room for");
    assert_eq!(flights.0.kept(), 4);
}

#[tokio::test]
async fn keys_do_not_wait_for_each_other() {
    let flights = flights("singleflight-test-keys");
    let mut stuck = pin!(flights.run(1, pending));
    assert!(poll(stuck.as_mut()).is_pending());
    for key in 2..200 {
        assert_eq!(flights.run(key, || ready(Ok(key))).now_or_never(), Some(Ok(key)));
    }
}

#[tokio::test]
async fn tailscale_18919_a_cancelled_leader_does_not_poison_later_callers() {
    let flights = flights("singleflight-test-18919");
    let follower_key = 1;
    let mut follower;
    {
        let mut leader = Box::pin(flights.run(1, pending));
        assert!(poll(leader.as_mut()).is_pending());
        follower = Box::pin(flights.run(follower_key, || ready(Ok(8))));
        assert!(poll(follower.as_mut()).is_pending());
    }
    // Neither the one who waited, nor one who comes later, hears of the cancellation.
    assert_eq!(follower.await, Ok(8));
    assert_eq!(flights.run(1, || ready(Ok(9))).await, Ok(9));
    assert_eq!(flights.snapshot().details[1], ("taken_over", 1));
    assert!(nothing_is_left(&flights));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_deadline_passes_hands_over_to_one_with_more_time() {
    let flights = flights("singleflight-test-deadline");
    let slow = || async {
        tokio::time::sleep(5 * SECOND).await;
        Ok(scope::current().remaining().unwrap().as_secs() as u32)
    };
    let hasty = Scope::new().deadline_in(SECOND).run(flights.run(1, slow));
    let patient = Scope::new().deadline_in(60 * SECOND).run(flights.run(1, slow));
    let (hasty, patient) = tokio::join!(hasty, patient);
    assert_eq!(hasty, Err(scope::Ended::DeadlinePassed));
    assert_eq!(patient, Ok(Ok(54)), "begun again after a second, in the scope of who runs it");
}

#[tokio::test]
async fn the_work_of_a_cancelled_leader_is_dropped_before_another_begins() {
    struct Alone<'a>(&'a Cell<u32>);
    impl Drop for Alone<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let (flights, running) = (flights("singleflight-test-overlap"), Cell::new(0));
    let work = || {
        running.set(running.get() + 1);
        let alone = Alone(&running);
        async move {
            let alone = alone;
            assert_eq!(alone.0.get(), 1);
            pending().await
        }
    };
    let mut callers: Vec<_> = (0..10).map(|_| Box::pin(flights.run(1, work))).collect();
    while !callers.is_empty() {
        for caller in &mut callers {
            assert!(poll(caller.as_mut()).is_pending());
        }
        drop(callers.remove(0));
    }
    assert!(nothing_is_left(&flights));
}

#[tokio::test]
async fn dropping_leader_and_followers_at_every_await_leaves_nothing_behind() {
    let flights = flights("singleflight-test-drop");
    let work = || after(3, Ok(7));
    for (leader_polls, follower_polls) in (0..6).flat_map(|a| (0..6).map(move |b| (a, b))) {
        let mut leader = Box::pin(flights.run(1, work));
        let mut first = Box::pin(flights.run(1, work));
        let mut second = Box::pin(flights.run(1, work));
        let _ = (0..leader_polls).any(|_| poll(leader.as_mut()).is_ready());
        let _ = (0..follower_polls).any(|_| poll(first.as_mut()).is_ready());
        drop((leader, first));
        assert!((0..5).any(|_| poll(second.as_mut()).is_ready()), "{leader_polls} {follower_polls}");
        assert!(nothing_is_left(&flights), "{leader_polls} {follower_polls}");
    }
}

#[tokio::test]
async fn omicron_9259_a_follower_that_nobody_polls_does_not_hold_the_turn() {
    let flights = flights("singleflight-test-futurelock");
    let mut leader = Box::pin(flights.run(1, pending));
    let mut unpolled = Box::pin(flights.run(1, || ready(Ok(2))));
    let mut polled = Box::pin(flights.run(1, || ready(Ok(3))));
    for future in [&mut leader as &mut (dyn Future<Output = _> + Unpin), &mut unpolled, &mut polled] {
        assert!(poll(Pin::new(future)).is_pending());
    }
    drop(leader);
    assert_eq!(poll(polled.as_mut()), Poll::Ready(Ok(3)), "though the other was first in the line");
    assert_eq!(poll(unpolled.as_mut()), Poll::Ready(Ok(3)));
}

#[tokio::test]
async fn a_panic_goes_on_where_it_ran_and_reaches_all_who_wait() {
    let flights = flights("singleflight-test-panic");
    let work = || async {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new("boom"))
    };
    let mut leader = Box::pin(flights.run(1, work));
    let mut follower = Box::pin(flights.run(1, work));
    assert!(poll(leader.as_mut()).is_pending() && poll(follower.as_mut()).is_pending());
    let panic = catch_unwind(AssertUnwindSafe(|| poll(leader.as_mut()))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    let told = follower.await.unwrap_err();
    assert_eq!(told.to_string(), "the call that was shared panicked: boom");
    assert_eq!(flights.run(1, || ready(Ok(1))).await, Ok(1));
    assert!(nothing_is_left(&flights));
}

#[tokio::test]
async fn a_closure_that_panics_before_its_future_hands_nothing_broken_on() {
    let flights = flights("singleflight-test-closure");
    let work = || -> Ready<Result<u32, &'static str>> { std::panic::resume_unwind(Box::new("boom")) };
    assert!(catch_unwind(AssertUnwindSafe(|| flights.run(1, work).now_or_never())).is_err());
    assert!(nothing_is_left(&flights));
}

#[tokio::test]
async fn a_value_whose_clone_panics_is_not_lost_for_the_others() {
    struct Brittle(Arc<AtomicUsize>);
    impl Clone for Brittle {
        fn clone(&self) -> Self {
            if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                std::panic::resume_unwind(Box::new("brittle"));
            }
            Self(Arc::clone(&self.0))
        }
    }
    let flights: Singleflight<u32, Brittle, ()> =
        Singleflight::builder("singleflight-test-clone").build().unwrap();
    let work = || after(1, Ok(Brittle(Arc::new(AtomicUsize::new(1)))));
    let whole = || after(1, Ok(Brittle(Arc::new(AtomicUsize::new(100)))));
    let mut leader = Box::pin(flights.run(1, work));
    let mut follower = Box::pin(flights.run(1, whole));
    assert!(poll(leader.as_mut()).is_pending() && poll(follower.as_mut()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(leader.as_mut()))).is_err());
    assert!(follower.await.is_ok());
    assert!(nothing_is_left(&flights));
}

#[tokio::test]
async fn errors_are_shared_or_each_ones_own_as_asked() {
    let calls = Cell::new(0);
    let work = || {
        calls.set(calls.get() + 1);
        let result = if calls.get() < 4 { Err("down") } else { Ok(calls.get()) };
        after(1, result)
    };
    let shared = flights("singleflight-test-errors");
    let results = join_all((0..10).map(|_| shared.run(1, work))).await;
    assert!(results.iter().all(|result| *result == Err(Error::Inner("down"))));
    assert_eq!(calls.replace(0), 1);

    let each = Singleflight::builder("singleflight-test-each").errors(Errors::Each).build().unwrap();
    let results = join_all((0..10).map(|_| each.run(1, work))).await;
    assert_eq!(calls.get(), 4, "three failed, the fourth succeeded for all that were left");
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 3);
    assert_eq!(results.iter().filter(|result| **result == Ok(4)).count(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_remembered_for_as_long_as_said_and_a_value_is_not() {
    let flights = Singleflight::builder("singleflight-test-negative").negative_for(SECOND).build().unwrap();
    let missing = || ready(Err::<u32, _>("missing"));
    assert_eq!(flights.run(1, missing).await, Err(Error::Inner("missing")));
    advance(SECOND / 2).await;
    assert_eq!(flights.run(1, || ready(Ok(1))).await, Err(Error::Inner("missing")));
    assert_eq!(flights.run(2, || ready(Ok(2))).await, Ok(2));
    assert_eq!(flights.run(2, || ready(Ok(3))).await, Ok(3));
    advance(SECOND / 2).await;
    assert_eq!(flights.run(1, || ready(Ok(1))).await, Ok(1));
    let seen = flights.snapshot();
    assert_eq!((seen.admitted, seen.details[2]), (4, ("negative_hits", 1)));
}

#[tokio::test(start_paused = true)]
async fn no_more_errors_are_remembered_than_said() {
    let builder = Singleflight::builder("singleflight-test-negative-max");
    let flights = builder.negative_for(SECOND).negative_max(5).build().unwrap();
    for key in 0..1_000 {
        let missing = || ready(Err::<u32, _>("missing"));
        assert!(flights.run(key, missing).await.is_err());
    }
    assert_eq!(flights.0.kept(), 5);
    assert_eq!(flights.snapshot().in_use, 0);
    advance(SECOND).await;
    let calls = Cell::new(0);
    for key in 0..1_000 {
        let work = || ready(Ok(calls.replace(calls.get() + 1)));
        assert!(flights.run(key, work).await.is_ok());
    }
    assert_eq!((calls.get(), flights.0.kept()), (1_000, 0));
}

#[tokio::test]
async fn a_key_beyond_the_maximum_is_rejected_and_followers_are_not() {
    let flights: Flights = Singleflight::builder("singleflight-test-full").keys_max(2).build().unwrap();
    let mut running: Vec<_> = [1, 2, 2, 2].map(|key| Box::pin(flights.run(key, pending))).into();
    assert!(running.iter_mut().all(|run| poll(run.as_mut()).is_pending()));
    let Err(Error::Rejected(rejected)) = flights.run(3, || ready(Ok(3))).await else {
        panic!("was admitted")
    };
    assert_eq!((rejected.reason(), rejected.limit(), rejected.in_use()), (Reason::KeysFull, 2, 2));
    let seen = flights.snapshot();
    assert_eq!((seen.rejected, seen.in_use, seen.waiting), (1, 2, 2));
    running.clear();
    assert_eq!(flights.run(3, || ready(Ok(3))).await, Ok(3));
}

#[tokio::test]
async fn a_forgotten_call_ends_for_those_who_wait_and_not_for_those_who_come_later() {
    let flights = flights("singleflight-test-forget");
    let mut old = Box::pin(flights.run(1, || after(2, Ok(1))));
    let mut with_old = Box::pin(flights.run(1, || after(2, Ok(2))));
    assert!(poll(old.as_mut()).is_pending() && poll(with_old.as_mut()).is_pending());
    flights.forget(1);
    let mut new = Box::pin(flights.run(1, || after(2, Ok(3))));
    assert!(poll(new.as_mut()).is_pending());
    assert_eq!((old.await, with_old.await), (Ok(1), Ok(1)));
    let mut with_new = Box::pin(flights.run(1, || after(2, Ok(4))));
    assert!(poll(with_new.as_mut()).is_pending());
    assert_eq!((new.await, with_new.await), (Ok(3), Ok(3)));
    assert!(nothing_is_left(&flights));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_on_many_threads_get_what_one_of_them_made() {
    let flights: Singleflight<u32, u32, u32> =
        Singleflight::builder("singleflight-test-threads").build().unwrap();
    let tasks = (0..2_000u32).map(|caller| {
        let flights = flights.clone();
        tokio::runtime::Handle::current().spawn(async move {
            let work = || after(caller % 3, if caller % 5 == 0 { Err(caller % 7) } else { Ok(caller % 7) });
            let running = flights.run(caller % 7, work);
            match if caller % 11 == 0 {
                tokio::time::timeout(Duration::ZERO, running).await.ok()
            } else {
                Some(running.await)
            } {
                Some(Ok(key) | Err(Error::Inner(key))) => assert_eq!(key, caller % 7),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
    assert!(nothing_is_left(&flights));
}

/// As a task does that nobody but its wakers keeps.
struct Keeps(#[expect(dead_code, reason = "kept, to be dropped with the waker")] Mutex<Box<dyn Send>>);

impl Wake for Keeps {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_is_replaced_may_drop_a_follower_of_the_same_call() {
    let flights = flights("singleflight-test-waker");
    let mut leader = pin!(flights.run(1, pending));
    let mut other = Box::pin(flights.run(1, pending));
    let mut follower = pin!(flights.run(1, pending));
    assert!(poll(leader.as_mut()).is_pending() && poll(other.as_mut()).is_pending());
    let waker = Waker::from(Arc::new(Keeps(Mutex::new(Box::new(other)))));
    assert!(follower.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(poll(follower.as_mut()).is_pending());
    assert_eq!(flights.snapshot().waiting, 1);
}

#[test]
fn settings_out_of_range_are_refused_by_field() {
    let builder = || Flights::builder("singleflight-test-refused");
    let negative = |time| builder().negative_for(time);
    for (refused, field) in [
        (builder().keys_max(0), "keys_max"),
        (builder().keys_max(u64::MAX), "keys_max"),
        (builder().negative_max(0), "negative_max"),
        (builder().negative_max(u64::MAX), "negative_max"),
        (negative(Duration::ZERO), "negative_for"),
        (negative(Duration::MAX), "negative_for"),
        (negative(SECOND).errors(Errors::Each), "negative_for"),
        (Flights::builder(""), "name"),
    ] {
        assert_eq!(refused.build().unwrap_err().field(), field);
    }
}

#[test]
fn it_is_seen_in_the_registry_once_however_many_its_clones() {
    let flights = flights("singleflight-test-registry");
    let other = flights.clone();
    let seen = || registry::snapshot().iter().filter(|bound| bound.name == other.name()).count();
    assert_eq!(seen(), 1);
    drop(flights);
    assert_eq!(seen(), 1);
}
