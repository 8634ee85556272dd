//! A map that is still to be run.

use std::fmt;

use futures_core::Stream;

use super::Frontier;
use super::gauge::Settings;
use super::policy::{CollectAll, Each, FirstSuccess, InOrder, Ledger, Policy, Quorum};
use super::run::{Run, Unordered};
use super::source::{Items, Source, Streamed, Takes};
use crate::Invalid;

/// Work on many items, at most so many at once, on all workers of the runtime. Made by
/// [`map`](fn@map), [`map_stream`], [`each`] and [`crawl`].
///
/// It does nothing until it is awaited, or its [`unordered`](Self::unordered) results are polled.
/// What it then returns depends on its policy `P`.
///
/// # Cancel safety
/// When it is dropped while it is awaited, what is in flight is aborted: dropped at its next
/// wake-up. When it returns, with whatever result, nothing is in flight.
///
/// # Panics
/// Awaiting it resumes the first panic of an item, of the iterator or of the stream, after all
/// items in flight have ended; dropping it meanwhile resumes one that has happened already, unless the
/// thread is panicking. It panics outside of a tokio runtime, and when the one that it runs on is shut
/// down before it has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::Map;
/// let square: Map<_, _> = plimsoll::map(1..=4u64, 2, async |n| Ok::<_, ()>(n * n));
/// assert_eq!(square.await, Ok(vec![1, 4, 9, 16]));
/// # Ok(()) }
/// ```
#[must_use = "a map does nothing unless it is awaited"]
pub struct Map<S, F, P = InOrder> {
    source: S,
    work: F,
    policy: P,
    settings: Settings,
}

/// Does `work` on each of `items`, at most `limit` at once; awaited, it returns the values in input
/// order, or the first error, which ends the rest.
///
/// The limit is 1 to 16,777,216; another is refused with [`Error::Invalid`](super::Error::Invalid).
/// An item is taken from the iterator when its work begins, not earlier.
///
/// The work runs in tasks of its own, so it owns what it uses, or shares it in an `Arc`. To borrow,
/// use [`map_local`](super::map_local), which stays in the current task.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let lengths = plimsoll::map(["a", "bcd", "ef"], 64, async |word: &str| match word.len() {
///     0 => Err("empty"),
///     bytes => Ok(bytes),
/// });
/// assert_eq!(lengths.await, Ok(vec![1, 3, 2]));
/// # }
/// ```
///
/// What the work borrows would not live as long as its tasks; the compiler says so, and the note
/// under its error points to the line of this function that names the way out:
///
/// ```compile_fail,E0597
/// # async fn check(stock: &[u32], row: usize) -> Result<u32, ()> { stock.get(row).copied().ok_or(()) }
/// # async fn sum() {
/// let stock = vec![1, 2, 3];
/// let borrowed = &stock;
/// plimsoll::map(0..3, 8, move |row| check(borrowed, row)).await.unwrap();
/// // error[E0597]: `stock` does not live long enough
/// //   ... argument requires that `stock` is borrowed for `'static`
/// // note: requirement that the value outlives `'static` introduced here
/// //   |     F: Fn(I::Item) -> Fut + Send + Sync + 'static, // to borrow, use `map_local`
/// # }
/// ```
pub fn map<I, F, Fut, T, E>(items: I, limit: usize, work: F) -> Map<Items<I::IntoIter>, F>
where
    I: IntoIterator<IntoIter: Send + 'static>, // to borrow, use `map_local`
    F: Fn(I::Item) -> Fut + Send + Sync + 'static, // to borrow, use `map_local`
    Fut: Future<Output = Result<T, E>> + Send + 'static, // to borrow, use `map_local`
{
    Map::new(Items::new(items.into_iter()), work, limit)
}

/// As [`map`](fn@map), over a stream: of at most `limit` items at once, the stream is polled for another
/// only when it can be worked on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures_util::stream;
/// let doubled = plimsoll::map_stream(stream::iter(0..3), 2, async |n| Ok::<_, ()>(n * 2));
/// assert_eq!(doubled.await, Ok(vec![0, 2, 4]));
/// # }
/// ```
pub fn map_stream<S, F, Fut, T, E>(stream: S, limit: usize, work: F) -> Map<Streamed<S>, F>
where
    S: Stream + Send + 'static,                    // to borrow, use `map_local_stream`
    F: Fn(S::Item) -> Fut + Send + Sync + 'static, // to borrow, use `map_local_stream`
    Fut: Future<Output = Result<T, E>> + Send + 'static, // to borrow, use `map_local_stream`
{
    Map::new(Streamed::new(stream), work, limit)
}

