//! The one word that a semaphore lives in.
//!
//! # Invariants
//! - From the low end: 1 bit "somebody waits", 43 bits available + [`BIAS`], 20 bits of a counter of
//!   admissions that wraps.
//! - Available stays within ±[`LIMIT_MAX`]: it is the limit minus what is in use, and neither is ever
//!   larger. It is below zero after a shrink, until enough was released. The bias keeps the field
//!   positive, so that no carry or borrow reaches its neighbours.

/// The largest limit: 2^42 - 1, 4 TiB when permits are bytes. It leaves room in the word for what
/// is counted there.
pub(super) const LIMIT_MAX: u64 = BIAS - 1;

const BIAS: u64 = 1 << 42;
const WAITERS: u64 = 1;
const PERMIT: u64 = 1 << 1;
const AVAILABLE_BITS: u32 = 43;
const ADMITTED_SHIFT: u32 = 1 + AVAILABLE_BITS;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Added once per admission; the counter wraps off the top of the word.
    pub(super) const ADMISSION: u64 = 1 << ADMITTED_SHIFT;
    /// After this many admissions the counter in the word is back at zero.
    pub(super) const ADMISSIONS_MAX: u64 = 1 << (64 - ADMITTED_SHIFT);
    /// The bits of the counter of admissions.
    pub(super) const COUNTER: u64 = !(Self::ADMISSION - 1);
    pub(super) const WAITERS: u64 = WAITERS;

    pub(super) const fn new(limit: u64) -> Self {
        Self((limit + BIAS) * PERMIT)
    }

    /// What to add to a word to give `permits` back, and to subtract to take them.
    pub(super) const fn permits(permits: u64) -> u64 {
        permits * PERMIT
    }

    pub(super) const fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) const fn available(self) -> i64 {
        let field = (self.0 / PERMIT) & ((1 << AVAILABLE_BITS) - 1);
        field as i64 - BIAS as i64
    }

    pub(super) const fn can_give(self, permits: u64) -> bool {
        let available = self.available();
        available >= 0 && available as u64 >= permits
    }

    /// One admission that takes `permits`, which it [can give](Self::can_give).
    pub(super) const fn admit(self, permits: u64) -> Self {
        Self((self.0 - permits * PERMIT).wrapping_add(Self::ADMISSION))
    }

    pub(super) const fn admissions(self) -> u64 {
        self.0 >> ADMITTED_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_limit_and_the_largest_debt_stay_in_their_field() {
        let full = Word::new(LIMIT_MAX);
        assert_eq!((full.available(), full.admissions()), (LIMIT_MAX as i64, 0));
        let empty = full.admit(LIMIT_MAX);
        assert_eq!((empty.available(), empty.admissions()), (0, 1));
        // Everything is out, and the limit shrinks to one.
        let debt = Word(empty.0 - Word::permits(LIMIT_MAX - 1));
        assert_eq!((debt.available(), debt.admissions()), (1 - LIMIT_MAX as i64, 1));
        assert!(!debt.can_give(1) && !debt.has_waiters());
        let back = Word(debt.0 + Word::permits(LIMIT_MAX));
        assert_eq!((back.available(), back.admissions()), (1, 1));
    }

    #[test]
    fn the_count_of_admissions_wraps_and_leaves_the_rest_alone() {
        let mut word = Word(Word::new(3).0 | WAITERS);
        for _ in 0..Word::ADMISSIONS_MAX {
            word = Word(word.admit(1).0 + Word::permits(1));
        }
        assert_eq!((word.admissions(), word.available(), word.has_waiters()), (0, 3, true));
    }
}
