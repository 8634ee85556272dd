//! The fair queue as its users hold it.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

use super::queue::{Place, Queue};
use super::shared::{Pushed, Shared};
use super::{Builder, Refused};
use crate::Name;
use crate::registry::{Bound, Snapshot};
use crate::waiters::Ticket;

/// A queue in which every key gets its share; a cheap handle, whose clones share one state.
///
/// See the [module](crate::fair) for what a share is and for when to use something else.
///
/// ```
/// use plimsoll::fair::Fair;
/// let queue = Fair::builder("turns").depth(100).build()?;
/// for job in 1..=3 {
///     queue.try_push("acme", job)?;
/// }
/// queue.clone().try_push("globex", 70)?;
/// assert_eq!((queue.len(), queue.keys(), queue.key_len(&"acme")), (4, 2, 3));
/// assert_eq!([queue.try_pop(), queue.try_pop(), queue.try_pop()], [Some(1), Some(70), Some(2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fair<K, T>(pub(super) Arc<Shared<K, T>>);

/// Making and seeing.
impl<K, T> Fair<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    /// Begins a queue that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::<u64, &str>::builder("fair-doc-builder").depth(1_000).depth_per_key(50).build()?;
    /// queue.try_push(7, "seven")?;
    /// assert_eq!((queue.len(), queue.key_len(&7), queue.key_len(&8)), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder<K, T> {
        Builder::new(name)
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::<u64, &str>::builder("fair-name").depth(100).build()?;
    /// assert_eq!(queue.name().as_str(), "fair-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// How many items are queued.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-len").depth(100).build()?;
    /// queue.try_push("acme", 1)?;
    /// queue.try_push("globex", 2)?;
    /// assert_eq!(queue.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.with(Queue::len)
    }

    /// Whether nothing is queued.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-empty").depth(100).build()?;
    /// queue.try_push("acme", 1)?;
    /// assert!(!queue.is_empty());
    /// queue.try_pop();
    /// assert!(queue.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items of this key are queued.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-key-len").depth(100).build()?;
    /// queue.try_push("acme", 1)?;
    /// assert_eq!((queue.key_len(&"acme"), queue.key_len(&"globex")), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key_len(&self, key: &K) -> usize {
        self.0.with(|queue| queue.key_len(key))
    }

    /// How many keys have an item queued or a push waiting.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-keys").depth(100).build()?;
    /// for mail in [("acme", 1), ("acme", 2), ("globex", 3)] {
    ///     queue.try_push(mail.0, mail.1)?;
    /// }
    /// assert_eq!(queue.keys(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> usize {
        self.0.with(Queue::keys)
    }

    /// How many pushes wait for room.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-waiting").depth(1).build()?;
    /// queue.push("acme", 1).await?;
    /// let (pushed, seen) = tokio::join!(queue.push("acme", 2), async { (queue.waiting(), queue.try_pop()) });
    /// pushed?;
    /// assert_eq!((seen, queue.waiting()), ((1, Some(1)), 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.with(Queue::waiting)
    }

    /// Whether it was [closed](Self::close).
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::<u64, &str>::builder("fair-closed").depth(100).build()?;
    /// assert!(!queue.is_closed());
    /// queue.close();
    /// assert!(queue.is_closed() && queue.try_push(7, "late").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.with(Queue::is_closed)
    }

    /// The numbers as they are now. The waiting times are those of the items served, from the push
    /// (its wait for room included) to the pop.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-snapshot").depth(100).build()?;
    /// queue.try_push("acme", 1)?;
    /// queue.try_pop();
    /// let now = queue.snapshot();
    /// assert_eq!((now.limit, now.admitted, now.waits.count()), (100, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

