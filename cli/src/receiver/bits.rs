//! A set of numbers below a bound, one bit each.

/// Which numbers of `0..len` were seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// The empty set of numbers below `len`.
    pub(crate) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// The bound: every number in the set is below it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts `number` in; `None` where it is not below the bound, else whether it was new.
    pub(crate) fn insert(&mut self, number: usize) -> Option<bool> {
        if number >= self.len {
            return None;
        }
        let (word, bit) = (&mut self.words[number / 64], 1 << (number % 64));
        let new = *word & bit == 0;
        *word |= bit;
        Some(new)
    }

    /// Whether `number` is in it.
    pub(crate) fn contains(&self, number: usize) -> bool {
        number < self.len && self.words[number / 64] & (1 << (number % 64)) != 0
    }

    /// How many are in it.
    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are in both.
    pub(crate) fn count_common(&self, other: &Self) -> u64 {
        self.words.iter().zip(&other.words).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    /// The set as bytes, lowest numbers first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The set of numbers below `len` that [`to_bytes`](Self::to_bytes) wrote; `None` where the
    /// bytes are not those of such a set.
    pub(crate) fn from_bytes(len: usize, bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        let fits = rest.is_empty() && words.len() == len.div_ceil(64);
        let beyond = words.last().is_some_and(|last| !len.is_multiple_of(64) && last >> (len % 64) != 0);
        (fits && !beyond).then_some(Self { words, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_and_beyond_the_bound_never() {
        let mut bits = Bits::new(65);
        assert_eq!(bits.insert(64), Some(true));
        assert_eq!(bits.insert(64), Some(false));
        assert_eq!(bits.insert(65), None);
        assert_eq!(bits.insert(0), Some(true));
        assert_eq!([0, 1, 64, 65].map(|number| bits.contains(number)), [true, false, true, false]);
        assert_eq!((bits.count(), bits.len()), (2, 65));
    }

    #[test]
    fn it_survives_its_bytes_and_strange_bytes_are_refused() {
        for len in [0, 1, 63, 64, 65, 1_000] {
            let mut bits = Bits::new(len);
            (0..len).step_by(3).for_each(|number| {
                bits.insert(number);
            });
            assert_eq!(Bits::from_bytes(len, &bits.to_bytes()), Some(bits.clone()));
            assert_eq!(Bits::from_bytes(len + 64, &bits.to_bytes()), None);
        }
        assert_eq!(Bits::from_bytes(3, &[0b1000, 0, 0, 0, 0, 0, 0, 0]), None, "3 is not below 3");
        assert_eq!(Bits::from_bytes(64, &[0; 7]), None);
    }

    #[test]
    fn what_is_common_is_counted() {
        let (mut a, mut b) = (Bits::new(200), Bits::new(200));
        for number in 0..150 {
            a.insert(number);
            b.insert(number + 50);
        }
        assert_eq!(a.count_common(&b), 100);
    }
}
