//! The merge itself.

use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tokio::task::coop;

use super::handle::{Handle, Inbox};
use super::shared::{InputId, InputWaker, Next, Shared};
use super::{Builder, Refused};
use crate::Name;
use crate::registry::{Bound, Snapshot};
use crate::sync::{Mutex, lock};
use crate::unwind::caught;

/// How many inputs are polled before the task is made to yield once.
const BUDGET: u32 = 128;

/// Many streams in one: a stream of what they give and of their ends.
///
/// It lives in the task that polls it and owns its inputs: dropping it drops them. See the
/// [module](crate::merge).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::{StreamExt, stream};
/// use plimsoll::merge::{Event, Merge};
/// let mut merge = Merge::builder("both").inputs_max(2).build()?;
/// let (odd, even) = (merge.add(stream::iter([1, 3]))?, merge.add(stream::iter([2, 4]))?);
/// let items: Vec<_> = merge.by_ref().filter_map(async |(_, event)| event.into_item()).collect().await;
/// assert_eq!((items, merge.len()), (vec![1, 2, 3, 4], 0));
/// # assert!(odd != even && Event::<u8>::Ended.into_item().is_none());
/// # Ok(()) }
/// ```
#[must_use = "a merge does nothing unless it is polled"]
pub struct Merge<S> {
    inputs: Vec<Option<Input<S>>>,
    shared: Arc<Shared>,
    inbox: Arc<Inbox<S>>,
    /// Whoever gave the last item: it may have more.
    again: Option<InputId>,
    /// How many inputs were polled since the task last yielded.
    spent: u32,
}

struct Input<S> {
    stream: S,
    waker: Waker,
}

/// What an input gave.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::stream;
/// use plimsoll::merge::{Event, Merge};
/// let mut merge = Merge::builder("events").inputs_max(2).build()?;
/// let input = merge.add(stream::iter([7]))?;
/// assert_eq!(merge.next().await, Some((input, Event::Item(7))));
/// assert_eq!(merge.next().await, Some((input, Event::Ended)));
/// assert_eq!(Event::Item(7).into_item(), Some(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event<T> {
    /// An item.
    Item(T),
    /// Its end: it gives nothing more, and its place is free.
    Ended,
}

impl<T> Event<T> {
    /// The item, if it is one.
    ///
    /// ```
    /// use plimsoll::merge::Event;
    /// assert_eq!((Event::Item(7).into_item(), Event::<u32>::Ended.into_item()), (Some(7), None));
    /// ```
    #[must_use]
    pub fn into_item(self) -> Option<T> {
        match self {
            Self::Item(item) => Some(item),
            Self::Ended => None,
        }
    }
}

impl<S> Merge<S> {
    /// Begins a merge that an operator sees under `name`.
    ///
    /// ```
    /// use futures_util::stream::Empty;
    /// use plimsoll::merge::Merge;
    /// let merge = Merge::<Empty<u32>>::builder("merge-builder").inputs_max(64).build()?;
    /// assert_eq!((merge.name().as_str(), merge.is_empty()), ("merge-builder", true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder<S> {
        Builder::new(name)
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let inbox = Arc::new(Mutex::new(Vec::new()));
        Self { inputs: Vec::new(), shared, inbox, again: None, spent: 0 }
    }

    /// Adds an input. It is first polled when the merge is.
    ///
    /// # Errors
    /// Hands the stream back, as [`Full`](crate::Reason::Full), when there are as many inputs as may
    /// be.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("adding").inputs_max(2).build()?;
    /// let (first, second) = (merge.add(stream::iter([1]))?, merge.add(stream::iter([2]))?);
    /// assert_ne!(first, second);
    /// assert!(merge.add(stream::iter([3])).is_err());
    /// assert_eq!(merge.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add(&mut self, stream: S) -> Result<InputId, Refused<S>> {
        match self.shared.admit() {
            Ok(id) => {
                self.put(id, stream);
                Ok(id)
            }
            Err(rejected) => Err(Refused { stream, rejected }),
        }
    }

    /// Takes an input out, and hands its stream back; `None` when it has left already. Nothing is
    /// said of its end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::{StreamExt, stream};
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("taking-out").inputs_max(2).build()?;
    /// let input = merge.add(stream::iter([1, 2, 3]))?;
    /// assert_eq!(merge.next().await.map(|(_, event)| event.into_item()), Some(Some(1)));
    /// let rest: Vec<_> = merge.remove(input).expect("it has not ended").collect().await;
    /// assert_eq!((rest, merge.next().await), (vec![2, 3], None));
    /// # Ok(()) }
    /// ```
    pub fn remove(&mut self, id: InputId) -> Option<S> {
        if !self.shared.has(id) {
            return None;
        }
        self.empty_inbox();
        self.take(id)
    }

    /// A handle with which other tasks add inputs and remove them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use plimsoll::merge::{Event, Merge};
    /// let mut merge = Merge::builder("merge-handle").inputs_max(8).build()?;
    /// let input = merge.handle().add(stream::iter([7]))?; // from another task, as a rule
    /// assert_eq!(merge.next().await, Some((input, Event::Item(7))));
    /// # Ok(()) }
    /// ```
    pub fn handle(&self) -> Handle<S> {
        Handle::new(Arc::clone(&self.shared), Arc::clone(&self.inbox))
    }

    /// How many inputs there are.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("merge-len").inputs_max(8).build()?;
    /// let input = merge.add(stream::iter([1]))?;
    /// assert_eq!(merge.len(), 1);
    /// merge.remove(input);
    /// assert_eq!(merge.len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.live()
    }

    /// Whether there is no input.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("merge-empty").inputs_max(8).build()?;
    /// assert!(merge.is_empty());
    /// merge.add(stream::iter([1]))?;
    /// assert!(!merge.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name it was built with.
    ///
    /// ```
    /// use futures_util::stream::Empty;
    /// use plimsoll::merge::Merge;
    /// let merge = Merge::<Empty<u32>>::builder("merge-name").inputs_max(8).build()?;
    /// assert_eq!(merge.name().as_str(), "merge-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.shared.name
    }

    /// The numbers as they are now.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("merge-snapshot").inputs_max(8).build()?;
    /// merge.add(stream::iter([1]))?;
    /// let now = merge.snapshot();
    /// assert_eq!((now.limit, now.in_use), (8, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    fn put(&mut self, id: InputId, stream: S) {
        let waker = Waker::from(Arc::new(InputWaker { id, shared: Arc::clone(&self.shared) }));
        if self.inputs.len() <= id.index() {
            self.inputs.resize_with(id.index() + 1, || None);
        }
        self.inputs[id.index()] = Some(Input { stream, waker });
    }

    fn take(&mut self, id: InputId) -> Option<S> {
        let input = self.inputs.get_mut(id.index()).and_then(Option::take);
        self.shared.free(id);
        input.map(|input| input.stream)
    }

    /// Takes in what handles have added.
    fn empty_inbox(&mut self) {
        let added = std::mem::take(&mut *lock(&self.inbox));
        for (id, stream) in added {
            self.put(id, stream);
        }
    }
}