/// Does `work` on each of `items`, at most `limit` at once, and keeps no values: what it holds in
/// memory grows with the limit, not with the number of items. The first error ends the rest.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::sync::atomic::{AtomicU64, Ordering};
/// static SUM: AtomicU64 = AtomicU64::new(0);
/// let add = async |n| {
///     SUM.fetch_add(n, Ordering::Relaxed);
///     Ok::<(), ()>(())
/// };
/// plimsoll::each(1..=1_000u64, 64, add).await.unwrap();
/// assert_eq!(SUM.load(Ordering::Relaxed), 500_500);
/// # }
/// ```
pub fn each<I, F, Fut, E>(items: I, limit: usize, work: F) -> Map<Items<I::IntoIter>, F, Each>
where
    I: IntoIterator<IntoIter: Send + 'static>, // to borrow, use `map_local(…).each()`
    F: Fn(I::Item) -> Fut + Send + Sync + 'static, // to borrow, use `map_local(…).each()`
    Fut: Future<Output = Result<(), E>> + Send + 'static, // to borrow, use `map_local(…).each()`
{
    map(items, limit, work).each()
}

/// Work that makes work, such as walking a directory or following links: `visit` returns a value
/// and the children of the item, which are then visited as well, at most `limit` at once.
///
/// A lane that has finished an item goes on with its children, depth first; a lane without work
/// takes one from another. So it needs no queue, cannot deadlock, and holds the unvisited rest of
/// at most `limit` times the depth lists of children, however many there are. (Where the children
/// are a lazy iterator, such as that of a directory, that is all it holds.) An item that can be
/// reached by two ways is visited twice: keeping track of what was seen is for `visit`, which
/// returns no children for what it knows.
///
/// Awaited, it returns the values in the order in which the visits began. Every policy of a
/// [`Map`] applies: [`each`](Map::each) to keep none, [`first_success`](Map::first_success) to
/// search.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // Every number below 1,000 once: n leads to 10 n … 10 n + 9.
/// let visit = async |n: u32| {
///     let children = (10 * n..10 * n + 10).filter(|child| *child < 1_000);
///     Ok::<_, ()>((n, children))
/// };
/// let visited = plimsoll::crawl(1..10, 8, visit).await.unwrap();
/// assert_eq!((visited.len(), visited.iter().max()), (999, Some(&999)));
/// # }
/// ```
pub fn crawl<I, F, Fut, T, C, E>(
    roots: I,
    limit: usize,
    visit: F,
) -> Map<Frontier<I::IntoIter, C::IntoIter>, F>
where
    I: IntoIterator<IntoIter: Send + 'static>,     // it owns what it uses
    F: Fn(I::Item) -> Fut + Send + Sync + 'static, // it owns what it uses
    Fut: Future<Output = Result<(T, C), E>> + Send + 'static, // it owns what it uses
    C: IntoIterator<Item = I::Item, IntoIter: Send + 'static>, // it owns what it uses
{
    Map::new(Frontier::new(roots.into_iter()), visit, limit)
}

impl<S, F> Map<S, F> {
    const fn new(source: S, work: F, limit: usize) -> Self {
        Self { source, work, policy: InOrder, settings: Settings::new(limit) }
    }
}

