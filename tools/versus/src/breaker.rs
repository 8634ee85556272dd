//! Our circuit breaker beside recloser: closed, calls that succeed.

use std::hint::black_box;

use plimsoll::Outcome;
use plimsoll::breaker::{Breaker, Policy};
use recloser::Recloser;

use crate::pair::Pair;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "breaker_closed",
    peer: "recloser",
    goal: 2.0,
    // It lets everyone through when it is half-open, but closed it does what ours does.
    gated: true,
    ours: || {
        let breaker = Breaker::new(Policy::ratio(0.5).calls_min(20)).expect("the policy is valid");
        Box::new(move |operations| {
            for _ in 0..operations {
                breaker.try_acquire().expect("it is closed").finish(black_box(Outcome::Success));
            }
        })
    },
    theirs: || {
        let breaker = Recloser::custom().error_rate(0.5).closed_len(100).build();
        Box::new(move |operations| {
            for _ in 0..operations {
                breaker.call(|| black_box(Ok::<(), ()>(()))).expect("it is closed");
            }
        })
    },
}];
