//! The future that waits for its turn in a line.

use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::{self, Instant};
use crate::waiters::Ticket;

/// A line before a limiter, in which everybody has a time at which to look.
pub(super) trait Line {
    /// What is asked for.
    type Ask: Copy;
    /// What it is charged.
    type Charge;
    /// Why it is refused.
    type Short;

    /// Admits, or goes to the end of the line; not when it would be served after `by`.
    fn enrol(
        &self,
        ask: Self::Ask,
        now: Instant,
        by: Instant,
        waker: Waker,
    ) -> Enrolled<Self::Charge, Self::Short>;

    /// Serves whoever is due, and looks whether that is the owner of `ticket`, which is used up when
    /// there is an answer.
    fn look(&self, ticket: &mut Option<Ticket>, now: Instant, waker: &Waker) -> Place<Self::Charge>;

    /// Leaves the line, and gives back what was charged already.
    fn leave(&self, ticket: Ticket, now: Instant);

    /// Counts somebody who was admitted after waiting.
    fn note_waited(&self, time: Duration);
}

/// What became of the wish to wait.
pub(super) enum Enrolled<C, S> {
    /// Charged, unless it was let through.
    Admitted(Option<C>),
    Queued {
        ticket: Ticket,
        until: Instant,
    },
    Short(S),
}

/// What a look at one's place in the line says.
pub(super) enum Place<C> {
    /// Charged, unless it was let through.
    Served(Option<C>),
    TooLarge,
    Wait {
        until: Instant,
    },
}

/// Why waiting ended without admission.
pub(super) enum Failed<S> {
    Short(S),
    /// A change of quota made it larger than what can ever be admitted.
    TooLarge,
}

/// A place in the line, left when this is dropped.
struct InLine<'a, L: Line> {
    line: &'a L,
    ticket: Option<Ticket>,
}

/// Waits its turn, unless that would be after `by`; what it was charged, unless it was let through.
pub(super) async fn wait<L: Line>(
    line: &L,
    ask: L::Ask,
    by: Instant,
) -> Result<Option<L::Charge>, Failed<L::Short>> {
    let enrolled = std::future::poll_fn(|cx| {
        let (waker, now) = (cx.waker().clone(), clock::now());
        Poll::Ready((line.enrol(ask, now, by, waker), now))
    });
    let (mut place, mut until, began) = match enrolled.await {
        (Enrolled::Admitted(charge), _) => return Ok(charge),
        (Enrolled::Short(short), _) => return Err(Failed::Short(short)),
        (Enrolled::Queued { ticket, until }, now) => (InLine { line, ticket: Some(ticket) }, until, now),
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
            match line.look(&mut place.ticket, now, cx.waker()) {
                Place::Served(charge) => {
                    line.note_waited(now - began);
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

impl<L: Line> Drop for InLine<'_, L> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.line.leave(ticket, clock::now());
        }
    }
}
