//! The running system, and the handle that its host or a program around it holds.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::Invalid;
use plimsoll::group::Group;
use plimsoll_store::{
    Error, Idempotency, Job, JobId, JobLane, JobRef, JobState, JobWritten, NewJob, Store, UnixMillis,
};
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::background;
use crate::desk::{self, Answer, Op};
use crate::engine::{Engine, reference};
use crate::handler::{AnyHandler, Handler};
use crate::observe::{self, Numbers, ScheduleBound};
use crate::schedule::{Full, Limits, Schedule, Whose};
use crate::settings::Settings;

/// Tasks that run as long as the system does.
const BACKGROUND: usize = 4;
/// Shares into which the keys of a tenant fall.
const SHARES: u64 = 64;
/// How long the last ends may take to be written once everything else is over.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Makes a running system.
pub struct Builder {
    store: Store,
    settings: Settings,
    handlers: FxHashMap<Arc<str>, Box<dyn AnyHandler>>,
    slots: FxHashMap<Arc<str>, usize>,
}

/// The running system; cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    pub(crate) core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) engine: Arc<Engine>,
    background: Mutex<Group<()>>,
    _bounds: Vec<Arc<ScheduleBound>>,
}

/// How urgent a job is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Priority {
    /// Before the others of its tenant.
    High = 0,
    /// As most are.
    #[default]
    Normal = 1,
    /// When its tenant has nothing else.
    Low = 2,
}

/// A job to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewWork {
    /// Whose: the organisation.
    pub org: Arc<str>,
    /// Whose: the tenant, within the organisation.
    pub tenant: String,
    /// Of what kind: which handler or which workers do it.
    pub kind: String,
    /// What it is about.
    pub payload: Vec<u8>,
    /// Not before then, in milliseconds since the Unix epoch; now where absent.
    pub run_at: Option<UnixMillis>,
    /// How urgent it is.
    pub priority: Priority,
    /// Jobs of a tenant with different keys have turns of their own.
    pub key: Option<String>,
    /// At most one unfinished job of the tenant has it.
    pub unique_key: Option<String>,
    /// How often it is tried; where absent, as the settings say.
    pub attempts_max: Option<u32>,
    /// How long a run may take; where absent, as the settings say.
    pub run_timeout: Option<Duration>,
}

impl NewWork {
    /// A job to be done now.
    pub fn new(tenant: impl Into<String>, kind: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            org: plimsoll_service::auth::DEFAULT_ORG.into(),
            tenant: tenant.into(),
            kind: kind.into(),
            payload: payload.into(),
            run_at: None,
            priority: Priority::Normal,
            key: None,
            unique_key: None,
            attempts_max: None,
            run_timeout: None,
        }
    }
}

/// What became of a job that was submitted. It is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submitted {
    /// It was accepted.
    Accepted(Job),
    /// The same request was accepted before, as this one.
    Repeat(Job),
    /// This unfinished job has the unique key; nothing was added.
    Existing(Job),
}

impl Submitted {
    /// The job that there is now.
    #[must_use]
    pub const fn job(&self) -> &Job {
        match self {
            Self::Accepted(job) | Self::Repeat(job) | Self::Existing(job) => job,
        }
    }
}

/// Why a job was not accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// A bound on what may wait is reached.
    Full(Overload),
    /// It is shutting down.
    Draining,
    /// The idempotency key was used with another body.
    KeyReused,
    /// The store failed: it may or may not have been accepted.
    Store(Error),
}

/// A bound that is reached: which, how large it is, how much of it is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overload {
    pub(crate) full: Full,
}

