//! Our pipeline beside a chain of futures' `buffered`: three stages of four at once, an operation
//! being an item through all of them.

use std::hint::black_box;

use futures_util::{StreamExt, stream};
use plimsoll::pipeline::Pipeline;
use tokio::task::yield_now;

use crate::pair::Pair;
use crate::runtime::two_threads;

const AT_ONCE: usize = 4;

async fn step(number: u64) -> u64 {
    yield_now().await;
    black_box(number)
}

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "pipeline_3_stages",
    peer: "futures-util",
    goal: 2.0,
    // All of it in one task, whose stages stop while the consumer is busy: less than ours does.
    gated: false,
    ours: || {
        let runtime = two_threads();
        Box::new(move |operations| {
            let done = runtime.block_on(async {
                let pipeline = Pipeline::builder("versus")
                    .ordered()
                    .items(0..operations)
                    .stage("a", AT_ONCE, |n| async move { Ok::<u64, ()>(step(n).await) })
                    .stage("b", AT_ONCE, |n| async move { Ok(step(n).await) })
                    .stage("c", AT_ONCE, |n| async move { Ok(step(n).await) })
                    .build()
                    .expect("it is valid");
                pipeline.collect().await.expect("none fails").len() as u64
            });
            assert_eq!(done, operations);
        })
    },
    theirs: || {
        let runtime = two_threads();
        Box::new(move |operations| {
            let done = runtime.block_on(async {
                let items = stream::iter(0..operations).map(step).buffered(AT_ONCE);
                let items = items.map(step).buffered(AT_ONCE).map(step).buffered(AT_ONCE);
                items.collect::<Vec<_>>().await.len() as u64
            });
            assert_eq!(done, operations);
        })
    },
}];
