//! What is compared with what.

use crate::{
    adaptive, breaker, budget, cpu, downstream, fair, group, hedge, keyed, map, merge, pipeline, pool, rate,
    retry, semaphore, shed, singleflight, spacing, webhooks,
};

/// Does as many operations as it is told, and panics when one of them did not do what it is
/// measured for: a limiter that refuses is fast, and says nothing.
pub(crate) type Bench = Box<dyn FnMut(u64)>;

/// One operation, ours and a peer's.
pub(crate) struct Pair {
    /// What is done.
    pub(crate) op: &'static str,
    /// The crate it is compared with.
    pub(crate) peer: &'static str,
    /// The ratio we want, ours divided by theirs.
    pub(crate) goal: f64,
    /// Whether the row decides: only against peers that are cancel-safe as ours is.
    pub(crate) gated: bool,
    pub(crate) ours: fn() -> Bench,
    pub(crate) theirs: fn() -> Bench,
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Pair> {
    [
        semaphore::PAIRS,
        rate::PAIRS,
        keyed::PAIRS,
        pool::PAIRS,
        breaker::PAIRS,
        group::PAIRS,
        retry::PAIRS,
        hedge::PAIRS,
        singleflight::PAIRS,
        fair::PAIRS,
        spacing::PAIRS,
        budget::PAIRS,
        merge::PAIRS,
        map::PAIRS,
        cpu::PAIRS,
        pipeline::PAIRS,
        shed::PAIRS,
        downstream::PAIRS,
        adaptive::PAIRS,
        webhooks::PAIRS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bench_does_what_it_is_measured_for() {
        for pair in all() {
            for bench in [pair.ours, pair.theirs] {
                let mut bench = bench();
                for operations in [1, 2, 100] {
                    bench(operations);
                }
            }
        }
    }

    #[test]
    fn no_two_rows_are_the_same() {
        let mut names: Vec<_> = all().map(|pair| (pair.op, pair.peer)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
    }
}
