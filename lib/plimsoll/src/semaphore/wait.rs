//! The future that stands in the line.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::state::{Enrolled, State};
use crate::Reason;
use crate::waiters::Ticket;

/// Waits its turn for `permits`; holds them, uncounted by anybody else, once it is ready.
pub(super) struct Wait<'a> {
    state: &'a State,
    permits: u64,
    /// None before the first poll and after the last.
    ticket: Option<Ticket>,
}

impl<'a> Wait<'a> {
    pub(super) const fn new(state: &'a State, permits: u64) -> Self {
        Self { state, permits, ticket: None }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Reason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ticket.is_some() {
            return this.state.poll_turn(&mut this.ticket, cx.waker()).map_or(Poll::Pending, Poll::Ready);
        }
        match this.state.enrol(this.permits, cx.waker()) {
            Enrolled::Admitted => Poll::Ready(Ok(())),
            Enrolled::TooLarge => Poll::Ready(Err(Reason::TooLarge)),
            Enrolled::Queued(ticket) => {
                this.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.state.leave(ticket);
        }
    }
}
