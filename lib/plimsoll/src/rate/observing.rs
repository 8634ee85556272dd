//! Observing, and what is counted, under paused time.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{advance, sleep};

use super::*;
use crate::Reason;
use crate::clock::{self, Instant};
use crate::limiter::{Limiter, Observable};

fn limiter(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_share_out_of_range_is_refused_and_changes_nothing() {
    let built =
        |ratio| RateLimiter::builder("rate-share").quota(Quota::per_hour(1)).enforced_ratio(ratio).build();
    for bad in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
        assert_eq!(built(bad).unwrap_err().field(), "enforced_ratio");
        assert!(limiter(Quota::per_hour(1)).set_enforced_ratio(bad).is_err());
    }
    let observes = built(0.0).unwrap();
    assert!(observes.try_acquire().is_ok() && observes.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn observing_admits_at_once_and_spends_nothing_for_it() {
    let two = limiter(Quota::per_hour(2));
    two.observe();
    two.try_acquire_many(2).unwrap();
    two.try_acquire().unwrap();
    two.acquire().now_or_never().unwrap().unwrap();
    two.acquire_many(5).now_or_never().unwrap().unwrap();
    two.acquire_within(1, Duration::ZERO).now_or_never().unwrap().unwrap();
    let reservation = two.reserve().unwrap();
    assert!(reservation.delay().is_zero());
    reservation.cancel();
    let seen = two.snapshot();
    assert_eq!((seen.admitted, seen.would_reject, seen.rejected, seen.waiting), (6, 5, 0, 0));
    advance(Duration::from_secs(1_800)).await;
    assert_eq!(two.available(), 1, "what was waived was charged");
    two.set_enforced_ratio(1.0).unwrap();
    assert!(two.try_acquire().is_ok() && two.try_acquire().is_err());
    let none = limiter(Quota::none());
    none.observe();
    assert!(none.try_acquire().is_ok() && none.acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn observing_lets_everybody_in_the_line_through() {
    let one = limiter(Quota::per_hour(1));
    one.try_acquire().unwrap();
    let start = clock::now();
    let (line, ()) = tokio::join!(join_all((0..40).map(|_| one.acquire())), async {
        sleep(millis(10)).await;
        assert_eq!(one.waiting(), 40);
        one.observe();
        assert_eq!(one.waiting(), 0);
    });
    assert!(line.iter().all(Result::is_ok) && clock::now() - start < millis(15));
    let seen = one.snapshot();
    assert_eq!((seen.would_reject, seen.admitted, seen.waits.count()), (40, 41, 40));
}

#[tokio::test(start_paused = true)]
async fn those_who_stay_in_the_line_after_a_change_of_share_are_still_served_in_time() {
    let ten = limiter(Quota::per_second(10).burst(1));
    ten.try_acquire().unwrap();
    let start = clock::now();
    let (line, stay) = tokio::join!(join_all((0..100).map(|_| ten.acquire())), async {
        sleep(millis(1)).await;
        ten.set_enforced_ratio(0.5).unwrap();
        ten.waiting()
    });
    assert!(line.iter().all(Result::is_ok));
    assert!((20..80).contains(&stay) && ten.snapshot().would_reject == 100 - stay);
    let took = (clock::now() - start).as_millis() as u64;
    assert!((stay * 100..=stay * 100 + 3).contains(&took), "{stay} stayed for {took} ms");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_after_any_number_of_polls_leaves_nothing_behind() {
    #[derive(Clone, Copy, Debug)]
    enum Then {
        Nothing,
        Advance,
        Observe,
        Reserve,
        Lower,
    }
    for polls in 0..5 {
        for then in [Then::Nothing, Then::Advance, Then::Observe, Then::Reserve, Then::Lower] {
            for call in 0..3 {
                let two = limiter(Quota::per_second(10).burst(2));
                two.try_acquire_many(2).unwrap();
                let handle = two.clone();
                let mut waits = Box::pin(async move {
                    match call {
                        0 => handle.acquire().await.is_ok(),
                        1 => handle.acquire_many(2).await.is_ok(),
                        _ => handle.acquire_within(2, Duration::from_secs(1)).await.is_ok(),
                    }
                });
                for poll in 0..polls {
                    if poll == 1 {
                        match then {
                            Then::Nothing => {}
                            Then::Advance => advance(millis(150)).await,
                            Then::Observe => two.observe(),
                            Then::Reserve => drop(two.reserve().unwrap()),
                            Then::Lower => two.set_quota(Quota::per_second(20).burst(1)).unwrap(),
                        }
                    }
                    if waits.as_mut().now_or_never().is_some() {
                        break;
                    }
                }
                drop(waits);
                assert_eq!(two.waiting(), 0, "{polls} polls, {then:?}, {call}");
                // A place left behind would stop those without a line for ever.
                two.set_enforced_ratio(1.0).unwrap();
                advance(Duration::from_secs(2)).await;
                assert!(two.try_acquire().is_ok(), "{polls} polls, {then:?}, {call}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_are_counted_by_reason_and_waits_by_their_length() {
    let one = limiter(Quota::per_second(1).burst(1));
    one.try_acquire().unwrap();
    assert!(one.try_acquire().is_err() && one.try_acquire_many(2).is_err());
    one.acquire().await.unwrap();
    let seen = one.snapshot();
    assert_eq!(seen.rejected_by, [(Reason::TooLarge, 1), (Reason::RateExceeded, 1)]);
    assert_eq!((seen.rejected, seen.waits.count(), seen.waits.total().as_millis() / 10), (2, 1, 100));
}

#[test]
fn a_share_that_is_not_as_built_is_not_forgotten() {
    let now = clock::now();
    let one = limiter(Quota::per_second(1));
    one.observe();
    assert!(!one.is_forgettable(now));
    one.rebase_enforced_ratio(0.0).unwrap();
    assert!(one.is_forgettable(now));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Beside a limiter that is asked the same and enforces: whatever that admits is admitted, and the
    /// bucket is the same afterwards.
    #[test]
    fn observing_counts_exactly_what_enforcing_would_refuse(steps in proptest::collection::vec((0..400_000_000u64, 1..5u64), 1..80)) {
        let quota = Quota::per_second(10).burst(3);
        let (observes, enforces) = (limiter(quota), limiter(quota));
        observes.observe();
        let mut now = Instant::from_nanos(1_000_000_000);
        for (pause, tokens) in steps {
            now = now + Duration::from_nanos(pause);
            prop_assert!(observes.try_acquire_many_at(tokens, now).is_ok());
            let _ = enforces.try_acquire_many_at(tokens, now);
        }
        prop_assert_eq!(observes.snapshot().would_reject, enforces.snapshot().rejected);
        prop_assert_eq!(observes.try_acquire_at(now).is_ok(), true);
        observes.set_enforced_ratio(1.0).unwrap();
        let told = |limiter: &RateLimiter| limiter.try_acquire_many_at(3, now).map_err(|no| no.retry_after());
        let _ = enforces.try_acquire_at(now);
        prop_assert_eq!(told(&observes), told(&enforces));
    }
}
