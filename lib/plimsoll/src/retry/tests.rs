use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use crate::scope::Scope;
use crate::semaphore::Semaphore;
use crate::{Name, Reason, Rejected, registry};

const SECOND: Duration = Duration::from_secs(1);

fn always(_: &&str) -> Decision {
    Decision::Retry
}

async fn never_tried() -> Result<(), &'static str> {
    panic!("was tried")
}

/// Delays without jitter, so that time can be told.
fn seconds(attempts: u32) -> Policy {
    Policy::exponential(SECOND).jitter_ratio(0.0).attempts(attempts)
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_as_often_as_said_with_the_delay_doubled() {
    let (begun, tries) = (Instant::now(), Cell::new(0));
    let error = seconds(4)
        .retry_if(always)
        .run(|| {
            tries.set(tries.get() + 1);
            async { Err::<(), _>("down") }
        })
        .await
        .unwrap_err();
    assert_eq!((error.attempts(), tries.get(), error.last()), (4, 4, Some(&"down")));
    assert_eq!(error.stop(), Some(&Stop::AttemptsUsed));
    assert_eq!(begun.elapsed(), 7 * SECOND);
    assert_eq!(error.to_string(), "down (attempt 4, no attempt left)");
}

#[tokio::test(start_paused = true)]
async fn only_errors_said_to_be_retryable_are_retried() {
    let classify = |error: &&str| if *error == "down" { Decision::Retry } else { Decision::GiveUp };
    let answers = Cell::new(["down", "wrong", "down"].iter());
    let error = seconds(9)
        .retry_if(classify)
        .run(|| {
            let mut rest = answers.take();
            let answer = *rest.next().unwrap();
            answers.set(rest);
            async move { Err::<(), _>(answer) }
        })
        .await
        .unwrap_err();
    assert_eq!((error.attempts(), error.stop()), (2, Some(&Stop::NotRetryable)));
    assert_eq!(error.into_last(), Some("wrong"));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_in_full_with_the_delay_on_top() {
    let (begun, policy) = (Instant::now(), seconds(2));
    let asked = |_: &&str| Decision::RetryAfter(30 * SECOND);
    let error = policy.retry_if(asked).run(|| async { Err::<(), _>("busy") }).await.unwrap_err();
    assert_eq!((error.attempts(), begun.elapsed()), (2, 31 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_limit_is_not_waited_for_at_all() {
    let begun = Instant::now();
    let asked = |_: &&str| Decision::RetryAfter(Duration::MAX);
    let error = seconds(2).retry_if(asked).run(|| async { Err::<(), _>("busy") }).await.unwrap_err();
    let stop = Stop::RetryAfterTooLong { asked: Duration::MAX, max: 60 * SECOND };
    assert_eq!((error.stop(), begun.elapsed()), (Some(&stop), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn it_does_not_sleep_past_the_deadline_of_the_scope() {
    let begun = Instant::now();
    let policy = seconds(9);
    let work = async { policy.retry_if(always).run(|| async { Err::<(), _>("down") }).await };
    let error = Scope::new().deadline_in(5 * SECOND).run(work).await.unwrap().unwrap_err();
    let stop = Stop::DeadlineTooNear { delay: 4 * SECOND, remaining: 2 * SECOND };
    assert_eq!((error.attempts(), error.stop()), (3, Some(&stop)));
    assert_eq!(begun.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn polly_2348_retries_stop_when_the_budget_is_spent() {
    let budget = Budget::new(0.1, 0).unwrap();
    let policy = seconds(10).jitter_ratio(1.0).max_delay(Duration::from_millis(1)).budget(&budget);
    let calls = Cell::new(0);
    for _ in 0..100 {
        let down = || {
            calls.set(calls.get() + 1);
            async { Err::<(), _>("down") }
        };
        let error = policy.retry_if(always).run(down).await.unwrap_err();
        let spent =
            matches!(error.stop(), Some(Stop::BudgetSpent(why)) if why.reason() == Reason::BudgetSpent);
        assert!(spent, "{error}");
    }
    assert_eq!(calls.get(), 110, "ten attempts allowed, and an outage costs a tenth more");
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_budget_are_one_budget_and_it_refills_with_time() {
    let budget =
        Budget::builder("retry-test-refill").ratio(0.0).min_per_second(1).window(2 * SECOND).build().unwrap();
    let other = budget.clone();
    assert!(budget.try_spend().is_ok() && other.try_spend().is_ok());
    assert!(budget.try_spend().is_err() && other.try_spend().is_err());
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == budget.name()).unwrap();
    assert_eq!((seen.limit, seen.in_use, seen.admitted, seen.rejected), (2, 2, 2, 2));
    assert_eq!(seen.rejected_by, [(Reason::BudgetSpent, 2)]);
    advance(2 * SECOND).await;
    assert!(budget.try_spend().is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropping_it_while_it_sleeps_makes_no_other_attempt() {
    let tries = Cell::new(0);
    {
        let policy = seconds(9).retry_if(always);
        let mut run = pin!(policy.run(|| {
            tries.set(tries.get() + 1);
            async { Err::<(), _>("down") }
        }));
        assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
    }
    advance(60 * SECOND).await;
    assert_eq!(tries.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_while_it_sleeps() {
    let limit = Semaphore::new(1).unwrap();
    let policy = seconds(3).retry_if(always);
    let mut run = pin!(policy.run(|| async {
        let _permit = limit.acquire().await;
        tokio::time::sleep(SECOND).await;
        Err::<(), _>("down")
    }));
    // An attempt of a second, a wait of one, an attempt, a wait of two, an attempt.
    for in_use in [1, 0, 1, 0, 0, 1] {
        assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
        assert_eq!(limit.in_use(), in_use);
        advance(SECOND).await;
    }
    assert_eq!(run.await.unwrap_err().attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_any_await_leaves_no_permit_and_makes_no_other_attempt() {
    for polls in 0..12 {
        let (limit, tries) = (Semaphore::new(1).unwrap(), Cell::new(0));
        {
            let policy = seconds(4).retry_if(always);
            let mut run = pin!(policy.run(|| async {
                tries.set(tries.get() + 1);
                let _permit = limit.acquire().await;
                tokio::task::yield_now().await;
                Err::<(), _>("down")
            }));
            for _ in 0..polls {
                let _ = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await;
                advance(SECOND / 2).await;
            }
        }
        let before = tries.get();
        advance(60 * SECOND).await;
        assert_eq!((limit.in_use(), limit.waiting(), tries.get()), (0, 0, before));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_itself_whether_it_is_worth_another_try() {
    let name = Name::UNNAMED;
    let full = Rejected::new(name, Reason::Full);
    assert_eq!(full.decision(), Decision::Retry);
    assert_eq!(full.with_retry_after(SECOND).decision(), Decision::RetryAfter(SECOND));
    let never_again = [
        Reason::TooLarge,
        Reason::Misconfigured,
        Reason::BudgetSpent,
        Reason::Draining,
        Reason::DeadlineTooNear,
    ];
    for never in never_again {
        assert_eq!(Rejected::new(name, never).with_retry_after(SECOND).decision(), Decision::GiveUp);
    }
    let draining = || async { Err::<(), _>(Rejected::new(name, Reason::Draining)) };
    assert_eq!(seconds(3).run(draining).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_out_of_range_is_refused_before_the_first_attempt() {
    let refused = [
        (seconds(0), "attempts"),
        (seconds(u32::MAX), "attempts"),
        (Policy::schedule(vec![SECOND; 1_000]), "attempts"),
        (Policy::schedule([SECOND; 2]).attempts(4), "attempts"),
        (Policy::schedule([Duration::MAX]), "schedule"),
        (Policy::exponential(Duration::ZERO), "exponential"),
        (Policy::exponential(Duration::MAX), "exponential"),
        (seconds(2).jitter_ratio(-0.1), "jitter_ratio"),
        (seconds(2).jitter_ratio(f64::NAN), "jitter_ratio"),
        (seconds(2).max_delay(Duration::ZERO), "max_delay"),
        (seconds(2).max_delay(Duration::MAX), "max_delay"),
        (seconds(2).retry_after_max(Duration::MAX), "retry_after_max"),
    ];
    for (policy, field) in refused {
        assert_eq!(policy.check().unwrap_err().field(), field);
        let ran = policy.retry_if(always).run(never_tried).await;
        assert!(matches!(ran, Err(Error::Invalid(invalid)) if invalid.field() == field));
    }
    assert!(Policy::schedule([]).check().is_ok(), "one attempt, no retry");
}

#[test]
fn a_budget_out_of_range_is_refused_by_field() {
    let build = |ratio, min, window| {
        Budget::builder("retry-test-bad").ratio(ratio).min_per_second(min).window(window).build().map(|_| ())
    };
    let field = |built: Result<(), crate::Invalid>| built.unwrap_err().field();
    assert_eq!(field(build(f64::NAN, 1, SECOND)), "ratio");
    assert_eq!(field(build(-0.1, 1, SECOND)), "ratio");
    assert_eq!(field(build(1.1, 1, SECOND)), "ratio");
    assert_eq!(field(build(0.0, 0, SECOND)), "min_per_second");
    assert_eq!(field(build(0.1, u32::MAX, SECOND)), "min_per_second");
    assert_eq!(field(build(0.1, 1, Duration::ZERO)), "window");
    assert_eq!(field(build(0.1, 1, Duration::MAX)), "window");
    assert!(Budget::new(2.0, 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_delay_is_between_its_jittered_least_and_its_doubled_most(
        first_ms in 1u64..10_000, max_ms in 1u64..100_000, attempt in 1u32..2_000,
        attempts in 1u32..=1_000, jitter in 0.0..=1.0f64, random in prop::num::f64::ANY,
    ) {
        let policy = Policy::exponential(Duration::from_millis(first_ms))
            .attempts(attempts).max_delay(Duration::from_millis(max_ms)).jitter_ratio(jitter);
        prop_assert!(policy.check().is_ok());
        match policy.delay(attempt, random) {
            None => prop_assert!(attempt >= attempts),
            Some(delay) => {
                let doubled = u128::from(first_ms) << (attempt - 1).min(64);
                let most = doubled.min(u128::from(max_ms)) as f64 / 1e3;
                let slack = most * 1e-9 + 1e-9;
                prop_assert!(attempt < attempts);
                prop_assert!(delay.as_secs_f64() <= most + slack);
                prop_assert!(delay.as_secs_f64() >= most * (1.0 - jitter) - slack);
            }
        }
    }

    #[test]
    fn a_schedule_is_followed_and_then_over(
        list in prop::collection::vec(0u64..100_000, 0..20), attempt in 0u32..30,
    ) {
        let delays: Vec<_> = list.iter().copied().map(Duration::from_secs).collect();
        let expected = match attempt {
            0 => Some(Duration::ZERO),
            n => delays.get(n as usize - 1).copied(),
        };
        prop_assert_eq!(Policy::schedule(delays).delay(attempt, 0.7), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_admits_what_a_list_of_every_event_admits() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let (ratio, min) = (f64::from(random.u32(0..=10)) / 10.0, random.u32(1..4));
        let budget = Budget::new(ratio, min).unwrap();
        let mut events: Vec<(u64, bool)> = Vec::new();
        for _ in 0..300 {
            advance(Duration::from_millis(random.u64(0..400))).await;
            // The window is ten ticks of a second, counted from the clock's zero.
            let tick = crate::clock::now().as_nanos() / 1_000_000_000;
            events.retain(|(at, _)| *at + 10 > tick);
            if random.bool() {
                budget.record_call();
                events.push((tick, false));
                continue;
            }
            let spent = events.iter().filter(|(_, retry)| *retry).count();
            let calls = events.len() - spent;
            let allowed = (ratio * calls as f64 + 1e-6) as usize + 10 * min as usize;
            let admitted = budget.try_spend().is_ok();
            assert_eq!(admitted, spent < allowed, "round {round}: {spent} of {allowed} spent");
            if admitted {
                events.push((tick, true));
            }
        }
    }
}
