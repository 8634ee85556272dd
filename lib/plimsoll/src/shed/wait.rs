//! A place in the line, which is left when it is dropped.

use std::future::poll_fn;
use std::task::Poll;

use super::priority::Priority;
use super::queue::{Enrolled, Waited};
use super::state::State;
use crate::clock::{self, Instant};
use crate::waiters::Ticket;
use crate::{Reason, scope};

struct Place<'a> {
    state: &'a State,
    priority: Priority,
    /// None once it was used up.
    ticket: Option<Ticket>,
}

/// Waits until it is admitted, and says since when; or until it is told why not.
pub(super) async fn admitted(state: &State, priority: Priority) -> Result<Instant, Reason> {
    let now = clock::now();
    let deadline = scope::inherited_deadline();
    let enrolled = poll_fn(|cx| Poll::Ready(state.enrol(now, priority, deadline, cx.waker()))).await;
    let (mut place, until) = match enrolled {
        Enrolled::Admitted => return Ok(now),
        Enrolled::Refused(reason) => return Err(reason),
        Enrolled::Queued { ticket, until } => (Place { state, priority, ticket: Some(ticket) }, until),
    };
    let turn = poll_fn(|cx| {
        let answer = state.look(priority, &mut place.ticket, cx.waker());
        answer.map_or(Poll::Pending, Poll::Ready)
    });
    let answer = match tokio::time::timeout(until - now, turn).await {
        Ok(answer) => answer,
        Err(_) => match place.ticket.take() {
            Some(ticket) => state.expire(priority, ticket),
            None => unreachable!("a turn that gave no answer has kept its ticket"),
        },
    };
    answer.map(|Waited { now, .. }| now)
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.state.leave(self.priority, ticket);
        }
    }
}
