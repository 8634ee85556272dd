//! Running a pipeline.
//!
//! # Invariants
//! - Every task is in the `JoinSet` of a [`Running`]; when that is dropped, they are aborted.
//! - After the first fault nothing more is given, and nothing is returned until every task has ended.

use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::link::{Link, Queued};
use super::meter::{Clock, Gauge, Meter, Phase};
use super::report::StageReport;
use super::worker::Fault;
use super::{Builder, DeadLetter, Error, Report};
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::scope::{Scope, Stop, inherited, within};
use crate::unwind::Payload;
use crate::waiters::Ticket;
use crate::{Name, clock};

/// Starts the tasks of one stage.
pub(super) type Starter<E> = Box<dyn FnOnce(&mut Start<E>) + Send>;

/// What the tasks are started with.
pub(super) struct Start<E> {
    pub(super) dead: Option<mpsc::Sender<DeadLetter<E>>>,
    scope: Option<Scope>,
    tasks: JoinSet<Result<(), Fault<E>>>,
}

impl<E: Send + 'static> Start<E> {
    /// A task in the scope that the pipeline was started in.
    pub(super) fn spawn(&mut self, task: impl Future<Output = Result<(), Fault<E>>> + Send + 'static) {
        let task = within(task, self.scope.clone(), None);
        self.tasks.spawn(async move {
            match task.await {
                Ok(result) => result,
                Err(Stop::Ended(ended)) => Err(Fault::ScopeEnded(ended)),
                Err(Stop::Limit) => unreachable!("no limit was set"),
            }
        });
    }
}

/// Stages with their own workers, bounded between, ready to run; `T` is what the last one gives, `E`
/// the error of every stage.
///
/// See the [module](crate::pipeline).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{convert::Infallible, time::Duration};
/// use plimsoll::pipeline::Pipeline;
/// let load = Pipeline::builder("load-doc")
///     .ordered()
///     .items(1..=5)
///     .stage("double", 2, |n| async move { Ok::<_, Infallible>(n * 2) })
///     .batch(2, Duration::from_secs(1))
///     .build()?;
/// assert_eq!(load.collect().await?, [vec![2, 4], vec![6, 8], vec![10]]);
/// # Ok(()) }
/// ```
#[must_use = "a pipeline does nothing until it is run"]
pub struct Pipeline<T, E> {
    shared: Arc<Shared>,
    starters: Vec<Starter<E>>,
    output: Arc<Link<T>>,
    meter: Arc<Meter>,
    dead: Option<mpsc::Sender<DeadLetter<E>>>,
}

impl Pipeline<(), ()> {
    /// Begins a pipeline that an operator sees under `name`. What it carries is seen from its source
    /// and its stages.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("pipeline-builder")
    ///     .ordered().items(1..=3_u64).stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) });
    /// assert_eq!(squares.build()?.collect().await?, [1, 4, 9]);
    /// # Ok(()) }
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }
}

impl<T: Send + 'static, E: Send + 'static> Pipeline<T, E> {
    pub(super) const fn new(
        shared: Arc<Shared>,
        starters: Vec<Starter<E>>,
        output: Arc<Link<T>>,
        meter: Arc<Meter>,
        dead: Option<mpsc::Sender<DeadLetter<E>>>,
    ) -> Self {
        Self { shared, starters, output, meter, dead }
    }

    /// Runs to the end of the source, drops what the last stage gives as it comes, and tells what was
    /// done.
    ///
    /// # Errors
    /// [`Error::Failed`] with the first error of a stage, after all stages have ended;
    /// [`Error::ScopeEnded`] when the scope did; [`Error::Rejected`] when a CPU pool did not take an item.
    ///
    /// # Panics
    /// Resumes the first panic of a stage, after all stages have ended. Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping it ends all stages, at their next wake-up, and drops what is in the pipeline.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pipeline::Pipeline;
    /// let parse = |texts: [&'static str; 2]| {
    ///     Pipeline::builder("pipeline-run")
    ///         .items(texts).stage("parse", 2, |text| async move { text.parse::<u8>() }).build()
    /// };
    /// assert_eq!(parse(["1", "2"])?.run().await?.stage("parse").unwrap().items_out, 2);
    /// assert!(parse(["1", "two"])?.run().await.is_err());
    /// # Ok(()) }
    /// ```
    pub async fn run(self) -> Result<Report, Error<E>> {
        self.output.discard(Arc::clone(&self.meter));
        let mut running = self.start();
        while let Some(item) = running.next().await {
            item?;
        }
        Ok(running.report())
    }

