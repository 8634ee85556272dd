//! Where the items come from.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

/// Where the items come from: an iterator, a stream, or the work itself. Sealed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::stream;
/// use plimsoll::map::{Map, Source};
///
/// fn bounded<S: Source, F>(work: Map<S, F>) -> Map<S, F> {
///     work.name("bounded")
/// }
/// let double = async |n: u32| Ok::<_, ()>(n * 2);
/// assert_eq!(bounded(plimsoll::map(0..3, 2, double)).await, Ok(vec![0, 2, 4]));
/// assert_eq!(bounded(plimsoll::map_stream(stream::iter(0..3), 2, double)).await, Ok(vec![0, 2, 4]));
/// # Ok(()) }
/// ```
pub trait Source: Sealed {
    /// One item.
    type Item;

    /// The next item for `lane`; `None` when there is none for it now, `Pending` when this lane is
    /// the one that waits for it.
    #[doc(hidden)]
    fn poll_next(&mut self, lane: usize, cx: &mut Context<'_>) -> Poll<Option<Self::Item>>;

    /// Whether another lane could find an item.
    #[doc(hidden)]
    fn has_more(&self) -> bool;

    /// How many items are still to come, at the most, if that is known.
    #[doc(hidden)]
    fn left_max(&self) -> Option<usize>;
}

/// What becomes of what the work returns. Sealed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Of a map the work returns a result; of a crawl, a result of a value and the children.
/// let value = |n: u32| std::future::ready(Ok::<_, ()>(n));
/// let and_children = |n: u32| std::future::ready(Ok::<_, ()>((n, (n == 0).then_some(1))));
/// assert_eq!(plimsoll::map([0], 2, value).await, Ok(vec![0]));
/// assert_eq!(plimsoll::crawl([0], 2, and_children).await, Ok(vec![0, 1]));
/// # Ok(()) }
/// ```
pub trait Takes<Output>: Source {
    /// What an item leaves that succeeds.
    type Value;
    /// What an item leaves that fails.
    type Error;
    /// What an item leaves that is more work.
    #[doc(hidden)]
    type Children;

    #[doc(hidden)]
    fn split(output: Output) -> Split<Self::Value, Self::Error, Self::Children>;

    /// Takes the children of the item that `lane` has just finished.
    #[doc(hidden)]
    fn feed(&mut self, lane: usize, children: Self::Children);
}

/// What became of an item, and what it leaves to be done.
pub(super) type Split<T, E, C> = (Result<T, E>, Option<C>);

#[doc(hidden)]
pub trait Sealed {}

/// The items of an iterator.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{Items, Map};
/// let squares: Map<Items<std::ops::Range<u64>>, _> = plimsoll::map(0..4, 2, async |n| Ok::<_, ()>(n * n));
/// assert_eq!(squares.await, Ok(vec![0, 1, 4, 9]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Items<I> {
    items: I,
    ended: bool,
}

impl<I> Items<I> {
    pub(super) const fn new(items: I) -> Self {
        Self { items, ended: false }
    }
}

impl<I> Sealed for Items<I> {}

impl<I: Iterator> Source for Items<I> {
    type Item = I::Item;

    #[inline]
    fn poll_next(&mut self, _: usize, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = self.items.next();
        // Told by the last item already, so that no lane is started to find out.
        self.ended = item.is_none() || self.items.size_hint().1 == Some(0);
        Poll::Ready(item)
    }

    #[inline]
    fn has_more(&self) -> bool {
        !self.ended
    }

    fn left_max(&self) -> Option<usize> {
        if self.ended { Some(0) } else { self.items.size_hint().1 }
    }
}

impl<I: Iterator, T, E> Takes<Result<T, E>> for Items<I> {
    type Value = T;
    type Error = E;
    type Children = Infallible;

    #[inline]
    fn split(output: Result<T, E>) -> Split<T, E, Infallible> {
        (output, None)
    }

    fn feed(&mut self, _: usize, children: Infallible) {
        match children {}
    }
}

/// The items of a stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::stream;
/// use plimsoll::map::{Map, Streamed};
/// let squares: Map<Streamed<_>, _> = plimsoll::map_stream(stream::iter(0..4u64), 2, async |n| Ok::<_, ()>(n * n));
/// assert_eq!(squares.await, Ok(vec![0, 1, 4, 9]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Streamed<S> {
    /// `None` once it has ended: a stream is not polled after its end.
    stream: Option<Pin<Box<S>>>,
    /// The lane whose waker the stream has.
    waiting: Option<usize>,
}

impl<S> Streamed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(Box::pin(stream)), waiting: None }
    }
}

impl<S> Sealed for Streamed<S> {}

impl<S: Stream> Source for Streamed<S> {
    type Item = S::Item;

    fn poll_next(&mut self, lane: usize, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // One lane waits; the others would each take the waker away from the one before.
        if self.waiting.is_some_and(|waiting| waiting != lane) {
            return Poll::Ready(None);
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let polled = stream.as_mut().poll_next(cx);
        self.waiting = polled.is_pending().then_some(lane);
        if let Poll::Ready(None) = polled {
            self.stream = None;
        }
        polled
    }

    fn has_more(&self) -> bool {
        self.stream.is_some() && self.waiting.is_none()
    }

    fn left_max(&self) -> Option<usize> {
        self.stream.as_ref().map_or(Some(0), |stream| stream.size_hint().1)
    }
}

impl<S: Stream, T, E> Takes<Result<T, E>> for Streamed<S> {
    type Value = T;
    type Error = E;
    type Children = Infallible;

    fn split(output: Result<T, E>) -> Split<T, E, Infallible> {
        (output, None)
    }

    fn feed(&mut self, _: usize, children: Infallible) {
        match children {}
    }
}
