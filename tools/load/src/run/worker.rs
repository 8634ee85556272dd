//! A thread that sends: one task on a runtime of its own, which shares nothing while it runs.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use plimsoll::clock::{self, Instant};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, watch};
use tokio::task::coop::unconstrained;
use tokio_util::sync::CancellationToken;

use super::books::Batch;
use super::desk::{Bounds, Desk};
use super::job::Source;
use super::result::PAUSE;
use super::serve::{Line, serve, serve_slow};
use super::timer::Timer;
use crate::Error;
use crate::plan::{Plan, Slow};
use crate::target::Located;
use crate::wire::{Connector, Outgoing};

/// How often books are handed over.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a worker tells.
pub(super) enum Told {
    /// The connections for the beginning are open, or could not be opened.
    Ready(Ready),
    /// It cannot work.
    Failed(Error),
    /// What it saw in a second.
    Saw(Box<Batch>),
}

/// How the opening of the first connections went.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) opened: u64,
    pub(super) first_failure: Option<String>,
    pub(super) first_denial: Option<String>,
    /// Addresses of the target that are left out, since others took connections and they did not.
    pub(super) deaf: Vec<SocketAddr>,
}

/// A worker's orders.
pub(super) struct Orders {
    pub(super) plan: Plan,
    pub(super) target: Located,
    pub(super) worker: usize,
    pub(super) workers: usize,
    pub(super) tell: mpsc::Sender<Told>,
    /// When the first request is due, as soon as that is known.
    pub(super) begin: watch::Receiver<Option<Instant>>,
    pub(super) cancellation: CancellationToken,
    /// Nothing is due from then on.
    pub(super) enough: CancellationToken,
}

struct Worker {
    line: Rc<Line>,
    slow: Option<(Slow, u32)>,
    connections: FuturesUnordered<Pin<Box<dyn Future<Output = ()>>>>,
    tell: mpsc::Sender<Told>,
    timer: Timer,
    began: Instant,
    intervals: u32,
    /// When it is to come round again at the latest.
    expected: Instant,
    closed_at: Instant,
    cpu: Duration,
}

/// Works until all is sent and answered, or until it is cancelled.
pub(super) async fn work(orders: Orders) {
    let Orders { plan, target, worker, workers, tell, mut begin, cancellation, enough } = orders;
    let mut worker = match Worker::new(&plan, &target, (worker, workers), tell.clone()) {
        Ok(worker) => worker,
        Err(error) => {
            // Where nobody listens any more, nobody waits for this worker.
            let _ = tell.send(Told::Failed(error)).await;
            return;
        }
    };
    let cancelled = cancellation.cancelled_owned();
    let mut cancelled = pin!(cancelled);
    let mut enough = pin!(enough.cancelled_owned().fuse());
    tokio::select! {
        () = worker.warm_up() => {}
        () = &mut cancelled => return,
    }
    let Ok(began) = begin.wait_for(Option::is_some).await.map(|began| *began) else { return };
    worker.begin(began.unwrap_or_else(clock::now));
    // It gives way by itself, once every connection that woke was looked at.
    let over = unconstrained(poll_fn(|cx| worker.poll(cx, cancelled.as_mut(), enough.as_mut()))).await;
    worker.end(over).await;
}

/// Why a worker's work is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Done,
    Cancelled,
}

impl Worker {
    fn new(
        plan: &Plan,
        target: &Located,
        (worker, workers): (usize, usize),
        tell: mpsc::Sender<Told>,
    ) -> Result<Self, Error> {
        let drafts = plan.mix.drafts(plan.target.path(), plan.tenants.as_ref())?;
        let outgoing: Vec<Outgoing> = drafts.into_iter().map(|draft| Outgoing::new(draft, target)).collect();
        let share = |of: u32| of / workers as u32 + u32::from((worker as u32) < of % workers as u32);
        let slow = share(plan.slow_clients());
        let bounds = Bounds {
            connections_open: share(plan.connections.open).max(1),
            connections_max: share(plan.connections.max - plan.slow_clients()),
            line_max: plan.line_max.div_ceil(workers),
            deadline: plan.deadline,
        };
        let source = Source::new(
            plan.profile.schedule(worker, workers, plan.seed),
            &plan.mix,
            outgoing.iter().map(Outgoing::takes_data).collect(),
            plan.tenants.as_ref(),
            (worker, workers),
            plan.seed,
        );
        let batch = Batch::new(worker, plan.profile.stages().len());
        let timer =
            Timer::new().map_err(|error| Error::Machine { what: "a timer", why: error.to_string() })?;
        let line = Line {
            desk: Rc::new(Desk::new(bounds, plan.tenants.clone(), source, batch)),
            connector: Connector::new(target, plan.protocol, plan.streams_max, plan.deadline)?,
            outgoing,
            data: plan.mix.data.clone(),
            deadline: plan.deadline,
            body_bytes_max: plan.body_bytes_max,
        };
        Ok(Self {
            line: Rc::new(line),
            slow: plan.slow.map(|kind| (kind, slow)),
            connections: FuturesUnordered::new(),
            tell,
            timer,
            began: Instant::default(),
            intervals: 0,
            expected: Instant::default(),
            closed_at: Instant::default(),
            cpu: Duration::ZERO,
        })
    }

