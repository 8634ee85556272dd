//! The future that waits for its turn.

use std::pin::pin;
use std::task::Poll;

use tokio::time::Sleep;

use super::line::{Enrolled, Place, Turn};
use super::state::{Charge, Short, State};
use crate::clock::{self, Instant};
use crate::waiters::Ticket;

/// Why waiting ended without admission.
pub(super) enum Failed {
    Short(Short),
    /// A change of quota made it larger than the burst.
    TooLarge,
}

/// A place in the line, left when this is dropped.
struct InLine<'a> {
    state: &'a State,
    ticket: Option<Ticket>,
}

/// Waits its turn for `tokens`, unless that would be after `by`; what it was charged, unless it was let
/// through.
pub(super) async fn wait(state: &State, tokens: u64, by: Instant) -> Result<Option<Charge>, Failed> {
    let enrolled = std::future::poll_fn(|cx| {
        let (waker, now) = (cx.waker().clone(), clock::now());
        let mut turn = Turn::begin(state);
        let enrolled = turn.enrol(tokens, now, by, waker);
        turn.end();
        Poll::Ready((enrolled, now))
    });
    let (mut place, mut until, began) = match enrolled.await {
        (Enrolled::Admitted(charge), _) => return Ok(charge),
        (Enrolled::Short(short), _) => return Err(Failed::Short(short)),
        (Enrolled::Queued { ticket, until }, now) => (InLine { state, ticket: Some(ticket) }, until, now),
    };
    // None until it is set, and whenever `until` has changed.
    let mut timer = pin!(None::<Sleep>);
    std::future::poll_fn(|cx| {
        loop {
            if timer.is_none() {
                timer.set(Some(tokio::time::sleep(until - clock::now())));
            }
            let fired = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
            let now = clock::now();
            let mut turn = Turn::begin(state);
            let found = turn.look(&mut place.ticket, now, cx.waker());
            turn.end();
            match found {
                Place::Served(charge) => {
                    state.note_waited(now - began);
                    return Poll::Ready(Ok(charge));
                }
                Place::TooLarge => return Poll::Ready(Err(Failed::TooLarge)),
                Place::Wait { until: same } if same == until && !fired => return Poll::Pending,
                Place::Wait { until: other } => {
                    until = other;
                    timer.set(None);
                }
            }
        }
    })
    .await
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut turn = Turn::begin(self.state);
            turn.leave(ticket, clock::now());
            turn.end();
        }
    }
}
