//! Our shedding limit beside tower's load shedding over its concurrency limit: nobody waits.

use std::hint::black_box;

use plimsoll::shed::{Priority, Shed};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use crate::pair::Pair;
use crate::runtime::one_thread;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "shed_acquire",
    peer: "tower",
    goal: 2.0,
    // Neither a queue nor priorities: less than ours does.
    gated: true,
    ours: || {
        let shed = Shed::builder("versus").concurrency(64).queue(512).build().expect("it is valid");
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let permit = shed.acquire(Priority::CRITICAL).await.expect("nobody else has a permit");
                    let answer = async move { black_box(number) }.await;
                    drop(permit);
                    assert_eq!(answer, number);
                }
            });
        })
    },
    theirs: || {
        let service = service_fn(|number: u64| async move { Ok::<u64, tower::BoxError>(black_box(number)) });
        let mut service = ServiceBuilder::new().load_shed().concurrency_limit(64).service(service);
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let ready = service.ready().await.expect("it is always ready");
                    assert_eq!(ready.call(number).await.expect("nobody else has a permit"), number);
                }
            });
        })
    },
}];
