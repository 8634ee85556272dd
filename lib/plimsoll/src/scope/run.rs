//! The futures that run in a scope, with names, so that they can be part of others.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::handle::CURRENT;
use super::{Ended, Scope};
use crate::clock::{self, Instant};

pin_project! {
    /// A future that runs in a scope and goes on when the scope ends; made by [`Scope::enter`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::scope::{Enter, Scope, current};
    /// let scope = Scope::new().label("tenant", "acme");
    /// let inside: Enter<_> = scope.enter(async { current().labels().count() });
    /// assert_eq!(inside.await, 1);
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Enter<F> {
        #[pin]
        future: TaskLocalFuture<Scope, F>,
    }
}

impl<F: Future> Enter<F> {
    pub(super) fn new(scope: Scope, future: F) -> Self {
        Self { future: CURRENT.scope(scope, future) }
    }
}

impl<F: Future> Future for Enter<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

pin_project! {
    /// A future that runs in a scope and is dropped when the scope ends; made by [`Scope::run`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::pin::pin;
    /// use plimsoll::scope::{Ended, Run, Scope};
    /// let scope = Scope::new();
    /// let mut running = pin!(scope.clone().run(std::future::pending::<()>()));
    /// assert!(futures_util::poll!(running.as_mut()).is_pending());
    /// scope.cancel();
    /// assert_eq!(running.await, Err(Ended::Cancelled));
    /// # let _: Option<Run<std::future::Ready<()>>> = None;
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<F> {
        // `None` once it has ended: what runs in a scope is dropped before the end is told.
        #[pin]
        future: Option<TaskLocalFuture<Scope, F>>,
        // The scope, until the first poll.
        unpolled: Option<Scope>,
        token: Option<CancellationToken>,
        #[pin]
        cancelled: Option<WaitForCancellationFutureOwned>,
        deadline: Option<Instant>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F: Future> Run<F> {
    pub(super) fn new(scope: Scope, future: F) -> Self {
        let (token, deadline) = (scope.token().cloned(), scope.deadline());
        let future = Some(CURRENT.scope(scope.clone(), future));
        Self { future, unpolled: Some(scope), token, cancelled: None, deadline, timer: None }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = Result<F::Output, Ended>;

    /// The future is polled before token and timer, so that one that is ready at once pays for
    /// neither; and those two are polled outside tokio's cooperative budget, so that a future which
    /// uses all of it up on every poll can still be stopped.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.unpolled.take().and_then(|scope| scope.ended()) {
            Some(ended) => Err(ended),
            None => match this.future.as_mut().as_pin_mut().map(|future| future.poll(cx)) {
                Some(Poll::Ready(output)) => Ok(output),
                Some(Poll::Pending) => {
                    if let Some(token) = this.token.take() {
                        this.cancelled.set(Some(token.cancelled_owned()));
                    }
                    if let (None, Some(deadline)) = (this.timer.as_ref().as_pin_ref(), *this.deadline) {
                        this.timer.set(Some(sleep(deadline - clock::now())));
                    }
                    Err(ready!(poll_end(this.cancelled.as_mut(), this.timer.as_mut(), cx)))
                }
                None => panic!("polled after it was done"),
            },
        };
        this.future.set(None);
        Poll::Ready(result)
    }
}

fn poll_end(
    cancelled: Pin<&mut Option<WaitForCancellationFutureOwned>>,
    timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Ended> {
    let is_cancelled = |future| pin!(unconstrained(future)).poll(cx).is_ready();
    if cancelled.as_pin_mut().is_some_and(is_cancelled) {
        return Poll::Ready(Ended::Cancelled);
    }
    let Some(timer) = timer.as_pin_mut() else { return Poll::Pending };
    pin!(unconstrained(timer)).poll(cx).map(|()| Ended::DeadlinePassed)
}
