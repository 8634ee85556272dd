//! Our merge beside futures' `select_all`: 64 streams that always have something.

use std::hint::black_box;

use futures_util::StreamExt;
use futures_util::stream::{Repeat, SelectAll, repeat};
use plimsoll::merge::{Event, Merge};

use crate::pair::Pair;
use crate::runtime::one_thread;

const STREAMS: u64 = 64;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "merge_64_ready",
    peer: "futures-util",
    goal: 2.0,
    gated: true,
    ours: || {
        let mut merge = Merge::<Repeat<u64>>::builder("versus").inputs_max(64).build().expect("it is valid");
        for number in 0..STREAMS {
            merge.add(repeat(number)).expect("there is room");
        }
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    let (_, event) = merge.next().await.expect("the streams have no end");
                    assert!(matches!(black_box(event), Event::Item(_)));
                }
            });
        })
    },
    theirs: || {
        let mut merge: SelectAll<Repeat<u64>> = (0..STREAMS).map(repeat).collect();
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    black_box(merge.next().await.expect("the streams have no end"));
                }
            });
        })
    },
}];