    /// Runs to the end of the source and returns what the last stage gave: all of it, so that it is
    /// for sources whose end is known.
    ///
    /// # Errors
    /// As [`run`](Self::run); what was collected is dropped.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pipeline::Pipeline;
    /// let texts = Pipeline::builder("pipeline-collect")
    ///     .ordered().items(["1", "2"]).stage("parse", 2, |text| async move { text.parse::<u8>() });
    /// assert_eq!(texts.build()?.collect().await?, [1, 2]);
    /// # Ok(()) }
    /// ```
    pub async fn collect(self) -> Result<Vec<T>, Error<E>> {
        self.output.keep(Arc::clone(&self.meter));
        let mut running = self.start();
        while let Some(item) = running.next().await {
            item?;
        }
        Ok(running.output.kept())
    }

    /// Starts the stages, in the current [scope](crate::scope), for their results to be taken as they
    /// come. When nobody takes them the queues fill, and the source waits.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// use plimsoll::pipeline::Pipeline;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let squares = Pipeline::builder("pipeline-doc-start")
    ///     .ordered()
    ///     .items(1..)
    ///     .stage("square", 4, |n: u64| async move { Ok::<_, String>(n * n) })
    ///     .build()?;
    /// let mut running = squares.start();
    /// assert_eq!(running.next().await, Some(Ok(1)));
    /// assert_eq!(running.next().await, Some(Ok(4)));
    /// drop(running); // ends the stages, and with them the endless source
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub fn start(self) -> Running<T, E> {
        let mut start = Start { dead: self.dead, scope: inherited(), tasks: JoinSet::new() };
        for starter in self.starters {
            starter(&mut start);
        }
        Running {
            tasks: start.tasks,
            output: self.output,
            ticket: None,
            clock: Clock::new(self.meter, 0),
            shared: self.shared,
            is_stopped: false,
            fault: None,
            panic: None,
        }
    }

    /// A handle by which to see what the pipeline does, while it runs and after.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("pipeline-monitor")
    ///     .items(1..=8_u64).stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) }).build()?;
    /// let monitor = squares.monitor();
    /// squares.run().await?;
    /// assert_eq!(monitor.report().stage("square").unwrap().items_out, 8);
    /// # Ok(()) }
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }
}

impl<T, E> fmt::Debug for Pipeline<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// A pipeline that runs, and a stream of what its last stage gives; made by [`Pipeline::start`].
///
/// It owns the tasks: dropping it aborts them, and each is dropped at its next wake-up. When a stage
/// has panicked and that was not seen yet, dropping it resumes the panic (unless the thread is
/// panicking already).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pipeline::Pipeline;
/// let squares = Pipeline::builder("running-doc")
///     .ordered()
///     .items(1_u64..)
///     .stage("square", 4, |n| async move { Ok::<_, String>(n * n) })
///     .build()?;
/// let mut running = squares.start();
/// assert_eq!(running.next().await, Some(Ok(1)));
/// assert_eq!(running.next().await, Some(Ok(4)));
/// drop(running); // its tasks end, though the source has no end
/// # Ok(()) }
/// ```
#[must_use = "dropping it ends the pipeline"]
pub struct Running<T, E: 'static> {
    tasks: JoinSet<Result<(), Fault<E>>>,
    output: Arc<Link<T>>,
    /// The place in the line of the output.
    ticket: Option<Ticket>,
    clock: Clock,
    shared: Arc<Shared>,
    /// A task has failed: nothing more is given.
    is_stopped: bool,
    fault: Option<Error<E>>,
    panic: Option<Payload>,
}

impl<T, E: 'static> Running<T, E> {
    /// What the last stage gives next; `None` when the source and all stages have ended. An error is
    /// the last thing before that.
    ///
    /// # Panics
    /// Resumes the first panic of a stage, after all stages have ended.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pipeline::Pipeline;
    /// let texts = Pipeline::builder("running-next")
    ///     .ordered().items(["1", "2"]).stage("parse", 1, |text| async move { text.parse::<u8>() });
    /// let mut running = texts.build()?.start();
    /// assert_eq!(running.next().await, Some(Ok(1)));
    /// assert_eq!(running.next().await, Some(Ok(2)));
    /// assert!(running.next().await.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<T, Error<E>>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// What was done so far.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("running-report")
    ///     .items(1..).stage("square", 1, |n: u64| async move { Ok::<_, String>(n * n) });
    /// let mut running = squares.build()?.start();
    /// assert_eq!(running.next().await, Some(Ok(1)));
    /// assert!(running.report().stage("square").unwrap().items_out >= 1); // while it runs
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error<E>>>> {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            self.note_end(joined);
        }
        if !self.is_stopped
            && let Poll::Ready(Some((_, item))) = self.output.poll_take(&mut self.ticket, cx)
        {
            self.clock.item_in();
            self.clock.enter(Phase::Busy);
            return Poll::Ready(Some(Ok(item)));
        }
        if !self.tasks.is_empty() {
            self.clock.enter(Phase::Starved);
            return Poll::Pending;
        }
        self.clock.enter(Phase::Off);
        if let Some(payload) = self.panic.take() {
            resume_unwind(payload);
        }
        // Every task has ended, so that the output is empty and closed, or not to be given.
        Poll::Ready(self.fault.take().map(Err))
    }

    /// A task has ended; the first that failed ends the others.
    fn note_end(&mut self, joined: Result<Result<(), Fault<E>>, JoinError>) {
        let error = match joined {
            Ok(Ok(())) => return,
            Ok(Err(Fault::Failed { stage, error })) => Error::Failed { stage, error },
            Ok(Err(Fault::ScopeEnded(ended))) => Error::ScopeEnded(ended),
            #[cfg(feature = "cpu")]
            Ok(Err(Fault::Rejected(rejected))) => Error::Rejected(rejected),
            Err(joined) => match joined.try_into_panic() {
                Ok(payload) => {
                    self.panic.get_or_insert(payload);
                    return self.stop();
                }
                Err(_) => Error::Cancelled,
            },
        };
        // Those that are aborted for the first fault report one too.
        if !self.is_stopped {
            self.fault = Some(error);
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.tasks.abort_all();
    }
}

