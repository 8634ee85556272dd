//! What is not a stream by itself, as an input.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

/// A stream of what a function says; made by [`from_fn`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::task::Poll;
/// use futures_util::StreamExt;
/// use plimsoll::merge::{self, FromFn};
/// let mut left = 3;
/// let mut countdown: FromFn<_> = merge::from_fn(move |_| {
///     left -= 1;
///     Poll::Ready((left >= 0).then_some(left))
/// });
/// assert_eq!(countdown.by_ref().collect::<Vec<_>>().await, [2, 1, 0]);
/// # Ok(()) }
/// ```
pub struct FromFn<F>(F);

/// A stream from a function that is polled, such as the `poll_recv` of a channel.
///
/// ```
/// use plimsoll::merge::{self, Merge};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let mut merge = Merge::builder("merge-doc-from-fn").inputs_max(2).build()?;
/// let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
/// let input = merge.add(merge::from_fn(move |cx| receiver.poll_recv(cx)))?;
/// sender.send("hello").await?;
/// assert_eq!(merge.next().await, Some((input, merge::Event::Item("hello"))));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub const fn from_fn<T, F>(poll: F) -> FromFn<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<T>>,
{
    FromFn(poll)
}

// The function is called, never pinned.
impl<F> Unpin for FromFn<F> {}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>>> Stream for FromFn<F> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        (self.0)(cx)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// A stream of the newest values of a watch; made by [`watched`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
/// use plimsoll::merge::{self, Watched};
/// let (price, watcher) = tokio::sync::watch::channel(10);
/// let mut prices: Watched<u32> = merge::watched(watcher);
/// assert_eq!(prices.next().await, Some(10));
/// price.send_replace(12);
/// drop(price);
/// assert_eq!((prices.next().await, prices.next().await), (Some(12), None));
/// # Ok(()) }
/// ```
pub struct Watched<T> {
    changed: ReusableBoxFuture<'static, (bool, watch::Receiver<T>)>,
}

/// A stream of the value of a watch: the one that is there, then the newest whenever it has changed,
/// until the sender is dropped. What is overwritten before it is asked for is left out, so that a
/// watch needs no buffer.
///
/// ```
/// use plimsoll::merge::{self, Event, Merge};
/// use tokio::sync::watch;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let mut merge = Merge::builder("merge-doc-watched").inputs_max(2).build()?;
/// let (price, watcher) = watch::channel(10);
/// let input = merge.add(merge::watched(watcher))?;
/// assert_eq!(merge.next().await, Some((input, Event::Item(10))));
/// price.send_replace(11);
/// price.send_replace(12);
/// assert_eq!(merge.next().await, Some((input, Event::Item(12))));
/// drop(price);
/// assert_eq!(merge.next().await, Some((input, Event::Ended)));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub fn watched<T: Clone + Send + Sync + 'static>(mut receiver: watch::Receiver<T>) -> Watched<T> {
    receiver.mark_changed();
    Watched { changed: ReusableBoxFuture::new(changed(receiver)) }
}

async fn changed<T>(mut receiver: watch::Receiver<T>) -> (bool, watch::Receiver<T>) {
    (receiver.changed().await.is_ok(), receiver)
}

impl<T: Clone + Send + Sync + 'static> Stream for Watched<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (has_changed, mut receiver) = ready!(self.changed.poll(cx));
        let value = has_changed.then(|| receiver.borrow_and_update().clone());
        self.changed.set(changed(receiver));
        Poll::Ready(value)
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
