use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{advance, sleep};

use super::window::{Exactness, Window};
use super::*;
use crate::clock::{self, Instant};
use crate::keyed::Keyed;
use crate::limiter::Limiter;
use crate::rate::Quota;
use crate::waiters::on_drop;
use crate::{Reason, registry};

const SECOND: u64 = 1_000_000_000;

fn sliding(quota: Quota) -> Sliding {
    Sliding::new(quota).unwrap()
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn what_cannot_be_is_refused_by_name_and_range() {
    let built = || Sliding::builder("sliding-bad");
    assert_eq!(built().build().unwrap_err().field(), "quota");
    for quota in [Quota::per_second(0), Quota::per(Duration::ZERO, 1), Quota::per(Duration::MAX, 1)] {
        assert_eq!(built().quota(quota).build().unwrap_err().field(), "quota");
        assert!(Sliding::approximate(quota).is_err());
    }
    let large = Quota::per_minute(65_537);
    let refused = built().quota(large).build().unwrap_err().to_string();
    assert!(refused.contains("at most 65,536 per period"), "{refused}");
    assert!(built().quota(large).approximate().build().is_ok());
    let largest = sliding(Quota::per_minute(65_536));
    assert!(largest.set_quota(large).is_err() && largest.quota() == Quota::per_minute(65_536));
    let share = built().quota(Quota::per_second(1)).enforced_ratio(f64::NAN).build();
    assert_eq!(share.unwrap_err().field(), "enforced_ratio");
    // A window has no burst: one that could not be is not looked at.
    assert!(Sliding::new(Quota::per_second(5).burst(0)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn golang_27837_futures_rs_2939_no_quota_is_refused_not_waited_for() {
    for none in [sliding(Quota::none()), Sliding::approximate(Quota::none()).unwrap()] {
        assert_eq!(none.try_acquire().unwrap_err().reason(), Reason::TooLarge);
        assert_eq!(none.acquire().now_or_never().unwrap().unwrap_err().reason(), Reason::TooLarge);
        assert!(none.acquire_within(Duration::MAX).await.is_err());
        none.set_quota(Quota::unlimited()).unwrap();
        assert!((0..1_000).all(|_| none.try_acquire().is_ok()));
        assert!(!none.is_forgettable(clock::now()), "it would come back as none");
    }
}

#[test]
fn congestion_limiter_a_clock_that_steps_back_neither_panics_nor_gives_anything() {
    for window in [sliding(Quota::per_second(2)), Sliding::approximate(Quota::per_second(2)).unwrap()] {
        window.try_acquire_at(at(9 * SECOND)).unwrap();
        window.try_acquire_at(at(8 * SECOND)).unwrap();
        for now in [0, 5 * SECOND, 9 * SECOND, 9 * SECOND + SECOND / 2] {
            assert!(window.try_acquire_at(at(now)).is_err());
        }
        assert!(window.try_acquire_at(at(u64::MAX)).is_ok());
        let _ = window.try_acquire_at(at(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The model remembers everything and counts.
    #[test]
    fn no_window_ever_holds_more_than_its_limit_and_what_is_refused_is_not_charged(
        limit in 1..8u64,
        period in 1..500u64,
        steps in proptest::collection::vec((0..200u64, any::<bool>()), 1..150),
    ) {
        let window = sliding(Quota::per(Duration::from_nanos(period), limit.min(period)));
        let (limit, mut now, mut admitted) = (limit.min(period) as usize, 1_000, Vec::new());
        let inside = |admitted: &[u64], now: u64| admitted.iter().filter(|at| **at + period > now).count();
        for (pause, hurries) in steps {
            now += if hurries { pause / 40 } else { pause };
            let fits = inside(&admitted, now) < limit;
            match window.try_acquire_at(at(now)) {
                Ok(()) => {
                    prop_assert!(fits);
                    admitted.push(now);
                }
                Err(refused) => {
                    prop_assert!(!fits);
                    let ready = now + refused.retry_after().unwrap().as_nanos() as u64;
                    prop_assert!(inside(&admitted, ready) < limit && inside(&admitted, ready - 1) >= limit);
                }
            }
            prop_assert!(inside(&admitted, now) <= limit);
        }
    }

    #[test]
    fn an_approximate_window_holds_fewer_than_twice_its_limit_and_its_wait_is_exact(
        limit in 1..50u64,
        period in 50..500u64,
        steps in proptest::collection::vec((0..200u64, any::<bool>()), 1..300),
    ) {
        let window = Sliding::approximate(Quota::per(Duration::from_nanos(period), limit)).unwrap();
        let (mut now, mut admitted) = (1_000, VecDeque::new());
        for (pause, hurries) in steps {
            now += if hurries { pause / 60 } else { pause };
            if let Err(refused) = window.try_acquire_at(at(now)) {
                let wait = refused.retry_after().unwrap().as_nanos() as u64;
                prop_assert!(wait > 0);
                prop_assert!(window.try_acquire_at(at(now + wait - 1)).is_err());
                now += wait;
                prop_assert!(window.try_acquire_at(at(now)).is_ok());
            }
            admitted.push_back(now);
            while admitted.front().is_some_and(|at| at + period <= now) {
                admitted.pop_front();
            }
            prop_assert!((admitted.len() as u64) < 2 * limit || limit == 1 && admitted.len() == 1);
        }
    }

    /// Those ahead are played through one by one.
    #[test]
    fn the_time_that_a_waiter_is_told_is_that_of_its_turn(
        exact in any::<bool>(),
        limit in 1..6u64,
        past in proptest::collection::vec(0..150u64, 0..30),
        lowered in 1..6u64,
        ahead in 0..20u64,
    ) {
        let exactness = if exact { Exactness::Exact } else { Exactness::Approximate };
        let quota = |limit| Quota::per(Duration::from_nanos(300), limit);
        let mut window = Window::new(quota(limit), exactness);
        let mut now = 1_000;
        for pause in past {
            now += pause;
            window.take(at(now));
        }
        window.set_quota(quota(lowered));
        window.used(at(now));
        let told = window.ready(ahead, at(now));
        let mut turn = at(now);
        for _ in 0..ahead {
            turn = window.ready(0, turn);
            prop_assert!(window.take(turn).is_some());
        }
        prop_assert_eq!(window.ready(0, turn), told);
        prop_assert!(window.take(told).is_some());
    }
}

#[test]
fn an_even_stream_at_the_limit_is_admitted_by_an_approximate_window() {
    let window = Sliding::approximate(Quota::per_second(1_000)).unwrap();
    let refused = (0..20_000).filter(|number| window.try_acquire_at(at(number * 1_000_000)).is_err()).count();
    assert!(refused <= 20, "{refused} of 20,000 that were within the limit");
}

#[test]
fn a_window_that_has_emptied_holds_no_memory() {
    let mut log = log::Log::new();
    for now in 0..10_000 {
        log.add(now);
    }
    assert_eq!((log.used(10_000, 9_999), log.used(10_000, 30_000)), (10_000, 0));
    assert_eq!(format!("{log:?}"), "Log([])");
}

#[tokio::test(start_paused = true)]
async fn governor_until_ready_has_no_order_ours_is_first_come_first_served() {
    let window = sliding(Quota::per(millis(100), 3));
    let (start, served) = (clock::now(), RefCell::new(Vec::new()));
    join_all((0..12_u64).map(|number| {
        let (window, served) = (&window, &served);
        async move {
            window.acquire().await.unwrap();
            served.borrow_mut().push((number, (clock::now() - start).as_millis() as u64));
        }
    }))
    .await;
    for (place, (number, waited)) in served.into_inner().into_iter().enumerate() {
        let due = number / 3 * 100;
        assert_eq!(number, place as u64);
        assert!((due..=due + 2 * (number / 3)).contains(&waited), "number {number} waited {waited} ms");
    }
    let seen = window.snapshot();
    assert_eq!((seen.admitted, seen.waiting, seen.waits.count(), seen.high_water), (12, 0, 9, 3));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_polls_takes_its_turn_but_does_not_stop_those_behind() {
    let window = sliding(Quota::per(millis(100), 1));
    window.try_acquire().unwrap();
    let mut stuck: Vec<_> = (0..2).map(|_| Box::pin(window.acquire())).collect();
    for waiter in &mut stuck {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    let start = clock::now();
    window.acquire().await.unwrap();
    let waited = (clock::now() - start).as_millis();
    assert!((300..=503).contains(&waited), "{waited} ms");
    // What they were granted is given back, so that nobody waits for what was never used.
    drop(stuck);
    assert_eq!((window.snapshot().admitted, window.snapshot().in_use), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_after_any_number_of_polls_is_not_charged_and_frees_its_place() {
    for polls in 0..4 {
        for passing in [0, 99, 101, 250] {
            for call in 0..2 {
                let window = sliding(Quota::per(millis(100), 1));
                window.try_acquire().unwrap();
                let handle = window.clone();
                let mut waits = Box::pin(async move {
                    match call {
                        0 => handle.acquire().await,
                        _ => handle.acquire_within(millis(500)).await,
                    }
                });
                let mut behind = Box::pin(window.acquire());
                let mut admitted = false;
                if polls > 0 {
                    assert!(waits.as_mut().now_or_never().is_none());
                }
                assert!(behind.as_mut().now_or_never().is_none());
                advance(millis(passing)).await;
                for _ in 1..polls {
                    admitted = admitted || waits.as_mut().now_or_never().is_some();
                }
                drop(waits);
                advance(millis(if admitted { 100 } else { 101_u64.saturating_sub(passing) })).await;
                assert!(behind.as_mut().now_or_never().is_some(), "{polls} polls, {passing} ms, {call}");
                assert_eq!(window.waiting(), 0);
                advance(millis(100)).await;
                assert!(window.try_acquire().is_ok());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_is_refused_at_once_when_the_turn_would_come_too_late() {
    let window = sliding(Quota::per_second(1));
    window.try_acquire().unwrap();
    let start = clock::now();
    let refused = window.acquire_within(millis(900)).await.unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateExceeded, Some(millis(1_000))));
    assert_eq!(clock::now(), start);
    let (late, ()) = tokio::join!(window.acquire_within(millis(1_100)), async {
        sleep(millis(10)).await;
        window.set_quota(Quota::per_hour(1)).unwrap();
    });
    assert_eq!(late.unwrap_err().reason(), Reason::WaitTimedOut);
    assert_eq!((window.waiting(), window.snapshot().rejected), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_quota_keeps_what_is_in_the_window_and_reaches_those_who_wait() {
    let window = sliding(Quota::per_second(5));
    assert!((0..5).all(|_| window.try_acquire().is_ok()));
    window.set_quota(Quota::per_second(2)).unwrap();
    assert_eq!((window.available(), window.snapshot().in_use), (0, 5));
    assert_eq!(window.try_acquire().unwrap_err().retry_after(), Some(millis(1_000)));
    let start = clock::now();
    let (first, second, ()) = tokio::join!(window.acquire(), window.acquire(), async {
        sleep(millis(10)).await;
        window.set_quota(Quota::per_second(6)).unwrap();
        sleep(millis(10)).await;
        window.set_quota(Quota::none()).unwrap();
    });
    first.unwrap();
    assert_eq!(second.unwrap_err().reason(), Reason::TooLarge);
    assert!(clock::now() - start <= millis(22));
    // Through "none" and back is no way to an empty window.
    window.set_quota(Quota::per_second(6)).unwrap();
    assert!(window.try_acquire().is_err());
}

#[tokio::test(start_paused = true)]
async fn observing_admits_at_once_takes_no_place_and_lets_those_who_wait_through() {
    for window in [sliding(Quota::per_hour(2)), Sliding::approximate(Quota::per_hour(2)).unwrap()] {
        window.try_acquire().unwrap();
        window.try_acquire().unwrap();
        let (line, ()) = tokio::join!(join_all((0..30).map(|_| window.acquire())), async {
            sleep(millis(5)).await;
            assert_eq!(window.waiting(), 30);
            window.observe();
            assert_eq!(window.waiting(), 0);
        });
        assert!(line.iter().all(Result::is_ok));
        assert!(window.try_acquire().is_ok() && window.acquire().now_or_never().unwrap().is_ok());
        let seen = window.snapshot();
        assert_eq!((seen.would_reject, seen.in_use, seen.admitted, seen.rejected), (32, 2, 34, 0));
        window.set_enforced_ratio(1.0).unwrap();
        assert!(window.try_acquire().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_forgettable_when_the_window_is_empty_and_it_is_as_built() {
    for window in [sliding(Quota::per_second(3)), Sliding::approximate(Quota::per_second(3)).unwrap()] {
        assert!(window.is_forgettable(clock::now()));
        window.try_acquire().unwrap();
        advance(millis(999)).await;
        assert!(!window.is_forgettable(clock::now()));
        advance(millis(1_001)).await;
        assert!(window.is_forgettable(clock::now()));
        let other = window.clone();
        assert!(!window.is_forgettable(clock::now()));
        drop(other);
        window.set_quota(Quota::per_second(4)).unwrap();
        assert!(!window.is_forgettable(clock::now()));
        window.set_quota(Quota::per_second(3)).unwrap();
        window.observe();
        assert!(!window.is_forgettable(clock::now()));
    }
}

#[test]
fn clones_share_one_window_and_it_can_be_keyed_and_seen() {
    let named = Sliding::builder("sliding-seen").quota(Quota::per_hour(1)).build().unwrap();
    named.clone().try_acquire().unwrap();
    assert!(named.try_acquire().is_err());
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == named.name()).unwrap();
    assert_eq!((seen.kind.as_str(), seen.limit, seen.in_use), ("sliding", 1, 1));
    assert_eq!(seen.rejected_by, [(Reason::RateExceeded, 1)]);
    let keyed = Keyed::builder("sliding-keyed", |_: &u32| Sliding::new(Quota::per_hour(1))).build().unwrap();
    keyed.try_acquire(&1).unwrap();
    assert!(keyed.try_acquire(&1).is_err() && keyed.try_acquire(&2).is_ok());
}

#[test]
fn everything_public_can_cross_threads() {
    fn send<T: Send>(_: T) {}
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<Sliding>();
    let window = sliding(Quota::per_second(1));
    send(window.acquire());
    send(window.acquire_within(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_polls_does_not_have_everybody_refused_for_ever() {
    let window = sliding(Quota::per_second(2));
    assert!(window.try_acquire().is_ok() && window.try_acquire().is_ok());
    let mut kept = pin!(window.acquire());
    assert!(kept.as_mut().now_or_never().is_none());
    assert_eq!(window.try_acquire().unwrap_err().retry_after(), Some(millis(1_000)));
    advance(millis(1_000)).await;
    assert!(window.try_acquire().is_ok());
    assert!(window.try_acquire().is_err());
    assert!(kept.as_mut().now_or_never().is_some());
}

#[test]
fn waiting_that_need_not_wait_works_outside_of_a_runtime() {
    let window = sliding(Quota::per_hour(1));
    window.acquire_within(millis(10)).now_or_never().unwrap().unwrap();
    let late = window.acquire_within(millis(10)).now_or_never().unwrap().unwrap_err();
    assert_eq!(late.reason(), Reason::RateExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let window = sliding(Quota::per_second(1));
    window.try_acquire().unwrap();
    let mut waits = pin!(window.acquire());
    let again = window.clone();
    let waker = on_drop(move || assert_eq!(again.available(), 0));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(waits.as_mut().now_or_never().is_none());
}
