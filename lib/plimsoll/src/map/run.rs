//! A map that runs on tasks, and whoever waits for it.

use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::core::Core;
use super::gauge::Settings;
use super::lane::Shared;
use super::ordered::Ordered;
use super::policy::{Buffer, Ledger, Policy, Verdict};
use super::source::Takes;
use crate::Invalid;
use crate::scope::inherited;

/// A [`Map`](super::Map) that is awaited. Dropping it ends what is in flight.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::Run;
/// let double = |n: u32| std::future::ready(Ok::<_, ()>(n * 2));
/// let run: Run<_, _, _, _> = plimsoll::map(0..3, 2, double).into_future();
/// assert_eq!(run.await, Ok(vec![0, 2, 4]));
/// # Ok(()) }
/// ```
#[must_use = "a future does nothing unless it is awaited"]
pub struct Run<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    stage: Stage<S, F, P, P::Ledger>,
}

enum Stage<S, F, P, L: Ledger> {
    Set(Option<(S, F, P, Settings)>),
    Runs(Owner<S, F, L>),
    Done,
}

/// Whoever holds it owns the lanes: they end when it is dropped.
struct Owner<S, F, L: Ledger> {
    shared: Arc<Shared<S, F, L>>,
}

impl<S, F, L: Ledger> Drop for Owner<S, F, L> {
    fn drop(&mut self) {
        let panic = self.shared.core.abandon();
        if let Some(payload) = panic.filter(|_| !std::thread::panicking()) {
            resume_unwind(payload);
        }
    }
}

impl<S, F, Fut, P> Run<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    pub(super) const fn new(source: S, work: F, policy: P, settings: Settings) -> Self {
        Self { stage: Stage::Set(Some((source, work, policy, settings))) }
    }
}

impl<S, F, Fut, P> Run<S, F, Fut, P>
where
    S: Takes<Fut::Output, Value: Send, Error: Send> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    P: Policy<S::Value, S::Error, Ledger: Ledger<Kept: Send> + Send + 'static>,
{
    fn begin(
        source: S,
        work: F,
        policy: P,
        settings: &Settings,
    ) -> Result<Owner<S, F, P::Ledger>, P::Output> {
        let (name, gauge) = settings.check().map_err(P::refused)?;
        let mut ledger = policy.open(name);
        if ledger.expect(source.left_max().unwrap_or(usize::MAX)) == Verdict::Stop {
            return Err(ledger.finish(Ordered::new()));
        }
        let core = Arc::new(Core::new(settings.limit, ledger));
        let shared = Arc::new(Shared::new(source, work, inherited(), gauge, core));
        let owner = Owner { shared };
        owner.shared.start_lane();
        Ok(owner)
    }
}

// Nothing in it is pinned: the lanes are tasks.
impl<S, F, Fut, P> Unpin for Run<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
}

impl<S, F, Fut, P> Future for Run<S, F, Fut, P>
where
    S: Takes<Fut::Output, Value: Send, Error: Send> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    P: Policy<S::Value, S::Error, Ledger: Ledger<Kept: Send> + Send + 'static>,
{
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        if let Stage::Set(set) = &mut self.stage
            && let Some((source, work, policy, settings)) = set.take()
        {
            match Self::begin(source, work, policy, &settings) {
                Ok(owner) => self.stage = Stage::Runs(owner),
                Err(output) => {
                    self.stage = Stage::Done;
                    return Poll::Ready(output);
                }
            }
        }
        let Stage::Runs(owner) = &self.stage else { panic!("a map was polled after its end") };
        let Poll::Ready((ledger, panic)) = owner.shared.core.poll_quiet(cx) else { return Poll::Pending };
        let kept = owner.shared.take_kept();
        self.stage = Stage::Done;
        match (ledger, panic) {
            (Some(ledger), None) => Poll::Ready(ledger.finish(kept)),
            (_, Some(payload)) => resume_unwind(payload),
            (None, None) => unreachable!("a map that runs has its ledger"),
        }
    }
}

impl<S, F, Fut, P> fmt::Debug for Run<S, F, Fut, P>
where
    S: Takes<Fut::Output>,
    Fut: Future,
    P: Policy<S::Value, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// The results of a [`Map`](super::Map) as they come: a [`Stream`](futures_core::Stream).
///
/// At most `limit` items are in flight, and no other is started while `limit` results wait to be
/// taken. Items go on while nobody polls the stream; dropping it ends them. A panic of one resumes
/// where the stream is polled, after the others have ended, before the results that still wait.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
/// use plimsoll::map::Unordered;
/// let double = |n: u32| std::future::ready(if n == 1 { Err("one") } else { Ok(n * 2) });
/// let results: Unordered<_, _, _> = plimsoll::map(0..3, 2, double).unordered()?;
/// let failed = results.filter(|result| std::future::ready(result.is_err())).count().await;
/// assert_eq!(failed, 1);
/// # Ok(()) }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Unordered<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
    owner: Owner<S, F, Buffer<S::Value, S::Error>>,
    is_started: bool,
}

impl<S, F, Fut> Unordered<S, F, Fut>
where
    S: Takes<Fut::Output>,
    F: Fn(S::Item) -> Fut,
    Fut: Future,
{
    pub(super) fn new(source: S, work: F, settings: &Settings) -> Result<Self, Invalid> {
        let (_, gauge) = settings.check()?;
        let core = Arc::new(Core::new(settings.limit, Buffer::new(settings.limit)));
        let shared = Arc::new(Shared::new(source, work, inherited(), gauge, core));
        Ok(Self { owner: Owner { shared }, is_started: false })
    }
}

impl<S, F, Fut> futures_core::Stream for Unordered<S, F, Fut>
where
    S: Takes<Fut::Output, Value: Send + 'static, Error: Send + 'static> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
{
    type Item = Result<S::Value, S::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.is_started {
            self.is_started = true;
            self.owner.shared.start_lane();
        }
        let shared = &self.owner.shared;
        let (polled, resumed) = shared.core.poll_take(cx, Buffer::take, Buffer::has_room);
        if resumed {
            shared.start_lane();
        }
        if let Poll::Ready(None) = polled
            && let Poll::Ready((_, Some(payload))) = shared.core.poll_quiet(cx)
        {
            resume_unwind(payload);
        }
        polled
    }
}

impl<S, F, Fut> Unpin for Unordered<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
}

impl<S, F, Fut> fmt::Debug for Unordered<S, F, Fut>
where
    S: Takes<Fut::Output>,
    Fut: Future,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unordered").finish_non_exhaustive()
    }
}
