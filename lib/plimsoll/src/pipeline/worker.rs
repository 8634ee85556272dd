//! What the tasks of a pipeline do.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::DeadLetter;
use super::link::{Link, Producer};
use super::meter::{Clock, Phase};
use crate::Name;
#[cfg(feature = "cpu")]
use crate::Rejected;
use crate::scope::Ended;

/// Why a task stopped before its input had ended.
pub(super) enum Fault<E> {
    Failed {
        stage: Name,
        error: E,
    },
    ScopeEnded(Ended),
    /// By the pool that a stage computes on.
    #[cfg(feature = "cpu")]
    Rejected(Rejected),
}

/// Takes from a source what there is room for.
pub(super) async fn feed<S, T, E>(
    source: S,
    into_result: impl Fn(S::Item) -> Result<T, E>,
    mut clock: Clock,
    output: Producer<T>,
    dead: Option<mpsc::Sender<DeadLetter<E>>>,
) -> Result<(), Fault<E>>
where
    S: Stream,
{
    let mut source = pin!(source);
    let mut has_room = false;
    loop {
        if !has_room {
            clock.wait(Phase::Blocked, output.room()).await;
            // Behind the workers that are due, so that it gives several items rather than one at a time.
            yield_now().await;
        }
        // Until it is used.
        has_room = true;
        clock.enter(Phase::Busy);
        let Some(given) = poll_fn(|cx| source.as_mut().poll_next(cx)).await else { return Ok(()) };
        clock.item_in();
        match into_result(given) {
            Ok(item) => {
                has_room = output.put(0, Some(item)).await;
                clock.item_out();
            }
            Err(error) => bury(error, &mut clock, dead.as_ref()).await?,
        }
        consume_budget().await;
    }
}

/// Works on item after item.
pub(super) async fn work<T, U, E, F>(
    run: impl Fn(T) -> F,
    mut clock: Clock,
    input: Arc<Link<T>>,
    output: Producer<U>,
    dead: Option<mpsc::Sender<DeadLetter<E>>>,
) -> Result<(), Fault<E>>
where
    F: Future<Output = Result<Result<Option<U>, E>, Fault<E>>>,
{
    loop {
        let Some((number, item)) = clock.wait(Phase::Starved, input.take()).await else { return Ok(()) };
        clock.enter(Phase::Busy);
        clock.item_in();
        let item = match run(item).await? {
            Ok(item) => item,
            Err(error) => {
                bury(error, &mut clock, dead.as_ref()).await?;
                None
            }
        };
        let is_item = item.is_some();
        clock.wait(Phase::Blocked, output.put(number, item)).await;
        if is_item {
            clock.item_out();
        }
        consume_budget().await;
    }
}

/// Gathers items into batches of at most `count`, each given at the latest `age` after its first item
/// came.
pub(super) async fn gather<T, E>(
    count: usize,
    age: Duration,
    mut clock: Clock,
    input: Arc<Link<T>>,
    output: Producer<Vec<T>>,
) -> Result<(), Fault<E>> {
    // A batch of a million is as large as it becomes, not as large as it may.
    const ROOM_AT_FIRST: usize = 1_024;
    loop {
        clock.enter(Phase::Starved);
        let Some((_, first)) = input.take().await else { return Ok(()) };
        let closes_at = Instant::now() + age;
        let mut batch = Vec::with_capacity(count.min(ROOM_AT_FIRST));
        batch.push(first);
        clock.item_in();
        while batch.len() < count {
            let Ok(Some((_, item))) = timeout_at(closes_at, input.take()).await else { break };
            batch.push(item);
            clock.item_in();
        }
        clock.wait(Phase::Blocked, output.put(0, Some(batch))).await;
        clock.item_out();
        consume_budget().await;
    }
}

/// Hands an error to whoever receives the dead letters; if nobody does, it is the pipeline's.
async fn bury<E>(
    error: E,
    clock: &mut Clock,
    dead: Option<&mpsc::Sender<DeadLetter<E>>>,
) -> Result<(), Fault<E>> {
    clock.failed();
    let stage = clock.stage();
    let Some(dead) = dead else { return Err(Fault::Failed { stage, error }) };
    let sent = clock.wait(Phase::Blocked, dead.send(DeadLetter { stage, error })).await;
    sent.map_err(|mpsc::error::SendError(letter)| Fault::Failed { stage, error: letter.error })
}
