//! Background jobs: what is written and read of them, as plain values.

use std::fmt;
use std::sync::Arc;

use crate::queue::Haste;
use crate::sqlite::{self, Lane, Weigh, Write};
use crate::store::at_most;
use crate::{Claim, Error, Idempotency, JobId, Order, Page, Store, UnixMillis};

/// Operations that one call carries.
const WRITES_MAX: usize = 4_096;
/// Rows of a page.
const PAGE_MAX: usize = 10_000;
/// Between the parts of a lane's text. No part may hold it.
const SEPARATOR: char = '\u{1f}';

/// What contends with one another: the jobs of one tenant, of one kind, of one share of the
/// tenant's keys.
///
/// A text, so that the engine can seek from lane to lane by one column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobLane(Arc<str>);

impl JobLane {
    /// Of these parts. Control characters in them become `?`: callers have refused them.
    #[must_use]
    pub fn new(org: &str, tenant: &str, kind: &str, share: u8) -> Self {
        let clean = |part: &str| part.replace(char::is_control, "?");
        let (org, tenant, kind) = (clean(org), clean(tenant), clean(kind));
        Self(format!("{org}{SEPARATOR}{tenant}{SEPARATOR}{kind}{SEPARATOR}{share:02x}").into())
    }

    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn part(&self, at: usize) -> &str {
        self.0.split(SEPARATOR).nth(at).unwrap_or_default()
    }

    /// Who owns the tenant.
    #[must_use]
    pub fn org(&self) -> &str {
        self.part(0)
    }

    /// Whose jobs.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.part(1)
    }

    /// Of what kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.part(2)
    }

    /// Of which share of the tenant's keys.
    #[must_use]
    pub fn share(&self) -> u8 {
        u8::from_str_radix(self.part(3), 16).unwrap_or_default()
    }

    /// The tenant.
    #[must_use]
    pub fn owner(&self) -> JobOwner {
        JobOwner(self.owner_text().into())
    }

    pub(crate) fn owner_text(&self) -> &str {
        let end = self.0.match_indices(SEPARATOR).nth(1);
        end.map_or(&*self.0, |(end, _)| &self.0[..end])
    }
}

impl fmt::Debug for JobLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace(SEPARATOR, "/"))
    }
}

/// A tenant of an organisation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobOwner(Arc<str>);

impl JobOwner {
    /// Of these parts.
    #[must_use]
    pub fn new(org: &str, tenant: &str) -> Self {
        JobLane::new(org, tenant, "", 0).owner()
    }

    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Who owns the tenant.
    #[must_use]
    pub fn org(&self) -> &str {
        self.0.split(SEPARATOR).next().unwrap_or_default()
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.split(SEPARATOR).nth(1).unwrap_or_default()
    }
}

impl fmt::Debug for JobOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace(SEPARATOR, "/"))
    }
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum JobState {
    /// Its time has not come: asked for so, or tried and to be tried again.
    Scheduled = 0,
    /// It waits for a worker.
    Ready = 1,
    /// A worker has it.
    Running = 2,
    /// A worker finished it.
    Done = 3,
    /// It was cancelled before a worker had it.
    Cancelled = 4,
    /// Dead: it failed for the last time.
    Failed = 5,
    /// Dead: its workers crashed too often.
    Crashed = 6,
}

impl JobState {
    /// All of them, by number.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Done,
        Self::Cancelled,
        Self::Failed,
        Self::Crashed,
    ];

    /// Whether it is still to be worked on.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Scheduled | Self::Ready | Self::Running)
    }

    /// Whether it is kept because it could not be done.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Failed | Self::Crashed)
    }
}

/// A job as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Made by the caller.
    pub id: JobId,
    /// Whose, and of what kind.
    pub lane: JobLane,
    /// How it stands.
    pub state: JobState,
    /// Lower goes first.
    pub priority: u8,
    /// Not before this.
    pub due_at: UnixMillis,
    /// Whom it contends with within its tenant.
    pub key: Option<String>,
    /// At most one unfinished job of its tenant has it.
    pub unique_key: Option<String>,
    /// How often a worker had it.
    pub claims: u32,
    /// How often it failed.
    pub attempts: u32,
    /// How often it may be tried.
    pub attempts_max: u32,
    /// How many claims did not end by a word of their worker, the running one included.
    pub crashes: u32,
    /// How long a run may take.
    pub timeout_ms: u64,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When a worker last got it.
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// Why it last failed.
    pub error: Option<String>,
    /// What it is about; absent where not asked for, and of a job that is done or cancelled.
    pub payload: Option<Vec<u8>>,
}

