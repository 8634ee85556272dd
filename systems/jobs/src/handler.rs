//! Handlers of this process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{Job, JobId};

/// A job that a handler has been given.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Claimed {
    /// Which.
    pub id: JobId,
    /// Whose: the organisation.
    pub org: Arc<str>,
    /// Whose: the tenant.
    pub tenant: String,
    /// Of what kind.
    pub kind: String,
    /// Whom it contends with within its tenant.
    pub key: Option<String>,
    /// The how-manieth run this is, from 1; those that crashed count.
    pub run: u32,
    /// What it is about, as it was submitted.
    pub payload: Vec<u8>,
}

impl From<Job> for Claimed {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            org: job.lane.org().into(),
            tenant: job.lane.tenant().to_owned(),
            kind: job.lane.kind().to_owned(),
            key: job.key,
            run: job.claims,
            payload: job.payload.unwrap_or_default(),
        }
    }
}

/// Why a job could not be done.
///
/// ```
/// use std::time::Duration;
/// use plimsoll_jobs::Failure;
/// let busy = Failure::new("the mail server is busy").retry_in(Duration::from_secs(30));
/// assert_eq!(busy.reason(), "the mail server is busy");
/// let never = Failure::new("no such account").for_good();
/// assert_ne!(busy, never);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub(crate) reason: String,
    pub(crate) then: Retry,
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retry {
    /// What the settings say.
    ByPolicy,
    After(Duration),
    Never,
}

impl Failure {
    /// It is tried again after the delay that the settings say, as long as it has tries left.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), then: Retry::ByPolicy }
    }

    /// It is tried again after this time, as long as it has tries left.
    #[must_use]
    pub const fn retry_in(mut self, after: Duration) -> Self {
        self.then = Retry::After(after);
        self
    }

    /// It is not tried again.
    #[must_use]
    pub const fn for_good(mut self) -> Self {
        self.then = Retry::Never;
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Does the jobs of a kind.
///
/// A job may be run more than once: when the process ended before the end of the run was durable,
/// and after a failure. What it does should therefore be safe to repeat; [`Claimed::id`] is the same
/// in every run.
///
/// Any `Fn(Claimed) -> impl Future<Output = Result<(), Failure>>` is a handler.
pub trait Handler: Send + Sync + 'static {
    /// Does one job. A panic is caught and counts as a crash.
    ///
    /// # Cancel safety
    /// It is dropped when it takes longer than the job may, and at the end of a drain.
    fn run(&self, job: Claimed) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Claimed) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    fn run(&self, job: Claimed) -> impl Future<Output = Result<(), Failure>> + Send {
        self(job)
    }
}

type Running<'h> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'h>>;

/// A handler of any type.
pub(crate) trait AnyHandler: Send + Sync + 'static {
    fn run_any(&self, job: Claimed) -> Running<'_>;
}

impl<H: Handler> AnyHandler for H {
    fn run_any(&self, job: Claimed) -> Running<'_> {
        Box::pin(self.run(job))
    }
}
