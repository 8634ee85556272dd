//! A map that stays in its task.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::engine::Engine;
use super::gauge::Settings;
use super::policy::{Buffer, CollectAll, Each, FirstSuccess, InOrder, Ledger, Policy, Quorum};
use super::source::{Items, Source, Streamed, Takes};
use crate::Invalid;

/// Work on many items, at most so many at once, in the current task. Made by [`map_local`] and
/// [`map_local_stream`].
///
/// It does nothing until it is awaited, or its [`unordered`](Self::unordered) results are polled.
///
/// # Cancel safety
/// When it is dropped, what is in flight is dropped with it, at once.
///
/// # Panics
/// Awaiting it resumes the first panic of an item, of the iterator or of the stream, after all
/// items in flight were dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::cell::Cell;
/// let sum = Cell::new(0); // borrowed, and not `Sync`
/// let add = async |n: u32| { sum.set(sum.get() + n); Ok::<_, ()>(()) };
/// assert!(plimsoll::map_local(1..=10, 4, add).each().await.is_ok());
/// assert_eq!(sum.get(), 55);
/// # Ok(()) }
/// ```
#[must_use = "a map does nothing unless it is awaited"]
pub struct MapLocal<S, F, P = InOrder> {
    source: S,
    work: F,
    policy: P,
    settings: Settings,
}

/// Does `work` on each of `items`, at most `limit` at once, in the current task: awaited, it returns
/// the values in input order, or the first error, which ends the rest.
///
/// Compared to [`map`](super::map()), items and work may borrow and need not be `Send`; but all items
/// share one worker thread, so it is for work that waits, not for work that computes. Only what was
/// woken is polled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let stock = vec![3, 4, 5];
/// let rows = vec![2, 0, 1];
/// let take = async |row: &usize| stock.get(*row).copied().ok_or("no such row");
/// assert_eq!(plimsoll::map_local(&rows, 8, take).await, Ok(vec![5, 3, 4]));
/// # }
/// ```
pub fn map_local<I, F, Fut, T, E>(items: I, limit: usize, work: F) -> MapLocal<Items<I::IntoIter>, F>
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    MapLocal::new(Items::new(items.into_iter()), work, limit)
}

/// As [`map_local`], over a stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures_util::stream;
/// let doubled = plimsoll::map_local_stream(stream::iter(0..3), 2, async |n| Ok::<_, ()>(n * 2));
/// assert_eq!(doubled.await, Ok(vec![0, 2, 4]));
/// # }
/// ```
pub fn map_local_stream<S, F, Fut, T, E>(stream: S, limit: usize, work: F) -> MapLocal<Streamed<S>, F>
where
    S: Stream,
    F: Fn(S::Item) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    MapLocal::new(Streamed::new(stream), work, limit)
}

impl<S, F> MapLocal<S, F> {
    const fn new(source: S, work: F, limit: usize) -> Self {
        Self { source, work, policy: InOrder, settings: Settings::new(limit) }
    }

    /// The results as they come, errors among them; none ends the others. Drop the stream to end
    /// them.
    ///
    /// What is in flight goes on only while the stream is polled: whoever does something slow with one
    /// result halts the others, and whoever waits for something that one of them holds, such as a
    /// permit, waits for ever. [`map`](super::map()) has neither trouble.
    ///
    /// # Errors
    /// When the limit or the name is refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), plimsoll::Invalid> {
    /// use futures_util::StreamExt;
    /// let words = ["a", "bc"];
    /// let mut lengths = plimsoll::map_local(&words, 8, async |word: &&str| Ok::<_, ()>(word.len())).unordered()?;
    /// assert_eq!((lengths.next().await, lengths.next().await), (Some(Ok(1)), Some(Ok(2))));
    /// # Ok(()) }
    /// ```
    pub fn unordered<Fut>(self) -> Result<UnorderedLocal<S, F, Fut>, Invalid>
    where
        S: Takes<Fut::Output>,
        F: Fn(S::Item) -> Fut,
        Fut: Future,
    {
        let Self { source, work, settings, .. } = self;
        let (_, gauge) = settings.check()?;
        // One result at a time: no item is begun before it is asked for.
        let engine = Engine::new(source, work, settings.limit, gauge, Buffer::new(1));
        Ok(UnorderedLocal { engine: Some(Box::new(engine)) })
    }
}

impl<S, F, P> MapLocal<S, F, P> {
    /// Shows it in the [registry](crate::registry) while it runs. Without a name it is not shown.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::registry;
    /// let numbers = [1, 2];
    /// let seen = async |_: &i32| Ok::<_, ()>(registry::snapshot().iter().any(|seen| seen.name.as_str() == "local-map"));
    /// assert_eq!(plimsoll::map_local(&numbers, 1, seen).name("local-map").await, Ok(vec![true, true]));
    /// # Ok(()) }
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// As [`Map::collect_all`](super::Map::collect_all).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rows = ["1", "x"];
    /// let parse = async |row: &&str| row.parse::<u8>().map_err(|_| row.len());
    /// assert_eq!(plimsoll::map_local(&rows, 8, parse).collect_all().await, Ok(vec![Ok(1), Err(1)]));
    /// # Ok(()) }
    /// ```
    pub fn collect_all(self) -> MapLocal<S, F, CollectAll> {
        self.with(CollectAll)
    }

