//! Waiting for room in the queue.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::core::{Core, NoRoom, Offer};
use super::entry::{Entry, More};
use super::inline::{DEPTH_MAX, run_inline};
use super::ticket::Receipt;
use super::{OnFull, Refused};
use crate::Reason;
use crate::scope::Scope;

/// A job that waits for room; it leaves the line when this is dropped.
struct Waiting<'a, J, T> {
    core: &'a Core<J, T>,
    lane: usize,
    id: u64,
    is_over: bool,
}

impl<J, T> Waiting<'_, J, T> {
    fn give_up(&mut self) -> Option<Refused<J>> {
        self.is_over = true;
        self.core.withdraw(self.lane, self.id)
    }
}

impl<J, T> Future for Waiting<'_, J, T> {
    type Output = Option<Refused<J>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Refused<J>>> {
        let polled = self.core.poll_wait(self.lane, self.id, cx);
        self.is_over = polled.is_ready();
        polled
    }
}

impl<J, T> Drop for Waiting<'_, J, T> {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.give_up());
        }
    }
}

/// Submits a job as the pool's [`OnFull`] says.
pub(super) async fn submit<J, T, R>(core: &Arc<Core<J, T>>, job: J) -> Result<R, Refused<J>>
where
    J: Send + 'static,
    T: Send + 'static,
    R: Receipt<T>,
{
    let more = More::inherited();
    let scope = more.as_ref().and_then(|more| more.scope.as_ref());
    let depth = scope.map_or(0, Scope::depth);
    let is_inside = scope.and_then(Scope::inside).is_some_and(|inside| inside.find(core.id).is_some());
    let runs_here = match core.settings.on_full {
        OnFull::RunInCaller => true,
        OnFull::Wait | OnFull::WaitUpTo(_) => is_inside,
        OnFull::Reject | OnFull::DropOldest | OnFull::DropNewest => false,
    };
    let no_room = match core.settings.on_full {
        _ if runs_here && depth < DEPTH_MAX => NoRoom::HandBack,
        _ if runs_here => NoRoom::Refuse,
        OnFull::Wait | OnFull::WaitUpTo(_) => NoRoom::Wait,
        other => without_waiting(other),
    };
    let (lane, id, receipt) = match core.offer::<R>(job, more, no_room) {
        Offer::Queued(receipt) => return Ok(receipt),
        Offer::Waiting { lane, id, receipt } => (lane, id, receipt),
        Offer::Refused(refused) => {
            if no_room != NoRoom::HandBack || refused.rejected.reason() != Reason::QueueFull {
                return Err(refused);
            }
            let (answering, receipt) = R::promised(core.id, 0);
            let entry = Entry::new(refused.job, answering, More::inherited());
            run_inline(Arc::clone(core), entry, None, depth).await;
            return Ok(receipt);
        }
    };
    let mut waiting = Waiting { core, lane, id, is_over: false };
    let refused = match core.settings.on_full {
        OnFull::WaitUpTo(limit) => match wait_up_to(limit, &mut waiting).await {
            Some(refused) => refused,
            None => waiting.give_up().inspect(|_| core.counters.reject(Reason::WaitTimedOut)),
        },
        _ => waiting.await,
    };
    refused.map_or(Ok(receipt), Err)
}

async fn wait_up_to<F: Future + Unpin>(limit: Duration, future: &mut F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Submits a job without waiting.
pub(super) fn try_submit<J, T, R>(core: &Core<J, T>, job: J) -> Result<R, Refused<J>>
where
    J: Send + 'static,
    T: Send + 'static,
    R: Receipt<T>,
{
    match core.offer(job, More::inherited(), without_waiting(core.settings.on_full)) {
        Offer::Queued(receipt) => Ok(receipt),
        Offer::Refused(refused) => Err(refused),
        Offer::Waiting { .. } => unreachable!("it was not to wait"),
    }
}

/// What a submission that never waits does when there is no room.
const fn without_waiting(on_full: OnFull) -> NoRoom {
    match on_full {
        OnFull::DropOldest => NoRoom::DropOldest,
        OnFull::DropNewest => NoRoom::DropNewest,
        OnFull::Wait | OnFull::WaitUpTo(_) | OnFull::Reject | OnFull::RunInCaller => NoRoom::Refuse,
    }
}
