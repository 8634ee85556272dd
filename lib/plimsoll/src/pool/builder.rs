//! Making a pool.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::{Core, Settings};
use super::directory::{ByKey, Directory, OneLane};
use super::inline::MakeRun;
use super::seat::Factory;
use super::{Pool, Worker};
use crate::{Invalid, Name};

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// What is done with a job for which there is no room, be it in the queue or in its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OnFull {
    /// The submitter waits for room: back-pressure on whoever makes the jobs. First come, first
    /// served in each lane.
    Wait,
    /// The submitter waits this long for room, then the job is handed back.
    WaitUpTo(Duration),
    /// The job is handed back at once.
    Reject,
    /// The oldest job makes room: of the same lane, or of the longest if this one has none. Its
    /// ticket ends with [`JobError::Dropped`](super::JobError::Dropped).
    DropOldest,
    /// The new job is dropped: its ticket ends with
    /// [`JobError::Dropped`](super::JobError::Dropped).
    DropNewest,
    /// The submitter does the job itself, with a worker made for it, and gets a ticket that is
    /// ready. It is back-pressure too, and more work done at once than there are workers.
    RunInCaller,
}

/// Builds a [`Pool`]; made by [`Pool::builder`] and [`Pool::builder_with`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<J, W> {
    name: String,
    factory: Factory<W>,
    workers: usize,
    queue: usize,
    lane_depth: Option<usize>,
    directory: Option<Box<dyn Directory<J>>>,
    on_full: OnFull,
    job_timeout: Option<Duration>,
}

impl<J: Send + 'static, W: Worker<J>> Builder<J, W> {
    pub(super) fn new(name: &str, factory: Factory<W>) -> Self {
        Self {
            name: name.into(),
            factory,
            workers: 0,
            queue: 0,
            lane_depth: None,
            directory: None,
            on_full: OnFull::Wait,
            job_timeout: None,
        }
    }

    /// How many jobs are done at once: 1 to 10,000. There is no default.
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many jobs can be queued, those being done not counted: 1 to 16,777,216. There is no
    /// default.
    pub const fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs;
        self
    }

    /// What is done with a job for which there is no room. Default [`OnFull::Wait`].
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Gives each key a lane of its own; lanes are served in turn. By default there is one lane.
    ///
    /// `key_of` is called for each submission under the pool's lock: it should be short, and not
    /// use the pool.
    pub fn lanes<K, F>(mut self, key_of: F) -> Self
    where
        F: Fn(&J) -> K + Send + 'static,
        K: Hash + Eq + Clone + Display + Send + 'static,
    {
        self.directory = Some(Box::new(ByKey::new(key_of)));
        self
    }

    /// How many jobs of one lane can be queued: 1 up to the length of the queue. Default a quarter
    /// of the queue, so that no single customer fills it; with one lane only, all of it.
    pub const fn lane_depth(mut self, jobs: usize) -> Self {
        self.lane_depth = Some(jobs);
        self
    }

    /// How long a job may take, 1 ms to a day; then it is dropped. It does not count the time in
    /// the queue. By default there is no limit.
    pub const fn job_timeout(mut self, limit: Duration) -> Self {
        self.job_timeout = Some(limit);
        self
    }

    /// Makes the pool, starts its workers, and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field is not set or out of its range.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn build(self) -> Result<Pool<J, W::Output>, Invalid> {
        let name = Name::new(&self.name)?;
        self.check(name)?;
        let share = if self.directory.is_some() { 4 } else { 1 };
        let lane_depth = self.lane_depth.unwrap_or_else(|| (self.queue / share).max(1));
        let Self { factory, workers, queue, on_full, job_timeout, .. } = self;
        let settings = Settings { name, workers, queue, lane_depth, on_full, job_timeout };
        let directory = self.directory.unwrap_or_else(|| Box::new(OneLane));
        let maker = Arc::clone(&factory);
        let make_run: MakeRun<J, W::Output> = Arc::new(move |job| {
            let mut worker = maker();
            Box::pin(async move { worker.run(job).await })
        });
        let core =
            Arc::new_cyclic(|this: &Weak<Core<J, W::Output>>| Core::new(this, settings, directory, make_run));
        Ok(Pool::start(core, &factory))
    }

    fn check(&self, name: Name) -> Result<(), Invalid> {
        if !(1..=10_000).contains(&self.workers) {
            return Err(Invalid::new(name, "workers", self.workers, "1 to 10,000"));
        }
        if !(1..=1 << 24).contains(&self.queue) {
            return Err(Invalid::new(name, "queue", self.queue, "1 to 16,777,216"));
        }
        if let Some(depth) = self.lane_depth.filter(|depth| !(1..=self.queue).contains(depth)) {
            return Err(Invalid::new(name, "lane_depth", depth, "1 up to the length of the queue"));
        }
        match self.job_timeout.filter(|limit| !TIMEOUT.contains(limit)) {
            Some(limit) => Err(Invalid::new(name, "job_timeout", format_args!("{limit:?}"), "1 ms to a day")),
            None => Ok(()),
        }
    }
}

impl<J, W> fmt::Debug for Builder<J, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("queue", &self.queue)
            .field("on_full", &self.on_full)
            .finish_non_exhaustive()
    }
}