impl<S, F, P> Map<S, F, P> {
    /// Shows it in the [registry](crate::registry) while it runs. Without a name it is not shown.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::registry;
    /// let is_shown = async |_| Ok::<_, ()>(registry::snapshot().iter().any(|seen| seen.name.as_str() == "fetch-pages"));
    /// assert_eq!(plimsoll::map([1], 64, is_shown).name("fetch-pages").await, Ok(vec![true]));
    /// assert_eq!(plimsoll::map([1], 64, is_shown).await, Ok(vec![false]));
    /// # Ok(()) }
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Lets the others go on when an item fails: awaited, it returns every result, in input order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), plimsoll::Invalid> {
    /// let parse = async |text: &str| text.parse::<u8>().map_err(|_| text.len());
    /// let each = plimsoll::map(["1", "three", "5"], 64, parse).collect_all().await?;
    /// assert_eq!(each, [Ok(1), Err(5), Ok(5)]);
    /// # Ok(()) }
    /// ```
    pub fn collect_all(self) -> Map<S, F, CollectAll> {
        self.with(CollectAll)
    }

    /// Keeps no values, as [`each`](fn@each) does: awaited, it returns nothing, or the first error, which
    /// ends the rest.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::map::Error;
    /// let check = async |n: u32| if n < 900 { Ok(n) } else { Err(n) };
    /// assert_eq!(plimsoll::map(0..900, 64, check).each().await, Ok(()));
    /// assert!(matches!(plimsoll::map(0..1_000, 64, check).each().await, Err(Error::Failed { first: 900.., .. })));
    /// # Ok(()) }
    /// ```
    pub fn each(self) -> Map<S, F, Each> {
        self.with(Each)
    }

    /// Ends the rest as soon as `wanted` items have succeeded: awaited, it returns so many values, in
    /// the order in which they came. Errors end nothing before the quorum is out of reach; then
    /// [`Error::OutOfReach`](super::Error::OutOfReach) has them all.
    ///
    /// Zero, and more than there are items, are refused with
    /// [`Error::Invalid`](super::Error::Invalid): before anything starts if the iterator tells its
    /// length, else when it has ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let read = async |replica: u32| if replica == 1 { Err("down") } else { Ok(replica) };
    /// assert_eq!(plimsoll::map(0..5, 5, read).quorum(3).await, Ok(vec![0, 2, 3]));
    /// # }
    /// ```
    pub fn quorum(self, wanted: usize) -> Map<S, F, Quorum> {
        self.with(Quorum { wanted })
    }

    /// Ends the rest as soon as one item has succeeded: a [`quorum`](Self::quorum) of one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let read = async |mirror: u32| if mirror == 2 { Ok(mirror) } else { Err("not found") };
    /// assert_eq!(plimsoll::map(0..5, 2, read).first_success().await, Ok(2));
    /// # }
    /// ```
    pub fn first_success(self) -> Map<S, F, FirstSuccess> {
        self.with(FirstSuccess)
    }

    fn with<Q>(self, policy: Q) -> Map<S, F, Q> {
        Map { source: self.source, work: self.work, policy, settings: self.settings }
    }
}

impl<S, F> Map<S, F> {
    /// The results as they come, errors among them; none ends the others. Drop the stream to end
    /// them.
    ///
    /// # Errors
    /// When the limit or the name is refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), plimsoll::Invalid> {
    /// use std::time::Duration;
    /// use futures_util::StreamExt;
    /// let work = async |millis| {
    ///     tokio::time::sleep(Duration::from_millis(millis)).await;
    ///     Ok::<_, ()>(millis)
    /// };
    /// let mut results = plimsoll::map([30, 1], 64, work).unordered()?;
    /// assert_eq!((results.next().await, results.next().await), (Some(Ok(1)), Some(Ok(30))));
    /// # Ok(()) }
    /// ```
    pub fn unordered<Fut>(self) -> Result<Unordered<S, F, Fut>, Invalid>
    where
        S: Takes<Fut::Output>,
        F: Fn(S::Item) -> Fut,
        Fut: Future,
    {
        Unordered::new(self.source, self.work, &self.settings)
    }
}

impl<S, F, P, Fut> IntoFuture for Map<S, F, P>
where
    S: Takes<Fut::Output, Value: Send, Error: Send> + Send + 'static,
    F: Fn(<S as Source>::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    P: Policy<S::Value, S::Error, Ledger: Ledger<Kept: Send> + Send + 'static>,
{
    type Output = P::Output;
    type IntoFuture = Run<S, F, Fut, P>;

    fn into_future(self) -> Self::IntoFuture {
        Run::new(self.source, self.work, self.policy, self.settings)
    }
}

impl<S, F, P: fmt::Debug> fmt::Debug for Map<S, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("limit", &self.settings.limit)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
