//! The rate limiter's word, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_rate`
//!
//! The clock stands still: what loom replays must be the same every time.
#![cfg(plimsoll_loom)]

mod interleaved;

use std::sync::LazyLock;

use loom::thread;
use plimsoll::clock::Instant;
use plimsoll::rate::{Quota, RateLimiter};

use self::interleaved::{block_on, polled_and_dropped};

const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// Whoever waits sets a timer. This runtime's are never driven, so that none fires: what wakes is what
/// the limiter wakes.
static TIMERS: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
});

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    // Loom's threads are coroutines of this one.
    let _timers = TIMERS.enter();
    interleaved::model(preemptions, body);
}

fn takes(limiter: &RateLimiter, times: usize) -> thread::JoinHandle<usize> {
    let limiter = limiter.clone();
    thread::spawn(move || (0..times).filter(|_| limiter.try_acquire_at(NOW).is_ok()).count())
}

#[test]
fn a_burst_is_taken_once_whoever_takes_it() {
    model(3, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(2)).unwrap();
        let threads = [takes(&limiter, 1), takes(&limiter, 1)];
        let mut taken = usize::from(limiter.try_acquire_at(NOW).is_ok());
        taken += threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
        assert_eq!(taken, 2);
        assert!(limiter.try_acquire_at(NOW).is_err());
    });
}

#[test]
fn a_change_of_quota_in_the_middle_loses_and_invents_nothing() {
    model(3, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(2)).unwrap();
        let taking = takes(&limiter, 2);
        // The price of a token triples, and its units with it; what is spent stays spent.
        limiter.set_quota_at(Quota::per_hour(3).burst(2), NOW).unwrap();
        let mut taken = taking.join().unwrap();
        taken += (0..3).filter(|_| limiter.try_acquire_at(NOW).is_ok()).count();
        assert_eq!(taken, 2);
    });
}

#[test]
fn observing_beside_those_who_come_and_wait_strands_nobody() {
    model(2, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(1)).unwrap();
        limiter.try_acquire().unwrap();
        let threads = [1, 1].map(|tokens| {
            let limiter = limiter.clone();
            thread::spawn(move || block_on(limiter.acquire_many(tokens)).unwrap())
        });
        // Nothing comes back within the hour: only observing lets them through.
        limiter.observe();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((limiter.waiting(), limiter.snapshot().would_reject), (0, 2));
        limiter.set_enforced_ratio(1.0).unwrap();
        assert!(limiter.try_acquire().is_err(), "what was waived was taken from nobody, and given to nobody");
    });
}

#[test]
fn a_waiter_that_leaves_beside_a_change_of_share_leaves_no_line() {
    model(2, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(2)).unwrap();
        limiter.try_acquire().unwrap();
        let leaves = {
            let limiter = limiter.clone();
            thread::spawn(move || drop(polled_and_dropped(limiter.acquire_many(2))))
        };
        limiter.observe();
        limiter.set_enforced_ratio(1.0).unwrap();
        leaves.join().unwrap();
        assert_eq!((limiter.waiting(), limiter.available()), (0, 1));
        assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_err());
    });
}

#[test]
fn a_debt_beside_those_who_take_is_owed_once() {
    model(3, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(3)).unwrap();
        let hold = limiter.try_hold(1).unwrap();
        let taking = takes(&limiter, 2);
        hold.settle(2);
        let taken = taking.join().unwrap();
        // Three, less the two that it cost, less what was taken: none left, or one owed.
        let hours = limiter.try_acquire().unwrap_err().retry_after().unwrap().as_secs_f64() / 3_600.0;
        assert_eq!((hours.round() as usize, hours > 0.99), (taken, true));
    });
}

#[test]
fn what_is_given_back_beside_one_who_comes_to_wait_wakes_them() {
    model(3, || {
        let limiter = RateLimiter::new(Quota::per_hour(1).burst(1)).unwrap();
        let hold = limiter.try_hold(1).unwrap();
        let waits = {
            let limiter = limiter.clone();
            thread::spawn(move || block_on(limiter.hold(1)).unwrap())
        };
        hold.settle(0);
        drop(waits.join().unwrap());
        assert_eq!((limiter.waiting(), limiter.available()), (0, 0));
    });
}
