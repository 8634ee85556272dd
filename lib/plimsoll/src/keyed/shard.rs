//! One shard of the keys: found by hash, swept by a clock hand.
//!
//! # Invariants
//! - `first` holds, for each hash that is present, the place of the first entry with that hash; the
//!   others follow by `next`. Two keys have the same 64 bits about never, but two that do are two.
//! - Places are dense: the entry at the end takes the place of one that is removed.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::Reason;
use crate::clock::Instant;
use crate::limiter::Limiter;

/// Memory is given back when less than a quarter is used of more than this.
const SLOTS_KEPT: usize = 64;
/// No next entry. A table holds fewer (2^24 keys at the most).
const NONE: u32 = u32::MAX;

pub(super) struct Shard<K, L> {
    first: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    entries: Vec<Entry<K, L>>,
    hand: usize,
    operations: u32,
    pub(super) counts: Counts,
}

pub(super) struct Entry<K, L> {
    pub(super) limiter: L,
    pub(super) label: Arc<str>,
    key: K,
    hash: u64,
    next: u32,
    used_at: Instant,
    /// Used since the hand last came by while a place was looked for.
    used: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) admitted: u64,
    /// By reason.
    pub(super) rejected: [u64; Reason::ALL.len()],
    /// What those keys waived that have left.
    pub(super) would_reject: u64,
}

impl<K, L> Entry<K, L> {
    pub(super) const fn new(key: K, label: Arc<str>, limiter: L, hash: u64, now: Instant) -> Self {
        Self { limiter, label, key, hash, next: NONE, used_at: now, used: true }
    }
}

