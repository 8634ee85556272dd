//! Our CPU pool beside rayon with a bound and an answer by hand: jobs that do next to nothing.

use std::hint::black_box;
use std::sync::Arc;

use plimsoll::cpu::CpuPool;
use tokio::sync::{Semaphore, oneshot};

use crate::pair::Pair;
use crate::runtime::two_threads;

/// Jobs that are under way at once.
const BATCH: u64 = 64;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "cpu_submit_await",
    peer: "rayon",
    goal: 2.0,
    gated: true,
    ours: || {
        let runtime = two_threads();
        let pool = CpuPool::builder("versus", |number: u64| black_box(number)).threads(2).queue(1_024);
        let pool = runtime.block_on(async { pool.build() }).expect("it is valid");
        Box::new(move |operations| {
            runtime.block_on(async {
                let mut left = operations;
                while left > 0 {
                    let mut tickets = Vec::with_capacity(BATCH as usize);
                    for number in 0..left.min(BATCH) {
                        tickets.push(pool.submit(number).await.expect("there is room"));
                    }
                    left -= tickets.len() as u64;
                    for ticket in tickets {
                        black_box(ticket.await.expect("it does not panic"));
                    }
                }
            });
        })
    },
    theirs: || {
        let runtime = two_threads();
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be started");
        let places = Arc::new(Semaphore::new(1_024));
        Box::new(move |operations| {
            runtime.block_on(async {
                let mut left = operations;
                while left > 0 {
                    let mut answers = Vec::with_capacity(BATCH as usize);
                    for number in 0..left.min(BATCH) {
                        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
                        let (tx, rx) = oneshot::channel();
                        pool.spawn(move || {
                            let _ = tx.send(black_box(number));
                            drop(place);
                        });
                        answers.push(rx);
                    }
                    left -= answers.len() as u64;
                    for answer in answers {
                        black_box(answer.await.expect("it is answered"));
                    }
                }
            });
        })
    },
}];