impl<S: Stream + Unpin> Merge<S> {
    /// What an input gives next, and which input; `None` when every input has ended and there is no
    /// [`Handle`] that could add one.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is taken only as this returns.
    ///
    /// # Panics
    /// When an input panics as it is polled. That input is dropped, without an [`Event::Ended`]; the
    /// others are as they were.
    ///
    /// # Fairness
    /// Inputs that have something take turns, an item each.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use plimsoll::merge::{Event, Merge};
    /// let mut merge = Merge::builder("next").inputs_max(2).build()?;
    /// merge.add(stream::iter([1, 2]))?;
    /// let mut items = Vec::new();
    /// while let Some((_input, event)) = merge.next().await {
    ///     items.push(event);
    /// }
    /// assert_eq!(items, [Event::Item(1), Event::Item(2), Event::Ended]);
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<(InputId, Event<S::Item>)> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<(InputId, Event<S::Item>)>> {
        // Without tokio's budget its channels would all say that they have nothing, and wake at once.
        while self.spent < BUDGET && coop::has_budget_remaining() {
            let id = match self.shared.next(self.again.take(), cx.waker()) {
                Next::Poll(id) => id,
                Next::Removed(id) => {
                    self.empty_inbox();
                    drop(self.take(id));
                    return Poll::Ready(Some((id, Event::Ended)));
                }
                Next::Wait => {
                    self.spent = 0;
                    return Poll::Pending;
                }
                Next::Done => return Poll::Ready(None),
            };
            self.spent += 1;
            match self.poll_input(id) {
                Poll::Pending => {}
                Poll::Ready(Some(item)) => {
                    self.again = Some(id);
                    self.shared.count_item();
                    return Poll::Ready(Some((id, Event::Item(item))));
                }
                Poll::Ready(None) => {
                    drop(self.take(id));
                    return Poll::Ready(Some((id, Event::Ended)));
                }
            }
        }
        self.spent = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_input(&mut self, id: InputId) -> Poll<Option<S::Item>> {
        if self.inputs.get(id.index()).is_none_or(Option::is_none) {
            self.empty_inbox();
        }
        let Some(Input { stream, waker }) = &mut self.inputs[id.index()] else {
            unreachable!("an admitted input is here or in the inbox")
        };
        let mut cx = Context::from_waker(waker);
        match caught(|| Pin::new(stream).poll_next(&mut cx)) {
            Ok(polled) => polled,
            Err(payload) => {
                self.shared.count_panic();
                drop(self.take(id));
                resume_unwind(payload)
            }
        }
    }
}

impl<S: Stream + Unpin> Stream for Merge<S> {
    type Item = (InputId, Event<S::Item>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}

impl<S> Drop for Merge<S> {
    fn drop(&mut self) {
        self.shared.close();
        let added = std::mem::take(&mut *lock(&self.inbox));
        drop(added);
    }
}

impl<S> fmt::Debug for Merge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("name", &self.name()).field("len", &self.len()).finish_non_exhaustive()
    }
}
