//! A count that many threads add to at once: exact, and without a locked instruction.
//!
//! A locked addition costs little by itself, but whatever comes after it waits until it is done: the
//! next reading of the clock, for one. So each thread has a place of its own in every tally, where
//! adding is a load and a store; reading adds the places up. Each place is a cache line, so that
//! threads that add at once do not wait for each other's writes: half a kibibyte in all, which is for
//! what counts often, and not for one of 100,000 keys (see [`counters`](crate::counters)).
//!
//! # Invariants
//! - An owned cell is written by one thread at a time: the one that holds its place.
//! - A place is given back and taken under one lock, so that the next holder adds to all that the
//!   last one has written.
//! - Whoever finds no place left adds to the shared cell, by a locked addition, for as long as it
//!   lives: so do threads beyond the first seven that count, and destructors of thread-locals.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// How many threads have a place. With the shared cell, a tally is eight cache lines.
const OWNED: usize = if cfg!(plimsoll_loom) { 1 } else { 7 };
/// The place of those who have none.
const SHARED: usize = OWNED;
const UNKNOWN: usize = usize::MAX;

/// An exact count.
pub(crate) struct Tally {
    owned: [Line; OWNED],
    shared: Line,
}

#[repr(align(64))]
struct Line(AtomicU64);

impl Line {
    fn zero() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { owned: std::array::from_fn(|_| Line::zero()), shared: Line::zero() }
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        let place = HELD.try_with(Held::place).unwrap_or(SHARED);
        if let Some(Line(cell)) = self.owned.get(place) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        } else {
            self.shared.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// All that was added by those who are done, and maybe by those who are not.
    pub(crate) fn sum(&self) -> u64 {
        let cells = self.owned.iter().chain([&self.shared]);
        cells.fold(0, |sum, Line(cell)| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}

/// The places that no thread holds, a bit each.
struct Places(Mutex<u32>);

impl Places {
    fn new() -> Self {
        Self(Mutex::new((1 << OWNED) - 1))
    }

    fn take(&self) -> usize {
        let mut free = lock(&self.0);
        let place = (free.trailing_zeros() as usize).min(SHARED);
        *free &= free.wrapping_sub(1);
        place
    }

    fn give_back(&self, place: usize) {
        *lock(&self.0) |= 1 << place;
    }
}

#[cfg(not(plimsoll_loom))]
static PLACES: std::sync::LazyLock<Arc<Places>> = std::sync::LazyLock::new(|| Arc::new(Places::new()));

#[cfg(not(plimsoll_loom))]
thread_local! {
    static HELD: Held = const { Held::new() };
}

#[cfg(plimsoll_loom)]
loom::lazy_static! {
    static ref PLACES: Arc<Places> = Arc::new(Places::new());
}

#[cfg(plimsoll_loom)]
loom::thread_local! {
    static HELD: Held = Held::new();
}

/// The place of this thread, given back when the thread ends.
struct Held {
    place: Cell<usize>,
    places: OnceCell<Arc<Places>>,
}

impl Held {
    const fn new() -> Self {
        Self { place: Cell::new(UNKNOWN), places: OnceCell::new() }
    }

    #[inline]
    fn place(&self) -> usize {
        let place = self.place.get();
        if place == UNKNOWN { self.take() } else { place }
    }

    #[cold]
    fn take(&self) -> usize {
        let place = self.places.get_or_init(|| Arc::clone(&PLACES)).take();
        self.place.set(place);
        place
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(places) = self.places.get()
            && self.place.get() < OWNED
        {
            places.give_back(self.place.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_place_is_held_by_one_and_those_who_find_none_share() {
        let places = Places::new();
        let taken: Vec<_> = (0..OWNED + 2).map(|_| places.take()).collect();
        assert_eq!(taken[..OWNED], std::array::from_fn::<_, OWNED, _>(|place| place));
        assert_eq!(taken[OWNED..], [SHARED, SHARED]);
        places.give_back(3);
        assert_eq!((places.take(), places.take()), (3, SHARED));
    }

    #[test]
    fn more_threads_at_once_than_there_are_places_lose_no_count() {
        let (tally, all) = (Tally::new(), Barrier::new(2 * OWNED));
        std::thread::scope(|scope| {
            for _ in 0..2 * OWNED {
                scope.spawn(|| {
                    tally.add(1);
                    all.wait();
                    (0..1_000).for_each(|_| tally.add(1));
                });
            }
        });
        assert_eq!(tally.sum(), 2 * OWNED as u64 * 1_001);
        assert!(tally.shared.0.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn a_place_that_goes_from_thread_to_thread_keeps_its_count() {
        let tally = Tally::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        std::thread::scope(|one| drop(one.spawn(|| (0..10).for_each(|_| tally.add(1)))));
                    }
                });
            }
        });
        assert_eq!(tally.sum(), 4 * 50 * 10);
    }

    #[test]
    fn a_thread_local_that_counts_as_it_is_dropped_is_counted() {
        struct CountsOnDrop(Arc<Tally>);
        impl Drop for CountsOnDrop {
            fn drop(&mut self) {
                self.0.add(1);
            }
        }
        thread_local! {
            static BEFORE: OnceCell<CountsOnDrop> = const { OnceCell::new() };
            static AFTER: OnceCell<CountsOnDrop> = const { OnceCell::new() };
        }
        let tally = Arc::new(Tally::new());
        let counted = Arc::clone(&tally);
        let thread = std::thread::Builder::new().name("counts".into()).spawn(move || {
            // Whichever of the two is dropped first, the place is given back between them.
            BEFORE.with(|cell| drop(cell.set(CountsOnDrop(Arc::clone(&counted)))));
            counted.add(1);
            AFTER.with(|cell| drop(cell.set(CountsOnDrop(Arc::clone(&counted)))));
        });
        thread.unwrap().join().unwrap();
        assert_eq!(tally.sum(), 3);
    }
}