/// Pushing.
impl<K, T> Fair<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    /// Queues an item of cost 1 if there is room.
    ///
    /// # Errors
    /// Hands the item back: [`QueueFull`](crate::Reason::QueueFull) when the queue is full or the
    /// key's part of it is (the limit in [`Refused::rejected`] tells which),
    /// [`KeysFull`](crate::Reason::KeysFull) when the key is new and as many as there may be are busy,
    /// [`Misconfigured`](crate::Reason::Misconfigured) when the key's weight is not 1 to 65,536, and
    /// [`Draining`](crate::Reason::Draining) once the queue is closed.
    ///
    /// ```
    /// use plimsoll::{Reason, fair::Fair};
    /// let queue = Fair::builder("try-push").depth(2).depth_per_key(2).build()?;
    /// queue.try_push(1, "a")?;
    /// queue.try_push(2, "b")?;
    /// assert_eq!(queue.try_push(3, "c").unwrap_err().rejected.reason(), Reason::QueueFull);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_push(&self, key: K, item: T) -> Result<(), Refused<T>> {
        self.try_push_cost(key, item, 1)
    }

    /// Queues an item of this cost (bytes, rows, cents), 1 to 2^40, if there is room; 0 counts as 1.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`TooLarge`](crate::Reason::TooLarge) when the cost is above
    /// 2^40.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-doc-cost").depth(100).quantum(1_000).build()?;
    /// queue.try_push_cost("video", "a megabyte", 1_000_000)?;
    /// queue.try_push_cost("mail", "a kilobyte", 1_000)?;
    /// queue.try_push_cost("mail", "another", 1_000)?;
    /// // The megabyte has to save up for a thousand turns; it is served when it has.
    /// assert_eq!([queue.try_pop(), queue.try_pop()], [Some("a kilobyte"), Some("another")]);
    /// assert_eq!(queue.try_pop(), Some("a megabyte"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as a map takes a key: it is kept when it is new")]
    pub fn try_push_cost(&self, key: K, item: T, cost: u64) -> Result<(), Refused<T>> {
        self.0.try_push(&key, item, cost)
    }

    /// Queues an item of cost 1, and waits for room if there is none.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push), but for a full queue: that is waited for.
    ///
    /// # Cancel safety
    /// Dropping it while it waits drops the item, and frees its place in the line. If it was let in
    /// already, but not polled since, the item is queued and stays so: never lost, never twice.
    ///
    /// # Fairness
    /// Pushes of one key are let in in the order in which they came; where several keys wait for the
    /// same room, they take turns, whatever their numbers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("push").depth(1).depth_per_key(1).build()?;
    /// queue.push("acme", 1).await?;
    /// let (pushed, popped) = tokio::join!(queue.push("acme", 2), async { queue.pop().await });
    /// assert!(pushed.is_ok());
    /// assert_eq!((popped, queue.try_pop()), (Some(1), Some(2)));
    /// # Ok(()) }
    /// ```
    pub async fn push(&self, key: K, item: T) -> Result<(), Refused<T>> {
        self.push_cost(key, item, 1).await
    }

    /// Queues an item of this cost, as [`try_push_cost`](Self::try_push_cost), and waits for room if
    /// there is none.
    ///
    /// # Errors
    /// As [`try_push_cost`](Self::try_push_cost), but for a full queue: that is waited for.
    ///
    /// # Cancel safety
    /// As [`push`](Self::push).
    ///
    /// # Fairness
    /// As [`push`](Self::push).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, fair::Fair};
    /// let queue = Fair::builder("push-cost").depth(100).quantum(1_000).build()?;
    /// queue.push_cost("acme", "a page", 4_000).await?;
    /// let refused = queue.push_cost("acme", "a library", 1 << 41).await.unwrap_err();
    /// assert_eq!((refused.item, refused.rejected.reason()), ("a library", Reason::TooLarge));
    /// # Ok(()) }
    /// ```
    pub async fn push_cost(&self, key: K, item: T, cost: u64) -> Result<(), Refused<T>> {
        Push { shared: &self.0, wanted: Some((key, item, cost)), place: None }.await
    }
}

