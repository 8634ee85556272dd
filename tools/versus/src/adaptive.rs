//! Our adaptive limiter beside congestion-limiter's: admitted, and told at the end how it went.

use std::hint::black_box;

use congestion_limiter::limiter::{DefaultLimiter, Limiter, Outcome as TheirOutcome};
use congestion_limiter::limits;
use plimsoll::Outcome;
use plimsoll::adaptive::Adaptive;

use crate::pair::Pair;
use crate::runtime::one_thread;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "adaptive_acquire_finish",
    peer: "congestion-limiter",
    goal: 2.0,
    // Nothing is awaited by either that could be cancelled half-way.
    gated: true,
    ours: || {
        // Ours with its default algorithm, which does most of all; theirs with the cheapest that it has.
        let adaptive = Adaptive::builder("versus").initial(64).limits(1, 1_000).build();
        let adaptive = adaptive.expect("it is valid");
        Box::new(move |operations| {
            for number in 0..operations {
                let permit = adaptive.try_acquire().expect("nobody else has a permit");
                black_box(number);
                permit.finish(Outcome::Success);
            }
        })
    },
    theirs: || {
        let limiter = DefaultLimiter::new(limits::Aimd::new(64, 1..=1_000));
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let token = limiter.try_acquire().await.expect("nobody else has a token");
                    black_box(number);
                    limiter.release(token, Some(TheirOutcome::Success)).await;
                }
            });
        })
    },
}];
