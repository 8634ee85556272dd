//! Running the two tries, in the task of the caller.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep};

use super::handle::{Hedge, Inner};
use crate::clock::{self, Instant};

impl Hedge {
    /// Calls `f`, and calls it again if that takes longer than the delay; the first success wins, and
    /// the other try is dropped.
    ///
    /// `f` must be safe to run twice, also at once.
    ///
    /// # Errors
    /// The error of the first try. When the second is running by then, only after it has failed too.
    ///
    /// # Panics
    /// When a try panics, once both are dropped; and when it has to wait outside of a tokio runtime
    /// with time enabled.
    ///
    /// # Cancel safety
    /// Dropping it drops both tries.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::hedge::{Hedge, Policy};
    /// let search = Hedge::new(Policy::fixed(Duration::from_secs(1)))?;
    /// let answer = search.call(|| async { "7".parse::<u8>() }).await;
    /// assert_eq!((answer, search.snapshot().admitted), (Ok(7), 1));
    /// assert!(search.call(|| async { "x".parse::<u8>() }).await.is_err()); // a failure is not hedged
    /// # Ok(()) }
    /// ```
    pub async fn call<F, Fut, T, E>(&self, f: F) -> Result<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let now = clock::now();
        self.0.count(now);
        self.call_counted(now, f).await
    }

    /// Counts a call in the budget, for whoever makes it by [`call_counted`](Self::call_counted).
    pub(crate) fn count_call(&self) {
        self.0.count(clock::now());
    }

    /// As [`call`](Self::call), when the call was counted in the budget already.
    pub(crate) async fn call_counted<F, Fut, T, E>(&self, began: Instant, mut f: F) -> Result<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let inner = &*self.0;
        inner.admit();
        let mut sample = Sample { inner, began, counts: false };
        let mut first = pin!(f());
        if let Some(result) = until(first.as_mut(), began + inner.delay()).await {
            sample.counts = result.is_ok();
            return result;
        }
        // From here on it is known to be late, also if it is never known how late.
        sample.counts = true;
        let Some(extra) = inner.try_extra() else {
            let result = first.await;
            sample.counts = result.is_ok();
            return result;
        };
        let second = pin!(f());
        match first_success(first, second).await {
            Ok((value, Try::First)) => Ok(value),
            Ok((value, Try::Second)) => {
                extra.win();
                Ok(value)
            }
            Err(error) => {
                sample.counts = false;
                Err(error)
            }
        }
    }
}

/// How long a first try takes; it is learned from when this is dropped, if it `counts`.
struct Sample<'a> {
    inner: &'a Inner,
    began: Instant,
    counts: bool,
}

impl Drop for Sample<'_> {
    fn drop(&mut self) {
        if self.counts && self.inner.learns() {
            self.inner.learn(clock::now() - self.began);
        }
    }
}

#[derive(Clone, Copy)]
enum Try {
    First,
    Second,
}

/// Polls `future` until it is done or the time has come. The timer is made only once it is needed,
/// and is polled outside of tokio's cooperative budget, which the future may have used up.
async fn until<F: Future>(mut future: Pin<&mut F>, at: Instant) -> Option<F::Output> {
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() {
            timer.set(Some(sleep(at - clock::now())));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => pin!(unconstrained(timer)).poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The first success of the two, or the error of the first once both have failed.
async fn first_success<F, T, E>(mut first: Pin<&mut F>, mut second: Pin<&mut F>) -> Result<(T, Try), E>
where
    F: Future<Output = Result<T, E>>,
{
    let (mut error, mut second_failed) = (None, false);
    poll_fn(|cx| {
        if error.is_none() {
            match first.as_mut().poll(cx) {
                Poll::Ready(Ok(value)) => return Poll::Ready(Ok((value, Try::First))),
                Poll::Ready(Err(failed)) => error = Some(failed),
                Poll::Pending => {}
            }
        }
        if !second_failed {
            match second.as_mut().poll(cx) {
                Poll::Ready(Ok(value)) => return Poll::Ready(Ok((value, Try::Second))),
                Poll::Ready(Err(_)) => second_failed = true,
                Poll::Pending => {}
            }
        }
        match error.take_if(|_| second_failed) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    })
    .await
}
