//! Retries that draw on one budget, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_retry`
#![cfg(plimsoll_loom)]

#[expect(dead_code, reason = "nobody waits for a budget")]
mod interleaved;

use loom::thread;
use plimsoll::retry::Budget;

use self::interleaved::model;

#[test]
fn what_calls_earned_is_spent_once() {
    model(3, || {
        let budget = Budget::new(0.5, 0).unwrap();
        budget.record_call();
        budget.record_call();
        let spenders = [(); 2].map(|()| {
            let budget = budget.clone();
            thread::spawn(move || budget.try_spend().is_ok())
        });
        let spent = spenders.map(|spender| spender.join().unwrap());
        assert_eq!(spent.into_iter().filter(|spent| *spent).count(), 1);
    });
}

#[test]
fn a_call_that_is_counted_beside_a_retry_is_not_lost() {
    model(3, || {
        let budget = Budget::new(0.5, 0).unwrap();
        budget.record_call();
        let calls = {
            let budget = budget.clone();
            thread::spawn(move || budget.record_call())
        };
        let early = budget.try_spend().is_ok();
        calls.join().unwrap();
        assert!(early != budget.try_spend().is_ok(), "two calls earned one retry");
    });
}
