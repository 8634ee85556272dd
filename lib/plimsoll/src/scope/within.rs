//! Running a future within a scope and a time limit.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFuture;

use super::handle::CURRENT;
use super::{Ended, Scope};
use crate::clock;

/// What stopped a future.
pub(crate) enum Stop {
    /// Its scope ended.
    Ended(Ended),
    /// Its own time limit passed.
    Limit,
}

/// Runs `future` in `scope`, without ending it when the scope ends.
pub(crate) fn enter<F: Future>(scope: Scope, future: F) -> TaskLocalFuture<Scope, F> {
    CURRENT.scope(scope, future)
}

/// Runs `action` in `scope`, here and now.
#[cfg(feature = "cpu")]
pub(crate) fn enter_now<R>(scope: Scope, action: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(scope, action)
}

/// Runs `future` in `scope` for `limit` at the longest.
///
/// The future is polled before timer and token, so that one that is ready at once pays for neither;
/// and those two are polled outside tokio's cooperative budget, so that a future which uses all
/// of it up on every poll can still be stopped.
pub(crate) async fn within<F: Future>(
    future: F,
    scope: Option<Scope>,
    limit: Option<Duration>,
) -> Result<F::Output, Stop> {
    if let Some(ended) = scope.as_ref().and_then(Scope::ended) {
        return Err(Stop::Ended(ended));
    }
    let limit_at = limit.map(|limit| clock::now() + limit);
    let Some(scope) = scope else {
        let mut future = pin!(future);
        let mut timer = pin!(None::<Sleep>);
        return poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            match limit_at {
                Some(at) => poll_timer(timer.as_mut(), at, cx).map(|()| Err(Stop::Limit)),
                None => Poll::Pending,
            }
        })
        .await;
    };
    let token = scope.token().cloned();
    let (at, at_limit) = match (scope.deadline(), limit_at) {
        (Some(deadline), Some(limit)) => (Some(deadline.min(limit)), limit < deadline),
        (deadline, limit) => (deadline.or(limit), limit.is_some()),
    };
    let mut future = pin!(CURRENT.scope(scope, future));
    let mut timer = pin!(None::<Sleep>);
    let mut cancelled = pin!(None::<WaitForCancellationFuture<'_>>);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(token) = &token {
            if cancelled.is_none() {
                cancelled.set(Some(token.cancelled()));
            }
            let cancelled = cancelled.as_mut().as_pin_mut();
            if cancelled.is_some_and(|cancelled| pin!(unconstrained(cancelled)).poll(cx).is_ready()) {
                return Poll::Ready(Err(Stop::Ended(Ended::Cancelled)));
            }
        }
        let Some(at) = at else { return Poll::Pending };
        let stop = if at_limit { Stop::Limit } else { Stop::Ended(Ended::DeadlinePassed) };
        poll_timer(timer.as_mut(), at, cx).map(|()| Err(stop))
    })
    .await
}

fn poll_timer(mut timer: Pin<&mut Option<Sleep>>, at: clock::Instant, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(at - clock::now())));
    }
    match timer.as_pin_mut() {
        Some(timer) => pin!(unconstrained(timer)).poll(cx),
        None => Poll::Pending,
    }
}
