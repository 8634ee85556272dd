//! How long calls took of late, in buckets; pure.
//!
//! # Invariants
//! - A sample is in one of two generations. When the younger holds [`GENERATION`] samples it becomes
//!   the older, and what the older held is forgotten: so the newest `GENERATION` samples always count,
//!   and never more than twice as many. By number and not by age, so that a percentile of a quiet
//!   client has samples enough.
//! - Buckets are a sixteenth of a power of two wide, and a bucket stands for its upper end: a quantile
//!   is never too short, and too long by a sixteenth at the most.

use std::time::Duration;

/// How many samples a generation holds.
pub(super) const GENERATION: u32 = 1_024;

/// What is shorter than 2^10 ns, a microsecond, counts as so long; what is longer than 2^42 ns, 73
/// minutes, as so long.
const SHORTEST_BITS: u32 = 10;
const OCTAVES: u32 = 32;
const PART_BITS: u32 = 4;
const BUCKETS: usize = (OCTAVES << PART_BITS) as usize;

/// The durations of the newest samples.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    younger: Box<[u32; BUCKETS]>,
    older: Box<[u32; BUCKETS]>,
    in_younger: u32,
    in_older: u32,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { younger: Box::new([0; BUCKETS]), older: Box::new([0; BUCKETS]), in_younger: 0, in_older: 0 }
    }

    pub(super) fn add(&mut self, took: Duration) {
        if self.in_younger == GENERATION {
            std::mem::swap(&mut self.younger, &mut self.older);
            self.younger.fill(0);
            (self.in_older, self.in_younger) = (self.in_younger, 0);
        }
        self.younger[bucket_of(took)] += 1;
        self.in_younger += 1;
    }

    /// How many samples count.
    pub(super) const fn samples(&self) -> u32 {
        self.in_younger + self.in_older
    }

    /// A time that at least the share `quantile` of the samples did not take longer than; zero when
    /// there are none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among at most 2,048 samples"
    )]
    pub(super) fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((f64::from(self.samples()) * quantile).ceil() as u32).clamp(1, self.samples().max(1));
        let counts = self.younger.iter().zip(self.older.iter()).map(|(younger, older)| younger + older);
        let mut seen = 0;
        for (bucket, count) in counts.enumerate() {
            seen += count;
            if seen >= rank {
                return end_of(bucket);
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1 << SHORTEST_BITS);
    let octave = nanos.ilog2();
    let part = (nanos >> (octave - PART_BITS)) & ((1 << PART_BITS) - 1);
    let bucket = u64::from((octave - SHORTEST_BITS) << PART_BITS) + part;
    (bucket as usize).min(BUCKETS - 1)
}

/// What everything in the bucket is shorter than.
fn end_of(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    let (octave, part) = (bucket >> PART_BITS, bucket & ((1 << PART_BITS) - 1));
    let sixteenth = 1u64 << (octave + u64::from(SHORTEST_BITS - PART_BITS));
    Duration::from_nanos(((1 << PART_BITS) + part + 1) * sixteenth)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_quantile_is_that_of_the_sorted_samples_or_a_sixteenth_longer(
            // Of every size: a power of two, and a part of it.
            samples in prop::collection::vec((11u32..41, 0.0..1.0f64), 1..4_000),
            quantile in 0.0..=1.0f64,
        ) {
            let mut seen = Seen::new();
            let mut model = Vec::new();
            for (bits, part) in samples {
                let nanos = (1u64 << bits) + ((1u64 << bits) as f64 * part) as u64;
                if model.len() == 2 * GENERATION as usize {
                    model.drain(..GENERATION as usize);
                }
                model.push(nanos);
                seen.add(Duration::from_nanos(nanos));
            }
            prop_assert_eq!(seen.samples() as usize, model.len());
            model.sort_unstable();
            let rank = ((model.len() as f64 * quantile).ceil() as usize).max(1);
            let exact = model[rank - 1] as f64;
            let found = seen.quantile(quantile).as_nanos() as f64;
            prop_assert!(found >= exact && found <= exact * (1.0 + 1.0 / 16.0), "{found} for {exact}");
        }

        #[test]
        fn any_duration_has_a_bucket_and_longer_ones_no_earlier_one(
            short in any::<u64>(), more in any::<u64>(),
        ) {
            let (short, long) = (Duration::from_nanos(short), Duration::from_nanos(short.saturating_add(more)));
            prop_assert!(bucket_of(short) <= bucket_of(long) && bucket_of(long) < BUCKETS);
        }
    }

    #[test]
    fn nothing_seen_is_no_time_and_the_ends_of_time_are_kept_within() {
        let mut seen = Seen::new();
        assert_eq!((seen.samples(), seen.quantile(0.95)), (0, Duration::ZERO));
        seen.add(Duration::ZERO);
        assert!(seen.quantile(1.0) <= Duration::from_nanos(1_088));
        seen.add(Duration::MAX);
        assert_eq!(seen.quantile(1.0), Duration::from_nanos(1 << 42));
    }

    #[test]
    fn what_is_two_generations_old_is_forgotten() {
        let mut seen = Seen::new();
        (0..GENERATION).for_each(|_| seen.add(Duration::from_secs(60)));
        (0..2 * GENERATION).for_each(|_| seen.add(Duration::from_millis(1)));
        assert!(seen.quantile(1.0) < Duration::from_millis(2));
    }
}
