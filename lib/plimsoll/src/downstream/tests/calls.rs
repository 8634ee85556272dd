use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::join;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::breaker::{self, State};
use crate::downstream::{Downstream, Error, EveryError, Judge, LastGood, OtherCall, Value};
use crate::rate::Quota;
use crate::registry::{self, Kind, Snapshot};
use crate::retry::{self, Budget, Decision, Retryable};
use crate::scope::{self, Ended, Scope};
use crate::semaphore::Semaphore;
use crate::{Name, Outcome, Reason, Rejected, hedge};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn retry(more: usize) -> retry::Policy {
    retry::Policy::schedule(vec![10 * MS; more])
}

fn opens_after(failures: u32) -> breaker::Policy {
    breaker::Policy::ratio(0.5).calls_min(failures)
}

fn detail(snapshot: &Snapshot, name: &str) -> u64 {
    snapshot.details.iter().find(|(known, _)| *known == name).unwrap().1
}

async fn fails() -> Result<u32, u16> {
    Err(500)
}

async fn answers() -> Result<u32, u16> {
    Ok(7)
}

#[test]
fn without_any_part_it_is_a_plain_call_that_needs_no_runtime() {
    let bare = Downstream::unnamed().build().unwrap();
    assert_eq!(bare.call(answers).now_or_never(), Some(Ok(7)));
    assert_eq!(bare.call(fails).now_or_never(), Some(Err(Error::Inner(500))));
    assert_eq!(bare.call_once(answers).now_or_never(), Some(Ok(7)));
    let seen = bare.snapshot();
    assert_eq!((seen.admitted, detail(&seen, "failed")), (3, 1));
}

#[test]
fn a_call_is_small_enough_to_be_a_task() {
    let bare = Downstream::unnamed().build().unwrap();
    let size = size_of_val(&bare.call(answers));
    assert!(size <= 4_096, "{size}");
}

#[tokio::test(start_paused = true)]
async fn polly_2348_a_retry_without_a_budget_is_given_one() {
    let downstream = Downstream::unnamed().retry(retry(9)).build().unwrap();
    let tries = Cell::new(0u32);
    for _ in 0..1_000 {
        let down = || {
            tries.set(tries.get() + 1);
            fails()
        };
        downstream.call(down).await.unwrap_err();
    }
    // 20 % of a thousand calls, and 10 a second: not the ten thousand that the attempts allow.
    assert!(tries.get() < 1_000 + 200 + 100 + 50, "{}", tries.get());
    assert!(tries.get() > 1_100);
}

