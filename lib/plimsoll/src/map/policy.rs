//! What the results of the items mean for the whole: pure state machines.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::marker::PhantomData;

use super::Error;
use super::ordered::Ordered;
use super::source::Sealed;
use crate::{Invalid, Name};

/// What the results of the items mean for the whole. Sealed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{CollectAll, InOrder, Map};
/// // What a map returns when it is awaited is said by its policy.
/// let parse = async |text: &str| text.parse::<u8>().map_err(|_| text.len());
/// let in_order: Map<_, _, InOrder> = plimsoll::map(["1", "x"], 8, parse);
/// let every: Map<_, _, CollectAll> = plimsoll::map(["1", "x"], 8, parse).collect_all();
/// assert_eq!(in_order.await.unwrap_err().into_first(), Some(1));
/// assert_eq!(every.await, Ok(vec![Ok(1), Err(1)]));
/// # Ok(()) }
/// ```
pub trait Policy<T, E>: Sealed {
    /// What the map returns.
    type Output;
    #[doc(hidden)]
    type Ledger: Ledger<Value = T, Error = E, Output = Self::Output>;

    #[doc(hidden)]
    fn open(self, name: Name) -> Self::Ledger;

    /// What the map returns when its settings are refused.
    #[doc(hidden)]
    fn refused(invalid: Invalid) -> Self::Output;
}

/// What to do after an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(hidden)]
pub enum Verdict {
    /// Go on.
    GoOn,
    /// Start no other item until the owner has taken some results.
    Pause,
    /// End the whole.
    Stop,
}

/// What becomes of a result.
#[doc(hidden)]
pub enum Fate<K, T, E> {
    /// Nobody asks for it.
    Forgotten,
    /// Nobody asks for it until all have come.
    Kept(K),
    /// All have to know of it.
    Told(Result<T, E>),
}

/// Takes the results, and says when it is enough.
#[doc(hidden)]
pub trait Ledger {
    type Value;
    type Error;
    type Output;
    /// What is kept of a result, to be put in order when all have come.
    type Kept;

    /// Whether it wants to know how many items there are.
    const COUNTS: bool = false;
    /// Whether the owner waits for each result, not for the last only.
    const EACH: bool = false;

    /// Says what becomes of a result.
    fn sort(result: Result<Self::Value, Self::Error>) -> Fate<Self::Kept, Self::Value, Self::Error>;

    /// Takes what all have to know of.
    fn settle(&mut self, result: Result<Self::Value, Self::Error>) -> Verdict;

    /// There are at most so many items.
    fn expect(&mut self, _items_max: usize) -> Verdict {
        Verdict::GoOn
    }

    /// Every item has ended, or the ledger said stop.
    fn finish(self, kept: Ordered<Self::Kept>) -> Self::Output;
}

/// Every value in input order; the first error ends the rest. The policy of a map by default.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{InOrder, Map};
/// let pages: Map<_, _, InOrder> = plimsoll::map(0..3u32, 3, async |n| Ok::<_, ()>(n));
/// assert_eq!(pages.await, Ok(vec![0, 1, 2]));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InOrder;

/// Every result in input order; no error ends anything. Made by
/// [`collect_all`](super::Map::collect_all).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{CollectAll, Map};
/// let work = async |n: u32| if n == 1 { Err("one") } else { Ok(n) };
/// let each: Map<_, _, CollectAll> = plimsoll::map(0..3, 3, work).collect_all();
/// assert_eq!(each.await, Ok(vec![Ok(0), Err("one"), Ok(2)]));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CollectAll;

/// No values; the first error ends the rest. Made by [`each`](super::each).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{Each, Map};
/// let effects: Map<_, _, Each> = plimsoll::each(0..3u32, 3, async |n| if n < 3 { Ok::<_, u32>(()) } else { Err(n) });
/// assert_eq!(effects.await, Ok(()));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Each;

/// So many successes end the rest. Made by [`quorum`](super::Map::quorum).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use plimsoll::map::{Map, Quorum};
/// let two: Map<_, _, Quorum> = plimsoll::map(0..3u32, 3, async |n| Ok::<_, ()>(n)).quorum(2);
/// assert_eq!(two.await.map(|values| values.len()), Ok(2));
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    pub(super) wanted: usize,
}

/// The first success ends the rest. Made by [`first_success`](super::Map::first_success).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{FirstSuccess, Map};
/// let work = async |n: u32| if n == 2 { Ok(n) } else { Err("not here") };
/// let first: Map<_, _, FirstSuccess> = plimsoll::map(0..3, 3, work).first_success();
/// assert_eq!(first.await, Ok(2));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FirstSuccess;

