use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::*;
use crate::limiter::Limiter;
use crate::waiters::on_drop;
use crate::{Reason, clock, registry};

fn semaphore(limit: u64) -> Semaphore {
    Semaphore::new(limit).unwrap()
}

#[test]
fn golang_27837_a_limit_of_zero_is_refused_not_waited_for() {
    let refused = Semaphore::builder("semaphore-zero").limit(0).build().unwrap_err().to_string();
    assert_eq!(
        refused,
        "semaphore-zero: limit is 0, allowed is 1 to 4,398,046,511,103 permits (a limit of 0 admits nobody, ever)"
    );
    assert!(Semaphore::new(0).is_err());
    let one = semaphore(1);
    assert!(one.resize(0).is_err());
    assert_eq!(one.limit(), 1);
}

#[test]
fn the_largest_limit_works_and_larger_ones_are_refused() {
    let largest = (1 << 42) - 1;
    for too_large in [largest + 1, u64::MAX] {
        assert!(Semaphore::new(too_large).is_err());
    }
    let all = semaphore(largest);
    let permit = all.try_acquire_many(largest).unwrap();
    assert_eq!((all.available(), all.in_use()), (0, largest));
    all.resize(1).unwrap();
    assert_eq!((all.available(), all.in_use()), (0, largest));
    assert_eq!(all.try_acquire_many(u64::MAX).unwrap_err().reason(), Reason::TooLarge);
    drop(permit);
    assert_eq!((all.available(), all.in_use()), (1, 0));
}

#[test]
fn more_than_the_limit_is_refused_at_once_and_nothing_is_always_admitted() {
    let two = semaphore(2);
    assert_eq!(two.try_acquire_many(3).unwrap_err().reason(), Reason::TooLarge);
    let waits = two.acquire_many(3).now_or_never().unwrap();
    assert_eq!(waits.unwrap_err().reason(), Reason::TooLarge);
    let _all = two.try_acquire_many(2).unwrap();
    assert_eq!(two.try_acquire_many(0).unwrap().permits(), 0);
    assert_eq!(two.acquire_many(0).now_or_never().unwrap().unwrap().permits(), 0);
    assert_eq!(two.in_use(), 2);
}

#[test]
fn axum_2582_clones_share_one_limit() {
    let one = semaphore(1);
    let permit = one.clone().try_acquire_owned().unwrap();
    assert!(one.try_acquire().is_err());
    drop(permit);
    assert!(one.clone().try_acquire().is_ok());
}

#[test]
fn tokio_5308_golang_29721_a_semaphore_shrinks() {
    let shrinks = semaphore(3);
    let (a, b, c) =
        (shrinks.try_acquire().unwrap(), shrinks.try_acquire().unwrap(), shrinks.try_acquire().unwrap());
    shrinks.resize(1).unwrap();
    drop(a);
    drop(b);
    assert_eq!((shrinks.in_use(), shrinks.limit()), (1, 1));
    assert!(shrinks.try_acquire().is_err());
    drop(c);
    assert!(shrinks.try_acquire().is_ok());
}

#[test]
fn growing_admits_waiters_in_order() {
    let grows = semaphore(1);
    let _first = grows.try_acquire().unwrap();
    let mut heavy = Box::pin(grows.acquire_many(1));
    let mut next = Box::pin(grows.acquire());
    assert!(heavy.as_mut().now_or_never().is_none());
    assert!(next.as_mut().now_or_never().is_none());
    grows.resize(2).unwrap();
    assert!(next.as_mut().now_or_never().is_none());
    let heavy = heavy.now_or_never().unwrap().unwrap();
    drop(heavy);
    assert!(next.now_or_never().is_some());
}