/// A job to accept: [`JobState::Ready`] or [`JobState::Scheduled`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewJob {
    /// The job with its payload.
    pub job: Job,
    /// The request's idempotency key.
    pub idempotency: Option<Idempotency>,
}

/// What is known of a job that waits: enough to decide whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobRef {
    /// Lower goes first.
    pub priority: u8,
    /// When it became due.
    pub due_at: UnixMillis,
    /// Which.
    pub id: JobId,
}

/// How a claim ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEnd {
    /// The work is done. The row is kept until then, the payload is not.
    Done {
        /// Until when.
        keep_until: UnixMillis,
    },
    /// It failed and is tried again.
    Retry {
        /// When.
        due_at: UnixMillis,
        /// Why.
        error: String,
    },
    /// It failed for the last time.
    Dead {
        /// Why.
        error: String,
        /// Until when it is kept.
        keep_until: UnixMillis,
    },
    /// Its worker crashed; another one gets it.
    Lost {
        /// When.
        due_at: UnixMillis,
        /// How.
        error: String,
    },
    /// Its worker crashed, and that was once too often.
    Poisoned {
        /// How.
        error: String,
        /// Until when it is kept.
        keep_until: UnixMillis,
    },
    /// It was not begun, or cut short by us: it counts neither as tried nor as crashed.
    Released,
}

/// What is written of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobWrite {
    /// Accepts a job.
    Add(Box<NewJob>),
    /// A worker gets a job that is ready. It counts as crashed until its worker says otherwise.
    Claim {
        /// Which.
        id: JobId,
        /// When.
        at: UnixMillis,
    },
    /// A claim ended.
    End {
        /// Of which job.
        id: JobId,
        /// Which claim of it.
        claim: u32,
        /// How.
        end: JobEnd,
        /// When.
        at: UnixMillis,
    },
    /// The time of a scheduled job has come.
    Promote {
        /// Which.
        id: JobId,
    },
    /// A job that waits is not to be done.
    Cancel {
        /// Which.
        id: JobId,
        /// When.
        at: UnixMillis,
        /// Until when the row is kept.
        keep_until: UnixMillis,
    },
    /// A dead job is ready again, as if it were new.
    Revive {
        /// Which.
        id: JobId,
        /// When.
        at: UnixMillis,
    },
    /// Ended jobs that were kept as long as they were to be go.
    Purge {
        /// Now.
        at: UnixMillis,
        /// At most so many.
        limit: u32,
    },
}

/// What became of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobWritten {
    /// It is durable.
    Done,
    /// The same request was accepted before, as this job.
    Repeat(Box<Job>),
    /// The idempotency key was used with another body.
    KeyReused,
    /// This unfinished job has the unique key.
    UniqueTaken(Box<Job>),
    /// The claim, with the payload.
    Claimed(Box<Job>),
    /// The commit carries as many payloads as it may; nothing was changed, it can be asked for again.
    Later,
    /// It is not in a state for it (any more); nothing was changed.
    NotSo,
    /// The claim had ended in this very way before.
    Already,
    /// So many rows went.
    Purged(usize),
}

/// A page of a list of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobPage {
    /// Those that were asked for.
    pub jobs: Vec<Job>,
    /// The last one that was looked at: the list goes on behind it. `None` where nothing follows.
    pub more_after: Option<JobId>,
}

/// Which jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFilter {
    /// Whose.
    pub owner: JobOwner,
    /// Of this kind.
    pub kind: Option<String>,
    /// In one of these states; empty is all.
    pub states: Vec<JobState>,
}

