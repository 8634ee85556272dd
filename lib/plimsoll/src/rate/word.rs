//! The one word that a rate limiter lives in.
//!
//! # Invariants
//! - From the low end: 60 bits of arrival time, 3 bits that count changes of the quota, 1 bit that
//!   sends everybody to the lock.
//! - An arrival time means something only together with the quota it was computed for. A change of
//!   quota therefore first sets the bit (from then on no exchange that was begun before can
//!   succeed), then stores the quota, then stores the word with the next count: whoever read the old
//!   word, or a mixture of quotas, fails to exchange. Only eight changes between a load and an
//!   exchange, ending at the same nanosecond, could fool it.

use super::gcra::ARRIVAL_MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Everybody must take the lock: somebody waits, or the quota is being changed.
    pub(super) const LOCKED: u64 = 1 << 63;
    const CHANGE: u64 = 1 << 60;

    pub(super) const fn arrival(self) -> u64 {
        self.0 & ARRIVAL_MAX
    }

    pub(super) const fn is_locked(self) -> bool {
        self.0 & Self::LOCKED != 0
    }

    /// The word but for its arrival time: what an answer that changes nothing must find unchanged.
    pub(super) const fn era(self) -> u64 {
        self.0 & !ARRIVAL_MAX
    }

    /// How many times the quota was changed, modulo 8.
    pub(super) const fn changes(self) -> u64 {
        (self.era() & !Self::LOCKED) / Self::CHANGE
    }

    pub(super) const fn with_arrival(self, arrival: u64) -> Self {
        Self(self.era() | arrival)
    }

    pub(super) const fn changed(self) -> Self {
        let changes = (self.changes() + 1) % 8;
        Self((self.0 & Self::LOCKED) | (changes * Self::CHANGE) | self.arrival())
    }

    pub(super) const fn unlocked(self) -> Self {
        Self(self.0 & !Self::LOCKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_word_do_not_touch_each_other() {
        let mut word = Word(Word::LOCKED).with_arrival(ARRIVAL_MAX);
        for change in 1..=8 {
            word = word.changed();
            assert_eq!((word.changes(), word.arrival(), word.is_locked()), (change % 8, ARRIVAL_MAX, true));
        }
        assert_eq!(word.unlocked().with_arrival(5), Word(5));
    }
}