impl Overload {
    /// Whether it is the tenant's or worker's own: it should slow down, nobody else.
    #[must_use]
    pub fn is_callers_own(&self) -> bool {
        self.full.whose == Whose::Caller
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Full { bound, limit, in_use, .. } = self.full;
        write!(f, "{bound}: {in_use} of {limit} in use")
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(overload) => overload.fmt(f),
            Self::Draining => write!(f, "shutting down"),
            Self::KeyReused => write!(f, "the idempotency key was used before with another body"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SubmitError {}

/// Why it could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A bound was refused.
    Invalid(Invalid),
    /// The store failed.
    Store(Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Invalid> for StartError {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error)
    }
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Builder {
    /// This process does the jobs of that kind itself, so many at once; workers over HTTP do not get
    /// them.
    #[must_use]
    pub fn handler(mut self, kind: &str, concurrency: usize, handler: impl Handler) -> Self {
        let kind: Arc<str> = kind.into();
        self.handlers.insert(Arc::clone(&kind), Box::new(handler));
        self.slots.insert(kind, concurrency.max(1));
        self
    }

    /// Finds what the last life of the process left, and begins.
    ///
    /// # Errors
    /// When a setting is out of its range or the store fails.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(self) -> Result<Jobs, StartError> {
        let Self { store, settings, handlers, slots } = self;
        let claim = store.claims().first().copied().ok_or(Error::Closed)?;
        let runs_max = slots.values().sum();
        let schedule = Schedule::new(limits(&settings), slots);
        let engine = Arc::new(Engine::new(store, claim, settings, handlers, schedule, runs_max)?);
        let mut background = Group::builder("jobs.background").limit(BACKGROUND).collect_all().build()?;
        background.spawn(desk::run(Arc::clone(&engine))).await;
        background::resume(&engine).await?;
        background.spawn(background::load(Arc::clone(&engine))).await;
        background.spawn(background::look(Arc::clone(&engine))).await;
        background.spawn(background::tick(Arc::clone(&engine))).await;
        let bounds = observe::register(&engine)?;
        let background = Mutex::new(background);
        Ok(Jobs { core: Arc::new(Core { engine, background, _bounds: bounds }) })
    }
}

impl Jobs {
    /// A system over `store`; add handlers, then start it.
    #[must_use]
    pub fn builder(store: Store, settings: Settings) -> Builder {
        Builder { store, settings, handlers: FxHashMap::default(), slots: FxHashMap::default() }
    }

    /// Accepts a job: durable when this returns.
    ///
    /// # Errors
    /// When it was not accepted, see [`SubmitError`].
    ///
    /// # Cancel safety
    /// Dropped, the job may or may not be accepted; with a unique key it can be submitted again.
    pub async fn submit(&self, work: NewWork) -> Result<Submitted, SubmitError> {
        self.core.submit(work, None).await
    }

    /// How a job stands; `None` where there is none, or not any more.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn job(&self, org: Arc<str>, id: JobId) -> Result<Option<Job>, Error> {
        self.core.engine.store.job(org, id).await
    }

    /// The public HTTP interface, for callers that are authenticated and admitted.
    pub fn router(&self) -> axum::Router {
        crate::api::router(Arc::clone(&self.core))
    }

    /// The part of it that waits: for callers that are authenticated. It has a bound of its own,
    /// so that workers which wait take no place from those who have something to say.
    pub fn polls(&self) -> axum::Router {
        crate::api::polls(Arc::clone(&self.core))
    }

    /// Hands out nothing more and accepts nothing more; workers that wait over HTTP are told that
    /// there is nothing. The beginning of a drain.
    pub fn close(&self) {
        self.core.engine.close();
    }

    /// Waits for what handlers do until `deadline`, then cuts it short. Returns how many runs were cut
    /// short; they are made again by the next process. What workers over HTTP have stays theirs.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the drain under way; it can be called again.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let engine = &self.core.engine;
        engine.close();
        let _ = tokio::time::timeout(deadline, engine.until_no_handler_runs()).await;
        let cut = engine.handlers_at_work();
        engine.cut();
        if tokio::time::timeout(LAST_WRITES, engine.until_no_handler_runs()).await.is_err() {
            tracing::warn!("the last ends of jobs could not be written; they are done again");
        }
        self.core.background.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        cut
    }

    /// Waits until another process has taken over.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    pub async fn fenced(&self) {
        self.core.engine.fenced.notified().await;
    }

    /// Its numbers, for the metrics page.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers { engine: Arc::clone(&self.core.engine) }
    }
}

