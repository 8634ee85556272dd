use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::registry::Snapshot;
use crate::retry::{self, Budget, Decision};
use crate::scope::Scope;
use crate::{Name, Reason, Rejected, registry};

const MS: Duration = Duration::from_millis(1);

/// A budget that pays for whatever these tests ask of it.
fn rich() -> Budget {
    Budget::new(1.0, 1_000).unwrap()
}

fn after(delay: Duration) -> Hedge {
    Hedge::new(Policy::fixed(delay).budget(&rich())).unwrap()
}

fn detail(snapshot: &Snapshot, name: &str) -> u64 {
    snapshot.details.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Tries that take so long each and end so, and how many were begun and are still there.
struct Tries<'a> {
    plan: &'a [(u32, Result<&'static str, &'static str>)],
    begun: Cell<usize>,
    alive: Rc<Cell<usize>>,
}

struct Alive(Rc<Cell<usize>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'a> Tries<'a> {
    fn new(plan: &'a [(u32, Result<&'static str, &'static str>)]) -> Self {
        Self { plan, begun: Cell::new(0), alive: Rc::default() }
    }

    fn next(&self) -> impl Future<Output = Result<&'static str, &'static str>> + use<'a> {
        let (millis, result) = self.plan[self.begun.get()];
        self.begun.set(self.begun.get() + 1);
        self.alive.set(self.alive.get() + 1);
        let alive = Alive(Rc::clone(&self.alive));
        async move {
            let _alive = alive;
            if millis > 0 {
                sleep(millis * MS).await;
            }
            result
        }
    }
}

