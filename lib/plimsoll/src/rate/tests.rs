use std::cell::RefCell;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{advance, sleep};

use super::*;
use crate::clock::{self, Instant};
use crate::limiter::Limiter;
use crate::waiters::on_drop;
use crate::{Reason, registry};

const SECOND: u64 = 1_000_000_000;

fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).unwrap()
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn rates_and_bursts_that_cannot_be_are_refused_by_name_and_range() {
    for (quota, words) in [
        (Quota::per_second(0), "at least 1 per period"),
        (Quota::per_second(5).burst(0), "a burst of at least 1"),
        (Quota::per(Duration::ZERO, 1), "at most one per nanosecond"),
        (Quota::per_second(SECOND + 1), "at most one per nanosecond"),
        (Quota::per(Duration::MAX, 1), "at most 9 years"),
        (Quota::per_hour(1).burst(u64::MAX), "a burst of at most 9 years"),
    ] {
        let refused = RateLimiter::builder("rate-bad").quota(quota).build().unwrap_err().to_string();
        assert!(refused.starts_with("rate-bad: quota is ") && refused.contains(words), "{refused}");
        assert!(limiter(Quota::none()).set_quota(quota).is_err());
    }
    assert!(RateLimiter::builder("rate-bad").build().is_err());
    assert!(RateLimiter::new(Quota::per_second(SECOND)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn golang_27837_no_rate_is_refused_not_waited_for() {
    let none = limiter(Quota::none());
    assert_eq!(none.try_acquire().unwrap_err().reason(), Reason::TooLarge);
    assert_eq!(none.acquire().await.unwrap_err().reason(), Reason::TooLarge);
    assert_eq!(none.acquire_within(1, Duration::MAX).await.unwrap_err().reason(), Reason::TooLarge);
    assert!(none.reserve().is_err());
    assert_eq!((none.available(), none.snapshot().limit), (0, 0));
    assert!(none.try_acquire_many(0).is_ok());
}

#[test]
fn unlimited_admits_everything_and_remembers_nothing() {
    let unlimited = limiter(Quota::unlimited());
    for _ in 0..1_000 {
        unlimited.try_acquire_many(u64::MAX).unwrap();
    }
    assert!(unlimited.reserve_many(u64::MAX).unwrap().delay().is_zero());
    assert_eq!(unlimited.available(), u64::MAX);
    assert!(unlimited.is_forgettable(clock::now()));
}

#[test]
fn a_burst_is_exact_and_what_is_refused_is_not_charged() {
    let two = limiter(Quota::per_second(10).burst(2));
    let start = 5 * SECOND;
    assert_eq!(two.try_acquire_many_at(3, at(start)).unwrap_err().reason(), Reason::TooLarge);
    two.try_acquire_at(at(start)).unwrap();
    two.try_acquire_at(at(start)).unwrap();
    for early in [0, 1, 99_999_999] {
        let refused = two.try_acquire_at(at(start + early)).unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_nanos(100_000_000 - early)));
        assert_eq!((refused.limit(), refused.in_use()), (2, 2));
    }
    two.try_acquire_at(at(start + 100_000_000)).unwrap();
    assert!(two.try_acquire_at(at(start + 100_000_000)).is_err());
    assert_eq!((two.snapshot().admitted, two.snapshot().rejected), (3, 5));
}

#[test]
fn no_rate_drifts_over_a_month() {
    for per_second in [3, 7, 11, 999, 1_000_000] {
        let limiter = limiter(Quota::per_second(per_second).burst(1));
        // Always at the very moment that it says; a month of tokens in a few steps, by resting.
        let start = 10 * SECOND;
        let mut now = at(start);
        limiter.try_acquire_at(now).unwrap();
        for _ in 0..50_000 {
            now = now + limiter.try_acquire_at(now).unwrap_err().retry_after().unwrap();
            limiter.try_acquire_at(now).unwrap();
        }
        let exact = u128::from(start) + 50_000 * u128::from(SECOND) / u128::from(per_second);
        let error = i128::from(now.as_nanos()) - exact as i128;
        assert!((0..=2).contains(&error), "{per_second} a second is off by {error} ns after 50,000 tokens");
    }
}

#[test]
fn congestion_limiter_a_clock_that_steps_back_does_not_panic() {
    let three = limiter(Quota::per_second(3));
    three.try_acquire_many_at(3, at(9 * SECOND)).unwrap();
    for now in [8 * SECOND, 0, 5 * SECOND] {
        assert!(three.try_acquire_at(at(now)).is_err(), "stepping back gave somebody something");
    }
    three.try_acquire_at(at(u64::MAX)).unwrap();
    assert!(three.try_acquire_at(at(9 * SECOND)).is_err());
    three.set_quota(Quota::per_second(7)).unwrap();
    assert!(three.reserve().is_ok());
}

#[test]
fn tower_resilience_370_every_setting_that_is_given_is_in_force() {
    let start = 5 * SECOND;
    let admitted = |limiter: &RateLimiter, now: u64| {
        (0..1_000).filter(|_| limiter.try_acquire_at(at(now)).is_ok()).count()
    };
    for (per_second, burst) in [(10, 3), (100, 3), (10, 30)] {
        let quota = Quota::per_second(per_second).burst(burst);
        let built = RateLimiter::builder("rate-in-force").quota(quota).build().unwrap();
        let changed = limiter(Quota::per_hour(1));
        changed.set_quota_at(quota, at(0)).unwrap();
        for limiter in [built, changed] {
            // The burst, and then what the rate brings, and no more than the burst of it.
            assert_eq!(admitted(&limiter, start), burst as usize);
            assert_eq!(admitted(&limiter, start + SECOND / 5), (per_second / 5).min(burst) as usize);
            assert_eq!(admitted(&limiter, start + 100 * SECOND), burst as usize);
            assert_eq!(limiter.quota(), quota);
        }
    }
}

#[test]
fn axum_2582_clones_share_one_limit() {
    let one = limiter(Quota::per_hour(1));
    one.clone().try_acquire().unwrap();
    assert!(one.try_acquire().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_window_holds_more_than_the_burst_and_its_share_of_the_rate(per_second in 1..100_000u64, burst in 1..20u64, steps in proptest::collection::vec((0..SECOND, 1..6u64, 0..4u8), 1..80)) {
        let limiter = limiter(Quota::per_second(per_second).burst(burst));
        let mut now = at(SECOND);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (pause, tokens, step) in steps {
            match (limiter.try_acquire_many_at(tokens, now), step) {
                (Ok(()), _) => admitted.push((now.as_nanos(), tokens)),
                (Err(refused), _) if refused.reason() == Reason::TooLarge => prop_assert!(tokens > burst),
                (Err(refused), 0) => {
                    now = now + refused.retry_after().unwrap();
                    prop_assert!(limiter.try_acquire_many_at(tokens, now).is_ok());
                    admitted.push((now.as_nanos(), tokens));
                }
                (Err(refused), _) => {
                    let early = now + (refused.retry_after().unwrap() - Duration::from_nanos(1));
                    prop_assert!(limiter.try_acquire_many_at(tokens, early).is_err());
                }
            }
            if step == 1 {
                now = now + Duration::from_nanos(pause / per_second);
            }
        }
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (until, tokens) in &admitted[first..] {
                sum += u128::from(*tokens);
                // A nanosecond for the rounding at each end.
                let earned = u128::from(until - from + 2) * u128::from(per_second);
                prop_assert!(sum.saturating_sub(u128::from(burst)) * u128::from(SECOND) <= earned);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn governor_until_ready_has_no_order_ours_is_first_come_first_served() {
    let limiter = limiter(Quota::per_second(100).burst(1));
    let start = clock::now();
    let served = RefCell::new(Vec::new());
    join_all((0..20_u64).map(|number| {
        let (limiter, served) = (&limiter, &served);
        async move {
            // Light and heavy alike, and all at once.
            limiter.acquire().await.unwrap();
            served.borrow_mut().push((number, (clock::now() - start).as_millis() as u64));
        }
    }))
    .await;
    for (place, (number, waited)) in served.into_inner().into_iter().enumerate() {
        assert_eq!(number, place as u64);
        assert!((number * 10..=number * 10 + 2).contains(&waited), "number {number} waited {waited} ms");
    }
    assert_eq!((limiter.waiting(), limiter.snapshot().admitted), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_heavy_waiter_is_not_passed_by_light_ones() {
    let limiter = limiter(Quota::per_second(10).burst(5));
    limiter.try_acquire_many(5).unwrap();
    let mut heavy = Box::pin(limiter.acquire_many(5));
    assert!(heavy.as_mut().now_or_never().is_none());
    for _ in 0..4 {
        advance(millis(100)).await;
        let refused = limiter.try_acquire().unwrap_err();
        assert_eq!((refused.reason(), refused.waiting()), (Reason::RateExceeded, 1));
        assert!(refused.retry_after().unwrap() > Duration::ZERO);
    }
    advance(millis(101)).await;
    assert!(heavy.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_gives_its_turn_to_those_behind() {
    let limiter = limiter(Quota::per_second(1).burst(1));
    limiter.try_acquire().unwrap();
    let start = clock::now();
    let mut leaves: Vec<_> = (0..10).map(|_| Box::pin(limiter.acquire())).collect();
    for waiter in &mut leaves {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    let (stays, ()) = tokio::join!(limiter.acquire(), async {
        sleep(millis(500)).await;
        assert_eq!(limiter.waiting(), 11);
        drop(leaves);
        assert_eq!(limiter.waiting(), 1);
    });
    stays.unwrap();
    let waited = (clock::now() - start).as_millis();
    assert!(
        (1_000..=1_002).contains(&waited),
        "a backlog of waiters that had left was waited for: {waited} ms"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_polls_takes_its_turn_but_does_not_stop_those_behind() {
    let limiter = limiter(Quota::per_second(10).burst(1));
    limiter.try_acquire().unwrap();
    let start = clock::now();
    let mut stuck: Vec<_> = (0..3).map(|_| Box::pin(limiter.acquire())).collect();
    for waiter in &mut stuck {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    limiter.acquire().await.unwrap();
    // Due after 400 ms; from then on it serves the three before it, at the rate.
    let waited = (clock::now() - start).as_millis();
    assert!((400..=702).contains(&waited), "{waited} ms");
    drop(stuck);
    assert_eq!(limiter.snapshot().admitted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_low_burst_keeps_the_rate_that_the_timer_is_too_coarse_for() {
    let limiter = limiter(Quota::per_second(10_000).burst(1));
    let start = clock::now();
    join_all((0..2_001).map(|_| limiter.acquire())).await;
    let took = (clock::now() - start).as_millis();
    assert!((200..=203).contains(&took), "2,000 tokens at 10,000 a second took {took} ms");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_after_any_number_of_polls_loses_nothing() {
    for polls in 0..4 {
        for passing in [0, 50, 100, 150] {
            let limiter = limiter(Quota::per_second(10).burst(1));
            limiter.try_acquire().unwrap();
            let start = clock::now();
            let mut first = Box::pin(limiter.acquire());
            for _ in 0..polls {
                let _ = first.as_mut().now_or_never();
            }
            advance(millis(passing)).await;
            let served = polls > 3 && first.as_mut().now_or_never().is_some();
            drop(first);
            assert_eq!(limiter.waiting(), 0);
            limiter.acquire().await.unwrap();
            let waited = (clock::now() - start).as_millis() as u64;
            let due = 100.max(passing) + if served { 100 } else { 0 };
            assert!((due..=due + 2).contains(&waited), "{polls} polls, {passing} ms: {waited} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_is_refused_at_once_when_the_turn_would_come_too_late() {
    let limiter = limiter(Quota::per_second(1).burst(1));
    limiter.try_acquire().unwrap();
    let start = clock::now();
    let refused = limiter.acquire_within(1, millis(900)).await.unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateExceeded, Some(millis(1_000))));
    assert_eq!(clock::now(), start);
    limiter.acquire_within(1, millis(1_100)).await.unwrap();
    let (late, ()) = tokio::join!(limiter.acquire_within(1, millis(1_100)), async {
        sleep(millis(10)).await;
        limiter.set_quota(Quota::per_hour(1)).unwrap();
    });
    assert_eq!(late.unwrap_err().reason(), Reason::WaitTimedOut);
    assert_eq!(limiter.waiting(), 0);
}

#[test]
fn a_reservation_tells_the_delay_and_can_be_given_back() {
    let limiter = limiter(Quota::per_hour(3_600).burst(2));
    assert!(limiter.reserve_many(3).is_err());
    assert!(limiter.reserve_many(2).unwrap().delay().is_zero());
    let second = limiter.reserve().unwrap();
    let third = limiter.reserve().unwrap();
    let near = |delay: Duration, seconds: f64| (delay.as_secs_f64() - seconds).abs() < 0.5;
    assert!(near(second.delay(), 1.0) && near(third.delay(), 2.0));
    third.cancel();
    let third = limiter.reserve().unwrap();
    assert!(near(third.delay(), 2.0));
    // Somebody was promised a later time: giving back now would put two at the same time.
    second.cancel();
    assert!(near(limiter.reserve().unwrap().delay(), 3.0));
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_comes_behind_those_who_wait_and_keeps_their_times() {
    let limiter = limiter(Quota::per_second(10).burst(1));
    limiter.try_acquire().unwrap();
    let start = clock::now();
    let (first, second, reserved) = tokio::join!(
        async {
            limiter.acquire().await.unwrap();
            clock::now() - start
        },
        async {
            limiter.acquire().await.unwrap();
            clock::now() - start
        },
        async { limiter.reserve().unwrap().delay() },
    );
    assert_eq!((first.as_millis() / 5, second.as_millis() / 5), (20, 40));
    assert_eq!(reserved, millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_quota_keeps_what_is_spent_and_reaches_those_who_wait() {
    let limiter = limiter(Quota::per_second(1).burst(20));
    limiter.try_acquire_many(15).unwrap();
    limiter.set_quota(Quota::per_second(1).burst(30)).unwrap();
    assert_eq!(limiter.available(), 15);
    limiter.set_quota(Quota::per_second(10).burst(10)).unwrap();
    assert_eq!(limiter.available(), 0);
    assert_eq!(limiter.try_acquire().unwrap_err().retry_after(), Some(millis(600)));
    // Through "none" and back is no way to a fresh burst.
    limiter.set_quota(Quota::none()).unwrap();
    limiter.set_quota(Quota::per_second(10).burst(10)).unwrap();
    assert_eq!(limiter.available(), 0);

    let start = clock::now();
    let (all, one, ()) = tokio::join!(limiter.acquire_many(10), limiter.acquire(), async {
        sleep(millis(10)).await;
        limiter.set_quota(Quota::per_second(10).burst(5)).unwrap();
        limiter.set_quota(Quota::unlimited()).unwrap();
    });
    assert_eq!(all.unwrap_err().reason(), Reason::TooLarge);
    one.unwrap();
    assert!((clock::now() - start) < millis(15));
    assert_eq!(limiter.quota(), Quota::unlimited());
}

#[tokio::test(start_paused = true)]
async fn it_is_forgettable_when_the_bucket_is_full_again_and_it_is_as_built() {
    let quota = Quota::per_second(10).burst(2);
    let limiter = limiter(quota);
    assert!(limiter.is_forgettable(clock::now()));
    limiter.try_acquire_many(2).unwrap();
    advance(millis(199)).await;
    assert!(!limiter.is_forgettable(clock::now()));
    advance(millis(1)).await;
    assert!(limiter.is_forgettable(clock::now()));
    let other = limiter.clone();
    assert!(!limiter.is_forgettable(clock::now()));
    other.set_quota(Quota::per_second(11).burst(2)).unwrap();
    drop(other);
    assert!(!limiter.is_forgettable(clock::now()));
    limiter.set_quota(quota).unwrap();
    assert!(limiter.is_forgettable(clock::now()));
}

#[test]
fn the_numbers_are_seen_in_the_registry() {
    let named = RateLimiter::builder("rate-seen").quota(Quota::per_hour(5)).build().unwrap();
    named.try_acquire_many(3).unwrap();
    assert!(named.try_acquire_many(3).is_err());
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == named.name()).unwrap();
    assert_eq!((seen.kind.as_str(), seen.limit, seen.in_use, seen.high_water), ("rate", 5, 3, 3));
    assert_eq!((seen.admitted, seen.rejected), (1, 1));
    assert_eq!(seen.details, [("interval_nanos", 720 * SECOND)]);
    let name = named.name();
    drop(named);
    assert!(registry::snapshot().iter().all(|bound| bound.name != name));
}

#[test]
fn everything_public_can_cross_threads() {
    fn send<T: Send>(_: T) {}
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<RateLimiter>();
    sendable::<Reservation>();
    let limiter = limiter(Quota::per_second(1));
    send(limiter.acquire());
    send(limiter.acquire_within(1, Duration::ZERO));
}

#[test]
fn many_threads_take_the_burst_once_while_the_quota_changes() {
    let limiter = limiter(Quota::per_hour(1).burst(1_000));
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| limiter.try_acquire().is_ok()).count()))
            .collect();
        for round in 0..50 {
            limiter.set_quota(Quota::per_hour(1 + round % 2).burst(1_000)).unwrap();
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((taken, limiter.available()), (1_000, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn waiters_are_served_in_order_at_the_rate_whoever_leaves(
        per_second in 5..3_000u64,
        burst in 1..6u64,
        crowd in proptest::collection::vec((1..6u64, 0..400u64, prop::option::of(0..300u64)), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let limiter = limiter(Quota::per_second(per_second).burst(burst));
            let served = RefCell::new(Vec::new());
            let start = clock::now();
            join_all(crowd.iter().map(|&(tokens, enters, leaves)| {
                let (limiter, served, tokens) = (&limiter, &served, tokens.min(burst));
                async move {
                    sleep(millis(enters)).await;
                    let entered = clock::now();
                    let patience = millis(leaves.unwrap_or(1_000_000));
                    if let Ok(acquired) = tokio::time::timeout(patience, limiter.acquire_many(tokens)).await {
                        acquired.unwrap();
                        served.borrow_mut().push((entered, clock::now() - start, tokens));
                    }
                }
            }))
            .await;
            let mut served = served.into_inner();
            // Those who are granted at the same moment are polled in any order.
            served.sort_by_key(|(entered, at, _)| (*entered, *at));
            assert_eq!(limiter.waiting(), 0);
            assert_eq!(limiter.snapshot().admitted, served.len() as u64);
            assert!(served.is_sorted_by_key(|(_, at, _)| *at), "somebody was passed");
            for (first, (_, from, _)) in served.iter().enumerate() {
                let mut sum = 0;
                for (_, until, tokens) in &served[first..] {
                    sum += tokens;
                    // Up to 2 ms late at either end, and the timer's one.
                    let earned = (*until - *from + millis(3)).as_secs_f64() * per_second as f64;
                    assert!(sum as f64 <= burst as f64 + earned + 1e-6, "{sum} in {:?}", *until - *from);
                }
            }
            // Nobody is served later than if all before them had stayed.
            let asked: u64 = crowd.iter().map(|(tokens, ..)| (*tokens).min(burst)).sum();
            let longest = Duration::from_secs_f64(asked as f64 / per_second as f64) + millis(403);
            assert!(served.iter().all(|(_, at, _)| *at <= longest));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_polls_does_not_have_everybody_refused_for_ever() {
    let limiter = limiter(Quota::per_second(10).burst(2));
    limiter.try_acquire_many(2).unwrap();
    let mut kept = pin!(limiter.acquire());
    assert!(kept.as_mut().now_or_never().is_none());
    let refused = limiter.try_acquire().unwrap_err();
    assert_eq!(refused.retry_after(), Some(millis(200)));
    advance(millis(200)).await;
    // It has its token, and the next one is there as it was told.
    assert!(limiter.try_acquire().is_ok());
    assert!(limiter.try_acquire().is_err());
    assert!(kept.as_mut().now_or_never().is_some());
}

#[test]
fn waiting_that_need_not_wait_works_outside_of_a_runtime() {
    let limiter = limiter(Quota::per_hour(1));
    limiter.acquire_within(1, millis(10)).now_or_never().unwrap().unwrap();
    let late = limiter.acquire_within(1, millis(10)).now_or_never().unwrap().unwrap_err();
    assert_eq!(late.reason(), Reason::RateExceeded);
    let large = limiter.acquire_within(2, millis(10)).now_or_never().unwrap().unwrap_err();
    assert_eq!(large.reason(), Reason::TooLarge);
    limiter.observe();
    limiter.acquire_within(2, millis(10)).now_or_never().unwrap().unwrap();
}

#[test]
fn a_charge_from_eight_quotas_ago_does_not_overflow_when_it_is_given_back() {
    let limiter = limiter(Quota::per(Duration::from_nanos(1), 1).burst(1 << 57));
    let hold = limiter.try_hold(1 << 57).unwrap();
    for change in 1..=8 {
        limiter.set_quota(Quota::per_hour(change)).unwrap();
    }
    hold.settle(0);
    assert!(limiter.available() <= 8);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let limiter = limiter(Quota::per_second(10).burst(1));
    limiter.try_acquire().unwrap();
    let mut waits = pin!(limiter.acquire());
    let again = limiter.clone();
    let waker = on_drop(move || assert_eq!(again.available(), 0));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(waits.as_mut().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_in_years_is_waited_for() {
    let years = Duration::from_secs(4 * 365 * 86_400);
    let limiter = limiter(Quota::per(years, 1));
    limiter.try_acquire().unwrap();
    let mut waits = pin!(limiter.acquire_within(1, Duration::MAX));
    assert!(waits.as_mut().now_or_never().is_none());
    for _ in 0..4 {
        advance(years / 4 - Duration::from_secs(1)).await;
        assert!(waits.as_mut().now_or_never().is_none());
    }
    advance(Duration::from_secs(5)).await;
    waits.now_or_never().unwrap().unwrap();
}
