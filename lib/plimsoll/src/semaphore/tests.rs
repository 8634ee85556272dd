use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::*;
use crate::limiter::Limiter;
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

#[test]
fn a_share_out_of_range_is_refused_and_what_is_given_is_in_force() {
    let built = |ratio| Semaphore::builder("semaphore-share").limit(1).enforced_ratio(ratio).build();
    for bad in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
        assert_eq!(built(bad).unwrap_err().field(), "enforced_ratio");
        assert!(semaphore(1).set_enforced_ratio(bad).is_err());
    }
    let observes = built(0.0).unwrap();
    let _two = (observes.try_acquire().unwrap(), observes.try_acquire().unwrap());
    assert_eq!((observes.in_use(), observes.enforced_ratio().to_bits()), (2, 0.0_f64.to_bits()));
}

#[test]
fn observing_admits_at_once_what_would_be_refused_or_made_to_wait() {
    let two = semaphore(2);
    two.observe();
    let _full = two.try_acquire_many(2).unwrap();
    let waits = two.acquire().now_or_never().unwrap();
    let heavy = two.acquire_many(5).now_or_never().unwrap().unwrap();
    let owned = two.try_acquire_many_owned(3).unwrap();
    assert_eq!((waits.permits(), heavy.permits(), owned.permits(), two.in_use()), (1, 5, 3, 11));
    let seen = two.snapshot();
    assert_eq!((seen.admitted, seen.would_reject, seen.rejected, seen.high_water), (4, 3, 0, 11));
    two.set_enforced_ratio(1.0).unwrap();
    drop((waits, heavy, owned));
    assert_eq!(two.try_acquire().unwrap_err().in_use(), 2);
}

#[test]
fn observing_lets_everybody_in_the_line_through() {
    let one = semaphore(40);
    let held = one.try_acquire_many(40).unwrap();
    let mut line: Vec<_> = (1..=40).map(|permits| Box::pin(one.acquire_many(permits))).collect();
    for waiter in &mut line {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    one.observe();
    assert_eq!((one.waiting(), one.in_use()), (0, 40 + 41 * 20));
    // One leaves instead of looking: what it was given is given back.
    drop(line.pop());
    let permits: Vec<_> = line.into_iter().map(|waiter| waiter.now_or_never().unwrap().unwrap()).collect();
    let seen = one.snapshot();
    assert_eq!((seen.would_reject, seen.admitted, seen.waits.count()), (40, 40, 39));
    drop((held, permits));
    one.set_enforced_ratio(1.0).unwrap();
    assert!(one.try_acquire_many(40).is_ok());
}

#[test]
fn those_who_stay_in_the_line_after_a_change_of_share_are_still_served() {
    let one = semaphore(1);
    let mut held = vec![one.try_acquire_owned().unwrap()];
    let mut line: Vec<_> = (0..200)
        .map(|_| {
            Box::pin({
                let one = one.clone();
                async move { one.acquire_owned().await }
            })
        })
        .collect();
    for waiter in &mut line {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    one.set_enforced_ratio(0.5).unwrap();
    let through = 200 - one.waiting();
    assert!((40..160).contains(&through) && through == one.snapshot().would_reject, "{through}");
    while !line.is_empty() {
        held.clear();
        let before = line.len();
        let mut rest = Vec::new();
        for mut waiter in line {
            match waiter.as_mut().now_or_never() {
                Some(permit) => held.push(permit),
                None => rest.push(waiter),
            }
        }
        line = rest;
        assert!(line.len() < before, "somebody is stranded");
    }
    held.clear();
    assert_eq!((one.in_use(), one.waiting()), (0, 0));
}

#[test]
fn what_is_out_never_leaves_the_word_however_much_is_waived() {
    let largest = (1 << 42) - 1;
    let all = semaphore(largest);
    all.observe();
    let first = all.try_acquire_many(largest - 1).unwrap();
    let second = all.try_acquire_many(2).unwrap();
    let third = all.try_acquire_many(u64::MAX).unwrap();
    let fourth = all.try_acquire().unwrap();
    let held = [&first, &second, &third, &fourth].map(Permit::permits);
    assert_eq!((held, all.in_use()), ([largest - 1, 0, 0, 1], largest));
    all.resize(1).unwrap();
    assert_eq!(all.acquire_many(9).now_or_never().unwrap().unwrap().permits(), 0);
    drop((first, second, third, fourth));
    assert_eq!((all.in_use(), all.available()), (0, 1));
    assert_eq!(all.try_acquire_many(largest).unwrap().permits(), largest);
    assert_eq!((all.in_use(), all.snapshot().would_reject), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_after_any_number_of_polls_leaves_nothing_behind() {
    #[derive(Clone, Copy, Debug)]
    enum Then {
        Nothing,
        Release,
        Observe,
        Shrink,
    }
    for polls in 0..4 {
        for then in [Then::Nothing, Then::Release, Then::Observe, Then::Shrink] {
            for call in 0..3 {
                let three = semaphore(3);
                let mut held = Some(three.try_acquire_many(2).unwrap());
                let handle = three.clone();
                let mut waits = Box::pin(async move {
                    match call {
                        0 => drop(handle.acquire_many_owned(2).await),
                        1 => drop(handle.acquire_within_owned(2, Duration::from_secs(1)).await),
                        _ => drop(handle.acquire_many(3).await),
                    }
                });
                for poll in 0..polls {
                    if poll == 1 {
                        match then {
                            Then::Nothing => {}
                            Then::Release => held = None,
                            Then::Observe => three.observe(),
                            Then::Shrink => three.resize(1).unwrap(),
                        }
                    }
                    if waits.as_mut().now_or_never().is_some() {
                        break;
                    }
                }
                drop(waits);
                drop(held);
                assert_eq!((three.in_use(), three.waiting()), (0, 0), "{polls} polls, {then:?}, {call}");
                three.set_enforced_ratio(1.0).unwrap();
                assert!(three.try_acquire_many(three.limit()).is_ok());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_are_counted_by_reason_and_waits_by_their_length() {
    let one = semaphore(1);
    let held = one.try_acquire().unwrap();
    assert!(one.try_acquire().is_err());
    assert!(one.try_acquire_many(2).is_err());
    assert!(one.acquire_within(1, Duration::from_millis(5)).await.is_err());
    let (permit, ()) = tokio::join!(one.acquire(), async {
        sleep(Duration::from_millis(300)).await;
        drop(held);
    });
    drop(permit);
    let seen = one.snapshot();
    let by = [(Reason::Full, 1), (Reason::TooLarge, 1), (Reason::WaitTimedOut, 1)];
    assert_eq!((seen.rejected, seen.rejected_by.as_slice()), (3, by.as_slice()));
    assert_eq!((seen.waits.count(), seen.waits.total().as_millis() / 10), (1, 30));
}

#[test]
fn a_share_that_is_not_as_built_is_not_forgotten() {
    let now = clock::now();
    let one = semaphore(1);
    one.observe();
    assert!(!one.is_forgettable(now));
    crate::limiter::Observable::rebase_enforced_ratio(&one, 0.0).unwrap();
    assert!(one.is_forgettable(now));
}
