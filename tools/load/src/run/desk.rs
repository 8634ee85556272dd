//! A worker's desk: what is due, who is free, who is under way, and what was written down.
//!
//! # Invariants
//! - A worker is one task on one thread: the desk is its own, without a lock, and is never borrowed
//!   across a poll of anything.
//! - While a seat is free, nobody waits in line; who becomes free takes the longest waiting.
//! - Jobs are taken in the order in which they are due, and all have the same deadline from then: the
//!   next to run out is the first of a queue.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::clock::{self, Instant};

use super::books::{Batch, Took};
use super::job::{Found, Job, Source};
use crate::mix::Tenants;
use crate::tally::Class;
use crate::wire::Fate;

/// What bounds a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections_open: u32,
    pub(super) connections_max: u32,
    pub(super) line_max: usize,
    pub(super) deadline: Duration,
}

/// A worker's desk.
pub(super) struct Desk {
    bounds: Bounds,
    tenants: Option<Tenants>,
    inner: RefCell<Inner>,
}

struct Inner {
    source: Source,
    began: Instant,
    seats: Vec<SeatState>,
    unused: Vec<u32>,
    /// Who waits for a job; the last to come is the first to get one, so that connections that are
    /// not needed are not used.
    free: Vec<u32>,
    /// Jobs that were given to a seat which has not looked yet.
    given: u32,
    line: VecDeque<Job>,
    flights: VecDeque<Flight>,
    last_flight: u64,
    under_way: u64,
    /// Connections that are being opened, that are open, and that are to be opened.
    opening: u32,
    open: u32,
    wanted: u32,
    /// How many requests one connection serves at a time, as far as is known.
    each_serves: u32,
    batch: Batch,
}

#[derive(Default)]
struct SeatState {
    waker: Option<Waker>,
    job: Option<Job>,
    is_free: bool,
    /// What is under way; 0 is nothing.
    flight: u64,
    expired: bool,
}

/// A request under way, until when.
struct Flight {
    ends: Instant,
    seat: u32,
    number: u64,
}

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

impl Desk {
    pub(super) fn new(bounds: Bounds, tenants: Option<Tenants>, source: Source, batch: Batch) -> Self {
        let inner = Inner {
            source,
            began: Instant::default(),
            seats: Vec::new(),
            unused: Vec::new(),
            free: Vec::new(),
            given: 0,
            line: VecDeque::new(),
            flights: VecDeque::new(),
            last_flight: 0,
            under_way: 0,
            opening: 0,
            open: 0,
            wanted: 0,
            each_serves: 1,
            batch,
        };
        Self { bounds, tenants, inner: RefCell::new(inner) }
    }

    /// Arrivals count from this moment.
    pub(super) fn begin(&self, at: Instant) {
        self.inner.borrow_mut().began = at;
    }

    /// Sends what is due, lets go of what has waited for too long, and asks for connections.
    pub(super) fn tick(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        while inner.source.next_at().is_some_and(|at| inner.began + at <= now) {
            let began = inner.began;
            let Some(job) = inner.source.take(began) else { break };
            self.hand_out(&mut inner, job, now);
        }
        self.expire(&mut inner, now);
        let serves = inner.each_serves as usize;
        if inner.line.len() > inner.opening as usize * serves {
            let missing = (inner.line.len() - inner.opening as usize * serves).div_ceil(serves);
            self.want(&mut inner, missing as u32);
        }
    }

    fn hand_out(&self, inner: &mut Inner, mut job: Job, now: Instant) {
        inner.batch.due[usize::from(job.stage)] += 1;
        match inner.free.pop() {
            Some(number) => {
                job.found = Found::Free;
                inner.give(number, job);
            }
            None if inner.line.len() < self.bounds.line_max => inner.line.push_back(job),
            None => self.record(inner, &job, Class::Unsent, now, None),
        }
    }

    fn expire(&self, inner: &mut Inner, now: Instant) {
        while let Some(flight) = inner.flights.front() {
            let seat = &mut inner.seats[flight.seat as usize];
            if seat.flight == flight.number {
                if flight.ends > now {
                    break;
                }
                seat.expired = true;
                seat.wake();
            }
            inner.flights.pop_front();
        }
        while let Some(job) = inner.line.front().copied()
            && job.due + self.bounds.deadline <= now
        {
            inner.line.pop_front();
            let class = if inner.open == 0 { Class::NotConnected } else { Class::WaitedOut };
            self.record(inner, &job, class, now, None);
        }
    }

    /// Asks for so many connections more, as far as there may be.
    fn want(&self, inner: &mut Inner, more: u32) {
        let there = inner.open + inner.opening;
        inner.wanted = more.min(self.bounds.connections_max.saturating_sub(there));
    }

    /// Asks for the connections that are kept open from the first.
    pub(super) fn want_kept(&self) {
        let mut inner = self.inner.borrow_mut();
        let there = inner.open + inner.opening;
        let missing = self.bounds.connections_open.saturating_sub(there);
        if missing > inner.wanted {
            self.want(&mut inner, missing);
        }
    }

    /// The connections that are to be opened now.
    pub(super) fn take_wanted(self: &Rc<Self>) -> Vec<Counted> {
        let mut inner = self.inner.borrow_mut();
        let wanted = std::mem::take(&mut inner.wanted);
        inner.opening += wanted;
        (0..wanted).map(|_| Counted { desk: Rc::clone(self), is_open: false }).collect()
    }

