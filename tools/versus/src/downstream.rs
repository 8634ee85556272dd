//! Our downstream beside tower-resilience: a concurrency limit, a breaker and retries around a call
//! that succeeds.

use std::hint::black_box;
use std::time::Duration;

use plimsoll::downstream::Downstream;
use plimsoll::{breaker, retry};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience::bulkhead::{BulkheadLayer, BulkheadServiceError};
use tower_resilience::circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer};
use tower_resilience::retry::RetryLayer;

use crate::pair::Pair;
use crate::runtime::one_thread;

/// The error that its three layers make of a service's.
type Failed = CircuitBreakerError<BulkheadServiceError<String>>;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "downstream_3_policies",
    peer: "tower-resilience",
    goal: 2.0,
    gated: true,
    ours: || {
        let downstream = Downstream::unnamed()
            .concurrency(50)
            .breaker(breaker::Policy::ratio(0.5).calls_min(20))
            .retry(retry::Policy::exponential(Duration::from_millis(50)).attempts(3))
            .build()
            .expect("it is valid");
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let call = downstream.call(|| async move { Ok::<u64, String>(black_box(number)) });
                    assert_eq!(call.await.ok(), Some(number));
                }
            });
        })
    },
    theirs: || {
        let mut service = ServiceBuilder::new()
            .layer(RetryLayer::<u64, u64, Failed>::builder().max_attempts(3).build())
            .layer(CircuitBreakerLayer::builder().failure_rate_threshold(0.5).build().expect("it is valid"))
            .layer(BulkheadLayer::builder().max_concurrent_calls(50).build().expect("it is valid"))
            .service(service_fn(|number: u64| async move { Ok::<u64, String>(black_box(number)) }));
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let ready = service.ready().await.expect("it is ready");
                    assert_eq!(ready.call(number).await.ok(), Some(number));
                }
            });
        })
    },
}];