impl Core {
    pub(crate) async fn submit(
        &self,
        work: NewWork,
        idempotency: Option<Idempotency>,
    ) -> Result<Submitted, SubmitError> {
        self.engine.store.room().map_err(SubmitError::Store)?;
        let job = self.job_of(work);
        self.admit(&job.lane, job.state)?;
        let (answer, answered) = oneshot::channel();
        let new = NewJob { job: job.clone(), idempotency };
        self.engine.push([Op::add(new, answer)]);
        match answered.await.unwrap_or(Err(Error::Closed)).map_err(SubmitError::Store)? {
            JobWritten::Done => Ok(Submitted::Accepted(job)),
            JobWritten::Repeat(job) => Ok(Submitted::Repeat(*job)),
            JobWritten::UniqueTaken(job) => Ok(Submitted::Existing(*job)),
            _ => Err(SubmitError::KeyReused),
        }
    }

    /// Takes a place in the backlog of the tenant.
    fn admit(&self, lane: &JobLane, state: JobState) -> Result<(), SubmitError> {
        let mut schedule = self.engine.lock();
        if schedule.is_draining() {
            return Err(SubmitError::Draining);
        }
        schedule.admit(lane, state).map_err(|full| {
            self.engine.metrics.refused.fetch_add(1, Ordering::Relaxed);
            SubmitError::Full(Overload { full })
        })
    }

    fn job_of(&self, work: NewWork) -> Job {
        let settings = &self.engine.settings;
        let now = self.engine.clock.now();
        let due_at = work.run_at.unwrap_or(now);
        let timeout = work.run_timeout.unwrap_or(settings.run_timeout);
        let share = work.key.as_deref().map_or(0, share_of);
        Job {
            id: JobId::fresh(),
            lane: JobLane::new(&work.org, &work.tenant, &work.kind, share),
            state: if due_at > now { JobState::Scheduled } else { JobState::Ready },
            priority: work.priority as u8,
            due_at,
            key: work.key,
            unique_key: work.unique_key,
            claims: 0,
            attempts: 0,
            attempts_max: work.attempts_max.unwrap_or(settings.attempts_max),
            crashes: 0,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            created_at: now,
            started_at: None,
            ended_at: None,
            error: None,
            payload: Some(work.payload),
        }
    }

    /// Cancels a job that waits.
    pub(crate) async fn cancel(&self, job: &Job) -> Result<JobWritten, Error> {
        let Engine { clock, settings, .. } = &*self.engine;
        let times = (clock.now(), clock.later(settings.keep_done));
        self.ask(|answer| Op::cancel(job.lane.clone(), reference(job), times, answer)).await
    }

    /// Makes dead jobs ready again: one answer each, in order, as far as there is room for them.
    ///
    /// # Errors
    /// When there is no room for the first, or the disk is low.
    pub(crate) async fn revive(&self, jobs: &[Job]) -> Result<Vec<JobWritten>, SubmitError> {
        self.engine.store.room().map_err(SubmitError::Store)?;
        let mut asked = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.admit(&job.lane, JobState::Ready) {
                Ok(()) => {}
                Err(error) if asked.is_empty() => return Err(error),
                Err(_) => break,
            }
            let due = JobRef { due_at: self.engine.clock.now(), ..reference(job) };
            let (answer, answered) = oneshot::channel();
            self.engine.push([Op::revive(job.lane.clone(), due, answer)]);
            asked.push(answered);
        }
        let mut revived = Vec::with_capacity(asked.len());
        for answered in asked {
            revived.push(answered.await.unwrap_or(Err(Error::Closed)).map_err(SubmitError::Store)?);
        }
        Ok(revived)
    }

    async fn ask(&self, op: impl FnOnce(Answer) -> Op) -> Result<JobWritten, Error> {
        let (answer, answered) = oneshot::channel();
        self.engine.push([op(answer)]);
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

/// Into which share a key falls.
fn share_of(key: &str) -> u8 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Share 0 is that of the jobs without a key.
    (hasher.finish() % (SHARES - 1)) as u8 + 1
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        tenant_backlog: settings.tenant_backlog_max,
        backlog: settings.backlog_max,
        tenants: settings.tenants_max,
        tenant_lanes: settings.tenant_lanes_max,
        lanes: settings.lanes_max,
        tenant_concurrency: settings.tenant_concurrency,
        claims: settings.claims_max,
        worker_claims: settings.worker_claims_max,
        org_claims: settings.org_claims_max,
        polls: settings.polls_max,
        org_polls: settings.org_polls_max,
        window: settings.window,
        window_total: settings.window_total,
        lease: settings.lease,
        weights: settings.tenant_weights.clone(),
    }
}
