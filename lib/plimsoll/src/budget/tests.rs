use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::advance;

use super::*;
use crate::limiter::{Limiter, Observable};
use crate::waiters::on_drop;
use crate::{Invalid, Reason, clock, registry};

fn budget() -> Builder {
    Budget::builder("budget-test").limit(10).share("reads", 5).share("writes", 3).share("background", 2)
}

fn shares(budget: &Budget) -> (Share, Share, Share) {
    let share = |name| budget.share(name).unwrap();
    (share("reads"), share("writes"), share("background"))
}

#[test]
fn golang_27837_a_share_of_zero_is_refused_not_waited_for() {
    let field = |built: Result<Budget, Invalid>| built.unwrap_err().field();
    assert_eq!(field(budget().share("none", 0).build()), "share");
    assert_eq!(field(budget().limit(0).build()), "limit");
    assert_eq!(field(budget().limit(u64::MAX).build()), "limit");
    assert_eq!(field(budget().share("more", u64::MAX).build()), "share");
    let built = budget().build().unwrap();
    assert!(built.set_shares(&[("reads", 0)]).is_err() && built.resize(0).is_err());
    assert_eq!((built.share("reads").unwrap().limit(), built.limit()), (5, 10));
}

#[test]
fn shares_above_the_bound_are_refused_unless_it_is_named() {
    let refused = budget().share("more", 1).build().unwrap_err();
    let said = "budget-test: share is 11 in all, allowed is shares that add up to the limit at the most, unless it is oversubscribed";
    assert_eq!(refused.to_string(), said);
    let over = budget().share("more", 1).oversubscribed().build().unwrap();
    assert!(over.resize(1).is_ok() && over.set_shares(&[("reads", 50)]).is_ok());
    let fits = budget().build().unwrap();
    assert!(fits.resize(9).is_err() && fits.set_shares(&[("reads", 6)]).is_err());
    assert!(fits.set_shares(&[("reads", 1), ("writes", 7)]).is_ok());
}

#[test]
fn contradictions_are_refused_by_field() {
    let field = |built: Result<Budget, Invalid>| built.unwrap_err().field();
    assert_eq!(field(Budget::builder("budget-test").limit(1).build()), "shares");
    assert_eq!(field(budget().share("reads", 1).limit(20).build()), "share");
    assert_eq!(field(budget().lends("nobody").build()), "lends");
    assert_eq!(field(budget().lending().oversubscribed().build()), "lending");
    assert_eq!(field(budget().lends("reads").oversubscribed().build()), "lending");
    assert_eq!(field(Budget::builder("").limit(1).share("all", 1).build()), "name");
    let many =
        (0..33).fold(Budget::builder("budget-test").limit(100), |b, n| b.share(&format!("share {n}"), 1));
    assert_eq!(field(many.build()), "shares");
    assert_eq!(budget().build().unwrap().share("others").unwrap_err().field(), "share");
}

#[test]
fn what_is_kept_is_not_lent_and_what_is_lent_comes_back_first_to_its_owner() {
    let built = budget().lends("reads").build().unwrap();
    let (reads, writes, background) = shares(&built);
    assert_eq!(background.try_acquire_many(8).unwrap_err().reason(), Reason::TooLarge, "writes keep theirs");
    let all = background.try_acquire_many(4).unwrap();
    let more = background.try_acquire_many(3).unwrap();
    assert_eq!((background.borrowed(), built.in_use()), (5, 7));
    assert!(background.try_acquire().is_err() && writes.try_acquire_many(4).is_err());
    let theirs = writes.try_acquire_many(3).unwrap();

    let mut owner = Box::pin(reads.acquire_many(4));
    let mut borrower = Box::pin(background.acquire());
    assert!(borrower.as_mut().now_or_never().is_none() && owner.as_mut().now_or_never().is_none());
    drop(more);
    assert!(borrower.as_mut().now_or_never().is_none(), "three are back: they are kept for the owner");
    drop(all);
    assert_eq!(owner.now_or_never().unwrap().unwrap().permits(), 4);
    assert!(borrower.now_or_never().is_some());
    drop(theirs);
    assert_eq!(built.in_use(), 0);
}

