//! The way to a merge from other tasks.

use std::fmt;
use std::sync::Arc;

use super::Refused;
use super::shared::{InputId, Shared};
use crate::Name;
use crate::sync::{Mutex, lock};

/// Streams on their way into the merge; at most as many as inputs are admitted.
pub(super) type Inbox<S> = Mutex<Vec<(InputId, S)>>;

/// Adds inputs to a [`Merge`](super::Merge) and removes them, from any task; made by
/// [`Merge::handle`](super::Merge::handle). While there is one, the merge waits for more inputs when all have ended.
///
/// ```
/// use futures_util::stream;
/// use plimsoll::merge::{Event, Merge};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let mut merge = Merge::builder("merge-doc-handle").inputs_max(100).build()?;
/// let handle = merge.handle();
/// let adds = async move {
///     handle.add(stream::iter([1, 2])).expect("there is room for a hundred");
/// };
/// let takes = async {
///     let mut items = Vec::new();
///     while let Some((_, event)) = merge.next().await {
///         items.extend(event.into_item());
///     }
///     items
/// };
/// let (items, ()) = tokio::join!(takes, adds);
/// assert_eq!(items, [1, 2]);
/// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
/// ```
pub struct Handle<S> {
    shared: Arc<Shared>,
    inbox: Arc<Inbox<S>>,
}

impl<S> Handle<S> {
    pub(super) fn new(shared: Arc<Shared>, inbox: Arc<Inbox<S>>) -> Self {
        shared.add_handle();
        Self { shared, inbox }
    }

    /// Adds an input. It is first polled when the merge is.
    ///
    /// # Errors
    /// Hands the stream back: [`Full`](crate::Reason::Full) when there are as many inputs as may be,
    /// [`Draining`](crate::Reason::Draining) when the merge was dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use plimsoll::merge::{Event, Merge};
    /// let mut merge = Merge::builder("handle-add").inputs_max(1).build()?;
    /// let handle = merge.handle();
    /// let input = handle.add(stream::iter([7]))?;
    /// assert!(handle.add(stream::iter([8])).is_err());
    /// assert_eq!(merge.next().await, Some((input, Event::Item(7))));
    /// # Ok(()) }
    /// ```
    pub fn add(&self, stream: S) -> Result<InputId, Refused<S>> {
        let mut inbox = lock(&self.inbox);
        match self.shared.admit() {
            Ok(id) => {
                inbox.push((id, stream));
                drop(inbox);
                self.shared.wake_merge();
                Ok(id)
            }
            Err(rejected) => {
                drop(inbox);
                Err(Refused { stream, rejected })
            }
        }
    }

    /// Ends an input: the merge drops it, not polling it again, and says that it
    /// [ended](super::Event::Ended). False when it had ended already.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use plimsoll::merge::{Event, Merge};
    /// let mut merge = Merge::builder("removing").inputs_max(8).build()?;
    /// let endless = merge.add(stream::repeat(1))?;
    /// let handle = merge.handle();
    /// assert!(handle.remove(endless) && !handle.remove(endless));
    /// assert_eq!(merge.next().await, Some((endless, Event::Ended)));
    /// # Ok(()) }
    /// ```
    pub fn remove(&self, id: InputId) -> bool {
        self.shared.remove(id)
    }

    /// How many inputs there are.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let merge = Merge::builder("handle-len").inputs_max(8).build()?;
    /// let handle = merge.handle();
    /// handle.add(stream::iter([1]))?;
    /// assert_eq!(handle.len(), 1);
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
    /// let merge = Merge::builder("handle-empty").inputs_max(8).build()?;
    /// let handle = merge.handle();
    /// assert!(handle.is_empty());
    /// handle.add(stream::iter([1]))?;
    /// assert!(!handle.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name the merge was built with.
    ///
    /// ```
    /// use futures_util::stream::Empty;
    /// use plimsoll::merge::Merge;
    /// let merge = Merge::<Empty<u32>>::builder("handle-name").inputs_max(8).build()?;
    /// assert_eq!(merge.handle().name().as_str(), "handle-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.shared.name
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared), Arc::clone(&self.inbox))
    }
}

impl<S> Drop for Handle<S> {
    fn drop(&mut self) {
        self.shared.drop_handle();
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("name", &self.name()).field("len", &self.len()).finish_non_exhaustive()
    }
}