impl Sealed for InOrder {}
impl Sealed for CollectAll {}
impl Sealed for Each {}
impl Sealed for Quorum {}
impl Sealed for FirstSuccess {}

#[doc(hidden)]
pub struct InOrderLedger<T, E> {
    errors: Vec<E>,
    value: PhantomData<fn(T)>,
}

impl<T, E> Policy<T, E> for InOrder {
    type Output = Result<Vec<T>, Error<E>>;
    type Ledger = InOrderLedger<T, E>;

    fn open(self, _: Name) -> InOrderLedger<T, E> {
        InOrderLedger { errors: Vec::new(), value: PhantomData }
    }

    fn refused(invalid: Invalid) -> Self::Output {
        Err(Error::Invalid(invalid))
    }
}

impl<T, E> Ledger for InOrderLedger<T, E> {
    type Value = T;
    type Error = E;
    type Output = Result<Vec<T>, Error<E>>;
    type Kept = T;

    #[inline]
    fn sort(result: Result<T, E>) -> Fate<T, T, E> {
        match result {
            Ok(value) => Fate::Kept(value),
            Err(error) => Fate::Told(Err(error)),
        }
    }

    fn settle(&mut self, result: Result<T, E>) -> Verdict {
        self.errors.extend(result.err());
        Verdict::Stop
    }

    fn finish(self, kept: Ordered<T>) -> Self::Output {
        match failed(self.errors) {
            Some(error) => Err(error),
            None => Ok(kept.in_order()),
        }
    }
}

fn failed<E>(errors: Vec<E>) -> Option<Error<E>> {
    let mut errors = errors.into_iter();
    errors.next().map(|first| Error::Failed { first, rest: errors.collect() })
}

#[doc(hidden)]
pub struct CollectAllLedger<T, E>(PhantomData<fn(T, E)>);

impl<T, E> Policy<T, E> for CollectAll {
    type Output = Result<Vec<Result<T, E>>, Invalid>;
    type Ledger = CollectAllLedger<T, E>;

    fn open(self, _: Name) -> CollectAllLedger<T, E> {
        CollectAllLedger(PhantomData)
    }

    fn refused(invalid: Invalid) -> Self::Output {
        Err(invalid)
    }
}

impl<T, E> Ledger for CollectAllLedger<T, E> {
    type Value = T;
    type Error = E;
    type Output = Result<Vec<Result<T, E>>, Invalid>;
    type Kept = Result<T, E>;

    #[inline]
    fn sort(result: Result<T, E>) -> Fate<Self::Kept, T, E> {
        Fate::Kept(result)
    }

    fn settle(&mut self, _: Result<T, E>) -> Verdict {
        unreachable!("every result is kept")
    }

    fn finish(self, kept: Ordered<Self::Kept>) -> Self::Output {
        Ok(kept.in_order())
    }
}

#[doc(hidden)]
pub struct EachLedger<T, E> {
    errors: Vec<E>,
    value: PhantomData<fn(T)>,
}

impl<T, E> Policy<T, E> for Each {
    type Output = Result<(), Error<E>>;
    type Ledger = EachLedger<T, E>;

    fn open(self, _: Name) -> EachLedger<T, E> {
        EachLedger { errors: Vec::new(), value: PhantomData }
    }

    fn refused(invalid: Invalid) -> Self::Output {
        Err(Error::Invalid(invalid))
    }
}

impl<T, E> Ledger for EachLedger<T, E> {
    type Value = T;
    type Error = E;
    type Output = Result<(), Error<E>>;
    type Kept = Infallible;

    #[inline]
    fn sort(result: Result<T, E>) -> Fate<Infallible, T, E> {
        result.err().map_or(Fate::Forgotten, |error| Fate::Told(Err(error)))
    }

    fn settle(&mut self, result: Result<T, E>) -> Verdict {
        self.errors.extend(result.err());
        Verdict::Stop
    }

    fn finish(self, _: Ordered<Infallible>) -> Self::Output {
        failed(self.errors).map_or(Ok(()), Err)
    }
}

#[doc(hidden)]
pub struct QuorumLedger<T, E> {
    name: Name,
    wanted: usize,
    items_max: usize,
    values: Vec<T>,
    errors: Vec<E>,
}

impl<T, E> QuorumLedger<T, E> {
    fn is_enough(&self) -> bool {
        self.values.len() >= self.wanted
    }