#[test]
fn a_heavy_owner_is_not_starved_by_another_owner_nor_stops_it() {
    let built = Budget::builder("budget-test")
        .limit(10)
        .share("a", 5)
        .share("b", 4)
        .share("c", 1)
        .lending()
        .build()
        .unwrap();
    let (a, b, c) = (built.share("a").unwrap(), built.share("b").unwrap(), built.share("c").unwrap());
    let lent = c.try_acquire_many(2).unwrap();
    let four = b.try_acquire_many(4).unwrap();
    let mut heavy = Box::pin(a.acquire_many(5));
    assert!(heavy.as_mut().now_or_never().is_none(), "one of its five is lent out");
    drop(four);
    drop(b.try_acquire_many(3).unwrap());
    assert!(heavy.as_mut().now_or_never().unwrap().is_ok());
    drop(lent);
}

#[test]
fn axum_2582_clones_and_second_handles_share_one_bound() {
    let built = budget().build().unwrap();
    let (reads, again) = (built.share("reads").unwrap(), built.clone().share("reads").unwrap());
    let five = reads.clone().try_acquire_many(5).unwrap();
    assert_eq!(again.try_acquire().unwrap_err().reason(), Reason::Full);
    drop(five);
    assert!(again.try_acquire().is_ok());
}

