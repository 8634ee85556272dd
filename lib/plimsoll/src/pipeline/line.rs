//! Who waits at a link: takers for an item, and putters for room.
//!
//! Both lines are under the lock of their link, where no waker is cloned, called or dropped, since that
//! is the caller's code: wakers come in cloned, and those that come out are woken or dropped once the
//! lock is released.

use std::collections::VecDeque;
use std::task::Waker;

use crate::waiters::{Ticket, Waiters};

/// Those who wait for an item, in the order in which they came.
pub(super) struct Takers {
    /// A taker without a waker was called.
    line: Waiters<Option<Waker>>,
}

impl Takers {
    pub(super) const fn new() -> Self {
        Self { line: Waiters::new() }
    }

    /// Goes to the end of the line, or stays where it stands; returns the waker that it had before.
    pub(super) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        if let Some(known) = ticket.take() {
            if let Some(old) = self.line.get_mut(&known) {
                *ticket = Some(known);
                return Some(std::mem::replace(old, waker));
            }
            // It was called in vain.
            self.line.remove(known);
        }
        *ticket = Some(self.line.push(Some(waker)));
        None
    }

    /// Leaves from anywhere in the line; returns its waker, unless it was called.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        self.line.remove(ticket).0
    }

    pub(super) fn call_first(&mut self) -> Option<Waker> {
        let waker = self.line.first_mut()?.take();
        self.line.call_first();
        waker
    }

    pub(super) fn call_all(&mut self) -> Vec<Waker> {
        std::iter::from_fn(|| self.call_first()).collect()
    }

    #[cfg(all(test, not(plimsoll_loom)))]
    pub(super) const fn len(&self) -> usize {
        self.line.queued()
    }
}

/// Those who wait for room, each at its number.
pub(super) struct Putters {
    /// Sorted.
    line: VecDeque<(u64, Waker)>,
    arrivals: u64,
}

impl Putters {
    pub(super) const fn new() -> Self {
        Self { line: VecDeque::new(), arrivals: 0 }
    }

    /// The number of one that comes to the end, where numbers are given in the order of arrival.
    pub(super) fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Goes to the place of its number, or stays there; returns the waker that it had before.
    pub(super) fn wait(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        match self.place(number) {
            Ok(at) => Some(std::mem::replace(&mut self.line[at].1, waker)),
            Err(at) => {
                self.line.insert(at, (number, waker));
                None
            }
        }
    }

    /// Leaves from anywhere in the line; returns its waker, unless it was called.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waker> {
        let at = self.place(number).ok()?;
        self.line.remove(at).map(|(_, waker)| waker)
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.line.front().map(|(number, _)| *number)
    }

    pub(super) fn call_first(&mut self) -> Option<Waker> {
        self.line.pop_front().map(|(_, waker)| waker)
    }

    /// Where the number is, or would be.
    fn place(&self, number: u64) -> Result<usize, usize> {
        self.line.binary_search_by_key(&number, |(other, _)| *other)
    }
}

#[cfg(all(test, not(plimsoll_loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::waiters::on_drop;

    #[test]
    fn a_taker_that_was_called_in_vain_goes_to_the_end_of_the_line() {
        let wakers = [0, 1].map(|_| on_drop(|| {}));
        let (mut takers, mut tickets) = (Takers::new(), [None, None]);
        for (ticket, waker) in tickets.iter_mut().zip(&wakers) {
            assert!(takers.wait(ticket, waker.clone()).is_none());
        }
        // Polled again, it stays where it is.
        assert!(takers.wait(&mut tickets[0], wakers[0].clone()).is_some_and(|old| old.will_wake(&wakers[0])));
        assert!(takers.call_first().is_some_and(|first| first.will_wake(&wakers[0])));
        assert!(takers.wait(&mut tickets[0], wakers[0].clone()).is_none());
        let called = takers.call_all();
        assert!(called.len() == 2 && called[0].will_wake(&wakers[1]) && called[1].will_wake(&wakers[0]));
        assert!(tickets.into_iter().flatten().all(|ticket| takers.leave(ticket).is_none()));
    }

    proptest! {
        #[test]
        fn putters_are_called_by_their_numbers_and_leave_from_anywhere(
            steps in proptest::collection::vec((0..4u8, 0..20u64), 1..100),
        ) {
            let (mut putters, mut model) = (Putters::new(), BTreeSet::new());
            for (step, number) in steps {
                match step {
                    0 | 1 => {
                        let stood_there = putters.wait(number, Waker::noop().clone()).is_some();
                        prop_assert_eq!(stood_there, !model.insert(number));
                    }
                    2 => prop_assert_eq!(putters.leave(number).is_some(), model.remove(&number)),
                    _ => prop_assert_eq!(putters.call_first().is_some(), model.pop_first().is_some()),
                }
                prop_assert_eq!(putters.first(), model.first().copied());
            }
        }
    }
}
