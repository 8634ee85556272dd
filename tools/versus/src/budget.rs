//! Our budget beside two of tokio's semaphores, one for the share and one for the whole.

use std::hint::black_box;

use plimsoll::budget::Budget;
use tokio::sync::Semaphore;

use crate::pair::Pair;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "budget_try_acquire",
    peer: "tokio",
    goal: 2.0,
    // What is unused of a share is lost to the others: less than ours does.
    gated: true,
    ours: || {
        let budget = Budget::builder("versus").limit(100).share("reads", 60).share("writes", 40).build();
        let reads = budget.and_then(|budget| budget.share("reads")).expect("it is valid");
        Box::new(move |operations| {
            for _ in 0..operations {
                drop(black_box(reads.try_acquire().expect("nobody else has a permit")));
            }
        })
    },
    theirs: || {
        let (whole, reads) = (Semaphore::new(100), Semaphore::new(60));
        Box::new(move |operations| {
            for _ in 0..operations {
                let share = reads.try_acquire().expect("nobody else has a permit");
                let permit = whole.try_acquire().expect("nobody else has a permit");
                drop(black_box((share, permit)));
            }
        })
    },
}];
