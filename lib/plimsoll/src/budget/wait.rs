//! The future that stands in a share's line.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::state::{Enrolled, State};
use crate::waiters::Ticket;
use crate::{Reason, clock};

/// Waits its turn; holds the permits, uncounted by anybody else, once it is ready.
pub(super) struct Wait<'a> {
    state: &'a State,
    share: usize,
    permits: u64,
    place: Option<Place>,
}

struct Place {
    /// None after the last poll.
    ticket: Option<Ticket>,
    since: clock::Instant,
}

impl<'a> Wait<'a> {
    pub(super) const fn new(state: &'a State, share: usize, permits: u64) -> Self {
        Self { state, share, permits, place: None }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Reason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { state, share, permits, place } = &mut *self;
        if let Some(Place { ticket, since }) = place {
            let answer = state.poll_turn(*share, ticket, cx.waker());
            if let Some(Ok(())) = answer {
                state.waited(*share, clock::now() - *since);
            }
            return answer.map_or(Poll::Pending, Poll::Ready);
        }
        if *permits == 0 {
            return Poll::Ready(Ok(()));
        }
        match state.enrol(*share, *permits, cx.waker()) {
            Enrolled::Admitted => Poll::Ready(Ok(())),
            Enrolled::TooLarge => Poll::Ready(Err(Reason::TooLarge)),
            Enrolled::Queued(ticket) => {
                *place = Some(Place { ticket: Some(ticket), since: clock::now() });
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.place.take().and_then(|place| place.ticket) {
            self.state.leave(self.share, ticket);
        }
    }
}
