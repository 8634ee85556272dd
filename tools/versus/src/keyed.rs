//! A rate limit for each of ten thousand keys: ours against governor's.

use std::fmt::Display;
use std::hash::Hash;
use std::hint::black_box;
use std::num::NonZeroU32;

use governor::DefaultKeyedRateLimiter;
use plimsoll::keyed::Keyed;
use plimsoll::rate::{Quota, RateLimiter};

use crate::pair::{Bench, Pair};

const KEYS: u64 = 10_000;
/// More than any machine asks for.
const PLENTY: u32 = 1_000_000_000;
/// Coprime to [`KEYS`]: the keys come in an order that no cache guesses, each as often as any other.
const STRIDE: usize = 7_919;

pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "rate_10k_keys_u64",
        peer: "governor",
        goal: 1.0,
        gated: true,
        ours: || ours(numbers()),
        theirs: || theirs(numbers()),
    },
    Pair {
        op: "rate_10k_keys_string",
        peer: "governor",
        goal: 1.0,
        gated: true,
        ours: || ours(names()),
        theirs: || theirs(names()),
    },
];

fn ours<K>(keys: Vec<K>) -> Bench
where
    K: Clone + Display + Eq + Hash + Send + Sync + 'static,
{
    let quota = Quota::per_second(u64::from(PLENTY)).burst(u64::from(PLENTY));
    let limiter = Keyed::builder("versus", move |_: &K| RateLimiter::new(quota))
        .keys_max(keys.len())
        .build()
        .expect("a keyed limiter of this size is valid");
    over(keys, move |key| limiter.try_acquire(key).is_ok())
}

fn theirs<K>(keys: Vec<K>) -> Bench
where
    K: Clone + Eq + Hash + 'static,
{
    let quota = governor::Quota::per_second(NonZeroU32::new(PLENTY).expect("it is not zero"));
    let limiter = DefaultKeyedRateLimiter::keyed(quota);
    over(keys, move |key| limiter.check_key(key).is_ok())
}

fn over<K: 'static>(keys: Vec<K>, admit: impl Fn(&K) -> bool + 'static) -> Bench {
    let mut next = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            next = (next + STRIDE) % keys.len();
            assert!(black_box(admit(&keys[next])), "there is plenty");
        }
    })
}

fn numbers() -> Vec<u64> {
    (0..KEYS).collect()
}

fn names() -> Vec<String> {
    numbers().into_iter().map(|number| format!("tenant-{number:08}")).collect()
}
