//! A worker's desk: what is due, who is free, who is under way, and what was written down.
//!
//! # Invariants
//! - A worker is one task on one thread: the desk is its own, without a lock, and is never borrowed
//!   across a poll of anything.
//! - While a seat is free, nobody waits in line; who becomes free takes the longest waiting.
//! - Jobs are taken in the order in which they are due, and all have the same deadline from then: the
//!   next to run out is the first of a queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use plimsoll::clock::{self, Instant};

use super::books::{Batch, Took};
use super::job::{Found, Job, Source};
use super::result::ON_TIME;
use super::seat::{Counted, SeatState};
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
    pub(super) bounds: Bounds,
    tenants: Option<Tenants>,
    pub(super) inner: RefCell<Inner>,
}

pub(super) struct Inner {
    pub(super) source: Source,
    pub(super) began: Instant,
    pub(super) seats: Vec<SeatState>,
    pub(super) unused: Vec<u32>,
    /// Who waits for a job; the last to come is the first to get one, so that connections that are
    /// not needed are not used.
    pub(super) free: Vec<u32>,
    /// Jobs that were given to a seat which has not looked yet.
    pub(super) given: u32,
    pub(super) line: VecDeque<Job>,
    pub(super) flights: VecDeque<Flight>,
    pub(super) last_flight: u64,
    pub(super) under_way: u64,
    /// Connections that are being opened, that are open, and that are to be opened.
    pub(super) opening: u32,
    pub(super) open: u32,
    pub(super) wanted: u32,
    /// How many there may be: fewer than the bound for as long as the machine gives no more.
    pub(super) connections_max: u32,
    /// How many requests one connection serves at a time, as far as is known.
    pub(super) each_serves: u32,
    pub(super) batch: Batch,
}

/// A request under way, until when.
pub(super) struct Flight {
    pub(super) ends: Instant,
    pub(super) seat: u32,
    pub(super) number: u64,
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
            connections_max: bounds.connections_max,
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
        // First what has passed its deadline: what is due now must not find the line full of it.
        self.expire(&mut inner, now);
        while inner.source.next_at().is_some_and(|at| inner.began + at <= now) {
            let began = inner.began;
            let Some(job) = inner.source.take(began) else { break };
            self.hand_out(&mut inner, Job { late: now - job.due, ..job }, now);
        }
        // What was looked at so late that its deadline has passed.
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
            None => {
                inner.batch.late(&job, job.late, self.places(&job).1);
                if inner.line.len() < self.bounds.line_max {
                    inner.line.push_back(job);
                } else {
                    self.never_sent(inner, job, Class::Unsent, now);
                }
            }
        }
    }

    /// A request is not sent any more, for want of a connection: the generator's own where it has as
    /// many as it may have, or as the machine gives it, or where it came too late to send it.
    fn never_sent(&self, inner: &mut Inner, job: Job, class: Class, now: Instant) {
        let is_too_late = job.late >= self.bounds.deadline || (class == Class::Unsent && job.late > ON_TIME);
        match (is_too_late, inner.is_capped()) {
            (true, _) => self.record(inner, &job, Class::Withheld, now, None),
            (_, true) => {
                self.record(inner, &Job { found: Found::Capped, ..job }, Class::Withheld, now, None);
            }
            _ => self.record(inner, &job, class, now, None),
        }
    }

    /// The first in line, which a seat is there for.
    pub(super) fn take_from_line(&self, inner: &mut Inner) -> Option<Job> {
        let job = inner.line.pop_front()?;
        Some(if inner.is_capped() { Job { found: Found::Capped, ..job } } else { job })
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
            self.never_sent(inner, job, class, now);
        }
    }

    /// Asks for so many connections more, as far as there may be.
    fn want(&self, inner: &mut Inner, more: u32) {
        let there = inner.open + inner.opening;
        inner.wanted = more.min(inner.connections_max.saturating_sub(there));
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
        (0..wanted).map(|_| Counted::new(self)).collect()
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

    /// Jobs that were given to seats that have not looked yet.
    #[cfg(test)]
    pub(super) fn given(&self) -> u64 {
        self.inner.borrow().given.into()
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

    /// The machine did not give a connection: there are no more than there are, until it is asked
    /// again.
    pub(super) fn denied(&self, why: &str) {
        let mut inner = self.inner.borrow_mut();
        inner.batch.denied += 1;
        inner.batch.first_denial.get_or_insert_with(|| why.to_owned());
        inner.connections_max = inner.open;
        inner.wanted = 0;
    }

    /// Asks the machine again for as many connections as there may be.
    pub(super) fn ask_again(&self) {
        self.inner.borrow_mut().connections_max = self.bounds.connections_max;
    }

    /// The worker comes round so much later than it was to.
    pub(super) fn note_pause(&self, pause: Duration) {
        let batch = &mut self.inner.borrow_mut().batch;
        batch.pauses += 1;
        batch.longest_pause = batch.longest_pause.max(pause);
    }

    /// Nothing falls due from now on.
    pub(super) fn stop_arrivals(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        if inner.source.stop() {
            inner.batch.arrivals_stopped = Some(now - inner.began);
        }
    }

    /// Leaves what is in line undone.
    pub(super) fn leave_line(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        while let Some(job) = self.take_from_line(&mut inner) {
            inner.batch.leave_in_line(&job, now - job.due, self.places(&job));
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

    pub(super) fn record(
        &self,
        inner: &mut Inner,
        job: &Job,
        class: Class,
        now: Instant,
        sent: Option<(Instant, u64)>,
    ) {
        let (service, bytes) = sent.map_or((Duration::ZERO, 0), |(sent, bytes)| (now - sent, bytes));
        let took = Took { latency: now - job.due, service, bytes };
        inner.batch.record(job, class, took, self.places(job));
    }

    /// Where the results of a job's tenant stand, and how many such places there are.
    pub(super) fn places(&self, job: &Job) -> (usize, usize) {
        let place = |tenants: &Tenants| (tenants.place(job.tenant as usize), tenants.names().len() + 1);
        self.tenants.as_ref().map_or((0, 0), place)
    }

    /// Lets those who are free look whether their connection has ended.
    pub(super) fn wake_free(&self) {
        let inner = self.inner.borrow();
        inner.free.iter().for_each(|number| inner.seats[*number as usize].wake());
    }
}

impl Inner {
    /// A request has come to its end.
    pub(super) fn land(&mut self, number: u32) {
        self.under_way -= 1;
        let seat = &mut self.seats[number as usize];
        seat.flight = 0;
        seat.flying = None;
        // Those behind it in the queue that have landed are passed over when they are its first.
        while self.flights.front().is_some_and(|first| self.seats[first.seat as usize].flight != first.number)
        {
            self.flights.pop_front();
        }
    }

    /// Whether whoever waits does so because the generator has as many connections as it may have.
    fn is_capped(&self) -> bool {
        self.open >= self.connections_max
    }

    /// Gives the first in line to whoever is free.
    pub(super) fn hand_on(&mut self) {
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
