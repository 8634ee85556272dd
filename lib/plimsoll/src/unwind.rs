//! Catching a panic, to be resumed by whoever waits for the work.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Polls `future`, or says that it panicked; it must then not be polled again.
///
/// That it is unwind safe is asserted: what it may have left half done is dropped with it, and the
/// panic is resumed or reported where its result would have been.
pub(crate) fn poll_caught<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Result<Poll<F::Output>, Payload> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx)))
}

/// Runs `action`, or says that it panicked.
pub(crate) fn caught<T>(action: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(action))
}

/// Runs `future` to its end, or says that it panicked, in its body or while it was dropped.
pub(crate) async fn catch<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = pin!(Some(future));
    let result = poll_fn(|cx| match future.as_mut().as_pin_mut().map(|future| poll_caught(future, cx)) {
        Some(Ok(Poll::Ready(output))) => Poll::Ready(Ok(output)),
        Some(Err(payload)) => Poll::Ready(Err(payload)),
        Some(Ok(Poll::Pending)) | None => Poll::Pending,
    })
    .await;
    match caught(|| future.set(None)) {
        Ok(()) => result,
        Err(payload) => result.and(Err(payload)),
    }
}