#[test]
fn a_try_that_is_done_when_it_is_first_polled_needs_no_timer() {
    // Outside of any runtime: making a timer would panic.
    let hedge = after(50 * MS);
    assert_eq!(hedge.call(|| async { Ok::<_, ()>(7) }).now_or_never(), Some(Ok(7)));
    assert_eq!((hedge.snapshot().admitted, detail(&hedge.snapshot(), "hedges")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_time_is_made_once() {
    let (hedge, tries) = (after(50 * MS), Tries::new(&[(49, Ok("first"))]));
    assert_eq!(hedge.call(|| tries.next()).await, Ok("first"));
    assert_eq!(tries.begun.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_second_try_begins_after_the_delay_and_the_loser_is_gone_with_the_answer() {
    let (hedge, begun) = (after(50 * MS), Instant::now());
    let tries = Tries::new(&[(1_000, Ok("first")), (20, Ok("second"))]);
    assert_eq!(hedge.call(|| tries.next()).await, Ok("second"));
    assert_eq!((begun.elapsed(), tries.alive.get()), (70 * MS, 0));
    let seen = hedge.snapshot();
    assert_eq!((detail(&seen, "hedges"), detail(&seen, "hedges_won"), seen.in_use), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_try_may_win_after_all() {
    let (hedge, begun) = (after(50 * MS), Instant::now());
    let tries = Tries::new(&[(60, Ok("first")), (20, Ok("second"))]);
    assert_eq!(hedge.call(|| tries.next()).await, Ok("first"));
    assert_eq!((begun.elapsed(), tries.begun.get(), tries.alive.get()), (60 * MS, 2, 0));
    assert_eq!(detail(&hedge.snapshot(), "hedges_won"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_delay_ends_the_call() {
    let (hedge, begun) = (after(50 * MS), Instant::now());
    let tries = Tries::new(&[(10, Err("down")), (0, Ok("second"))]);
    assert_eq!(hedge.call(|| tries.next()).await, Err("down"));
    assert_eq!((begun.elapsed(), tries.begun.get()), (10 * MS, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_rejected_with_a_time_to_wait_is_not_begun_again_before_it() {
    let (hedge, tries) = (after(50 * MS), Cell::new(0));
    let rejected = Rejected::new(Name::UNNAMED, Reason::RateExceeded).with_retry_after(20 * MS);
    let answer = hedge.call(|| {
        tries.set(tries.get() + 1);
        let rejected = rejected.clone();
        async { Err::<(), _>(rejected) }
    });
    assert_eq!((answer.await, tries.get()), (Err(rejected), 1));
}

#[tokio::test(start_paused = true)]
async fn when_one_try_fails_the_other_is_awaited() {
    let hedge = after(50 * MS);
    let tries = Tries::new(&[(60, Err("first")), (100, Ok("second"))]);
    assert_eq!(hedge.call(|| tries.next()).await, Ok("second"));
    let tries = Tries::new(&[(100, Ok("first")), (10, Err("second"))]);
    assert_eq!(hedge.call(|| tries.next()).await, Ok("first"));
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_error_is_that_of_the_first_try() {
    let hedge = after(50 * MS);
    for (first, second) in [(60, 100), (100, 10), (60, 10)] {
        let plan = [(first, Err("first")), (second, Err("second"))];
        let (tries, begun) = (Tries::new(&plan), Instant::now());
        assert_eq!(hedge.call(|| tries.next()).await, Err("first"));
        assert_eq!(begun.elapsed(), first.max(50 + second) * MS);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_is_not_called_twice_as_often() {
    let budget = Budget::new(0.1, 0).unwrap();
    let hedge = Hedge::new(Policy::fixed(50 * MS).budget(&budget)).unwrap();
    let tries = Cell::new(0);
    for _ in 0..100 {
        let slow = || {
            tries.set(tries.get() + 1);
            async { sleep(80 * MS).await }.map(Ok::<_, ()>)
        };
        hedge.call(slow).await.unwrap();
    }
    assert_eq!(tries.get(), 110, "a tenth more, and not twice as much");
    let seen = hedge.snapshot();
    assert_eq!(seen.rejected_by, vec![(Reason::BudgetSpent, 90)]);
}

#[tokio::test(start_paused = true)]
async fn retries_and_second_tries_are_paid_for_by_one_budget() {
    let budget = Budget::new(0.5, 0).unwrap();
    let hedge = Hedge::new(Policy::fixed(50 * MS).budget_of_retry(&budget)).unwrap();
    let policy = retry::Policy::exponential(MS).attempts(2).budget(&budget);
    let policy = policy.retry_if(|_: &()| Decision::Retry);
    // Four calls earn two: one goes to a second try, one to a retry, and then there are no more.
    let late = || async { sleep(80 * MS).await }.map(Ok);
    let fails = || async { Err::<(), _>(()) };
    for _ in 0..3 {
        policy.run(|| hedge.call(|| async { Ok(()) })).await.unwrap();
    }
    policy.run(|| hedge.call(late)).await.unwrap();
    assert_eq!(policy.run(|| hedge.call(fails)).await.unwrap_err().attempts(), 2);
    policy.run(|| hedge.call(late)).await.unwrap();
    assert_eq!(detail(&hedge.snapshot(), "hedges"), 2, "six calls earned three");
    let stopped = policy.run(|| hedge.call(fails)).await.unwrap_err();
    assert!(matches!(stopped.stop(), Some(retry::Stop::BudgetSpent(_))));
    policy.run(|| hedge.call(late)).await.unwrap();
    assert_eq!(detail(&hedge.snapshot(), "hedges"), 3, "eight calls earned four: nothing was counted twice");
}

#[tokio::test(start_paused = true)]
async fn no_more_second_tries_run_at_once_than_said() {
    let policy = Policy::fixed(50 * MS).extra_max(2).budget(&rich());
    let hedge = Hedge::builder("hedge-test-extra").policy(policy).build().unwrap();
    let clone = hedge.clone();
    let calls = (0..5).map(|_| clone.call(|| async { sleep(80 * MS).await }.map(Ok::<_, ()>)));
    join_all(calls).await;
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == hedge.name()).unwrap();
    assert_eq!((seen.limit, seen.high_water, seen.in_use, seen.admitted), (2, 2, 0, 5));
    assert_eq!(seen.rejected_by, vec![(Reason::Full, 3)]);
}

#[tokio::test(start_paused = true)]
async fn no_second_try_begins_that_the_deadline_would_end() {
    let policy = Policy::percentile(0.5).samples_min(16).budget(&rich());
    let hedge = Hedge::new(policy).unwrap();
    for _ in 0..16 {
        hedge.call(|| async { sleep(40 * MS).await }.map(Ok::<_, ()>)).await.unwrap();
    }
    assert!(hedge.delay() >= 40 * MS && hedge.delay() <= 43 * MS, "{:?}", hedge.delay());
    // Begun after 43 ms, of calls that take 40: 70 ms are too few, 100 enough.
    for (deadline, hedges) in [(70, 0), (100, 1)] {
        let hang = hedge.call(pending::<Result<(), ()>>);
        assert!(Scope::new().deadline_in(deadline * MS).run(hang).await.is_err());
        assert_eq!(detail(&hedge.snapshot(), "hedges"), hedges);
    }
    assert_eq!(hedge.snapshot().rejected_by, vec![(Reason::DeadlineTooNear, 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_the_percentile_of_what_was_seen() {
    let policy = Policy::percentile(0.9).samples_min(160).delay_max(900 * MS).budget(&rich());
    let hedge = Hedge::new(policy).unwrap();
    let call =
        async |millis: u32| hedge.call(|| async move { sleep(millis * MS).await }.map(Ok::<_, ()>)).await;
    for turn in 0..160 {
        assert_eq!(hedge.delay(), 900 * MS, "{turn} samples are too few");
        call(turn % 10 * 10 + 10).await.unwrap();
    }
    let delay = hedge.delay();
    assert!(delay >= 90 * MS && delay <= 90 * MS * 17 / 16, "{delay:?}");
    // Errors come as fast as they like: they do not say how long an answer takes.
    for _ in 0..500 {
        hedge.call(|| async { Err::<(), _>(()) }).await.unwrap_err();
    }
    assert_eq!(hedge.delay(), delay);
}

#[tokio::test(start_paused = true)]
async fn the_delay_does_not_sink_because_the_late_are_hedged_or_dropped() {
    let policy = Policy::percentile(0.75).samples_min(64).budget(&rich());
    let hedge = Hedge::new(policy).unwrap();
    for turn in 0..4_000 {
        // Half of the calls are slow for good; of those, half are dropped by a caller who is tired of
        // them. A first try that is slow loses against a fast second.
        let first = Cell::new(turn % 2 == 0);
        let call = hedge.call(|| {
            let slow = first.replace(false);
            async move { sleep(if slow { 200 * MS } else { 10 * MS }).await }.map(Ok::<_, ()>)
        });
        let _ = tokio::time::timeout(if turn % 4 == 0 { 205 * MS } else { 500 * MS }, call).await;
    }
    // A quarter of first tries took 200 ms or would have; learned as they went, all are seen as late.
    assert!(hedge.delay() > 10 * MS * 17 / 16, "{:?}", hedge.delay());
}

#[tokio::test(start_paused = true)]
async fn a_panic_comes_through_once_the_sibling_is_dropped() {
    let (hedge, log) = (after(50 * MS), RefCell::new(Vec::new()));
    struct Note<'a>(&'a RefCell<Vec<&'static str>>, &'static str);
    impl Drop for Note<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }
    let second = Cell::new(false);
    let call = hedge.call(|| {
        let panics = second.replace(true);
        let note = Note(&log, if panics { "second" } else { "first" });
        async move {
            let _note = note;
            sleep(10 * MS).await;
            assert!(!panics, "the second try panics");
            pending::<Result<(), ()>>().await
        }
    });
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    log.borrow_mut().sort_unstable();
    assert_eq!(*log.borrow(), ["first", "second"]);
    assert_eq!(hedge.snapshot().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_any_await_leaves_nothing_behind() {
    for polls in 0..14 {
        let hedge = after(50 * MS);
        let tries = Tries::new(&[(80, Err("first")), (60, Ok("second"))]);
        {
            let mut call = pin!(hedge.call(|| tries.next()));
            let mut ended = false;
            for _ in 0..polls {
                ended = ended || poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                advance(10 * MS).await;
            }
            assert_eq!(ended, polls >= 12, "it ends after 110 ms");
        }
        assert_eq!((tries.alive.get(), hedge.snapshot().in_use), (0, 0), "after {polls} polls");
    }
}

#[test]
fn settings_out_of_range_and_contradictions_are_refused_by_field() {
    let percentile = || Policy::percentile(0.9);
    let bad = [
        (Policy::fixed(Duration::ZERO), "fixed"),
        (Policy::fixed(Duration::MAX), "fixed"),
        (Policy::fixed(MS).samples_min(9), "samples_min"),
        (Policy::fixed(MS).delay_min(MS), "delay_min"),
        (Policy::fixed(MS).delay_max(MS), "delay_max"),
        (Policy::fixed(MS).extra_max(0), "extra_max"),
        (Policy::percentile(f64::NAN), "percentile"),
        (Policy::percentile(0.0), "percentile"),
        (Policy::percentile(1.0), "percentile"),
        (Policy::percentile(f64::INFINITY), "percentile"),
        (percentile().samples_min(0), "samples_min"),
        (percentile().samples_min(u32::MAX), "samples_min"),
        (percentile().delay_min(Duration::ZERO), "delay_min"),
        (percentile().delay_max(Duration::ZERO), "delay_min"),
        (percentile().delay_max(Duration::MAX), "delay_max"),
        (percentile().delay_min(2 * MS).delay_max(MS), "delay_max"),
        (percentile().extra_max(u32::MAX), "extra_max"),
    ];
    for (policy, field) in bad {
        let refused = Hedge::new(policy.clone()).unwrap_err();
        assert_eq!(refused.field(), field, "{refused}");
        assert_eq!(Hedge::builder("hedge-test-bad").policy(policy).build().unwrap_err().field(), field);
    }
    let good = [percentile().delay_min(Duration::from_secs(60)), percentile().delay_max(MS / 2)];
    assert!(good.into_iter().all(|policy| Hedge::new(policy).is_ok()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_call_is_answered_and_no_more_is_begun_than_is_paid_for(
        calls in prop::collection::vec((0u32..200, 0u32..200, 0u32..300, any::<bool>()), 1..60),
        extra_max in 1u32..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (hedge, begun) = (
            Hedge::new(Policy::fixed(50 * MS).extra_max(extra_max).budget(&Budget::new(0.3, 0).unwrap())).unwrap(),
            Cell::new(0),
        );
        let (hedge, count) = (&hedge, &begun);
        let answers = runtime.unwrap().block_on(join_all(calls.iter().map(|&(first, second, wait, fails)| async move {
            sleep(wait * MS).await;
            let (began, again) = (Instant::now(), Cell::new(false));
            let answer = hedge.call(|| {
                count.set(count.get() + 1);
                let millis = if again.replace(true) { second } else { first };
                async move { sleep(millis * MS).await }.map(move |()| if fails { Err(()) } else { Ok(()) })
            });
            (answer.await.is_err(), began.elapsed(), again.get())
        })));
        for ((failed, took, _), (first, second, _, fails)) in answers.into_iter().zip(&calls) {
            prop_assert_eq!(failed, *fails);
            let (alone, hedged) = (*first * MS, (50 + *second) * MS);
            // An answer is no later than without a second try; an error may wait for the second.
            let latest = if failed { alone.max(hedged) } else { alone };
            prop_assert!(took <= latest && took >= alone.min(hedged), "{:?}", took);
        }
        let seen = hedge.snapshot();
        let hedges = detail(&seen, "hedges");
        prop_assert_eq!((seen.admitted, seen.in_use), (calls.len() as u64, 0));
        prop_assert_eq!(begun.get(), calls.len() as u64 + hedges);
        prop_assert!(seen.high_water <= u64::from(extra_max) && hedges <= calls.len() as u64 * 3 / 10);
    }
}
