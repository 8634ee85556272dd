//! The future that stands in the line.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::state::{Enrolled, State};
use crate::Reason;
use crate::clock::{self, Instant};
use crate::waiters::Ticket;

/// Waits its turn for `permits`; holds as many as it says, uncounted by anybody else, once it is ready:
/// fewer only if it was let through where they could not be counted.
pub(super) struct Wait<'a> {
    state: &'a State,
    permits: u64,
    /// None before the first poll and after the last.
    ticket: Option<Ticket>,
    /// When it joined the line.
    began: Instant,
}

impl<'a> Wait<'a> {
    pub(super) const fn new(state: &'a State, permits: u64) -> Self {
        Self { state, permits, ticket: None, began: Instant::from_nanos(0) }
    }
}

impl Future for Wait<'_> {
    type Output = Result<u64, Reason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ticket.is_some() {
            let Some(answer) = this.state.poll_turn(&mut this.ticket, cx.waker()) else {
                return Poll::Pending;
            };
            if answer.is_ok() {
                this.state.note_waited(clock::now() - this.began);
            }
            return Poll::Ready(answer);
        }
        match this.state.enrol(this.permits, cx.waker()) {
            Enrolled::Admitted(held) => Poll::Ready(Ok(held)),
            Enrolled::TooLarge => Poll::Ready(Err(Reason::TooLarge)),
            Enrolled::Queued(ticket) => {
                this.ticket = Some(ticket);
                this.began = clock::now();
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
