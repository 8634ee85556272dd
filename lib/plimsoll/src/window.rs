//! Counts over a rolling window, in ten buckets of time.
//!
//! # Invariants
//! - A bucket belongs to the tick it was last emptied for; [`Window::turn`] empties, under the
//!   lock, every bucket whose tick is over before it publishes the new tick.
//! - Adding takes no lock. What is added in the very moment the window turns may be counted in the
//!   neighbouring bucket, or leave the window at once: one call, never a permit. It is never lost to
//!   what was counted since the beginning.
//! - Time does not run backwards: an earlier `now` counts in the current bucket.

use std::time::Duration;

use crate::clock::Instant;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// Few under model checking: every one is something to interleave.
const BUCKETS: usize = if cfg!(plimsoll_loom) { 2 } else { 10 };

/// `LANES` counts over a rolling window: what was added in the last nine tenths of it for certain,
/// and nothing that is older than all of it.
#[derive(Debug)]
pub(crate) struct Window<const LANES: usize> {
    width_nanos: u64,
    tick: AtomicU64,
    buckets: [[AtomicU64; LANES]; BUCKETS],
    /// What the emptied buckets held, so that there is a total since the beginning.
    past: [AtomicU64; LANES],
    turning: Mutex<()>,
}

impl<const LANES: usize> Window<LANES> {
    /// A window as long as `span`, rounded down to ten nanoseconds.
    pub(crate) fn new(span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self {
            width_nanos: (nanos / BUCKETS as u64).max(1),
            tick: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| zeros()),
            past: zeros(),
            turning: Mutex::new(()),
        }
    }

    /// Adds to the lanes; a zero costs nothing.
    #[inline]
    pub(crate) fn add(&self, now: Instant, counts: [u64; LANES]) {
        let bucket = self.bucket(now);
        for (lane, count) in bucket.iter().zip(counts) {
            if count > 0 {
                lane.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// The sums over the window that ends now.
    pub(crate) fn sum(&self, now: Instant) -> [u64; LANES] {
        self.bucket(now);
        std::array::from_fn(|lane| self.buckets.iter().map(|b| b[lane].load(Ordering::Relaxed)).sum())
    }

    /// The sums since the beginning.
    pub(crate) fn ever(&self) -> [u64; LANES] {
        std::array::from_fn(|lane| {
            let present: u64 = self.buckets.iter().map(|b| b[lane].load(Ordering::Relaxed)).sum();
            present.saturating_add(self.past[lane].load(Ordering::Relaxed))
        })
    }

    /// Forgets what the window holds; [`ever`](Self::ever) does not.
    pub(crate) fn clear(&self) {
        let _turning = lock(&self.turning);
        self.buckets.iter().for_each(|bucket| self.empty(bucket));
    }

    #[inline]
    fn bucket(&self, now: Instant) -> &[AtomicU64; LANES] {
        let tick = now.as_nanos() / self.width_nanos;
        let seen = self.tick.load(Ordering::Acquire);
        let tick = if tick > seen { self.turn(tick) } else { seen };
        &self.buckets[(tick % BUCKETS as u64) as usize]
    }

    #[cold]
    fn turn(&self, tick: u64) -> u64 {
        let _turning = lock(&self.turning);
        let seen = self.tick.load(Ordering::Acquire);
        if tick <= seen {
            return seen;
        }
        for over in (seen + 1..=tick).take(BUCKETS) {
            self.empty(&self.buckets[(over % BUCKETS as u64) as usize]);
        }
        self.tick.store(tick, Ordering::Release);
        tick
    }

    fn empty(&self, bucket: &[AtomicU64; LANES]) {
        for (lane, past) in bucket.iter().zip(&self.past) {
            past.fetch_add(lane.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

fn zeros<const LANES: usize>() -> [AtomicU64; LANES] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

#[cfg(all(test, not(plimsoll_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn it_counts_what_a_list_of_every_event_counts(
            steps in prop::collection::vec((0u64..3_000, 0u64..3, any::<bool>()), 1..200),
        ) {
            let window = Window::<2>::new(Duration::from_nanos(1_000));
            let (mut now, mut events) = (0u64, Vec::new());
            for (step, count, second) in steps {
                // Mostly small steps: a large one empties everything.
                now += if step < 2_900 { step / 20 } else { step };
                let counts = [count, u64::from(second)];
                window.add(Instant::from_nanos(now), counts);
                events.push((now / 100, counts));
                let oldest = (now / 100).saturating_sub(9);
                let model = events.iter().filter(|(tick, _)| *tick >= oldest);
                let model = model.fold([0, 0], |sum, (_, counts)| [sum[0] + counts[0], sum[1] + counts[1]]);
                prop_assert_eq!(window.sum(Instant::from_nanos(now)), model);
            }
            let ever = events.iter().fold([0, 0], |sum, (_, c)| [sum[0] + c[0], sum[1] + c[1]]);
            prop_assert_eq!(window.ever(), ever);
            window.clear();
            prop_assert_eq!(window.sum(Instant::from_nanos(now)), [0, 0]);
            prop_assert_eq!(window.ever(), ever);
        }
    }

    #[test]
    fn the_last_tick_of_all_does_not_overflow() {
        let window = Window::<1>::new(Duration::from_nanos(10));
        window.add(Instant::from_nanos(u64::MAX), [1]);
        window.add(Instant::from_nanos(0), [1]);
        assert_eq!(window.sum(Instant::from_nanos(u64::MAX)), [2]);
    }
}