    /// As [`Map::each`](super::Map::each).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rows = ["1", "x", "3"];
    /// let check = async |row: &&str| row.parse::<u8>().map(drop);
    /// assert!(plimsoll::map_local(&rows[..1], 8, check).each().await.is_ok());
    /// assert!(plimsoll::map_local(&rows, 8, check).each().await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn each(self) -> MapLocal<S, F, Each> {
        self.with(Each)
    }

    /// As [`Map::quorum`](super::Map::quorum).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let replicas = ["a", "b", "c"];
    /// let read = async |replica: &&str| if *replica == "a" { Err("down") } else { Ok(replica.len()) };
    /// assert_eq!(plimsoll::map_local(&replicas, 8, read).quorum(2).await, Ok(vec![1, 1]));
    /// # Ok(()) }
    /// ```
    pub fn quorum(self, wanted: usize) -> MapLocal<S, F, Quorum> {
        self.with(Quorum { wanted })
    }

    /// As [`Map::first_success`](super::Map::first_success).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mirrors = ["a", "b"];
    /// let read = async |mirror: &&str| if *mirror == "a" { Err("not found") } else { Ok(7) };
    /// assert_eq!(plimsoll::map_local(&mirrors, 8, read).first_success().await, Ok(7));
    /// # Ok(()) }
    /// ```
    pub fn first_success(self) -> MapLocal<S, F, FirstSuccess> {
        self.with(FirstSuccess)
    }

    fn with<Q>(self, policy: Q) -> MapLocal<S, F, Q> {
        MapLocal { source: self.source, work: self.work, policy, settings: self.settings }
    }
}

impl<S, F, P, Fut> IntoFuture for MapLocal<S, F, P>
where
    S: Takes<Fut::Output>,
    F: Fn(<S as Source>::Item) -> Fut,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    type Output = P::Output;
    type IntoFuture = RunLocal<S, F, Fut, P>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { source, work, policy, settings } = self;
        RunLocal { stage: Stage::Set(Some((source, work, policy, settings))) }
    }
}

impl<S, F, P: fmt::Debug> fmt::Debug for MapLocal<S, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapLocal")
            .field("limit", &self.settings.limit)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A [`MapLocal`] that is awaited. Dropping it drops what is in flight.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::RunLocal;
/// let double = |n: u32| std::future::ready(Ok::<_, ()>(n * 2));
/// let run: RunLocal<_, _, _, _> = plimsoll::map_local(0..3, 2, double).into_future();
/// assert_eq!(run.await, Ok(vec![0, 2, 4]));
/// # Ok(()) }
/// ```
#[must_use = "a future does nothing unless it is awaited"]
pub struct RunLocal<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    stage: Stage<S, F, Fut, P, P::Ledger>,
}

enum Stage<S, F, Fut, P, L: Ledger> {
    Set(Option<(S, F, P, Settings)>),
    Runs(Box<Engine<S, F, Fut, L>>),
    Done,
}

// Nothing in it is pinned: the futures and the stream have boxes of their own.
impl<S, F, Fut, P> Unpin for RunLocal<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
}

impl<S, F, Fut, P> Future for RunLocal<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    F: Fn(S::Item) -> Fut,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        if let Stage::Set(set) = &mut self.stage
            && let Some((source, work, policy, settings)) = set.take()
        {
            match settings.check() {
                Ok((name, gauge)) => {
                    let engine = Engine::new(source, work, settings.limit, gauge, policy.open(name));
                    self.stage = Stage::Runs(Box::new(engine));
                }
                Err(invalid) => {
                    self.stage = Stage::Done;
                    return Poll::Ready(P::refused(invalid));
                }
            }
        }
        // Taken out for the time of the poll: a panic leaves none behind.
        let Stage::Runs(mut engine) = std::mem::replace(&mut self.stage, Stage::Done) else {
            panic!("a map was polled after its end")
        };
        if engine.poll(cx).is_pending() {
            self.stage = Stage::Runs(engine);
            return Poll::Pending;
        }
        Poll::Ready(engine.finish())
    }
}

impl<S, F, Fut, P> fmt::Debug for RunLocal<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLocal").finish_non_exhaustive()
    }
}

/// The results of a [`MapLocal`] as they come: a [`Stream`].
///
/// Nothing is in flight while nobody polls it: see [`MapLocal::unordered`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
/// use plimsoll::map::UnorderedLocal;
/// let double = |n: u32| std::future::ready(Ok::<_, ()>(n * 2));
/// let mut results: UnorderedLocal<_, _, _> = plimsoll::map_local(0..3, 2, double).unordered()?;
/// assert_eq!(results.by_ref().count().await, 3);
/// # Ok(()) }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct UnorderedLocal<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
    /// Gone after a panic.
    engine: Option<Box<Streaming<S, F, Fut>>>,
}

type Streaming<S, F, Fut> = Engine<
    S,
    F,
    Fut,
    Buffer<<S as Takes<<Fut as Future>::Output>>::Value, <S as Takes<<Fut as Future>::Output>>::Error>,
>;

// As above.
impl<S, F, Fut> Unpin for UnorderedLocal<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
}

impl<S, F, Fut> Stream for UnorderedLocal<S, F, Fut>
where
    S: Takes<Fut::Output>,
    F: Fn(S::Item) -> Fut,
    Fut: Future,
{
    type Item = Result<S::Value, S::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(mut engine) = self.engine.take() else { return Poll::Ready(None) };
        // Taken out, as above.
        let polled = engine.poll_next(cx);
        self.engine = Some(engine);
        polled
    }
}

impl<S, F, Fut> fmt::Debug for UnorderedLocal<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnorderedLocal").finish_non_exhaustive()
    }
}
