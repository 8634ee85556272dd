//! The other two rates: our leaky bucket beside leaky-bucket, our sliding window beside trypema.

use std::hint::black_box;
use std::time::Duration;

use plimsoll::rate::{Leaky, Quota, Sliding};
use trypema::local::LocalRateLimiterProvider;
use trypema::{BucketSize, RateLimit, RateLimitDecision, RateLimiterBuilder, WindowSize};

use crate::pair::Pair;
use crate::runtime::one_thread;

/// What a window holds: more is asked for in a pass, so that most of it is refused by both.
const WINDOW: u64 = 10_000;

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "leaky_deny",
        peer: "leaky-bucket",
        goal: 2.0,
        gated: true,
        ours: || {
            let limiter = Leaky::new(Quota::per_minute(1), 1).expect("it is valid");
            limiter.try_acquire().expect("it was never asked");
            Box::new(move |operations| {
                for _ in 0..operations {
                    assert!(black_box(limiter.try_acquire()).is_err());
                }
            })
        },
        theirs: || {
            let runtime = one_thread();
            let limiter = {
                let _inside = runtime.enter();
                leaky_bucket::RateLimiter::builder().interval(Duration::from_secs(60)).initial(0).build()
            };
            Box::new(move |operations| {
                let _inside = runtime.enter();
                for _ in 0..operations {
                    assert!(!black_box(limiter.try_acquire(1)));
                }
            })
        },
    },
    Pair {
        op: "sliding_window",
        peer: "trypema",
        goal: 2.0,
        // Its window is made of buckets: not exact, as ours is.
        gated: true,
        ours: || {
            let limiter = Sliding::new(Quota::per(Duration::from_secs(1), WINDOW)).expect("it is valid");
            Box::new(move |operations| {
                for _ in 0..operations {
                    black_box(limiter.try_acquire().is_ok());
                }
            })
        },
        theirs: || {
            let limiter = LocalRateLimiterProvider::builder()
                .window_size(WindowSize::seconds_or_panic(1))
                .bucket_size(BucketSize::milliseconds_or_panic(10))
                .disable_cleanup()
                .build()
                .expect("it is valid");
            let rate = RateLimit::per_second_or_panic(10_000.0);
            Box::new(move |operations| {
                for _ in 0..operations {
                    black_box(matches!(limiter.absolute().inc("key", &rate, 1), RateLimitDecision::Allowed));
                }
            })
        },
    },
];