impl<K, L: Limiter> Shard<K, L> {
    pub(super) fn new() -> Self {
        Self {
            first: HashMap::default(),
            entries: Vec::new(),
            hand: 0,
            operations: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn limiters(&self) -> impl Iterator<Item = &L> {
        self.entries.iter().map(|entry| &entry.limiter)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry of `key`, marked as used, and the counts beside it.
    pub(super) fn find<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> Option<(&Entry<K, L>, &mut Counts)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut place = *self.first.get(&hash)?;
        while self.entries[place as usize].key.borrow() != key {
            place = self.entries[place as usize].next;
            if place == NONE {
                return None;
            }
        }
        let entry = &mut self.entries[place as usize];
        entry.used_at = now;
        entry.used = true;
        Some((entry, &mut self.counts))
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert(&mut self, mut entry: Entry<K, L>) -> (&Entry<K, L>, &mut Counts) {
        let place = self.entries.len();
        entry.next = self.first.insert(entry.hash, place as u32).unwrap_or(NONE);
        self.entries.push(entry);
        (&self.entries[place], &mut self.counts)
    }

    /// True once in so many calls.
    pub(super) const fn is_due(&mut self, every: u32) -> bool {
        self.operations = self.operations.wrapping_add(1);
        self.operations.is_multiple_of(every)
    }

    /// Looks at no more than `looks` entries, and takes one out that can be forgotten: one that was
    /// not used since the last time, if there is one.
    pub(super) fn evict(&mut self, now: Instant, looks: &mut usize) -> Option<Entry<K, L>> {
        let mut used = None;
        for _ in 0..self.entries.len().min(*looks) {
            *looks -= 1;
            let at = self.advance();
            let entry = &mut self.entries[at];
            if !entry.limiter.is_forgettable(now) {
                continue;
            }
            if !std::mem::take(&mut entry.used) {
                return Some(self.remove(at));
            }
            used = used.or(Some(at));
        }
        used.map(|at| self.remove(at))
    }

    /// Looks at no more than `looks` entries, and takes those out that were idle for `idle_after`.
    pub(super) fn sweep(&mut self, now: Instant, idle_after: Duration, looks: usize) -> Vec<Entry<K, L>> {
        let mut gone = Vec::new();
        for _ in 0..self.entries.len().min(looks) {
            let at = self.advance();
            let entry = &self.entries[at];
            if now - entry.used_at >= idle_after && entry.limiter.is_forgettable(now) {
                gone.push(self.remove(at));
                // Whoever took its place is looked at next.
                self.hand = at;
            }
        }
        if self.entries.capacity() > SLOTS_KEPT && self.entries.len() < self.entries.capacity() / 4 {
            let kept = self.entries.len() * 2;
            self.entries.shrink_to(kept);
            self.first.shrink_to(kept);
        }
        gone
    }

    fn advance(&mut self) -> usize {
        let at = if self.hand < self.entries.len() { self.hand } else { 0 };
        self.hand = at + 1;
        at
    }

    fn remove(&mut self, at: usize) -> Entry<K, L> {
        let (hash, next) = (self.entries[at].hash, self.entries[at].next);
        self.relink(hash, at as u32, next);
        let last = self.entries.len() - 1;
        if at != last {
            self.relink(self.entries[last].hash, last as u32, at as u32);
        }
        self.entries.swap_remove(at)
    }

    /// Makes whatever leads to place `from` lead to `to`.
    fn relink(&mut self, hash: u64, from: u32, to: u32) {
        let Some(first) = self.first.get_mut(&hash) else { unreachable!("an entry without its hash") };
        if *first == from {
            if to == NONE {
                self.first.remove(&hash);
            } else {
                *first = to;
            }
            return;
        }
        let mut place = *first as usize;
        while self.entries[place].next != from {
            place = self.entries[place].next as usize;
        }
        self.entries[place].next = to;
    }
}

/// Hashes a hash: by leaving it alone.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as Model;

    use proptest::prelude::*;

    use super::*;
    use crate::semaphore::Semaphore;

    proptest! {
        #[test]
        fn keys_are_found_after_any_removals_even_with_equal_hashes(steps in proptest::collection::vec((0..3u8, 0..12u32, 0..3u64), 1..150)) {
            let now = Instant::default();
            let mut shard: Shard<u32, Semaphore> = Shard::new();
            let mut model: Model<u32, u64> = Model::new();
            for (step, key, hash) in steps {
                // A key has one hash, whichever; few of them, so that most keys share one.
                let hash = *model.get(&key).unwrap_or(&hash);
                let found = shard.find(hash, &key, now).map(|(entry, _)| entry.limiter.limit());
                prop_assert_eq!(found, model.get(&key).map(|_| u64::from(key) + 1));
                match step {
                    0 if found.is_none() => {
                        let limiter = Semaphore::new(u64::from(key) + 1).unwrap();
                        shard.insert(Entry::new(key, "".into(), limiter, hash, now));
                        model.insert(key, hash);
                    }
                    1 => {
                        let gone = shard.evict(now, &mut 3);
                        prop_assert_eq!(gone.is_none(), model.is_empty());
                        if let Some(gone) = gone {
                            prop_assert!(model.remove(&gone.key).is_some());
                        }
                    }
                    2 => {
                        for gone in shard.sweep(now, Duration::ZERO, (key % 3) as usize) {
                            prop_assert!(model.remove(&gone.key).is_some());
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(shard.len(), model.len());
            }
            for (key, hash) in &model {
                prop_assert!(shard.find(*hash, key, now).is_some());
            }
        }
    }

    #[test]
    fn a_key_that_was_not_used_lately_goes_first() {
        let now = Instant::default();
        let mut shard = Shard::new();
        for key in 0..3_u32 {
            shard.insert(Entry::new(key, "".into(), Semaphore::new(1).unwrap(), u64::from(key), now));
        }
        // Everybody was used: the hand goes round once and takes the first.
        assert_eq!(shard.evict(now, &mut 9).unwrap().key, 0);
        shard.find(1, &1, now).unwrap();
        assert_eq!(shard.evict(now, &mut 9).unwrap().key, 2);
    }
}
