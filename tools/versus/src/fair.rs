//! Our fair queue beside a channel that knows no keys: what fairness costs an item.

use std::hint::black_box;

use plimsoll::fair::Fair;
use tokio::sync::mpsc;

use crate::pair::Pair;

const KEYS: u64 = 64;
const DEPTH: usize = 1_024;
/// Items that wait while one goes through: every key has some.
const BACKLOG: u64 = 512;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "fair_push_pop_64_keys",
    peer: "tokio",
    goal: 2.0,
    // First come first served, whoever it is: not what ours does.
    gated: false,
    ours: || {
        let queue = Fair::builder("versus").depth(DEPTH).depth_per_key(DEPTH).build().expect("it is valid");
        for number in 0..BACKLOG {
            queue.try_push(number % KEYS, number).expect("there is room");
        }
        Box::new(move |operations| {
            for number in 0..operations {
                queue.try_push(number % KEYS, number).expect("there is room");
                black_box(queue.try_pop().expect("there are items"));
            }
        })
    },
    theirs: || {
        let (tx, mut rx) = mpsc::channel(DEPTH);
        for number in 0..BACKLOG {
            tx.try_send((number % KEYS, number)).expect("there is room");
        }
        Box::new(move |operations| {
            for number in 0..operations {
                tx.try_send((number % KEYS, number)).expect("there is room");
                black_box(rx.try_recv().expect("there are items"));
            }
        })
    },
}];
