//! A thousand items, at most 64 at once, an operation being an item: our map beside futures-buffered,
//! which stays in one task, and beside the usual idiom of a task and a permit per item.

use std::hint::black_box;
use std::sync::Arc;

use futures_buffered::BufferedStreamExt;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use crate::pair::{Bench, Pair};
use crate::runtime::{one_thread, two_threads};

const ITEMS: u64 = 1_000;
const AT_ONCE: usize = 64;

/// What an item does.
#[derive(Clone, Copy)]
enum Body {
    Ready,
    YieldsOnce,
}

impl Body {
    async fn run(self, number: u64) -> Result<u64, ()> {
        if let Self::YieldsOnce = self {
            yield_now().await;
        }
        Ok(black_box(number))
    }
}

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "map_ready",
        peer: "futures-buffered",
        goal: 2.0,
        gated: true,
        ours: || ours(Body::Ready),
        theirs: || buffered(two_threads(), Body::Ready),
    },
    Pair {
        op: "map_yields_once",
        peer: "futures-buffered",
        goal: 2.0,
        gated: true,
        ours: || ours(Body::YieldsOnce),
        theirs: || buffered(two_threads(), Body::YieldsOnce),
    },
    Pair {
        op: "map_ready",
        peer: "tokio",
        goal: 2.0,
        gated: true,
        ours: || ours(Body::Ready),
        theirs: || idiom(Body::Ready),
    },
    Pair {
        op: "map_yields_once",
        peer: "tokio",
        goal: 2.0,
        gated: true,
        ours: || ours(Body::YieldsOnce),
        theirs: || idiom(Body::YieldsOnce),
    },
    Pair {
        op: "map_local_ready",
        peer: "futures-buffered",
        goal: 2.0,
        gated: true,
        ours: || local(Body::Ready),
        theirs: || buffered(one_thread(), Body::Ready),
    },
    Pair {
        op: "map_local_yields_once",
        peer: "futures-buffered",
        goal: 2.0,
        gated: true,
        ours: || local(Body::YieldsOnce),
        theirs: || buffered(one_thread(), Body::YieldsOnce),
    },
];

/// Runs it on so many items at a time until all operations are done: in a task, as a service does, and
/// not on the thread that waits for it, since waking a worker from there costs more than the items.
fn in_thousands<Done>(runtime: Runtime, run: impl Fn(u64) -> Done + Clone + Send + 'static) -> Bench
where
    Done: Future<Output = u64> + Send,
{
    Box::new(move |operations| {
        let run = run.clone();
        let task = runtime.spawn(async move {
            let mut left = operations;
            while left > 0 {
                let items = left.min(ITEMS);
                assert_eq!(run(items).await, items);
                left -= items;
            }
        });
        runtime.block_on(task).expect("every thousand is answered");
    })
}

fn ours(body: Body) -> Bench {
    in_thousands(two_threads(), move |items| async move {
        let values = plimsoll::map(0..items, AT_ONCE, move |n| body.run(n)).await;
        values.expect("none fails").len() as u64
    })
}

fn local(body: Body) -> Bench {
    in_thousands(one_thread(), move |items| async move {
        let values = plimsoll::map_local(0..items, AT_ONCE, |n| body.run(n)).await;
        values.expect("none fails").len() as u64
    })
}

fn buffered(runtime: Runtime, body: Body) -> Bench {
    in_thousands(runtime, move |items| async move {
        let stream = stream::iter(0..items).map(move |number| body.run(number)).buffered_ordered(AT_ONCE);
        stream.collect::<Vec<_>>().await.into_iter().filter_map(Result::ok).count() as u64
    })
}

fn idiom(body: Body) -> Bench {
    in_thousands(two_threads(), move |items| async move {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for number in 0..items {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
            tasks.spawn(async move {
                let value = body.run(number).await;
                drop(permit);
                (number, value)
            });
        }
        let mut values = vec![None; items as usize];
        while let Some(joined) = tasks.join_next().await {
            let (number, value) = joined.expect("none panics");
            values[number as usize] = value.ok();
        }
        values.into_iter().flatten().count() as u64
    })
}
