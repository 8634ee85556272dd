//! A Bloom filter of keys that are digests.

use std::sync::atomic::{AtomicU64, Ordering};

/// 1 MiB: of 1,000,000 keys it mistakes one in 40, of 100,000 one in 190,000.
const WORDS: usize = 128 * 1024;
const BITS: u64 = WORDS as u64 * 64;
/// Bits a key sets.
const PROBES: u64 = 4;

/// Says "certainly not" or "maybe". Written by one thread, read by all.
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    pub(super) fn new() -> Self {
        Self { words: std::iter::repeat_with(|| AtomicU64::new(0)).take(WORDS).collect() }
    }

    pub(super) fn insert(&self, key: &[u8; 16]) {
        for (word, mask) in probes(key) {
            self.words[word].fetch_or(mask, Ordering::Release);
        }
    }

    pub(super) fn may_have(&self, key: &[u8; 16]) -> bool {
        probes(key).all(|(word, mask)| self.words[word].load(Ordering::Acquire) & mask != 0)
    }
}

/// Two halves of a digest are two independent hashes; their sums serve as all the others
/// (Kirsch and Mitzenmacher, 2006).
fn probes(key: &[u8; 16]) -> impl Iterator<Item = (usize, u64)> + use<> {
    let number = u128::from_le_bytes(*key);
    let (first, step) = (number as u64, (number >> 64) as u64 | 1);
    (0..PROBES).map(move |probe| {
        let bit = first.wrapping_add(step.wrapping_mul(probe)) % BITS;
        ((bit / 64) as usize, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_nothing_and_seldom_errs() {
        let filter = Filter::new();
        let mut random = fastrand::Rng::with_seed(7);
        let keys: Vec<[u8; 16]> = (0..10_000).map(|_| random.u128(..).to_le_bytes()).collect();
        for key in &keys {
            filter.insert(key);
        }
        assert!(keys.iter().all(|key| filter.may_have(key)));
        let wrong = (0..100_000).filter(|_| filter.may_have(&random.u128(..).to_le_bytes())).count();
        assert!(wrong < 10, "{wrong}");
    }
}
