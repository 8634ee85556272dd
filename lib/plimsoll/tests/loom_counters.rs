//! Refusals counted by threads that take over each other's place, under every interleaving that loom
//! finds, once the limiter has refused often. There is one place, so that some threads own it, one after
//! the other, and some share.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_counters`
#![cfg(plimsoll_loom)]

#[expect(dead_code, reason = "nobody waits to be counted")]
mod interleaved;

use loom::thread;
use plimsoll::rate::{Quota, RateLimiter};

use self::interleaved::model;

fn refuse(limiter: &RateLimiter, times: u64) {
    for _ in 0..times {
        assert!(limiter.try_acquire().is_err());
    }
}

/// So many refusals for one reason that from the next on each thread counts for itself.
const OFTEN: u64 = 16;

fn spent() -> RateLimiter {
    let limiter = RateLimiter::new(Quota::per_hour(1).burst(1)).unwrap();
    limiter.try_acquire().unwrap();
    refuse(&limiter, OFTEN);
    limiter
}

#[test]
fn threads_that_end_as_others_begin_lose_no_count() {
    model(3, || {
        let limiter = spent();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let limiter = limiter.clone();
                thread::spawn(move || refuse(&limiter, 2))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // May own the place that one of them has just given back, or is about to.
        refuse(&limiter, 2);
        assert_eq!(limiter.snapshot().rejected, OFTEN + 6);
    });
}

#[test]
fn a_thread_that_comes_after_the_owner_adds_to_what_it_has_written() {
    model(3, || {
        let limiter = spent();
        let (first, second) = (limiter.clone(), limiter.clone());
        let first = thread::spawn(move || refuse(&first, 1));
        let second = thread::spawn(move || {
            first.join().unwrap();
            refuse(&second, 1);
        });
        second.join().unwrap();
        assert_eq!(limiter.snapshot().rejected, OFTEN + 2);
    });
}