#[tokio::test(start_paused = true)]
async fn retries_and_second_tries_draw_on_one_budget_in_which_a_call_counts_once() {
    let budget = Budget::builder("downstream-test-budget").ratio(0.5).min_per_second(0).build().unwrap();
    for given in [true, false] {
        let policy = hedge::Policy::fixed(50 * MS);
        let policy = if given { policy.budget(&budget) } else { policy };
        let parts = Downstream::unnamed().retry(retry(9).budget(&budget)).hedge(policy);
        let downstream = parts.build().unwrap();
        let before = registry::snapshot().into_iter().find(|bound| bound.name == budget.name()).unwrap();
        // Two calls earn one: the second of them is late, and the third, which fails, has nothing left.
        assert_eq!(downstream.call(answers).await, Ok(7));
        let late = || async {
            sleep(60 * MS).await;
            answers().await
        };
        assert_eq!(downstream.call(late).await, Ok(7));
        assert_eq!(downstream.call(fails).await, Err(Error::Inner(500)));
        let after = registry::snapshot().into_iter().find(|bound| bound.name == budget.name()).unwrap();
        assert_eq!((detail(&after, "window_calls") - detail(&before, "window_calls")), 3);
        assert_eq!((after.in_use - before.in_use, after.rejected - before.rejected), (1, 1));
        assert_eq!(detail(&downstream.snapshot(), "hedges"), 1);
        advance(20 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn linkerd2_5599_what_finds_no_place_does_not_turn_slowness_into_an_outage() {
    let parts = || Downstream::unnamed().concurrency(2).breaker(opens_after(2));
    let slow = || async {
        sleep(500 * MS).await;
        answers().await
    };
    // A burst on a slow service: two are served, the rest are told so, and that is all that comes of it.
    let downstream = parts().build().unwrap();
    let ended = join_all((0..100).map(|_| downstream.call(slow))).await;
    let full = |result: &Result<u32, Error<u16>>| {
        result.as_ref().err().and_then(Error::rejected).map(Rejected::reason) == Some(Reason::Full)
    };
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 2);
    assert_eq!(ended.iter().filter(|result| full(result)).count(), 98);
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
    assert_eq!(downstream.call(slow).await, Ok(7), "as soon as there is a place");
    assert_eq!(downstream.snapshot().rejected_by, vec![(Reason::Full, 98)]);

    // Where it may wait, it does, and the wait is not taken for slowness of the service.
    let patient = opens_after(2).slow_call(SECOND, 0.5);
    let downstream = parts().breaker(patient).wait_up_to(60 * SECOND).build().unwrap();
    let ended = join_all((0..100).map(|_| downstream.call(slow))).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_came_to_wait_before_the_breaker_opened_is_not_let_through_after() {
    let parts = Downstream::unnamed().concurrency(1).wait_up_to(60 * SECOND).breaker(opens_after(2));
    let downstream = parts.build().unwrap();
    let tries = Cell::new(0);
    let fails_slowly = || {
        tries.set(tries.get() + 1);
        async {
            sleep(100 * MS).await;
            fails().await
        }
    };
    let ended = join_all((0..50).map(|_| downstream.call(fails_slowly))).await;
    let open = ended.iter().filter_map(|result| result.as_ref().err()?.rejected());
    assert_eq!((tries.get(), open.filter(|why| why.reason() == Reason::BreakerOpen).count()), (2, 48));
    assert_eq!(downstream.concurrency().unwrap().in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn cerberus_738_callers_that_go_away_do_not_open_the_breaker() {
    let parts = Downstream::unnamed().breaker(opens_after(1)).timeout(SECOND).hedge(hedge::Policy::fixed(MS));
    let downstream = parts.build().unwrap();
    for _ in 0..100 {
        let gone = timeout(10 * MS, downstream.call(pending::<Result<(), u16>>));
        assert!(gone.await.is_err());
        // The loser of a hedged call went away too.
        let first = Cell::new(true);
        let won = downstream.call(|| {
            let slow = first.replace(false);
            async move {
                sleep(if slow { 500 * MS } else { MS }).await;
                answers().await
            }
        });
        assert_eq!(won.await, Ok(7));
    }
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn erpc_1118_ignored_outcomes_do_not_latch_the_breaker_open() {
    let downstream = Downstream::unnamed()
        .breaker(opens_after(1).probes_max(1).open_for(SECOND))
        .judge(|result: &Result<u32, u16>| match result {
            Err(500..) => Outcome::Failure,
            Err(_) => Outcome::Ignored,
            Ok(_) => Outcome::Success,
        })
        .build()
        .unwrap();
    assert_eq!(downstream.call(fails).await, Err(Error::Inner(500)));
    assert_eq!(downstream.breaker().unwrap().state(), State::Open);
    advance(SECOND).await;
    // Each is a probe that says nothing, and is given back for the next.
    for _ in 0..10 {
        assert_eq!(downstream.call(|| async { Err(404) }).await, Err(Error::Inner(404)));
    }
    assert_eq!(downstream.call(answers).await, Ok(7));
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_the_rate_rejects_is_retried_when_it_says_so_or_not_at_all() {
    let begun = Instant::now();
    let parts = || Downstream::unnamed().rate(Quota::per(4 * SECOND, 1)).retry(retry(1));
    let downstream = parts().build().unwrap();
    assert_eq!(downstream.call(answers).await, Ok(7));
    assert_eq!(downstream.call(answers).await, Ok(7));
    assert_eq!((begun.elapsed(), detail(&downstream.snapshot(), "retries")), (4 * SECOND + 10 * MS, 1));

    let (downstream, begun) = (parts().deadline(3 * SECOND).build().unwrap(), Instant::now());
    assert_eq!(downstream.call(answers).await, Ok(7));
    let error = downstream.call(answers).await.unwrap_err();
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::RateExceeded));
    assert_eq!(begun.elapsed(), Duration::ZERO, "the wait would outlast the deadline");
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_place_has_not_spent_a_token() {
    let parts = Downstream::unnamed().rate(Quota::per_hour(2)).concurrency(1);
    let downstream = parts.build().unwrap();
    let place = downstream.concurrency().unwrap().try_acquire().unwrap();
    for _ in 0..10 {
        let error = downstream.call(answers).await.unwrap_err();
        assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::Full));
    }
    drop(place);
    assert_eq!(downstream.rate().unwrap().available(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_called_once_is_neither_retried_nor_hedged_but_bound_all_the_same() {
    let parts = Downstream::unnamed().retry(retry(9)).hedge(hedge::Policy::fixed(50 * MS));
    let downstream = parts.breaker(opens_after(2)).timeout(100 * MS).build().unwrap();
    let begun = Instant::now();
    let late = downstream.call_once(pending::<Result<u32, u16>>).await.unwrap_err();
    assert!(matches!(late, Error::TimedOut { timeout, .. } if timeout == 100 * MS));
    assert_eq!((begun.elapsed(), detail(&downstream.snapshot(), "hedges")), (100 * MS, 0));
    assert_eq!(downstream.call_once(fails).await, Err(Error::Inner(500)));
    assert_eq!(downstream.breaker().unwrap().state(), State::Open);
    assert_eq!(detail(&downstream.snapshot(), "retries"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_gone_and_its_place_free_before_the_fallback_is_asked() {
    let parts = [
        Downstream::unnamed().timeout(100 * MS),
        Downstream::unnamed().deadline(100 * MS).hedge(hedge::Policy::fixed(50 * MS)),
    ];
    for parts in parts {
        let (alive, places) = (Arc::new(()), Arc::new(OnceLock::<Semaphore>::new()));
        let (left, free) = (Arc::clone(&alive), Arc::clone(&places));
        let other = OtherCall::new(move |_: &Error<u16>| {
            let free = free.get().map(Semaphore::available);
            let seen = (Arc::strong_count(&left), free);
            async move { Some(seen) }
        });
        let downstream = parts.concurrency(3).fallback(other).build().unwrap();
        places.set(downstream.concurrency().unwrap().clone()).unwrap();
        let answer = downstream.call(|| {
            let alive = Arc::clone(&alive);
            async move {
                let _alive = alive;
                pending().await
            }
        });
        assert_eq!(answer.await, Ok((2, Some(3))));
    }
}

/// Goes by the status of a response, as an http client would.
struct ByStatus;

impl Judge<u16, ()> for ByStatus {
    fn outcome(&self, result: &Result<u16, ()>) -> Outcome {
        match result {
            Ok(500..) | Err(()) => Outcome::Failure,
            Ok(429) => Outcome::Ignored,
            Ok(_) => Outcome::Success,
        }
    }

    fn decision(&self, result: &Result<u16, ()>) -> Decision {
        match result {
            Ok(429) => Decision::RetryAfter(SECOND),
            Ok(500..) | Err(()) => Decision::Retry,
            Ok(_) => Decision::GiveUp,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ok_that_is_a_failure_is_retried_and_in_the_end_returned_as_it_is() {
    let parts = Downstream::unnamed().retry(retry(2).retry_after_max(SECOND)).breaker(opens_after(4));
    let downstream = parts.judge(ByStatus).fallback(Value(1)).build().unwrap();
    let (tries, begun) = (Cell::new(0), Instant::now());
    let get = async |status| {
        downstream
            .call(|| {
                tries.set(tries.get() + 1);
                async move { Ok::<u16, ()>(status) }
            })
            .await
    };
    assert_eq!((get(404).await, tries.replace(0)), (Ok(404), 1));
    assert_eq!((get(429).await, tries.replace(0), begun.elapsed()), (Ok(429), 3, 2 * SECOND + 20 * MS));
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed, "429 says nothing of its health");
    assert_eq!((get(503).await, tries.replace(0)), (Ok(503), 3));
    // 429 counted as nothing: one answer that was well, and three failures.
    assert_eq!(downstream.breaker().unwrap().state(), State::Open);
    assert_eq!((get(200).await, tries.replace(0)), (Ok(1), 0), "the fallback is for what has no answer");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_wanted_is_dropped_before_the_retry_sleeps() {
    let parts = Downstream::unnamed().retry(retry(1));
    let judge = |_: &Result<Arc<()>, u16>| Outcome::Failure;
    let downstream = parts.judge(judge).build().unwrap();
    let connection = Arc::new(());
    let held = async {
        sleep(5 * MS).await;
        Arc::strong_count(&connection)
    };
    let get = || async { Ok::<_, u16>(Arc::clone(&connection)) };
    let (answer, held) = join!(downstream.call(get), held);
    assert_eq!((answer.is_ok(), held), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_settled_error_is_not_retried_nor_hidden_by_the_fallback() {
    let parts = Downstream::unnamed().retry(retry(2)).fallback(Value(1));
    let judge = |result: &Result<u32, u16>| match result {
        Err(500..) => Outcome::Failure,
        _ => Outcome::Success,
    };
    let downstream = parts.judge(judge).build().unwrap();
    assert_eq!(downstream.call(|| async { Err(404) }).await, Err(Error::Inner(404)));
    assert_eq!(downstream.call(fails).await, Ok(1));
    let seen = downstream.snapshot();
    assert_eq!((detail(&seen, "retries"), detail(&seen, "fallbacks"), detail(&seen, "failed")), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_is_one_for_all_clones_and_has_an_age() {
    let prices = Downstream::unnamed().fallback(LastGood::within(10 * SECOND)).build().unwrap();
    let clone = prices.clone();
    assert_eq!(prices.call(fails).await, Err(Error::Inner(500)), "there was none yet");
    assert_eq!(prices.call(answers).await, Ok(7));
    assert_eq!(clone.call(|| async { Ok::<u32, u16>(8) }).await, Ok(8));
    advance(10 * SECOND).await;
    assert_eq!((prices.call(fails).await, clone.call(fails).await), (Ok(8), Ok(8)));
    advance(MS).await;
    assert_eq!(prices.call(fails).await, Err(Error::Inner(500)), "too old");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_has_no_answer_leaves_the_reason_why() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let other = OtherCall::new(move |_: &Error<u16>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { None::<u32> }
    });
    let downstream = Downstream::unnamed().fallback(other).build().unwrap();
    assert_eq!(downstream.call(fails).await, Err(Error::Inner(500)));
    assert_eq!((asked.load(Ordering::Relaxed), detail(&downstream.snapshot(), "fallbacks")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_in_a_scope_that_has_ended_and_what_is_tried_sees_the_deadline() {
    let remaining = || async { Ok::<_, u16>(scope::current().remaining()) };
    for (set, expected) in [(None, 10 * SECOND), (Some(SECOND), SECOND), (Some(60 * SECOND), 10 * SECOND)] {
        let parts = Downstream::unnamed();
        let parts = if let Some(deadline) = set { parts.deadline(deadline) } else { parts };
        let downstream = parts.build().unwrap();
        let call = Scope::root().deadline_in(10 * SECOND).run(async { downstream.call(remaining).await });
        assert_eq!(call.await, Ok(Ok(Some(expected))));
    }
    let downstream = Downstream::unnamed().build().unwrap();
    let tried = Cell::new(false);
    let in_a_cancelled_scope = Scope::root().run(async {
        scope::current().cancel();
        let result = downstream.call(|| {
            tried.set(true);
            answers()
        });
        result.await
    });
    assert_eq!(in_a_cancelled_scope.await, Ok(Err(Error::ScopeEnded(Ended::Cancelled))));
    assert!(!tried.get());
}

#[tokio::test(start_paused = true)]
async fn a_panic_comes_through_and_gives_everything_back() {
    let parts = Downstream::unnamed().concurrency(3).timeout(SECOND).retry(retry(3));
    let parts = parts.breaker(opens_after(1)).hedge(hedge::Policy::fixed(10 * MS));
    let downstream = parts.build().unwrap();
    let first = Cell::new(true);
    let call = downstream.call(|| {
        let panics = !first.replace(false);
        async move {
            sleep(20 * MS).await;
            assert!(!panics, "the second try panics");
            pending::<Result<(), u16>>().await
        }
    });
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    assert_eq!(
        (downstream.concurrency().unwrap().in_use(), downstream.hedge().unwrap().snapshot().in_use),
        (0, 0)
    );
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_hang_that_only_a_deadline_ends_is_seen_by_the_breaker() {
    let hangs = || pending::<Result<u32, u16>>();
    let slow = || Downstream::unnamed().breaker(opens_after(2).slow_call(50 * MS, 1.0));
    let ours = slow().deadline(100 * MS).build().unwrap();
    let callers = slow().build().unwrap();
    for state in [State::Closed, State::Open] {
        assert_eq!(ours.call(hangs).await, Err(Error::ScopeEnded(Ended::DeadlinePassed)));
        let ended = Scope::root().deadline_in(100 * MS).run(callers.call_once(hangs)).await;
        assert_eq!(ended, Err(Ended::DeadlinePassed));
        let seen = [&ours, &callers].map(|downstream| downstream.breaker().unwrap().state());
        assert_eq!(seen, [state, state]);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_without_time_or_patience_do_not_open_the_breaker() {
    let hangs = || pending::<Result<u32, u16>>();
    let policy = opens_after(1).slow_call(50 * MS, 1.0);
    let downstream = Downstream::unnamed().breaker(policy).build().unwrap();
    let hurried = Scope::root().deadline_in(10 * MS).run(downstream.call(hangs)).await;
    assert_eq!(hurried, Err(Ended::DeadlinePassed));
    let gone = Scope::root().deadline_in(SECOND).run(timeout(200 * MS, downstream.call(hangs))).await;
    assert!(gone.is_ok_and(|gone| gone.is_err()));
    assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
}

#[test]
fn a_breaker_and_a_deadline_by_which_no_hang_would_ever_count_are_refused() {
    let parts = || Downstream::builder("downstream-test-hang").deadline(SECOND);
    let late = opens_after(1).slow_call(SECOND, 0.5);
    for parts in [parts().breaker(opens_after(1)), parts().breaker(late)] {
        let refused = parts.clone().build().unwrap_err();
        assert_eq!((refused.field(), refused.value()), ("timeout", "not set"));
        assert!(parts.timeout(MS).build().is_ok());
    }
    assert!(parts().breaker(late.slow_call(MS, 0.5)).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn clones_share_every_bound_and_the_registry_shows_each_by_one_name() {
    let name = "downstream-test-registry";
    let downstream = Downstream::builder(name)
        .deadline(2 * SECOND)
        .retry(retry(1))
        .hedge(hedge::Policy::fixed(MS))
        .breaker(opens_after(1))
        .rate(Quota::per_hour(10))
        .concurrency(1)
        .timeout(SECOND)
        .build()
        .unwrap();
    let clone = downstream.clone();
    let slow = || async {
        sleep(500 * MS).await;
        answers().await
    };
    let (first, second) = join!(downstream.call_once(slow), clone.call_once(slow));
    assert_eq!(first, Ok(7));
    let rejected = second.unwrap_err();
    assert_eq!(rejected.to_string(), format!("{name}: 1 of 1 in use, 0 waiting"));

    let kinds: Vec<_> = registry::snapshot()
        .into_iter()
        .filter(|bound| bound.name.as_str() == name)
        .map(|bound| bound.kind)
        .collect();
    for kind in [Kind::Downstream, Kind::RetryBudget, Kind::Hedge, Kind::Breaker, Kind::Rate, Kind::Semaphore]
    {
        assert_eq!(kinds.iter().filter(|known| **known == kind).count(), 1, "{kind:?}");
    }
    let seen = downstream.snapshot();
    assert_eq!((seen.admitted, seen.rejected, seen.limit, seen.in_use, seen.high_water), (2, 1, 1, 0, 1));
    assert_eq!((detail(&seen, "rate_in_use"), detail(&seen, "breaker_open")), (1, 0));
    drop((downstream, clone));
    assert!(registry::snapshot().iter().all(|bound| bound.name.as_str() != name));
}

#[test]
fn settings_out_of_range_and_contradictions_are_refused_by_field() {
    let day = Duration::from_secs(86_401);
    let parts = Downstream::unnamed;
    let bad = [
        (parts().timeout(Duration::ZERO), "timeout"),
        (parts().timeout(day), "timeout"),
        (parts().deadline(Duration::ZERO), "deadline"),
        (parts().deadline(Duration::MAX), "deadline"),
        (parts().deadline(MS).timeout(MS), "deadline"),
        (parts().concurrency(1).wait_up_to(Duration::ZERO), "wait_up_to"),
        (parts().concurrency(1).wait_up_to(day), "wait_up_to"),
        (parts().wait_up_to(MS), "wait_up_to"),
        (parts().concurrency(0), "concurrency"),
        (parts().concurrency(u64::MAX), "concurrency"),
        (parts().rate(Quota::per_second(0)), "rate"),
        (parts().breaker(breaker::Policy::ratio(f64::NAN)), "ratio"),
        (parts().retry(retry(1).attempts(0)), "attempts"),
        (parts().hedge(hedge::Policy::percentile(2.0)), "percentile"),
    ];
    for (builder, field) in bad {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    let refused = Downstream::builder("inventory").deadline(MS).timeout(MS).build().unwrap_err();
    assert_eq!(refused.to_string(), "inventory: deadline is 1ms, allowed is longer than the timeout");
    let refused = Downstream::builder("inventory").retry(retry(1).attempts(0)).build().unwrap_err();
    assert_eq!(refused.to_string(), "inventory: attempts is 0, allowed is 1 to 1,000");
    assert_eq!(Downstream::builder("").build().unwrap_err().field(), "name");
}

#[test]
fn errors_say_what_ended_the_call() {
    let name = Name::new("inventory").unwrap();
    let timed_out = Error::<Rejected>::TimedOut { downstream: name, timeout: 250 * MS };
    assert_eq!(timed_out.to_string(), "inventory: no answer within 250ms");
    assert_eq!(timed_out.decision(), Decision::Retry);
    let ended = Error::<Rejected>::ScopeEnded(Ended::DeadlinePassed);
    assert_eq!(
        (ended.to_string().as_str(), ended.decision()),
        ("the scope's deadline passed", Decision::GiveUp)
    );
    assert_eq!(EveryError.outcome(&Err::<(), _>(ended)), Outcome::Failure);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bound_is_exceeded_and_nothing_is_left_behind(
        calls in prop::collection::vec((0u32..400, 0u32..150, 0u8..10), 1..60),
        (places, tokens, waits) in (1u64..6, 5u64..50, any::<bool>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let budget = Budget::new(0.5, 1).unwrap();
        let parts = Downstream::unnamed()
            .deadline(2 * SECOND)
            .retry(retry(3).budget(&budget))
            .hedge(hedge::Policy::fixed(60 * MS))
            .breaker(breaker::Policy::ratio(0.9).calls_min(10).open_for(50 * MS))
            .rate(Quota::per_second(tokens).burst(5))
            .concurrency(places)
            .timeout(100 * MS);
        let parts = if waits { parts.wait_up_to(80 * MS) } else { parts };
        let downstream = parts.build().unwrap();
        let working = RefCell::new((0u64, 0u64));
        let begins: RefCell<Vec<Instant>> = RefCell::default();
        let (downstream, working, begins) = (&downstream, &working, &begins);
        let ended = runtime.unwrap().block_on(join_all(calls.iter().map(|&(wait, takes, luck)| async move {
            sleep(wait * MS).await;
            let call = downstream.call(|| {
                begins.borrow_mut().push(Instant::now());
                async move {
                    let _working = Working::new(working);
                    sleep(takes * MS).await;
                    if luck < 3 { Err(500u16) } else { Ok(7) }
                }
            });
            // One in ten callers goes away.
            if luck == 9 { timeout(30 * MS, call).await.ok() } else { Some(call.await) }
        })));
        let begins = begins.borrow();
        let (left, most) = *working.borrow();
        prop_assert_eq!((left, most <= places), (0, true));
        // No more began in any stretch of time than its rate and the burst.
        for (index, from) in begins.iter().enumerate() {
            for (count, to) in begins[index..].iter().enumerate() {
                let allowed = 5.0 + (*to - *from).as_secs_f64() * tokens as f64;
                prop_assert!((count + 1) as f64 <= allowed + 1e-6, "{} of {}", count + 1, allowed);
            }
        }
        let seen = downstream.snapshot();
        let hedge = downstream.hedge().unwrap().snapshot();
        prop_assert_eq!((seen.in_use, seen.waiting, hedge.in_use), (0, 0, 0));
        prop_assert_eq!(seen.admitted, calls.len() as u64);
        let extra = detail(&seen, "retries") + detail(&seen, "hedges");
        prop_assert!(begins.len() as u64 <= calls.len() as u64 + extra);
        prop_assert!(extra <= calls.len() as u64 / 2 + 10, "{} of {}", extra, calls.len());
        let answered = ended.iter().flatten().filter(|result| result.is_ok()).count() as u64;
        let unanswered = seen.rejected
            + ["timed_out", "scope_ended", "failed"].map(|name| detail(&seen, name)).iter().sum::<u64>();
        prop_assert_eq!(answered + unanswered, ended.iter().flatten().count() as u64);
    }
}

/// Counts what is at work at once, now and at the most.
struct Working<'a>(&'a RefCell<(u64, u64)>);

impl<'a> Working<'a> {
    fn new(counts: &'a RefCell<(u64, u64)>) -> Self {
        let mut both = counts.borrow_mut();
        both.0 += 1;
        both.1 = both.1.max(both.0);
        drop(both);
        Self(counts)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().0 -= 1;
    }
}
