//! A limit that changes on several threads at once, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_adaptive`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom::thread;
use plimsoll::Outcome;
use plimsoll::adaptive::{Adaptive, Algorithm, Sample};

use self::interleaved::{block_on, model, polled_and_dropped};

/// Takes these limits, one for each sample, and tells at which it is.
#[derive(Debug)]
struct Steps {
    to_come: Vec<f64>,
    at: Arc<AtomicU64>,
}

impl Algorithm for Steps {
    fn update(&mut self, limit: f64, _: &Sample) -> f64 {
        let next = self.to_come.pop().unwrap_or(limit);
        self.at.store(next as u64, Ordering::Relaxed);
        next
    }
}

/// One that begins at 3, and the limit that it is to have.
fn stepping(steps: [f64; 3]) -> (Adaptive, Arc<AtomicU64>) {
    let at = Arc::new(AtomicU64::new(3));
    let to_come = steps.into_iter().rev().collect();
    let steps = Steps { to_come, at: Arc::clone(&at) };
    (Adaptive::builder("loom-adaptive").algorithm(steps).initial(3).limits(1, 3).build().unwrap(), at)
}

fn whole(adaptive: &Adaptive, at: &AtomicU64) {
    let limit = at.load(Ordering::Relaxed);
    assert_eq!(adaptive.limit(), limit, "the limit in force is not that of the algorithm");
    assert_eq!((adaptive.in_use(), adaptive.waiting()), (0, 0));
    let all: Vec<_> = (0..limit).map(|_| adaptive.try_acquire().unwrap()).collect();
    assert!(adaptive.try_acquire().is_err());
    drop(all);
}

#[test]
fn the_limit_in_force_is_the_last_that_was_found_whoever_found_it() {
    // To another and back: who sees its own limit again must not take it for the last.
    for steps in [[1.0, 2.0, 1.0], [2.0, 1.0, 3.0]] {
        model(2, move || {
            let (adaptive, at) = stepping(steps);
            let permits = [(); 3].map(|()| adaptive.try_acquire_owned().unwrap());
            let threads = permits.map(|permit| thread::spawn(move || permit.finish(Outcome::Success)));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            whole(&adaptive, &at);
        });
    }
}

#[test]
fn who_waits_while_the_limit_falls_and_rises_is_served() {
    model(2, || {
        let (adaptive, at) = stepping([1.0, 2.0, 3.0]);
        let [first, second, third] = [(); 3].map(|()| adaptive.try_acquire_owned().unwrap());
        let waits = {
            let adaptive = adaptive.clone();
            thread::spawn(move || block_on(adaptive.acquire_owned()).finish(Outcome::Ignored))
        };
        let finishes = thread::spawn(move || first.finish(Outcome::Success));
        second.finish(Outcome::Failure);
        finishes.join().unwrap();
        third.finish(Outcome::Ignored);
        waits.join().unwrap();
        whole(&adaptive, &at);
    });
}

#[test]
fn a_waiter_that_is_dropped_as_the_limit_rises_leaves_its_permit() {
    model(3, || {
        let (adaptive, at) = stepping([1.0, 3.0, 2.0]);
        let [first, second, third] = [(); 3].map(|()| adaptive.try_acquire_owned().unwrap());
        first.finish(Outcome::Success);
        let leaves = {
            let adaptive = adaptive.clone();
            thread::spawn(move || drop(polled_and_dropped(adaptive.acquire_owned())))
        };
        let waits = {
            let adaptive = adaptive.clone();
            thread::spawn(move || drop(block_on(adaptive.acquire_owned())))
        };
        // From 1 to 3 with one of them out: both have room, or the one that stays has.
        second.finish(Outcome::Success);
        leaves.join().unwrap();
        waits.join().unwrap();
        drop(third);
        whole(&adaptive, &at);
    });
}
