//! What a pipeline did, and which stage holds it up.

use std::fmt;
use std::time::Duration;

use crate::Name;

/// What a pipeline did so far, stage by stage.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use plimsoll::pipeline::Pipeline;
/// let squares = Pipeline::builder("report-doc")
///     .items(1..=100_u64)
///     .stage("square", 4, |n| async move { Ok::<_, Infallible>(n * n) })
///     .build()?;
/// let report = squares.run().await?;
/// let names: Vec<_> = report.stages.iter().map(|stage| stage.name.as_str()).collect();
/// assert_eq!(names, ["source", "square", "output"]);
/// assert_eq!(report.stage("square").expect("it is there").items_out, 100);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The name of the pipeline.
    pub name: Name,
    /// The source, the stages in their order, and the output (whoever takes what the last gives).
    pub stages: Vec<StageReport>,
}

/// What one stage did so far; times are summed over its workers.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{convert::Infallible, time::Duration};
/// use plimsoll::pipeline::Pipeline;
/// let slow = Pipeline::builder("stage-report-doc")
///     .queue(1)
///     .items(1..=8)
///     .stage("sleep", 1, |n| async move {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         Ok::<_, Infallible>(n)
///     })
///     .build()?;
/// let report = slow.run().await?;
/// let sleep = report.bottleneck().expect("one was busy");
/// assert_eq!((sleep.name.as_str(), sleep.workers, sleep.items_in), ("sleep", 1, 8));
/// assert!(sleep.busy >= Duration::from_millis(8) && sleep.busy_ratio() > 0.5);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StageReport {
    /// The name of the stage; `source` and `output` for the two ends.
    pub name: Name,
    /// How many workers it has.
    pub workers: usize,
    /// How many items it took.
    pub items_in: u64,
    /// How many items, or batches, it gave.
    pub items_out: u64,
    /// How many failed in it.
    pub failed: u64,
    /// How long its workers were at work on items. For the source: how long it took to give them. For
    /// a stage on a CPU pool: how long the pool had them, the wait for a thread included.
    pub busy: Duration,
    /// How long they waited to give an item, because the next stage was full or, where order is kept,
    /// because an earlier item was not done.
    pub blocked: Duration,
    /// How long they waited for an item. For a batch: also how long it was open.
    pub starved: Duration,
}

impl StageReport {
    /// Which share of their time the workers were at work, 0 to 1.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll::pipeline::Pipeline;
    /// let work = |n: u32| async move { tokio::time::advance(Duration::from_millis(10)).await; Ok::<_, Infallible>(n) };
    /// let report = Pipeline::builder("busy-ratio").items(1..=8).stage("work", 1, work).build()?.run().await?;
    /// let work = report.stage("work").unwrap();
    /// assert_eq!((work.busy, work.busy_ratio() > 0.9), (Duration::from_millis(80), true));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn busy_ratio(&self) -> f64 {
        self.ratio(self.busy)
    }

    /// Which share of their time they waited to give an item, 0 to 1.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll::pipeline::Pipeline;
    /// let fast = |n: u32| async move { Ok::<_, Infallible>(n) };
    /// let slow = |n: u32| async move {
    ///     for _ in 0..8 { tokio::task::yield_now().await } // the others go on as far as they can
    ///     tokio::time::advance(Duration::from_millis(10)).await;
    ///     Ok::<_, Infallible>(n)
    /// };
    /// let pipeline = Pipeline::builder("blocked-ratio")
    ///     .queue(1).items(1..=8).stage("fast", 1, fast).stage("slow", 1, slow);
    /// let report = pipeline.build()?.run().await?;
    /// assert!(report.stage("fast").unwrap().blocked_ratio() > 0.5); // the next stage is full
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn blocked_ratio(&self) -> f64 {
        self.ratio(self.blocked)
    }

    /// Which share of their time they waited for an item, 0 to 1.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll::pipeline::Pipeline;
    /// let slow = |n: u32| async move { tokio::time::advance(Duration::from_millis(10)).await; Ok::<_, Infallible>(n) };
    /// let fast = |n: u32| async move { Ok::<_, Infallible>(n) };
    /// let pipeline = Pipeline::builder("starved-ratio").items(1..=8).stage("slow", 1, slow).stage("fast", 1, fast);
    /// let report = pipeline.build()?.run().await?;
    /// assert!(report.stage("fast").unwrap().starved_ratio() > 0.9); // it waits for the one before
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn starved_ratio(&self) -> f64 {
        self.ratio(self.starved)
    }

    fn ratio(&self, part: Duration) -> f64 {
        let whole = self.busy + self.blocked + self.starved;
        if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
    }
}

impl Report {
    /// The stage that holds the others up: the one whose workers were at work for the largest share of
    /// the run. `None` before any has been at work.
    ///
    /// That it is the bottleneck, and not merely busy, shows in its neighbours: the stage before it is
    /// blocked, the stage after it starved. More workers there help; anywhere else they do not. `source`
    /// means that the input is slow, `output` that whoever takes the results is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll::pipeline::Pipeline;
    /// let stage = |millis| move |n: u32| async move {
    ///     tokio::time::advance(Duration::from_millis(millis)).await;
    ///     Ok::<_, Infallible>(n)
    /// };
    /// let pipeline = Pipeline::builder("bottleneck")
    ///     .items(1..=8).stage("parse", 1, stage(1)).stage("store", 1, stage(9));
    /// assert_eq!(pipeline.build()?.run().await?.bottleneck().unwrap().name.as_str(), "store");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn bottleneck(&self) -> Option<&StageReport> {
        // The run is as long for all of them: a source that gave all it had at once, and ended, was busy
        // all its time and held nobody up.
        let at_work =
            |stage: &StageReport| stage.busy / u32::try_from(stage.workers.max(1)).unwrap_or(u32::MAX);
        self.stages.iter().filter(|stage| !stage.busy.is_zero()).max_by_key(|stage| at_work(stage))
    }

    /// The stage of this name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let squares = Pipeline::builder("report-stage")
    ///     .items(1..=8_u64).stage("square", 2, |n| async move { Ok::<_, Infallible>(n * n) });
    /// let report = squares.build()?.run().await?;
    /// assert_eq!(report.stage("square").unwrap().items_in, 8);
    /// assert!(report.stage("cube").is_none());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageReport> {
        self.stages.iter().find(|stage| stage.name.as_str() == name)
    }
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, workers, items_in, items_out, failed, .. } = self;
        let [busy, blocked, starved] = [self.busy_ratio(), self.blocked_ratio(), self.starved_ratio()];
        write!(f, "{name}: {items_in} in, {items_out} out, {failed} failed, {workers} at once; ")?;
        let [busy, blocked, starved] = [busy, blocked, starved].map(|ratio| ratio * 100.0);
        write!(f, "busy {busy:.0} %, blocked {blocked:.0} %, starved {starved:.0} %")
    }
}

/// A line for each stage, then the bottleneck.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "{stage}")?;
        }
        match self.bottleneck() {
            Some(stage) => write!(f, "bottleneck: {}", stage.name),
            None => write!(f, "bottleneck: none yet"),
        }
    }
}
