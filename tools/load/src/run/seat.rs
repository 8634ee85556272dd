//! Who takes jobs from a desk: a connection of HTTP/1.1, or a stream of HTTP/2.

use std::cell::RefMut;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use plimsoll::clock::{self, Instant};

use super::desk::{Desk, Flight, Inner};
use super::job::{Found, Job};
use crate::tally::Class;
use crate::wire::Fate;

/// A place for one request at a time: a connection of HTTP/1.1, or a stream of HTTP/2.
pub(super) struct Seat {
    desk: Rc<Desk>,
    number: u32,
}

/// A connection that counts, from its opening to its end.
pub(super) struct Counted {
    desk: Rc<Desk>,
    is_open: bool,
}

/// What the desk knows of a seat.
#[derive(Default)]
pub(super) struct SeatState {
    pub(super) waker: Option<Waker>,
    pub(super) job: Option<Job>,
    pub(super) is_free: bool,
    /// What is under way; 0 is nothing.
    pub(super) flight: u64,
    pub(super) flying: Option<Job>,
    pub(super) expired: bool,
}

impl Seat {
    /// A new seat.
    pub(super) fn new(desk: &Rc<Desk>) -> Self {
        let mut inner = desk.inner.borrow_mut();
        let number = inner.unused.pop().unwrap_or_else(|| {
            inner.seats.push(SeatState::default());
            inner.seats.len() as u32 - 1
        });
        Self { desk: Rc::clone(desk), number }
    }

    /// Waits for a job; `None` when `ended` is ready, which is polled first: a job that was given to a
    /// connection which ended meanwhile goes to the next one, when the seat is dropped.
    pub(super) async fn next(&mut self, mut ended: impl FnMut(&mut Context<'_>) -> Poll<()>) -> Option<Job> {
        poll_fn(|cx| {
            if ended(cx).is_ready() {
                return Poll::Ready(None);
            }
            let mut inner = self.inner();
            let number = self.number as usize;
            if let Some(job) = inner.seats[number].job.take() {
                inner.given -= 1;
                return Poll::Ready(Some(job));
            }
            if !inner.seats[number].is_free {
                if let Some(job) = self.desk.take_from_line(&mut inner) {
                    return Poll::Ready(Some(job));
                }
                inner.seats[number].is_free = true;
                inner.free.push(self.number);
            }
            inner.seats[number].wait(cx);
            Poll::Pending
        })
        .await
    }

    /// Sends: `exchange` until its end or the deadline, and writes down what came of it.
    pub(super) async fn carry_out(&mut self, job: Job, exchange: impl Future<Output = Fate>) -> Fate {
        let sent = clock::now();
        self.take_off(&job, sent);
        let mut exchange = pin!(exchange);
        let fate = poll_fn(|cx| {
            if let Poll::Ready(fate) = exchange.as_mut().poll(cx) {
                return Poll::Ready(fate);
            }
            let seat = &mut self.inner().seats[self.number as usize];
            seat.wait(cx);
            if seat.expired { Poll::Ready(Fate::ended(Class::TimedOut, 0)) } else { Poll::Pending }
        })
        .await;
        let mut inner = self.inner();
        inner.land(self.number);
        self.desk.record(&mut inner, &job, fate.class, clock::now(), Some((sent, fate.bytes)));
        fate
    }

    fn take_off(&self, job: &Job, now: Instant) {
        let mut inner = self.inner();
        inner.last_flight += 1;
        inner.under_way += 1;
        let number = inner.last_flight;
        let ends = job.due + self.desk.bounds.deadline;
        inner.flights.push_back(Flight { ends, seat: self.number, number });
        let (_, places) = self.desk.places(job);
        inner.batch.sent(job, now - job.due, places);
        let seat = &mut inner.seats[self.number as usize];
        seat.flight = number;
        seat.flying = Some(*job);
        seat.expired = false;
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        self.desk.inner.borrow_mut()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.inner();
        let state = std::mem::take(&mut inner.seats[self.number as usize]);
        if state.is_free {
            inner.free.retain(|number| *number != self.number);
        }
        if let Some(job) = state.flying {
            inner.under_way -= 1;
            let age = clock::now() - job.due;
            inner.batch.leave(&job, age, self.desk.places(&job));
        }
        // It goes to the next who is free, before all that were due after it.
        if let Some(job) = state.job {
            inner.given -= 1;
            // That its connection is gone is not the generator's doing.
            inner.line.push_front(Job { found: Found::Busy, ..job });
            inner.hand_on();
        }
        inner.unused.push(self.number);
    }
}

impl SeatState {
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

impl Counted {
    pub(super) fn new(desk: &Rc<Desk>) -> Self {
        Self { desk: Rc::clone(desk), is_open: false }
    }

    /// It is open, and serves so many requests at a time.
    pub(super) fn opened(&mut self, serves: u32) {
        let mut inner = self.desk.inner.borrow_mut();
        inner.opening -= 1;
        inner.open += 1;
        inner.each_serves = serves;
        inner.batch.opened += 1;
        self.is_open = true;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut inner = self.desk.inner.borrow_mut();
        if self.is_open {
            inner.open -= 1;
        } else {
            inner.opening -= 1;
        }
    }
}
