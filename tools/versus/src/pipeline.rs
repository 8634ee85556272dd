//! Our pipeline beside tasks with channels between them, and beside a chain of futures' `buffered`:
//! three stages of four at once, an operation being an item through all of them.

use std::hint::black_box;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use plimsoll::pipeline::{Builder, Pipeline};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};

use crate::pair::Pair;
use crate::runtime::two_threads;

const AT_ONCE: usize = 4;
/// Between two stages, as by our default.
const QUEUE: usize = 16;

async fn step(number: u64) -> u64 {
    yield_now().await;
    black_box(number)
}

async fn ours(builder: Builder, operations: u64) -> u64 {
    let pipeline = builder
        .queue(QUEUE)
        .items(0..operations)
        .stage("a", AT_ONCE, |n| async move { Ok::<u64, ()>(step(n).await) })
        .stage("b", AT_ONCE, |n| async move { Ok(step(n).await) })
        .stage("c", AT_ONCE, |n| async move { Ok(step(n).await) })
        .build()
        .expect("it is valid");
    pipeline.collect().await.expect("none fails").len() as u64
}

/// Workers that take turns at the receiver, as tasks do that share one.
fn stage(tasks: &mut JoinSet<()>, input: mpsc::Receiver<u64>) -> mpsc::Receiver<u64> {
    let (output, next) = mpsc::channel(QUEUE);
    let input = Arc::new(Mutex::new(input));
    for _ in 0..AT_ONCE {
        let (input, output) = (Arc::clone(&input), output.clone());
        tasks.spawn(async move {
            loop {
                let item = input.lock().await.recv().await;
                let Some(item) = item else { return };
                if output.send(step(item).await).await.is_err() {
                    return;
                }
            }
        });
    }
    next
}

async fn channels(operations: u64) -> u64 {
    let mut tasks = JoinSet::new();
    let (source, input) = mpsc::channel(QUEUE);
    tasks.spawn(async move {
        for item in 0..operations {
            if source.send(item).await.is_err() {
                return;
            }
        }
    });
    let second = stage(&mut tasks, input);
    let third = stage(&mut tasks, second);
    let mut output = stage(&mut tasks, third);
    // In a task, too: to wake the thread that blocks on all of it, for every item, would cost more.
    let mut collector = JoinSet::new();
    collector.spawn(async move {
        let mut items = Vec::new();
        while let Some(item) = output.recv().await {
            items.push(item);
        }
        items.len() as u64
    });
    collector.join_next().await.expect("it was spawned").expect("it does not panic")
}

async fn buffered(operations: u64) -> u64 {
    let items = stream::iter(0..operations).map(step).buffered(AT_ONCE);
    let items = items.map(step).buffered(AT_ONCE).map(step).buffered(AT_ONCE);
    items.collect::<Vec<_>>().await.len() as u64
}

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "pipeline_3_stages",
        peer: "tokio",
        goal: 2.0,
        gated: true,
        ours: || {
            let runtime = two_threads();
            Box::new(move |operations| {
                let pipeline = ours(Pipeline::builder("versus"), operations);
                assert_eq!(runtime.block_on(pipeline), operations);
            })
        },
        theirs: || {
            let runtime = two_threads();
            Box::new(move |operations| assert_eq!(runtime.block_on(channels(operations)), operations))
        },
    },
    Pair {
        op: "pipeline_3_stages_ordered",
        peer: "futures-util",
        goal: 2.0,
        // It is all in one task, whose stages stop while the consumer is busy: less than ours does.
        gated: true,
        ours: || {
            let runtime = two_threads();
            Box::new(move |operations| {
                let pipeline = ours(Pipeline::builder("versus").ordered(), operations);
                assert_eq!(runtime.block_on(pipeline), operations);
            })
        },
        theirs: || {
            let runtime = two_threads();
            Box::new(move |operations| assert_eq!(runtime.block_on(buffered(operations)), operations))
        },
    },
];