impl JobFilter {
    pub(crate) fn lets_through(&self, job: &Job) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == job.lane.kind())
            && (self.states.is_empty() || self.states.contains(&job.state))
    }

    /// Whether only dead jobs are asked for, which have an index of their own.
    pub(crate) fn is_of_the_dead(&self) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| state.is_dead())
    }
}

impl Weigh for [JobWrite] {
    fn weigh(&self) -> crate::queue::Size {
        let bytes = self.iter().map(|write| {
            size_of::<JobWrite>()
                + match write {
                    JobWrite::Add(new) => size_of::<NewJob>() + new.job.payload.as_ref().map_or(0, Vec::len),
                    _ => 0,
                }
        });
        crate::queue::Size { operations: self.len(), bytes: bytes.sum() }
    }
}

/// # Jobs
impl Store {
    /// Writes what is to be written of jobs, in order, in one commit: one answer each. At most 4,096
    /// operations and 64 MiB a call.
    ///
    /// # Errors
    /// With any error nothing of the call was written.
    pub async fn write_jobs(&self, claim: Claim, writes: Vec<JobWrite>) -> Result<Vec<JobWritten>, Error> {
        at_most("operations", writes.len(), WRITES_MAX)?;
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let size = writes.weigh();
        self.write(claim, size, Haste::Now, |caller| Write::Jobs(writes, caller)).await
    }

    /// One job of an organisation, with its payload where it has one.
    pub async fn job(&self, org: crate::Org, id: JobId) -> Result<Option<Job>, Error> {
        let read = move |reader: &_| sqlite::job(reader, id);
        let found = self.host.reads.read(Lane::Api, read).await?;
        Ok(found.filter(|job| job.lane.org() == &*org))
    }

    /// The jobs of a tenant, by id; at most 100,000 are looked at, so that a page may have fewer than
    /// it could and yet not be the last.
    pub async fn jobs(&self, filter: JobFilter, page: Page<JobId>) -> Result<JobPage, Error> {
        at_most("rows", page.limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::jobs(reader, &filter, page)).await
    }

    /// Lanes with a job that is ready, by their text.
    pub async fn job_lanes(&self, after: Option<JobLane>, limit: u32) -> Result<Vec<JobLane>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        let read = move |reader: &_| sqlite::job_lanes(reader, after.as_ref(), limit);
        self.host.reads.read(Lane::Delivery, read).await
    }

    /// The first jobs of a lane that are ready, by priority and then by when they became due.
    pub async fn jobs_ready(&self, lane: JobLane, limit: u32) -> Result<Vec<JobRef>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::jobs_ready(reader, &lane, limit)).await
    }

    /// Scheduled jobs whose time has come, earliest first; and when the time of the next one comes.
    pub async fn jobs_scheduled(
        &self,
        now: UnixMillis,
        limit: u32,
    ) -> Result<(Vec<(JobLane, JobRef)>, Option<UnixMillis>), Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::jobs_scheduled(reader, now, limit)).await
    }

    /// Jobs that a worker has, by id, without their payloads.
    pub async fn jobs_running(&self, after: Option<JobId>, limit: u32) -> Result<Vec<Job>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        let page = Page { after, limit, order: Order::Ascending };
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::jobs_running(reader, page)).await
    }

    /// Tenants with unfinished jobs, and how many.
    pub async fn job_owners(
        &self,
        after: Option<JobOwner>,
        limit: u32,
    ) -> Result<Vec<(JobOwner, u64)>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        let read = move |reader: &_| sqlite::job_owners(reader, after.as_ref(), limit);
        self.host.reads.read(Lane::Delivery, read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_its_parts() {
        let lane = JobLane::new("org_a", "acme", "mail.send", 0x2f);
        assert_eq!(
            (lane.org(), lane.tenant(), lane.kind(), lane.share()),
            ("org_a", "acme", "mail.send", 0x2f)
        );
        assert_eq!(lane.owner(), JobOwner::new("org_a", "acme"));
        assert_eq!((lane.owner().org(), lane.owner().tenant()), ("org_a", "acme"));
    }

    #[test]
    fn no_part_of_a_lane_runs_into_the_next() {
        assert_ne!(JobLane::new("a", "b\u{1f}c", "d", 0), JobLane::new("a", "b", "c\u{1f}d", 0));
    }
}
