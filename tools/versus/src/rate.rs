//! Our rate limiter against governor's, one limiter.

use std::hint::black_box;
use std::num::NonZeroU32;

use governor::DefaultDirectRateLimiter;
use plimsoll::rate::{Quota, RateLimiter};

use crate::pair::Pair;

/// More than any machine asks for: all of it is allowed, and the arithmetic is done all the same.
const PLENTY: u32 = 1_000_000_000;

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "rate_allow",
        peer: "governor",
        goal: 1.0,
        gated: true,
        ours: || {
            let limiter = ours(Quota::per_second(u64::from(PLENTY)).burst(u64::from(PLENTY)));
            Box::new(move |operations| {
                for _ in 0..operations {
                    black_box(limiter.try_acquire()).expect("there is plenty");
                }
            })
        },
        theirs: || {
            let limiter = DefaultDirectRateLimiter::direct(governor::Quota::per_second(count(PLENTY)));
            Box::new(move |operations| {
                for _ in 0..operations {
                    black_box(limiter.check()).expect("there is plenty");
                }
            })
        },
    },
    Pair {
        op: "rate_deny",
        peer: "governor",
        goal: 1.0,
        gated: true,
        ours: || {
            let limiter = ours(Quota::per_hour(1).burst(1));
            limiter.try_acquire().expect("the first one is allowed");
            Box::new(move |operations| {
                for _ in 0..operations {
                    assert!(black_box(&limiter.try_acquire()).is_err(), "one an hour is allowed");
                }
            })
        },
        theirs: || {
            let limiter = DefaultDirectRateLimiter::direct(governor::Quota::per_hour(count(1)));
            limiter.check().expect("the first one is allowed");
            Box::new(move |operations| {
                for _ in 0..operations {
                    assert!(black_box(&limiter.check()).is_err(), "one an hour is allowed");
                }
            })
        },
    },
];

fn ours(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota).expect("the quota is within its range")
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("no quota here is zero")
}
