//! Our retry beside backon: what it costs a call that succeeds at once.

use std::hint::black_box;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use plimsoll::retry::{Decision, Policy};

use crate::pair::Pair;
use crate::runtime::one_thread;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "retry_first_succeeds",
    peer: "backon",
    goal: 2.0,
    gated: true,
    ours: || {
        let policy = Policy::exponential(Duration::from_millis(50)).attempts(3);
        let policy = policy.retry_if(|_: &()| Decision::Retry);
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    policy.run(|| async { black_box(Ok::<u64, ()>(7)) }).await.expect("it succeeds");
                }
            });
        })
    },
    theirs: || {
        let policy =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(50)).with_max_times(2);
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    let call = || async { black_box(Ok::<u64, ()>(7)) };
                    call.retry(policy).when(|()| true).await.expect("it succeeds");
                }
            });
        })
    },
}];