// Nothing in it is pinned: the tasks are, each in its own place.
impl<T, E: 'static> Unpin for Running<T, E> {}

impl<T, E: 'static> Stream for Running<T, E> {
    type Item = Result<T, Error<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }
}

impl<T, E: 'static> Drop for Running<T, E> {
    fn drop(&mut self) {
        self.tasks.abort_all();
        while let Some(joined) = self.tasks.try_join_next() {
            if let Err(Ok(payload)) = joined.map_err(JoinError::try_into_panic) {
                self.panic.get_or_insert(payload);
            }
        }
        let panic = self.panic.take();
        if let Some(payload) = panic.filter(|_| !std::thread::panicking()) {
            resume_unwind(payload);
        }
    }
}

impl<T, E: 'static> fmt::Debug for Running<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("name", &self.shared.name)
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

/// Sees what a pipeline does; a cheap handle, made by [`Pipeline::monitor`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use plimsoll::pipeline::Pipeline;
/// let squares = Pipeline::builder("monitor-doc")
///     .items(1..=10_u64)
///     .stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) })
///     .build()?;
/// let monitor = squares.monitor();
/// assert_eq!(squares.collect().await?.len(), 10);
/// assert_eq!(monitor.report().stage("square").expect("it is there").items_in, 10);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Monitor(Arc<Shared>);

impl Monitor {
    /// What was done so far.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("monitor-report")
    ///     .items(1..=8_u64).stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) }).build()?;
    /// let monitor = squares.monitor();
    /// assert_eq!(monitor.report().stage("square").unwrap().items_in, 0); // it has not begun
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn report(&self) -> Report {
        self.0.report()
    }

    /// The numbers as the registry shows them: the workers and how many of them work, the items that
    /// wait between stages, the items that the source gave; and of each stage, by its name, how many
    /// percent of their time its workers were busy.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("monitor-snapshot")
    ///     .items(1..=8_u64).stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) }).build()?;
    /// let monitor = squares.monitor();
    /// squares.run().await?;
    /// assert_eq!((monitor.snapshot().name.as_str(), monitor.snapshot().admitted), ("monitor-snapshot", 8));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// What is seen of a pipeline, by whoever looks.
pub(super) struct Shared {
    name: Name,
    gauge: Arc<Gauge>,
    meters: Vec<Arc<Meter>>,
    /// Weak: what is left in them is dropped with the pipeline.
    links: Vec<Weak<dyn Queued>>,
    _registration: Registration,
}

impl Shared {
    pub(super) const fn new(
        name: Name,
        gauge: Arc<Gauge>,
        meters: Vec<Arc<Meter>>,
        links: Vec<Weak<dyn Queued>>,
        registration: Registration,
    ) -> Self {
        Self { name, gauge, meters, links, _registration: registration }
    }

    fn report(&self) -> Report {
        let now = clock::now();
        Report { name: self.name, stages: self.meters.iter().map(|meter| meter.report(now)).collect() }
    }
}

impl Bound for Shared {
    fn snapshot(&self) -> Snapshot {
        let report = self.report();
        let between = &self.meters[1..self.meters.len() - 1];
        let queued = self.links.iter().filter_map(Weak::upgrade).map(|link| link.queued() as u64);
        let mut details = vec![("failed", report.stages.iter().map(|stage| stage.failed).sum())];
        details.extend(report.stages.iter().map(|stage| (stage.name.as_str(), percent(stage))));
        Snapshot {
            limit: between.iter().map(|meter| meter.workers() as u64).sum(),
            in_use: self.gauge.now(),
            high_water: self.gauge.most(),
            waiting: queued.sum(),
            admitted: self.meters[0].items_out(),
            details,
            ..Snapshot::new(self.name, Kind::Pipeline)
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn percent(stage: &StageReport) -> u64 {
    (stage.busy_ratio() * 100.0).round() as u64
}