    /// Opens the connections for the beginning, and tells how that went.
    async fn warm_up(&mut self) {
        self.line.desk.want_kept();
        poll_fn(|cx| {
            self.open();
            while let Poll::Ready(Some(())) = self.connections.poll_next_unpin(cx) {}
            if self.line.desk.is_opening() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let batch = self.line.desk.close_books();
        let ready = Told::Ready(Ready {
            opened: batch.opened,
            first_failure: batch.first_failure.clone(),
            first_denial: batch.first_denial.clone(),
            deaf: self.line.connector.leave_out_deaf(),
        });
        self.line.desk.reopen_books(batch);
        // Where nobody listens any more, nothing will begin.
        let _ = self.tell.send(ready).await;
    }

    fn begin(&mut self, at: Instant) {
        self.began = at;
        self.closed_at = at;
        self.expected = at;
        self.cpu = thread_cpu();
        self.line.desk.begin(at);
        if let Some((kind, count)) = self.slow {
            for _ in 0..count {
                self.connections.push(Box::pin(serve_slow(Rc::clone(&self.line), kind)));
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        cancelled: Pin<&mut impl Future<Output = ()>>,
        enough: Pin<&mut impl FusedFuture<Output = ()>>,
    ) -> Poll<Over> {
        if cancelled.poll(cx).is_ready() {
            return Poll::Ready(Over::Cancelled);
        }
        if !enough.is_terminated() && enough.poll(cx).is_ready() {
            self.line.desk.stop_arrivals(clock::now());
        }
        loop {
            let now = clock::now();
            let pause = now - self.expected;
            if pause > PAUSE {
                self.line.desk.note_pause(pause);
            }
            if now >= self.interval_ends() {
                self.close_interval(now);
            }
            self.line.desk.tick(now);
            self.open();
            while let Poll::Ready(Some(())) = self.connections.poll_next_unpin(cx) {}
            let Some(next) = self.line.desk.next_at() else { return Poll::Ready(Over::Done) };
            let next = next.min(self.interval_ends());
            self.expected = next.max(now);
            match self.timer.poll(next, clock::now(), cx) {
                Poll::Ready(Ok(lag)) => self.line.desk.note_lag(lag),
                // It works without, as long as there are answers to wake it.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn open(&mut self) {
        for counted in self.line.desk.take_wanted() {
            self.connections.push(Box::pin(serve(Rc::clone(&self.line), counted)));
        }
    }

    fn interval_ends(&self) -> Instant {
        self.began + INTERVAL * (self.intervals + 1)
    }

    fn close_interval(&mut self, now: Instant) {
        self.intervals = ((now - self.began).as_nanos() / INTERVAL.as_nanos()) as u32;
        let batch = self.books(now);
        if let Err(unsent) = self.tell.try_send(Told::Saw(Box::new(batch))) {
            // Whoever collects is late: it gets all of it the next time.
            if let Told::Saw(batch) = unsent.into_inner() {
                self.line.desk.reopen_books(*batch);
            }
        }
        self.line.desk.ask_again();
        // Connections that were lost while nobody needed them.
        self.line.desk.want_kept();
    }

    fn books(&mut self, now: Instant) -> Batch {
        let mut batch = self.line.desk.close_books();
        let cpu = thread_cpu();
        batch.second = self.intervals;
        batch.cpu += cpu.saturating_sub(self.cpu);
        batch.span += now - self.closed_at;
        self.cpu = cpu;
        self.closed_at = now;
        batch
    }

    async fn end(mut self, over: Over) {
        // What was under way is let go of, and counts as unfinished.
        self.connections.clear();
        let now = clock::now();
        if over == Over::Cancelled {
            self.line.desk.stop_arrivals(now);
            self.line.desk.leave_line(now);
        }
        let mut batch = self.books(now);
        batch.second = self.intervals + 1;
        // Where nobody listens any more, nobody wants to know.
        let _ = self.tell.send(Told::Saw(Box::new(batch))).await;
    }
}

/// The time that this thread was on a processor.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