    /// Whether connections are being opened.
    pub(super) fn is_opening(&self) -> bool {
        let inner = self.inner.borrow();
        inner.opening + inner.wanted > 0
    }

    /// When there is something to be done next; `None` when all is done.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let inner = self.inner.borrow();
        let due = inner.source.next_at().map(|at| inner.began + at);
        let flight = inner.flights.front().map(|flight| flight.ends);
        let waiting = inner.line.front().map(|job| job.due + self.bounds.deadline);
        // What was given to a seat that has not been polled since is neither in line nor under way.
        let now = (inner.given > 0).then(Instant::default);
        [due, flight, waiting, now].into_iter().flatten().min()
    }

    /// A kind of request for a slow client.
    pub(super) fn extra(&self) -> Job {
        self.inner.borrow_mut().source.extra(clock::now())
    }

    /// A slow client's request came to its end.
    pub(super) fn record_slow(&self, fate: Fate, took: Duration) {
        let took = Took { latency: took, service: took, bytes: fate.bytes };
        self.inner.borrow_mut().batch.record_slow(fate.class, took);
    }

    /// A timer went off, so long after its time.
    pub(super) fn note_lag(&self, lag: Duration) {
        self.inner.borrow_mut().batch.lag.saturating_record(lag.as_micros() as u64);
    }

    /// A connection could not be opened, for which somebody waits: it is told.
    pub(super) fn not_connected(&self, why: &str) {
        let mut inner = self.inner.borrow_mut();
        inner.batch.failed += 1;
        inner.batch.first_failure.get_or_insert_with(|| why.to_owned());
        if let Some(job) = inner.line.pop_front() {
            self.record(&mut inner, &job, Class::NotConnected, clock::now(), None);
        }
    }

    /// How the worker stands, and the books of what was since the last time.
    pub(super) fn close_books(&self) -> Batch {
        let mut inner = self.inner.borrow_mut();
        let empty = Batch::new(inner.batch.worker, inner.batch.stages.len());
        let mut batch = std::mem::replace(&mut inner.batch, empty);
        batch.in_flight = inner.under_way;
        batch.waiting = inner.line.len() as u64;
        batch.connections = u64::from(inner.open);
        batch
    }

    /// Takes back books that nobody took.
    pub(super) fn reopen_books(&self, batch: Batch) {
        self.inner.borrow_mut().batch = batch;
    }

    /// Which tenant of the list that is, by name.
    pub(super) fn tenant(&self, job: &Job) -> &str {
        self.tenants.as_ref().map_or("", |tenants| tenants.list()[job.tenant as usize].name.as_str())
    }

    fn record(&self, inner: &mut Inner, job: &Job, class: Class, now: Instant, sent: Option<(Instant, u64)>) {
        let places = self
            .tenants
            .as_ref()
            .map_or((0, 0), |tenants| (tenants.place(job.tenant as usize), tenants.names().len() + 1));
        let (service, bytes) = sent.map_or((Duration::ZERO, 0), |(sent, bytes)| (now - sent, bytes));
        let took = Took { latency: now - job.due, service, bytes };
        inner.batch.record(job, class, took, places);
    }

    /// Lets those who are free look whether their connection has ended.
    pub(super) fn wake_free(&self) {
        let inner = self.inner.borrow();
        inner.free.iter().for_each(|number| inner.seats[*number as usize].wake());
    }

    /// A new seat.
    pub(super) fn seat(self: &Rc<Self>) -> Seat {
        let mut inner = self.inner.borrow_mut();
        let number = inner.unused.pop().unwrap_or_else(|| {
            inner.seats.push(SeatState::default());
            inner.seats.len() as u32 - 1
        });
        Seat { desk: Rc::clone(self), number }
    }
}

impl SeatState {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

impl Seat {
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
                if let Some(job) = inner.line.pop_front() {
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
        inner.batch.sent(job, now - job.due);
        let seat = &mut inner.seats[self.number as usize];
        seat.flight = number;
        seat.expired = false;
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        self.desk.inner.borrow_mut()
    }
}

impl Inner {
    fn land(&mut self, number: u32) {
        self.under_way -= 1;
        self.seats[number as usize].flight = 0;
        // Those behind it in the queue that have landed are passed over when they are its first.
        while self.flights.front().is_some_and(|first| self.seats[first.seat as usize].flight != first.number)
        {
            self.flights.pop_front();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.inner();
        let state = std::mem::take(&mut inner.seats[self.number as usize]);
        if state.is_free {
            inner.free.retain(|number| *number != self.number);
        }
        if state.flight != 0 {
            inner.under_way -= 1;
            inner.batch.unfinished += 1;
        }
        // It goes to the next who is free, before all that were due after it.
        if let Some(job) = state.job {
            inner.given -= 1;
            inner.line.push_front(job);
            inner.hand_on();
        }
        inner.unused.push(self.number);
    }
}

impl Inner {
    /// Gives the first in line to whoever is free.
    fn hand_on(&mut self) {
        while let (Some(job), Some(number)) = (self.line.front().copied(), self.free.last().copied()) {
            self.line.pop_front();
            self.free.pop();
            self.give(number, job);
        }
    }

    fn give(&mut self, number: u32, job: Job) {
        self.given += 1;
        let seat = &mut self.seats[number as usize];
        seat.is_free = false;
        seat.job = Some(job);
        seat.wake();
    }
}

impl Counted {
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
