//! The semaphore's lock-free paths and its line, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_semaphore`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Reason;
use plimsoll::semaphore::Semaphore;

use self::interleaved::{block_on, model, polled_and_dropped};

fn whole(semaphore: &Semaphore, limit: u64) {
    assert_eq!((semaphore.available(), semaphore.in_use(), semaphore.waiting()), (limit, 0, 0));
    assert!(semaphore.try_acquire_many(limit).is_ok(), "the line was left with its bit set");
}

#[test]
fn try_acquire_never_admits_more_than_the_limit_and_sees_what_was_done_before() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        // Unsynchronised but for the permit: loom reports a race if the permit does not order it.
        let inside = Arc::new(loom::cell::UnsafeCell::new(0_u32));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                thread::spawn(move || {
                    if let Ok(permit) = semaphore.try_acquire() {
                        add_one(&inside);
                        drop(permit);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        whole(&semaphore, 1);
    });
}

#[expect(unsafe_code, reason = "loom's cell is how a missing order between two permits is found")]
fn add_one(inside: &loom::cell::UnsafeCell<u32>) {
    // SAFETY: only the holder of the one permit is here; loom checks that this is so.
    inside.with_mut(|inside| unsafe { *inside += 1 });
}

#[test]
fn nobody_who_waits_is_forgotten_and_permits_order_what_is_done_under_them() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let inside = Arc::new(loom::cell::UnsafeCell::new(0_u32));
        let other = {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            thread::spawn(move || {
                let permit = block_on(semaphore.acquire());
                add_one(&inside);
                drop(permit);
            })
        };
        let permit = block_on(semaphore.acquire());
        add_one(&inside);
        drop(permit);
        other.join().unwrap();
        whole(&semaphore, 1);
        assert_eq!(semaphore.snapshot().admitted, 3);
    });
}

#[test]
fn a_heavy_and_two_light_ones_all_get_their_turn() {
    model(2, || {
        let semaphore = Semaphore::new(2).unwrap();
        let out = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = [2, 1]
            .into_iter()
            .map(|permits| {
                let (semaphore, out) = (semaphore.clone(), out.clone());
                thread::spawn(move || work(&semaphore, &out, permits))
            })
            .collect();
        work(&semaphore, &out, 1);
        for thread in threads {
            thread.join().unwrap();
        }
        whole(&semaphore, 2);
    });

    fn work(semaphore: &Semaphore, out: &AtomicU64, permits: u64) {
        let permit = block_on(semaphore.acquire_many(permits)).unwrap();
        assert!(out.fetch_add(permits, Ordering::Relaxed) + permits <= 2);
        out.fetch_sub(permits, Ordering::Relaxed);
        drop(permit);
    }
}

#[test]
fn a_waiter_that_is_dropped_while_it_is_granted_loses_no_permit() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let leaves = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(polled_and_dropped(semaphore.acquire())))
        };
        let waits = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(block_on(semaphore.acquire())))
        };
        drop(held);
        leaves.join().unwrap();
        waits.join().unwrap();
        whole(&semaphore, 1);
    });
}

#[test]
fn a_shrink_beside_a_release_answers_everybody_once() {
    model(3, || {
        let semaphore = Semaphore::new(2).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let heavy = {
            let semaphore = semaphore.clone();
            thread::spawn(move || match block_on(semaphore.acquire_many(2)) {
                Ok(permit) => drop(permit),
                Err(rejected) => assert_eq!(rejected.reason(), Reason::TooLarge),
            })
        };
        let resizes = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.resize(1).unwrap())
        };
        drop(held);
        heavy.join().unwrap();
        resizes.join().unwrap();
        whole(&semaphore, 1);
    });
}

#[test]
fn a_growth_beside_a_waiter_that_comes_is_not_missed() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let waits = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(block_on(semaphore.acquire())))
        };
        semaphore.resize(2).unwrap();
        waits.join().unwrap();
        drop(held);
        whole(&semaphore, 2);
    });
}

#[test]
fn observing_beside_those_who_come_and_wait_strands_nobody() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let waits = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(block_on(semaphore.acquire_many(2)).ok()))
        };
        let other = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(block_on(semaphore.acquire())))
        };
        semaphore.observe();
        // Nothing was released: only observing lets them through.
        waits.join().unwrap();
        other.join().unwrap();
        semaphore.set_enforced_ratio(1.0).unwrap();
        drop(held);
        whole(&semaphore, 1);
    });
}

#[test]
fn observing_for_a_moment_beside_a_release_leaks_no_permit() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let waits = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(block_on(semaphore.acquire())))
        };
        let switches = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                semaphore.observe();
                drop(semaphore.try_acquire());
                semaphore.set_enforced_ratio(1.0).unwrap();
            })
        };
        drop(held);
        waits.join().unwrap();
        switches.join().unwrap();
        whole(&semaphore, 1);
    });
}

#[test]
fn a_waiter_that_is_dropped_while_it_is_let_through_loses_no_permit() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.try_acquire_owned().unwrap();
        let leaves = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop(polled_and_dropped(semaphore.acquire())))
        };
        semaphore.observe();
        leaves.join().unwrap();
        semaphore.set_enforced_ratio(1.0).unwrap();
        drop(held);
        whole(&semaphore, 1);
    });
}
