//! The rate limiter's word, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_rate`
//!
//! The clock stands still: what loom replays must be the same every time.
#![cfg(plimsoll_loom)]

use loom::thread;
use plimsoll::clock::Instant;
use plimsoll::rate::{Quota, RateLimiter};

const NOW: Instant = Instant::from_nanos(1_000_000_000);

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
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
