//! The task of one child.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Ending;
use super::state::{End, Membership};
use crate::scope::Stop;
use crate::unwind::{caught, poll_caught};

pin_project! {
    /// A child's future, and its membership in the group, which ends after the future was dropped.
    pub(super) struct Child<F, O: Ending> {
        // First, so that it is dropped first when the task is aborted.
        #[pin]
        future: Option<F>,
        membership: Membership<O>,
    }

    impl<F, O: Ending> PinnedDrop for Child<F, O> {
        fn drop(this: Pin<&mut Self>) {
            // The runtime would swallow a panic of a child that is dropped because it was aborted.
            let mut this = this.project();
            if let Err(payload) = caught(|| this.future.set(None)) {
                this.membership.end(End::Panicked(payload));
            }
        }
    }
}

impl<F, O: Ending> Child<F, O> {
    pub(super) const fn new(future: F, membership: Membership<O>) -> Self {
        Self { future: Some(future), membership }
    }
}

impl<F: Future<Output = Result<O, Stop>>, O: Ending> Future for Child<F, O> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let end = match poll_caught(future, cx) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(output))) => {
                caught(|| output.into_result()).map_or_else(End::Panicked, End::Returned)
            }
            Ok(Poll::Ready(Err(Stop::Ended(ended)))) => End::Stopped(ended),
            Ok(Poll::Ready(Err(Stop::Limit))) => unreachable!("a child has no time limit"),
            Err(payload) => End::Panicked(payload),
        };
        let dropped = caught(|| this.future.set(None));
        this.membership.end(match (end, dropped) {
            (End::Panicked(payload), _) | (_, Err(payload)) => End::Panicked(payload),
            (end, Ok(())) => end,
        });
        Poll::Ready(())
    }
}