/// Popping and closing.
impl<K, T> Fair<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    /// Takes the item that is next, if there is one.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("try-pop").depth(8).build()?;
    /// queue.try_push("acme", 1)?;
    /// assert_eq!((queue.try_pop(), queue.try_pop()), (Some(1), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "it is taken out of the queue"]
    pub fn try_pop(&self) -> Option<T> {
        self.0.try_pop()
    }

    /// Takes the item that is next, waits for one if there is none, and is `None` once the queue is
    /// [closed](Self::close) and empty.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is taken only as this returns.
    ///
    /// # Fairness
    /// Those who wait are woken in the order in which they came; whoever asks in the meantime may be
    /// faster.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("pop").depth(8).build()?;
    /// let consumer = queue.clone();
    /// let task = tokio::task::JoinSet::from_iter([async move {
    ///     let mut sum = 0;
    ///     while let Some(item) = consumer.pop().await {
    ///         sum += item;
    ///     }
    ///     sum
    /// }]);
    /// for (tenant, item) in [("acme", 1), ("globex", 20), ("acme", 300)] {
    ///     queue.push(tenant, item).await?;
    /// }
    /// queue.close();
    /// assert_eq!(task.join_all().await, [321]);
    /// # Ok(()) }
    /// ```
    pub async fn pop(&self) -> Option<T> {
        Pop { shared: &self.0, ticket: None }.await
    }

    /// Lets nothing in any more: pushes, those that wait too, are refused as
    /// [`Draining`](crate::Reason::Draining); what is queued is still to be popped.
    ///
    /// For the one who owns the queue and its consumers; every handle can.
    ///
    /// ```
    /// use plimsoll::Reason;
    /// use plimsoll::fair::Fair;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let queue = Fair::builder("fair-doc-close").depth(10).build()?;
    /// queue.push("acme", 1).await?;
    /// queue.close();
    /// assert_eq!(queue.push("acme", 2).await.unwrap_err().rejected.reason(), Reason::Draining);
    /// assert_eq!((queue.pop().await, queue.pop().await), (Some(1), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn close(&self) {
        self.0.close();
    }

    /// [Closes](Self::close) the queue and takes everything that is left, in the order in which it
    /// would have been served.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("drain").depth(8).build()?;
    /// for (tenant, item) in [(1, "a"), (1, "b"), (2, "z")] {
    ///     queue.try_push(tenant, item)?;
    /// }
    /// assert_eq!(queue.drain(), ["a", "z", "b"]);
    /// assert!(queue.is_closed() && queue.try_push(1, "c").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self) -> Vec<T> {
        self.0.drain()
    }
}

impl<K, T> Clone for Fair<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T> fmt::Debug for Fair<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fair")
            .field("name", &self.name())
            .field("len", &self.len())
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

/// A push, and its place in the line while it waits.
struct Push<'a, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    shared: &'a Shared<K, T>,
    wanted: Option<(K, T, u64)>,
    place: Option<Place>,
}

// Nothing in it is pinned: key and item are moved on.
impl<K, T> Unpin for Push<'_, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
}

impl<K, T> Future for Push<'_, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<(), Refused<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let proceed = ready!(coop::poll_proceed(cx));
        let this = self.get_mut();
        let Some((key, item, cost)) = this.wanted.take() else {
            let polled = this.shared.poll_push(&mut this.place, cx.waker());
            if polled.is_ready() {
                proceed.made_progress();
            }
            return polled;
        };
        proceed.made_progress();
        match this.shared.push(&key, item, cost, Some(cx.waker())) {
            Pushed::Done(done) => Poll::Ready(done),
            Pushed::Waiting(place) => {
                this.place = Some(place);
                Poll::Pending
            }
        }
    }
}

impl<K, T> Drop for Push<'_, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shared.withdraw(place);
        }
    }
}

/// A pop, and its place in the line while it waits.
struct Pop<'a, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    shared: &'a Shared<K, T>,
    ticket: Option<Ticket>,
}

impl<K, T> Future for Pop<'_, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let proceed = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let polled = this.shared.poll_pop(&mut this.ticket, cx);
        if polled.is_ready() {
            proceed.made_progress();
        }
        polled
    }
}

impl<K, T> Drop for Pop<'_, K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.leave(ticket);
        }
    }
}
