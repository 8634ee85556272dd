//! Our semaphore against tokio's.

use std::hint::black_box;
use std::sync::Arc;

use plimsoll::semaphore::Semaphore;
use tokio::task::{JoinSet, yield_now};

use crate::pair::{Bench, Pair};
use crate::runtime::{one_thread, two_threads};

const TASKS: u64 = 4;
/// Less than there are tasks, so that some of them wait.
const PERMITS: u32 = 2;

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "semaphore_acquire",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: || {
            let (runtime, semaphore) = (one_thread(), ours(1));
            Box::new(move |operations| {
                runtime.block_on(async {
                    for _ in 0..operations {
                        drop(black_box(semaphore.acquire().await));
                    }
                });
                assert_eq!(semaphore.available(), 1, "a permit was lost");
            })
        },
        theirs: || {
            let (runtime, semaphore) = (one_thread(), tokio::sync::Semaphore::new(1));
            Box::new(move |operations| {
                runtime.block_on(async {
                    for _ in 0..operations {
                        drop(black_box(semaphore.acquire().await.expect("never closed")));
                    }
                });
                assert_eq!(semaphore.available_permits(), 1, "a permit was lost");
            })
        },
    },
    Pair {
        op: "semaphore_try_acquire",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: || {
            let semaphore = ours(1);
            Box::new(move |operations| {
                for _ in 0..operations {
                    drop(black_box(semaphore.try_acquire().expect("nobody else has the permit")));
                }
            })
        },
        theirs: || {
            let semaphore = tokio::sync::Semaphore::new(1);
            Box::new(move |operations| {
                for _ in 0..operations {
                    drop(black_box(semaphore.try_acquire().expect("nobody else has the permit")));
                }
            })
        },
    },
    Pair {
        op: "semaphore_acquire_4_tasks",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: || {
            let semaphore = ours(PERMITS);
            contended(move || {
                let semaphore = semaphore.clone();
                async move {
                    let permit = semaphore.acquire().await;
                    yield_now().await;
                    drop(black_box(permit));
                }
            })
        },
        theirs: || {
            let semaphore = Arc::new(tokio::sync::Semaphore::new(PERMITS as usize));
            contended(move || {
                let semaphore = Arc::clone(&semaphore);
                async move {
                    let permit = semaphore.acquire().await.expect("never closed");
                    yield_now().await;
                    drop(black_box(permit));
                }
            })
        },
    },
];

fn ours(limit: u32) -> Semaphore {
    Semaphore::new(u64::from(limit)).expect("a limit of one and more is valid")
}

/// Four tasks on two threads take turns at two permits, and hold them over a yield.
fn contended<F, O>(operation: F) -> Bench
where
    F: Fn() -> O + Clone + Send + 'static,
    O: Future<Output = ()> + Send,
{
    let runtime = two_threads();
    Box::new(move |operations| {
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..TASKS {
                let share = operations / TASKS + u64::from(task < operations % TASKS);
                let operation = operation.clone();
                tasks.spawn(async move {
                    for _ in 0..share {
                        operation().await;
                    }
                    share
                });
            }
            let done: u64 = tasks.join_all().await.into_iter().sum();
            assert_eq!(done, operations);
        });
    })
}