#[test]
fn a_waiter_that_a_shrink_made_impossible_is_refused_at_once() {
    let shrinks = semaphore(40);
    let held = shrinks.try_acquire_many(40).unwrap();
    // More of them than are woken in one go, and one behind them that still fits.
    let mut heavy: Vec<_> = (0..40).map(|_| Box::pin(shrinks.acquire_many(30))).collect();
    for waiter in &mut heavy {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    let mut light = pin!(shrinks.acquire());
    assert!(light.as_mut().now_or_never().is_none());
    shrinks.resize(20).unwrap();
    assert_eq!(shrinks.waiting(), 1);
    for waiter in heavy {
        assert_eq!(waiter.now_or_never().unwrap().unwrap_err().reason(), Reason::TooLarge);
    }
    drop(held);
    assert!(light.now_or_never().is_some());
}

/// Counts how often it is woken when nobody is in the line.
struct LineIsGone(Semaphore, AtomicUsize);

impl Wake for LineIsGone {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(usize::from(self.0.waiting() == 0), Ordering::Relaxed);
    }
}

#[test]
fn a_shrink_goes_through_a_long_line_once_and_then_wakes() {
    let shrinks = semaphore(2);
    let held = shrinks.try_acquire().unwrap();
    let woken = Arc::new(LineIsGone(shrinks.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut heavy: Vec<_> = (0..100_000).map(|_| Box::pin(shrinks.acquire_many(2))).collect();
    for waiter in &mut heavy {
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    shrinks.resize(1).unwrap();
    assert_eq!(woken.1.load(Ordering::Relaxed), 100_000);
    assert!(heavy.into_iter().all(|waiter| waiter.now_or_never().unwrap().is_err()));
    drop(held);
    assert_eq!((shrinks.available(), shrinks.waiting()), (1, 0));
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let semaphore = semaphore(1);
    let held = semaphore.try_acquire().unwrap();
    for is_replaced in [true, false] {
        let mut waits = Box::pin(semaphore.acquire());
        let again = semaphore.clone();
        let waker = on_drop(move || again.resize(1).unwrap());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        if is_replaced {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        drop(waits);
    }
    drop(held);
    assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
}

#[test]
fn a_heavy_waiter_is_not_starved_by_light_ones() {
    let ten = semaphore(10);
    let _nine = ten.try_acquire_many(9).unwrap();
    let one = ten.try_acquire().unwrap();
    let mut heavy = pin!(ten.acquire_many(2));
    assert!(heavy.as_mut().now_or_never().is_none());
    drop(one);
    assert_eq!(ten.available(), 1);
    assert_eq!(ten.try_acquire().unwrap_err().reason(), Reason::Full, "it barged past the heavy waiter");
    assert!(ten.acquire().now_or_never().is_none());
}

#[test]
fn dropping_a_waiter_frees_its_place() {
    let one = semaphore(1);
    let held = one.try_acquire().unwrap();
    let mut first = Box::pin(one.acquire());
    let mut second = Box::pin(one.acquire());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(one.waiting(), 2);
    drop(first);
    assert_eq!(one.waiting(), 1);
    drop(held);
    assert!(second.now_or_never().is_some());
    assert_eq!((one.available(), one.waiting()), (1, 0));
}

#[test]
fn those_behind_a_heavy_waiter_go_on_when_it_leaves() {
    let two = semaphore(2);
    let _one = two.try_acquire().unwrap();
    let mut heavy = Box::pin(two.acquire_many(2));
    let mut light = pin!(two.acquire());
    assert!(heavy.as_mut().now_or_never().is_none());
    assert!(light.as_mut().now_or_never().is_none());
    drop(heavy);
    assert!(light.now_or_never().is_some());
}

#[test]
fn tokio_6450_omicron_9259_a_permit_granted_to_a_future_that_is_dropped_passes_on() {
    let one = semaphore(1);
    let held = one.try_acquire().unwrap();
    let mut stuck = Box::pin(one.acquire());
    let mut next = pin!(one.acquire());
    assert!(stuck.as_mut().now_or_never().is_none());
    assert!(next.as_mut().now_or_never().is_none());
    drop(held);
    assert!(next.as_mut().now_or_never().is_none(), "the permit is the first waiter's, polled or not");
    drop(stuck);
    assert!(next.now_or_never().is_some());
    assert_eq!(one.snapshot().admitted, 2, "a grant that was never claimed is not an admission");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_it_was_told_to_and_leaves_no_trace() {
    let one = semaphore(1);
    let held = one.try_acquire().unwrap();
    let before = Instant::now();
    let late = one.acquire_within(1, Duration::from_millis(250)).await.unwrap_err();
    assert_eq!((late.reason(), late.in_use(), late.limit()), (Reason::WaitTimedOut, 1, 1));
    assert_eq!(before.elapsed().as_millis() / 10, 25);
    assert_eq!((one.waiting(), one.available()), (0, 0));
    let too_large = one.acquire_within(2, Duration::MAX).await.unwrap_err();
    assert_eq!(too_large.reason(), Reason::TooLarge);
    let (in_time, ()) = tokio::join!(one.acquire_within(1, Duration::MAX), async {
        sleep(Duration::from_secs(5)).await;
        drop(held);
    });
    assert!(in_time.is_ok());
    assert!(one.acquire_within_owned(1, Duration::ZERO).await.is_err());
    drop(in_time);
    assert!(one.acquire_within_owned(1, Duration::ZERO).await.is_ok());
}

#[test]
fn a_split_permit_gives_each_part_back_once() {
    let five = semaphore(5);
    let mut whole = five.try_acquire_many_owned(5).unwrap();
    assert!(whole.split(6).is_none());
    let part = whole.split(2).unwrap();
    drop(whole);
    assert_eq!(five.in_use(), 2);
    part.finish(crate::Outcome::Success);
    assert_eq!(five.in_use(), 0);
}

#[test]
fn the_numbers_are_seen_in_the_registry_until_the_last_handle_is_dropped() {
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "semaphore-seen");
    let named = Semaphore::builder("semaphore-seen").limit(4).build().unwrap();
    let permit = named.try_acquire_many_owned(3).unwrap();
    assert!(named.try_acquire_many(2).is_err());
    drop(permit);
    let snapshot = seen().unwrap();
    assert_eq!(snapshot, named.snapshot());
    assert_eq!((snapshot.limit, snapshot.in_use, snapshot.high_water), (4, 0, 3));
    assert_eq!((snapshot.admitted, snapshot.rejected, snapshot.waiting), (1, 1, 0));
    let permit = named.try_acquire_owned().unwrap();
    drop(named);
    assert!(seen().is_some(), "a permit is a handle too");
    drop(permit);
    assert!(seen().is_none());
}

#[test]
fn the_count_of_admissions_survives_its_wrap() {
    let one = semaphore(1);
    let many = (1 << 20) + 5;
    for _ in 0..many {
        drop(one.try_acquire().unwrap());
    }
    assert_eq!(one.snapshot().admitted, many);
}

#[test]
fn it_is_forgettable_only_when_idle_as_built_and_held_once() {
    let now = clock::now();
    let two = semaphore(2);
    assert!(two.is_forgettable(now));
    let permit = two.try_acquire_owned().unwrap();
    assert!(!two.is_forgettable(now));
    drop(permit);
    assert!(two.is_forgettable(now));
    two.resize(3).unwrap();
    assert!(!two.is_forgettable(now), "it would come back with the old limit");
    two.resize(2).unwrap();
    assert!(two.is_forgettable(now));
    let other = two.clone();
    assert!(!two.is_forgettable(now));
    drop(other);
    assert!(two.is_forgettable(now));
}

#[test]
fn everything_public_can_cross_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    fn send<T: Send>(value: T) -> T {
        value
    }
    sendable::<Semaphore>();
    sendable::<OwnedPermit>();
    sendable::<Permit<'static>>();
    let one = semaphore(1);
    drop(send(one.acquire()));
    drop(send(one.acquire_within_owned(1, Duration::ZERO)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_never_exceed_the_limit_and_leave_nothing_behind() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let semaphore = semaphore(7);
    let inside = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u64 {
        let (semaphore, inside) = (semaphore.clone(), inside.clone());
        tasks.spawn(async move {
            for round in 0..200 {
                let permits = 1 + (task * 7 + round) % 4;
                let permit = semaphore.acquire_many(permits).await.unwrap();
                assert!(inside.fetch_add(permits, Ordering::SeqCst) + permits <= 7);
                tokio::task::yield_now().await;
                inside.fetch_sub(permits, Ordering::SeqCst);
                drop(permit);
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
    let end = semaphore.snapshot();
    assert_eq!((end.in_use, end.waiting, end.admitted), (0, 0, 16 * 200));
    assert!(end.high_water <= 7);
}
