//! Our hedge beside tower's: what it costs a call that is answered at once.

use std::hint::black_box;
use std::time::Duration;

use plimsoll::hedge;
use tower::hedge::{Hedge, Policy};
use tower::{Service, ServiceExt, service_fn};

use crate::pair::Pair;
use crate::runtime::one_thread;

#[derive(Clone)]
struct Always;

impl Policy<u64> for Always {
    fn clone_request(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn can_retry(&self, _: &u64) -> bool {
        true
    }
}

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "hedge_ready",
    peer: "tower",
    goal: 2.0,
    gated: true,
    ours: || {
        let policy = hedge::Policy::percentile(0.95).samples_min(100);
        let (hedge, runtime) = (hedge::Hedge::new(policy).expect("the policy is valid"), one_thread());
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    black_box(
                        hedge.call(|| async move { Ok::<u64, ()>(number) }).await.expect("it succeeds"),
                    );
                }
            });
        })
    },
    theirs: || {
        let service = service_fn(|number: u64| async move { Ok::<u64, tower::BoxError>(number) });
        let mut hedge = Hedge::new(service, Always, 100, 0.95, Duration::from_secs(10));
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let ready = hedge.ready().await.expect("it is ready");
                    black_box(ready.call(number).await.expect("it succeeds"));
                }
            });
        })
    },
}];