    fn verdict(&self) -> Verdict {
        let can = self.items_max.saturating_sub(self.errors.len());
        if self.is_enough() || can < self.wanted { Verdict::Stop } else { Verdict::GoOn }
    }
}

impl<T, E> Policy<T, E> for Quorum {
    type Output = Result<Vec<T>, Error<E>>;
    type Ledger = QuorumLedger<T, E>;

    fn open(self, name: Name) -> QuorumLedger<T, E> {
        let wanted = self.wanted;
        QuorumLedger { name, wanted, items_max: usize::MAX, values: Vec::new(), errors: Vec::new() }
    }

    fn refused(invalid: Invalid) -> Self::Output {
        Err(Error::Invalid(invalid))
    }
}

impl<T, E> Ledger for QuorumLedger<T, E> {
    type Value = T;
    type Error = E;
    type Output = Result<Vec<T>, Error<E>>;
    type Kept = Infallible;

    const COUNTS: bool = true;

    fn sort(result: Result<T, E>) -> Fate<Infallible, T, E> {
        Fate::Told(result)
    }

    fn settle(&mut self, result: Result<T, E>) -> Verdict {
        match result {
            Ok(value) => self.values.push(value),
            Err(error) => self.errors.push(error),
        }
        self.verdict()
    }

    fn expect(&mut self, items_max: usize) -> Verdict {
        self.items_max = self.items_max.min(items_max);
        self.verdict()
    }

    fn finish(mut self, _: Ordered<Infallible>) -> Self::Output {
        let Self { name, wanted, .. } = self;
        // Zero is never enough, and none of so many is more than there are.
        if wanted == 0 || self.items_max < wanted {
            let allowed = "1 to the number of items";
            return Err(Error::Invalid(Invalid::new(name, "quorum", wanted, allowed)));
        }
        if self.is_enough() {
            // Some more may have succeeded before they could be ended.
            self.values.truncate(wanted);
            return Ok(self.values);
        }
        Err(Error::OutOfReach { wanted, succeeded: self.values.len(), errors: self.errors })
    }
}

#[doc(hidden)]
pub struct FirstSuccessLedger<T, E>(QuorumLedger<T, E>);

impl<T, E> Policy<T, E> for FirstSuccess {
    type Output = Result<T, Error<E>>;
    type Ledger = FirstSuccessLedger<T, E>;

    fn open(self, name: Name) -> FirstSuccessLedger<T, E> {
        FirstSuccessLedger(Quorum { wanted: 1 }.open(name))
    }

    fn refused(invalid: Invalid) -> Self::Output {
        Err(Error::Invalid(invalid))
    }
}

impl<T, E> Ledger for FirstSuccessLedger<T, E> {
    type Value = T;
    type Error = E;
    type Output = Result<T, Error<E>>;
    type Kept = Infallible;

    const COUNTS: bool = true;

    fn sort(result: Result<T, E>) -> Fate<Infallible, T, E> {
        Fate::Told(result)
    }

    fn settle(&mut self, result: Result<T, E>) -> Verdict {
        self.0.settle(result)
    }

    fn expect(&mut self, items_max: usize) -> Verdict {
        self.0.expect(items_max)
    }

    fn finish(self, kept: Ordered<Infallible>) -> Self::Output {
        self.0.finish(kept).map(|mut values| values.swap_remove(0))
    }
}

/// Results as they come, for a stream to take; at most so many wait.
pub(super) struct Buffer<T, E> {
    results: VecDeque<Result<T, E>>,
    capacity: usize,
}

impl<T, E> Buffer<T, E> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { results: VecDeque::new(), capacity }
    }

    pub(super) fn take(&mut self) -> Option<Result<T, E>> {
        self.results.pop_front()
    }

    /// Whether so much was taken that a pause is over: half, so that not every result that is taken
    /// starts a lane.
    pub(super) fn has_room(&self) -> bool {
        self.results.len() <= self.capacity / 2
    }
}

impl<T, E> Ledger for Buffer<T, E> {
    type Value = T;
    type Error = E;
    type Output = ();
    type Kept = Infallible;

    const EACH: bool = true;

    fn sort(result: Result<T, E>) -> Fate<Infallible, T, E> {
        Fate::Told(result)
    }

    fn settle(&mut self, result: Result<T, E>) -> Verdict {
        self.results.push_back(result);
        if self.results.len() >= self.capacity { Verdict::Pause } else { Verdict::GoOn }
    }

    fn finish(self, _: Ordered<Infallible>) {}
}
