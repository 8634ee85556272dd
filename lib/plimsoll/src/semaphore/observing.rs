//! Observing, what is counted, and what is left behind.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::*;
use crate::limiter::{Limiter, Observable};
use crate::{Reason, clock};

fn semaphore(limit: u64) -> Semaphore {
    Semaphore::new(limit).unwrap()
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
    one.rebase_enforced_ratio(0.0).unwrap();
    assert!(one.is_forgettable(now));
}

#[test]
fn waiting_that_is_waived_works_outside_of_a_runtime() {
    let one = semaphore(1);
    one.observe();
    let _full = one.try_acquire().unwrap();
    let waived = one.acquire_within(1, Duration::from_millis(1)).now_or_never().unwrap().unwrap();
    assert_eq!((waived.permits(), one.in_use()), (1, 2));
}
