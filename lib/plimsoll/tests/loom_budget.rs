//! Who waits for a share of a budget, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_budget`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Reason;
use plimsoll::budget::{Budget, Share};
use plimsoll::limiter::Observable;

use self::interleaved::{block_on, model, polled_and_dropped};

/// Two permits, one for each share, and lent.
fn lends() -> (Budget, Share, Share) {
    let budget = Budget::builder("loom-lends").limit(2).share("reads", 1).share("writes", 1).lending();
    shares(budget.build().unwrap())
}

fn shares(budget: Budget) -> (Budget, Share, Share) {
    let (reads, writes) = (budget.share("reads").unwrap(), budget.share("writes").unwrap());
    (budget, reads, writes)
}

fn whole(budget: &Budget) {
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
    for share in ["reads", "writes"] {
        let share = budget.share(share).unwrap();
        assert!(share.try_acquire_many(share.limit()).is_ok(), "somebody is still in the line");
    }
}

/// Holds so many permits for a moment, with no more than two of them out.
fn work(share: &Share, out: &AtomicU64, permits: u64) {
    let permit = block_on(share.acquire_many(permits)).unwrap();
    assert!(out.fetch_add(permits, Ordering::Relaxed) + permits <= 2, "more are out than there are");
    out.fetch_sub(permits, Ordering::Relaxed);
    drop(permit);
}

#[test]
fn owners_and_borrowers_all_get_their_turn_and_never_more_than_there_is() {
    model(3, || {
        let (budget, reads, writes) = lends();
        let out = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = [(reads.clone(), 2), (writes, 1)]
            .into_iter()
            .map(|(share, permits)| {
                let out = Arc::clone(&out);
                thread::spawn(move || work(&share, &out, permits))
            })
            .collect();
        work(&reads, &out, 1);
        for thread in threads {
            thread.join().unwrap();
        }
        whole(&budget);
    });
}

#[test]
fn a_loan_that_comes_back_wakes_the_owner() {
    model(3, || {
        let (budget, reads, writes) = lends();
        let loan = reads.try_acquire_many(2).unwrap();
        let owner = thread::spawn(move || drop(block_on(writes.acquire())));
        let borrower = {
            let reads = reads.clone();
            thread::spawn(move || drop(block_on(reads.acquire_many(2)).unwrap()))
        };
        drop(loan);
        owner.join().unwrap();
        borrower.join().unwrap();
        whole(&budget);
    });
}

#[test]
fn a_waiter_that_is_dropped_while_it_is_granted_passes_it_to_the_other_share() {
    model(3, || {
        let (budget, reads, writes) = lends();
        let held = writes.try_acquire_many(2).unwrap();
        let leaves = thread::spawn(move || drop(polled_and_dropped(reads.acquire_many(2))));
        let waits = {
            let writes = writes.clone();
            thread::spawn(move || drop(block_on(writes.acquire_many(2)).unwrap()))
        };
        drop(held);
        leaves.join().unwrap();
        waits.join().unwrap();
        whole(&budget);
    });
}

#[test]
fn a_share_that_shrinks_beside_a_release_answers_everybody_once() {
    model(3, || {
        let budget = Budget::builder("loom-shrinks").limit(3).share("reads", 2).share("writes", 1);
        let (budget, reads, _writes) = shares(budget.build().unwrap());
        let held = reads.try_acquire().unwrap();
        let heavy = {
            let reads = reads.clone();
            thread::spawn(move || match block_on(reads.acquire_many(2)) {
                Ok(permit) => drop(permit),
                Err(rejected) => assert_eq!(rejected.reason(), Reason::TooLarge),
            })
        };
        let changes = {
            let budget = budget.clone();
            thread::spawn(move || {
                budget.set_shares(&[("reads", 1)]).unwrap();
                budget.resize(2).unwrap();
            })
        };
        drop(held);
        heavy.join().unwrap();
        changes.join().unwrap();
        whole(&budget);
    });
}

#[test]
fn a_growth_beside_a_waiter_that_comes_is_not_missed() {
    model(3, || {
        let budget = Budget::builder("loom-grows").limit(2).share("reads", 1).share("writes", 1);
        let (budget, reads, _writes) = shares(budget.build().unwrap());
        let held = reads.try_acquire().unwrap();
        let waits = {
            let reads = reads.clone();
            thread::spawn(move || drop(block_on(reads.acquire())))
        };
        budget.resize(3).unwrap();
        budget.set_shares(&[("reads", 2)]).unwrap();
        waits.join().unwrap();
        drop(held);
        whole(&budget);
    });
}

#[test]
fn observing_beside_those_who_wait_strands_nobody_and_leaks_nothing() {
    model(3, || {
        let (budget, reads, writes) = lends();
        let held = reads.try_acquire_many(2).unwrap();
        let waits = {
            let reads = reads.clone();
            thread::spawn(move || drop(block_on(reads.acquire())))
        };
        let leaves = thread::spawn(move || drop(polled_and_dropped(writes.acquire())));
        // Nothing was released: only observing lets them through.
        reads.observe();
        waits.join().unwrap();
        leaves.join().unwrap();
        reads.set_enforced_ratio(1.0).unwrap();
        drop(held);
        whole(&budget);
    });
}