#[test]
fn a_change_of_shares_serves_and_refuses_whoever_waits() {
    let built = budget().build().unwrap();
    let (reads, writes, _) = shares(&built);
    let held = reads.try_acquire_many(5).unwrap();
    let mut more = Box::pin(reads.acquire());
    assert!(more.as_mut().now_or_never().is_none());
    built.set_shares(&[("reads", 6), ("writes", 2)]).unwrap();
    let sixth = more.now_or_never().unwrap();

    let _two = writes.try_acquire_many(2).unwrap();
    let mut both: Vec<_> = (0..40).map(|_| Box::pin(writes.acquire_many(2))).collect();
    assert!(both.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
    built.set_shares(&[("writes", 1)]).unwrap();
    for wait in both {
        // With the one that no share has any more, two can still be had.
        drop(wait);
    }
    built.resize(9).unwrap();
    assert_eq!(writes.try_acquire_many(2).unwrap_err().reason(), Reason::TooLarge);
    drop((held, sixth));
}

#[test]
fn a_waiter_that_a_change_made_impossible_is_refused_at_once() {
    let built = budget().build().unwrap();
    let (_, writes, _) = shares(&built);
    let held = writes.try_acquire_many(3).unwrap();
    let mut heavy: Vec<_> = (0..40).map(|_| Box::pin(writes.acquire_many(3))).collect();
    assert!(heavy.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
    let mut light = Box::pin(writes.acquire());
    assert!(light.as_mut().now_or_never().is_none());
    built.set_shares(&[("writes", 2), ("reads", 6)]).unwrap();
    assert_eq!(writes.waiting(), 1);
    for wait in heavy {
        assert_eq!(wait.now_or_never().unwrap().unwrap_err().reason(), Reason::TooLarge);
    }
    drop(held);
    assert!(light.now_or_never().is_some());
}

/// Counts how often it is woken when nobody is in the line.
struct LineIsGone(Share, AtomicUsize);

impl Wake for LineIsGone {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(usize::from(self.0.waiting() == 0), Ordering::Relaxed);
    }
}

#[test]
fn a_change_goes_through_a_long_line_once_and_then_wakes() {
    let built = budget().build().unwrap();
    let (_, writes, _) = shares(&built);
    let held = writes.try_acquire_many(3).unwrap();
    let woken = Arc::new(LineIsGone(writes.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut heavy: Vec<_> = (0..100_000).map(|_| Box::pin(writes.acquire_many(3))).collect();
    for waiter in &mut heavy {
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    built.set_shares(&[("writes", 2), ("reads", 6)]).unwrap();
    assert_eq!(woken.1.load(Ordering::Relaxed), 100_000);
    assert!(heavy.into_iter().all(|waiter| waiter.now_or_never().unwrap().is_err()));
    drop(held);
    assert_eq!((built.in_use(), writes.waiting()), (0, 0));
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let built = budget().build().unwrap();
    let (_, writes, _) = shares(&built);
    let held = writes.try_acquire_many(3).unwrap();
    for is_replaced in [true, false] {
        let mut waits = Box::pin(writes.acquire());
        let again = writes.clone();
        let waker = on_drop(move || assert!(again.waiting() <= 1));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        if is_replaced {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        drop(waits);
    }
    drop(held);
    assert_eq!((built.in_use(), writes.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_before_or_after_it_was_granted_passes_its_place_on() {
    for polls in 0..3 {
        let built = budget().build().unwrap();
        let (reads, ..) = shares(&built);
        let held = reads.try_acquire_many(5).unwrap();
        let mut leaves = Box::pin(reads.acquire_many(5));
        let mut next = Box::pin(reads.acquire());
        for _ in 0..polls {
            assert!(leaves.as_mut().now_or_never().is_none());
        }
        assert!(next.as_mut().now_or_never().is_none());
        if polls == 2 {
            drop(held);
            drop(leaves);
        } else {
            drop(leaves);
            drop(held);
        }
        assert!(next.now_or_never().is_some());
        assert_eq!((built.in_use(), reads.waiting()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_its_time_is_over_and_leaves_no_place_behind() {
    let built = budget().build().unwrap();
    let (reads, ..) = shares(&built);
    let held = reads.try_acquire_many(5).unwrap();
    let late = reads.acquire_within(1, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((late.reason(), late.limiter().as_str()), (Reason::WaitTimedOut, "budget-test/reads"));
    assert_eq!(reads.waiting(), 0);
    let mut in_time = Box::pin(reads.acquire_within(1, Duration::from_secs(3)));
    assert!(poll_fn(|cx| Poll::Ready(in_time.as_mut().poll(cx).is_pending())).await);
    advance(Duration::from_secs(2)).await;
    drop(held);
    assert!(in_time.await.is_ok());
    let seen = reads.snapshot();
    assert_eq!((seen.waits.count(), seen.waits.total()), (1, Duration::from_secs(2)));
    assert_eq!(seen.rejected_by, [(Reason::WaitTimedOut, 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_each_share_by_its_name() {
    let built =
        Budget::builder("budget-test-seen").limit(9).share("reads", 5).share("writes", 3).build().unwrap();
    let (reads, writes) = (built.share("reads").unwrap(), built.share("writes").unwrap());
    let _held = (reads.try_acquire_many(5).unwrap(), writes.try_acquire_many(4).unwrap());
    assert!(reads.try_acquire().is_err() && writes.try_acquire_many(7).is_err());
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == built.name()).unwrap();
    assert_eq!((seen.limit, seen.in_use, seen.high_water, seen.admitted, seen.rejected), (9, 9, 9, 2, 2));
    assert_eq!(seen.rejected_by, [(Reason::Full, 1), (Reason::TooLarge, 1)]);
    assert_eq!(seen.details, [("borrowed", 1), ("reads", 5), ("writes", 4)]);
}

#[test]
fn while_it_observes_it_admits_everything_and_counts_what_it_would_refuse() {
    let built = budget().build().unwrap();
    let (reads, writes, _) = shares(&built);
    let held = reads.try_acquire_many(5).unwrap();
    let mut waits = Box::pin(reads.acquire());
    assert!(waits.as_mut().now_or_never().is_none());
    reads.observe();
    assert!(waits.as_mut().now_or_never().is_some(), "whoever waits would not have waited");
    let more = reads.try_acquire_many(7).unwrap();
    let waited = reads.acquire_many(8).now_or_never().unwrap().unwrap();
    // The one that waited, the one that would have been refused, and the one that would have waited.
    assert_eq!((reads.in_use(), built.snapshot().would_reject), (20, 3));
    assert!(reads.try_acquire_many(u64::MAX).is_err(), "that is no number of permits");
    writes.set_enforced_ratio(1.0).unwrap();
    assert!(writes.try_acquire().is_err(), "what is out stays out");
    drop((held, more, waited));
    assert!(writes.try_acquire().is_ok());
}

#[test]
fn a_key_can_be_forgotten_when_that_changes_no_decision() {
    let share = budget().build().unwrap().share("reads").unwrap();
    let now = clock::now();
    assert!(share.is_forgettable(now));
    let permit = share.try_acquire_owned_at(now).unwrap();
    assert!(!share.is_forgettable(now));
    drop(permit);
    assert!(share.is_forgettable(now));
    share.observe();
    assert!(!share.is_forgettable(now));
}

#[test]
fn waiting_that_need_not_wait_works_outside_of_a_runtime() {
    let (reads, ..) = shares(&budget().build().unwrap());
    let permit = reads.acquire_within(1, Duration::from_millis(1)).now_or_never().unwrap().unwrap();
    assert_eq!(permit.permits(), 1);
    let large = reads.acquire_within(u64::MAX, Duration::from_millis(1)).now_or_never().unwrap().unwrap_err();
    assert_eq!(large.reason(), Reason::TooLarge);
}
