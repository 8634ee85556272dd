//! Our group beside tokio's `JoinSet`: a child spawned and joined.

use plimsoll::group::Group;
use tokio::task::JoinSet;

use crate::pair::Pair;
use crate::runtime::two_threads;

/// Children that are spawned before they are joined.
const BATCH: u64 = 64;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "group_spawn_join",
    peer: "tokio",
    goal: 2.0,
    gated: true,
    ours: || {
        let runtime = two_threads();
        Box::new(move |operations| {
            let done: u64 = runtime.block_on(async {
                let mut group = Group::new(64).expect("the limit is valid");
                let mut done = 0;
                for batch in batches(operations) {
                    for number in 0..batch {
                        group.spawn(async move { Ok::<u64, ()>(number) }).await;
                    }
                    done += group.join().await.expect("none fails").len() as u64;
                }
                done
            });
            assert_eq!(done, operations);
        })
    },
    theirs: || {
        let runtime = two_threads();
        Box::new(move |operations| {
            let done: u64 = runtime.block_on(async {
                let mut set = JoinSet::new();
                let mut done = 0;
                for batch in batches(operations) {
                    for number in 0..batch {
                        set.spawn(async move { Ok::<u64, ()>(number) });
                    }
                    while let Some(joined) = set.join_next().await {
                        done += u64::from(joined.expect("none panics").is_ok());
                    }
                }
                done
            });
            assert_eq!(done, operations);
        })
    },
}];

fn batches(operations: u64) -> impl Iterator<Item = u64> {
    (0..operations.div_ceil(BATCH)).map(move |batch| BATCH.min(operations - batch * BATCH))
}
