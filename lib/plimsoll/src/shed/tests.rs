use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use crate::limiter::{Limiter, Observable};
use crate::scope::Scope;
use crate::waiters::on_drop;
use crate::{Invalid, Reason, clock, registry};

const MILLI: Duration = Duration::from_millis(1);

fn builder() -> Builder {
    Shed::builder("shed-test").concurrency(1).queue(4).target(5 * MILLI).interval(100 * MILLI)
}

fn shed() -> Shed {
    builder().build().unwrap()
}

async fn waits<F: Future + ?Sized>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[test]
fn one_for_each_key_does_not_fill_the_registry() {
    let shed = Shed::unnamed().concurrency(1).build().unwrap();
    let seen = registry::snapshot().iter().filter(|bound| bound.name == shed.name()).count();
    assert_eq!((seen, shed.name()), (0, crate::Name::UNNAMED));
    assert_eq!(
        Shed::unnamed().build().unwrap_err().to_string(),
        "unnamed: concurrency is 0, allowed is 1 to 1,000,000"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_interval_even_if_nothing_moves() {
    let shed = shed();
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let begun = Instant::now();
    let rejected = shed.acquire(Priority::CRITICAL).await.unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Shed, Some(100 * MILLI)));
    assert_eq!((begun.elapsed(), shed.waiting()), (100 * MILLI, 0));
    drop(held);
    assert!(shed.acquire(Priority::SHEDDABLE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_most_important_is_served_first_and_in_order_within_a_priority() {
    let shed = shed();
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let mut low = Box::pin(shed.acquire(Priority::SHEDDABLE));
    let mut first = Box::pin(shed.acquire(Priority::CRITICAL));
    let mut second = Box::pin(shed.acquire(Priority::CRITICAL));
    for future in [low.as_mut(), first.as_mut(), second.as_mut()] {
        assert!(waits(future).await);
    }
    drop(held);
    assert!(waits(low.as_mut()).await && waits(second.as_mut()).await);
    drop(first.await.unwrap());
    assert!(waits(low.as_mut()).await);
    drop(second.await.unwrap());
    assert!(low.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn when_the_queue_is_full_the_least_important_makes_room() {
    let shed = shed();
    let _held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let mut low: Vec<_> = (0..2).map(|_| Box::pin(shed.acquire(Priority::SHEDDABLE))).collect();
    let mut lower: Vec<_> = (0..2).map(|_| Box::pin(shed.acquire(Priority::new(7).unwrap()))).collect();
    for future in low.iter_mut().chain(&mut lower) {
        assert!(waits(future.as_mut()).await);
    }
    let refused = shed.acquire(Priority::new(7).unwrap()).await.unwrap_err();
    assert_eq!((refused.reason(), refused.limit(), refused.waiting()), (Reason::QueueFull, 4, 4));
    let mut high = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(high.as_mut()).await);
    assert_eq!(shed.waiting(), 4);
    assert_eq!(lower.remove(0).await.unwrap_err().reason(), Reason::Shed);
    assert!(waits(lower[0].as_mut()).await);
    let seen = shed.snapshot();
    assert!(seen.details.contains(&("rejected_priority_7", 2)));
    assert_eq!(seen.rejected_by, [(Reason::QueueFull, 1), (Reason::Shed, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_threshold_keeps_places_free_for_what_is_more_important() {
    let shed = builder().concurrency(4).threshold(Priority::SHEDDABLE, 0.5).build().unwrap();
    let held =
        [shed.try_acquire(Priority::SHEDDABLE).unwrap(), shed.try_acquire(Priority::SHEDDABLE).unwrap()];
    let mut low = Box::pin(shed.acquire(Priority::SHEDDABLE));
    assert!(waits(low.as_mut()).await);
    assert_eq!(shed.try_acquire(Priority::SHEDDABLE).unwrap_err().reason(), Reason::Full);
    let high = shed.try_acquire(Priority::CRITICAL).unwrap();
    drop(high);
    assert!(waits(low.as_mut()).await, "two are in use still");
    drop(held);
    assert!(low.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_expected_to_begin_before_its_deadline_is_refused_at_once() {
    let shed = builder().interval(60_000 * MILLI).build().unwrap();
    // A place is held for 40 ms.
    let permit = shed.acquire(Priority::CRITICAL).await.unwrap();
    advance(40 * MILLI).await;
    drop(permit);
    let _held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let mut ahead = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(ahead.as_mut()).await);
    let within = |deadline: Duration| {
        let shed = shed.clone();
        Box::pin(
            Scope::new().deadline_in(deadline).run(async move { shed.acquire(Priority::CRITICAL).await }),
        )
    };
    let begun = Instant::now();
    let refused = within(79 * MILLI).await.unwrap().unwrap_err();
    assert_eq!((refused.reason(), begun.elapsed()), (Reason::DeadlineTooNear, Duration::ZERO));
    assert!(
        waits(within(81 * MILLI).as_mut()).await,
        "two times 40 ms, and it is two places ahead of the end"
    );
    let passed = Scope::new().deadline_in(MILLI).run(async {
        shed.acquire(Priority::CRITICAL_PLUS).await.map(drop).map_err(|rejected| rejected.reason())
    });
    assert_eq!(passed.await, Ok(Err(Reason::DeadlineTooNear)));
}

#[tokio::test(start_paused = true)]
async fn what_passed_its_deadline_while_it_waited_is_not_begun() {
    let shed = shed();
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    // Not yet known how long a place is held: it waits.
    let handle = shed.clone();
    let work = async move { handle.acquire(Priority::CRITICAL).await };
    let mut late = Box::pin(crate::scope::enter(Scope::new().deadline_in(10 * MILLI), work));
    let mut next = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(late.as_mut()).await && waits(next.as_mut()).await);
    advance(20 * MILLI).await;
    drop(held);
    assert_eq!(late.await.unwrap_err().reason(), Reason::DeadlineTooNear);
    assert!(next.await.is_ok());

    // Granted in time, and looked at too late: the place goes to the next.
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let handle = shed.clone();
    let work = async move { handle.acquire(Priority::CRITICAL).await };
    let mut late = Box::pin(crate::scope::enter(Scope::new().deadline_in(30 * MILLI), work));
    let mut next = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(late.as_mut()).await && waits(next.as_mut()).await);
    drop(held);
    advance(50 * MILLI).await;
    assert_eq!(late.await.unwrap_err().reason(), Reason::DeadlineTooNear);
    assert!(next.await.is_ok());
    assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_before_or_after_it_was_granted_passes_its_place_on() {
    for (polls, granted) in [(0, false), (1, false), (2, false), (1, true), (3, true)] {
        let shed = shed();
        let held = shed.acquire(Priority::CRITICAL).await.unwrap();
        let mut leaves = Box::pin(shed.acquire(Priority::CRITICAL_PLUS));
        let mut next = Box::pin(shed.acquire(Priority::CRITICAL));
        for _ in 0..polls {
            assert!(waits(leaves.as_mut()).await);
        }
        assert!(waits(next.as_mut()).await);
        if granted {
            drop(held);
            assert!(waits(next.as_mut()).await, "granted to the other");
            drop(leaves);
        } else {
            drop(leaves);
            drop(held);
        }
        drop(next.await.unwrap());
        assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let shed = shed();
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    for is_replaced in [true, false] {
        let mut waits = Box::pin(shed.acquire(Priority::CRITICAL));
        let again = shed.clone();
        let waker = on_drop(move || assert!(again.waiting() <= 1));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        if is_replaced {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        drop(waits);
    }
    drop(held);
    assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn axum_2582_clones_share_one_bound_and_it_is_resized_for_all() {
    let shed = shed();
    let held = shed.clone().try_acquire(Priority::CRITICAL).unwrap();
    let mut waiting = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(waiting.as_mut()).await);
    assert!(shed.resize(0).is_err());
    shed.clone().resize(2).unwrap();
    let second = waiting.await.unwrap();
    shed.resize(1).unwrap();
    drop(held);
    assert!(shed.try_acquire(Priority::CRITICAL).is_err());
    drop(second);
    assert!(shed.try_acquire(Priority::CRITICAL).is_ok());
}

#[test]
fn configuration_out_of_range_is_refused_by_field() {
    let field = |built: Result<Shed, Invalid>| built.unwrap_err().field();
    for bad in [0, 1_000_001, u64::MAX] {
        assert_eq!(field(builder().concurrency(bad).build()), "concurrency");
    }
    for bad in [0, 1_000_001, usize::MAX] {
        assert_eq!(field(builder().queue(bad).build()), "queue");
    }
    for bad in [Duration::ZERO, MILLI / 2, Duration::MAX] {
        assert_eq!(field(builder().target(bad).build()), "target");
    }
    for bad in [Duration::ZERO, 4 * MILLI, Duration::MAX] {
        assert_eq!(field(builder().interval(bad).build()), "interval");
    }
    for bad in [0.0, -0.5, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(field(builder().threshold(Priority::SHEDDABLE, bad).build()), "threshold");
    }
    let inverted = builder().threshold(Priority::CRITICAL, 0.5).threshold(Priority::SHEDDABLE, 0.9);
    assert_eq!(field(inverted.build()), "threshold");
    assert_eq!(field(Shed::builder("shed-test").build()), "concurrency");
    assert!(Shed::builder("").concurrency(1).build().is_err());
    assert_eq!(Priority::new(8).unwrap_err().field(), "priority");
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_what_was_counted() {
    let shed = Shed::builder("shed-test-seen").concurrency(1).build().unwrap();
    let held = shed.acquire(Priority::CRITICAL).await.unwrap();
    let mut waiting = Box::pin(shed.acquire(Priority::CRITICAL));
    assert!(waits(waiting.as_mut()).await);
    advance(2 * MILLI).await;
    drop(held);
    let _second = waiting.await.unwrap();
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == shed.name()).unwrap();
    assert_eq!((seen.limit, seen.in_use, seen.high_water, seen.admitted, seen.rejected), (1, 1, 1, 2, 0));
    assert_eq!((seen.waits.count(), seen.waits.total()), (1, 2 * MILLI));
    assert!(seen.details.contains(&("held_micros", 2_000)));
}

#[tokio::test(start_paused = true)]
async fn while_it_observes_it_admits_everything_and_counts_what_it_would_refuse() {
    let shed = shed();
    shed.observe();
    let first = shed.try_acquire(Priority::CRITICAL).unwrap();
    let second = shed.try_acquire(Priority::SHEDDABLE).unwrap();
    let third = shed.acquire(Priority::SHEDDABLE).now_or_never().unwrap().unwrap();
    assert_eq!((shed.in_use(), shed.snapshot().would_reject, shed.snapshot().rejected), (3, 2, 0));
    shed.set_enforced_ratio(1.0).unwrap();
    drop((first, second));
    assert!(shed.try_acquire(Priority::CRITICAL).is_err(), "what is out stays out");
    drop(third);
    assert!(shed.try_acquire(Priority::CRITICAL).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_key_can_be_forgotten_when_that_changes_no_decision() {
    let shed = shed();
    assert!(shed.is_forgettable(clock::now()));
    let permit = shed.try_acquire_owned().unwrap();
    assert!(!shed.is_forgettable(clock::now()));
    drop(permit);
    assert!(!shed.is_forgettable(clock::now()), "it has learned how long a place is held");
    advance(60_000 * MILLI).await;
    assert!(shed.is_forgettable(clock::now()));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u8),
    Leave(prop::sample::Index),
    Release(prop::sample::Index),
    Resize(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..8_u8).prop_map(Step::Wait),
        1 => index().prop_map(Step::Leave),
        4 => index().prop_map(Step::Release),
        1 => (1..6_u64).prop_map(Step::Resize),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The model is a list of who waits, sorted by priority and then by arrival.
    #[test]
    fn it_never_exceeds_never_leaks_and_serves_in_order(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let shed = builder().concurrency(3).queue(1_000).build().unwrap();
        let (mut limit, mut permits, mut waiting) = (3, Vec::new(), Vec::new());
        for (arrival, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(level) => {
                    let (shed, priority) = (shed.clone(), Priority::new(level).unwrap());
                    let future = async move { shed.acquire(priority).await };
                    waiting.push((level, arrival, Box::pin(future)));
                    waiting.sort_by_key(|(level, arrival, _)| (*level, *arrival));
                }
                Step::Leave(which) if !waiting.is_empty() => drop(waiting.remove(which.index(waiting.len()))),
                Step::Release(which) if !permits.is_empty() => {
                    drop(permits.swap_remove(which.index(permits.len())));
                }
                Step::Resize(concurrency) => {
                    limit = concurrency;
                    shed.resize(concurrency).unwrap();
                }
                Step::Leave(_) | Step::Release(_) => {}
            }
            let room = (limit as usize).saturating_sub(permits.len());
            let due = room.min(waiting.len());
            for (_, _, mut future) in waiting.drain(..due) {
                let permit = future.as_mut().now_or_never();
                prop_assert!(matches!(permit, Some(Ok(_))), "a place is free, and it waits");
                permits.extend(permit.and_then(Result::ok));
            }
            for (_, _, future) in &mut waiting {
                prop_assert!(future.as_mut().now_or_never().is_none(), "went past somebody, or over the limit");
            }
            prop_assert_eq!((shed.in_use(), shed.waiting()), (permits.len() as u64, waiting.len() as u64));
        }
        drop(waiting);
        drop(permits);
        prop_assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
    }
}

#[derive(Clone, Debug)]
enum Rough {
    Wait { level: u8, deadline_ms: u64 },
    Try(u8),
    Leave(prop::sample::Index),
    Release(prop::sample::Index),
    Resize(u64),
    Observe(bool),
    Pass(u64),
}

fn rough() -> impl Strategy<Value = Rough> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..8_u8, 0..300_u64).prop_map(|(level, deadline_ms)| Rough::Wait { level, deadline_ms }),
        1 => (0..8_u8).prop_map(Rough::Try),
        1 => index().prop_map(Rough::Leave),
        4 => index().prop_map(Rough::Release),
        1 => (1..6_u64).prop_map(Rough::Resize),
        1 => any::<bool>().prop_map(Rough::Observe),
        4 => (0..120_u64).prop_map(Rough::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// With thresholds, a queue that overflows, deadlines, time that passes and waiters that are polled
    /// late: whatever happens, nothing is lost.
    #[test]
    fn no_place_is_lost_and_nobody_waits_for_ever(steps in prop::collection::vec(rough(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let shed = Shed::unnamed().concurrency(3).queue(4).target(5 * MILLI).interval(100 * MILLI);
        let shed = shed.threshold(Priority::CRITICAL, 0.7).threshold(Priority::SHEDDABLE, 0.4).build().unwrap();
        let (mut permits, mut waiting) = (Vec::new(), Vec::new());
        runtime.block_on(async {
            for step in steps {
                match step {
                    Rough::Wait { level, deadline_ms } => {
                        let (shed, priority) = (shed.clone(), Priority::new(level).unwrap());
                        let work = async move { shed.acquire(priority).await };
                        let scope = Scope::new();
                        let scope = if deadline_ms > 150 { scope } else { scope.deadline_in(deadline_ms as u32 * MILLI) };
                        // Entered, and not ended by its deadline, so that the shed itself must see it.
                        let mut future = Box::pin(scope.enter(work));
                        match future.as_mut().now_or_never() {
                            Some(answer) => permits.extend(answer.ok()),
                            None => waiting.push(future),
                        }
                    }
                    Rough::Try(level) => permits.extend(shed.try_acquire(Priority::new(level).unwrap()).ok()),
                    Rough::Leave(which) if !waiting.is_empty() => {
                        drop(waiting.swap_remove(which.index(waiting.len())));
                    }
                    Rough::Release(which) if !permits.is_empty() => {
                        drop(permits.swap_remove(which.index(permits.len())));
                    }
                    Rough::Resize(concurrency) => shed.resize(concurrency).unwrap(),
                    Rough::Observe(only) => shed.set_enforced_ratio(if only { 0.0 } else { 1.0 }).unwrap(),
                    Rough::Pass(millis) => advance(Duration::from_millis(millis)).await,
                    Rough::Leave(_) | Rough::Release(_) => {}
                }
                assert!(shed.waiting() <= 4 && shed.waiting() <= waiting.len() as u64);
                assert!(shed.in_use() >= permits.len() as u64, "{} {}", shed.in_use(), permits.len());
                assert!(shed.in_use() <= (permits.len() + waiting.len()) as u64);
            }
            permits.clear();
            // Nobody gives a place back any more: all that are left are answered by time alone.
            for future in waiting {
                let answer = tokio::time::timeout(Duration::from_secs(3_600), future).await;
                drop(answer.expect("it is told in the end"));
            }
        });
        prop_assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
    }
}
