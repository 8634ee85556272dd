//! Writing jobs.
//!
//! # Invariants
//! - A job is claimed only while it is ready, and a claim is ended only by its own number: whatever
//!   the callers believe, no two workers have one job.
//! - `job_owners` counts the unfinished jobs of a tenant; the transaction that changes their number
//!   writes it.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Result, Row, params};

use super::group::Group;
use super::idempotency::Held;
use super::jobs_read::{self, COLUMNS};
use crate::{Idempotency, Job, JobEnd, JobId, JobState, JobWrite, JobWritten, MessageId, NewJob, UnixMillis};

/// Payloads that the claims of one transaction bring into memory, but for the last of them.
const CLAIMED_BYTES_MAX: usize = 16 << 20;

/// What a transaction does to the numbers of unfinished jobs, by owner.
pub(super) type Unfinished = HashMap<String, i64>;

impl Group<'_> {
    pub(super) fn write_jobs(&mut self, writes: &[JobWrite]) -> Result<Vec<JobWritten>> {
        writes.iter().map(|write| self.write_job(write)).collect()
    }

    fn write_job(&mut self, write: &JobWrite) -> Result<JobWritten> {
        match write {
            JobWrite::Add(new) => self.add_job(new),
            JobWrite::Claim { id, at } => self.claim_job(*id, *at),
            JobWrite::End { id, claim, end, at } => self.end_job(*id, *claim, end, *at),
            JobWrite::Promote { id } => self.promote_job(*id),
            JobWrite::Cancel { id, at, keep_until } => self.cancel_job(*id, *at, *keep_until),
            JobWrite::Revive { id, at } => self.revive_job(*id, *at),
            JobWrite::Purge { at, limit } => self.purge_jobs(*at, *limit),
        }
    }

    fn add_job(&mut self, new: &NewJob) -> Result<JobWritten> {
        let job = &new.job;
        if let Some(idempotency) = &new.idempotency
            && let Some(earlier) = self.earlier_job(job, idempotency)?
        {
            return Ok(earlier);
        }
        if let Some(taken) = self.unique_taken(job)? {
            return Ok(JobWritten::UniqueTaken(Box::new(taken)));
        }
        if !self.insert_job(job)? {
            // The same call once more.
            return Ok(JobWritten::Done);
        }
        if let Some(idempotency) = &new.idempotency {
            // The entry keeps 20 bytes of id, whatever it is the id of: its key is of this path.
            let held = Held::Message(MessageId(job.id.0));
            self.buckets.put(self.connection, idempotency, job.created_at, &held)?;
        }
        self.unfinished(job.lane.owner_text(), 1);
        Ok(JobWritten::Done)
    }

    fn earlier_job(&self, job: &Job, idempotency: &Idempotency) -> Result<Option<JobWritten>> {
        let Some(entry) = self.buckets.find(self.connection, &idempotency.key, job.created_at)? else {
            return Ok(None);
        };
        if entry.fingerprint != idempotency.fingerprint {
            return Ok(Some(JobWritten::KeyReused));
        }
        let Some(MessageId(id)) = entry.message else { return Ok(Some(JobWritten::KeyReused)) };
        if id == job.id.0 {
            return Ok(Some(JobWritten::Done));
        }
        // An entry whose job has been purged is no entry.
        let earlier = jobs_read::job(self.connection, JobId(id))?;
        Ok(earlier.map(|earlier| JobWritten::Repeat(Box::new(earlier))))
    }

    fn unique_taken(&self, job: &Job) -> Result<Option<Job>> {
        let Some(unique_key) = &job.unique_key else { return Ok(None) };
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs INDEXED BY jobs_unique \
             WHERE owner = ?1 AND unique_key = ?2 AND unique_key IS NOT NULL AND state <= 2 AND id <> ?3"
        );
        let keys = params![job.lane.owner_text(), unique_key, job.id.as_bytes()];
        self.connection.prepare_cached(&sql)?.query_row(keys, jobs_read::read).optional()
    }

    fn insert_job(&self, job: &Job) -> Result<bool> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO jobs (id, owner, lane, state, priority, due_at, key, unique_key, claims, attempts, \
             attempts_max, crashes, timeout_ms, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, 0, ?10, ?11) ON CONFLICT DO NOTHING",
        )?;
        let inserted = insert.execute(params![
            job.id.as_bytes(),
            job.lane.owner_text(),
            job.lane.text(),
            job.state as u8,
            job.priority,
            job.due_at,
            job.key,
            job.unique_key,
            job.attempts_max,
            super::encode::stored(job.timeout_ms),
            job.created_at,
        ])?;
        if inserted == 0 {
            return Ok(false);
        }
        let mut insert =
            self.connection.prepare_cached("INSERT INTO job_payloads (job, payload) VALUES (?1, ?2)")?;
        insert.execute(params![job.id.as_bytes(), job.payload.as_deref().unwrap_or_default()])?;
        Ok(true)
    }

    fn claim_job(&mut self, id: JobId, at: UnixMillis) -> Result<JobWritten> {
        if self.claimed_bytes >= CLAIMED_BYTES_MAX {
            return Ok(JobWritten::Later);
        }
        let sql = format!(
            "UPDATE jobs SET state = 2, claims = claims + 1, crashes = crashes + 1, started_at = ?2 \
             WHERE id = ?1 AND state = 1 RETURNING {COLUMNS}"
        );
        let keys = params![id.as_bytes(), at];
        let claimed = self.connection.prepare_cached(&sql)?.query_row(keys, jobs_read::read).optional()?;
        let Some(mut job) = claimed else { return Ok(JobWritten::NotSo) };
        job.payload = jobs_read::payload(self.connection, id)?;
        self.claimed_bytes += job.payload.as_ref().map_or(0, Vec::len);
        Ok(JobWritten::Claimed(Box::new(job)))
    }

    fn end_job(&mut self, id: JobId, claim: u32, end: &JobEnd, at: UnixMillis) -> Result<JobWritten> {
        let row = EndedRow::of(end, at);
        let mut update = self.connection.prepare_cached(
            "UPDATE jobs SET state = ?3, due_at = coalesce(?4, due_at), attempts = attempts + ?5, \
             crashes = crashes - ?6, ended_at = ?7, expires_at = ?8, error = coalesce(?9, error) \
             WHERE id = ?1 AND claims = ?2 AND state = 2 RETURNING owner",
        )?;
        let values = params![
            id.as_bytes(),
            claim,
            row.state as u8,
            row.due_at,
            row.attempts,
            row.crashes,
            row.ended_at,
            row.expires_at,
            row.error
        ];
        let owner: Option<String> = update.query_row(values, |row| row.get(0)).optional()?;
        let Some(owner) = owner else { return self.ended_before(id, claim, &row) };
        if !row.state.is_unfinished() {
            self.unfinished(&owner, -1);
        }
        if row.state == JobState::Done {
            self.drop_payload(id)?;
        }
        Ok(JobWritten::Done)
    }

    /// Whether the claim ended before in the same way: its worker did not hear our answer.
    fn ended_before(&self, id: JobId, claim: u32, row: &EndedRow<'_>) -> Result<JobWritten> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT state, error FROM jobs WHERE id = ?1 AND claims = ?2 AND state <> 2")?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(u8, Option<String>)> =
            statement.query_row(params![id.as_bytes(), claim], read).optional()?;
        let same = found.is_some_and(|(state, error)| match row.error {
            None => state == row.state as u8,
            Some(_) => error.as_deref() == row.error,
        });
        Ok(if same { JobWritten::Already } else { JobWritten::NotSo })
    }

    fn promote_job(&self, id: JobId) -> Result<JobWritten> {
        let mut update =
            self.connection.prepare_cached("UPDATE jobs SET state = 1 WHERE id = ?1 AND state = 0")?;
        done_if(update.execute([id.as_bytes()])?)
    }

    fn cancel_job(&mut self, id: JobId, at: UnixMillis, keep_until: UnixMillis) -> Result<JobWritten> {
        let mut update = self.connection.prepare_cached(
            "UPDATE jobs SET state = 4, ended_at = ?2, expires_at = ?3 WHERE id = ?1 AND state <= 1 \
             RETURNING owner",
        )?;
        let values = params![id.as_bytes(), at, keep_until];
        let owner: Option<String> = update.query_row(values, |row| row.get(0)).optional()?;
        let Some(owner) = owner else { return Ok(JobWritten::NotSo) };
        self.unfinished(&owner, -1);
        self.drop_payload(id)?;
        Ok(JobWritten::Done)
    }

    fn revive_job(&mut self, id: JobId, at: UnixMillis) -> Result<JobWritten> {
        let Some(job) = jobs_read::job(self.connection, id)?.filter(|job| job.state.is_dead()) else {
            return Ok(JobWritten::NotSo);
        };
        if let Some(taken) = self.unique_taken(&job)? {
            return Ok(JobWritten::UniqueTaken(Box::new(taken)));
        }
        let mut update = self.connection.prepare_cached(
            "UPDATE jobs SET state = 1, due_at = ?2, attempts = 0, crashes = 0, ended_at = NULL, \
             expires_at = NULL WHERE id = ?1",
        )?;
        update.execute(params![id.as_bytes(), at])?;
        self.unfinished(job.lane.owner_text(), 1);
        Ok(JobWritten::Done)
    }

    fn purge_jobs(&self, at: UnixMillis, limit: u32) -> Result<JobWritten> {
        let mut expired = self.connection.prepare_cached(
            "SELECT id FROM jobs INDEXED BY jobs_by_expiry \
             WHERE expires_at IS NOT NULL AND expires_at <= ?1 LIMIT ?2",
        )?;
        let found: Vec<[u8; 20]> =
            expired.query_map(params![at, limit], |row| row.get(0))?.collect::<Result<_>>()?;
        for id in &found {
            self.connection.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([id])?;
            self.connection.prepare_cached("DELETE FROM job_payloads WHERE job = ?1")?.execute([id])?;
        }
        Ok(JobWritten::Purged(found.len()))
    }

    fn drop_payload(&self, id: JobId) -> Result<()> {
        let mut delete = self.connection.prepare_cached("DELETE FROM job_payloads WHERE job = ?1")?;
        delete.execute([id.as_bytes()]).map(drop)
    }

    fn unfinished(&mut self, owner: &str, by: i64) {
        if let Some(change) = self.unfinished_jobs.get_mut(owner) {
            *change += by;
        } else {
            self.unfinished_jobs.insert(owner.to_owned(), by);
        }
    }

    /// Writes what the group did to the numbers of unfinished jobs: the last of it before the commit.
    pub(super) fn write_unfinished_jobs(&mut self) -> Result<()> {
        for (owner, change) in self.unfinished_jobs.drain().filter(|(_, change)| *change != 0) {
            let mut put = self.connection.prepare_cached(
                "INSERT INTO job_owners (owner, unfinished) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET unfinished = unfinished + excluded.unfinished RETURNING unfinished",
            )?;
            let left: i64 = put.query_row(params![owner, change], |row| row.get(0))?;
            if left <= 0 {
                let mut delete = self.connection.prepare_cached("DELETE FROM job_owners WHERE owner = ?1")?;
                delete.execute([&owner])?;
            }
        }
        Ok(())
    }
}

fn done_if(changed: usize) -> Result<JobWritten> {
    Ok(if changed > 0 { JobWritten::Done } else { JobWritten::NotSo })
}

/// What the end of a claim does to the row.
struct EndedRow<'e> {
    state: JobState,
    due_at: Option<UnixMillis>,
    attempts: u32,
    crashes: u32,
    ended_at: Option<UnixMillis>,
    expires_at: Option<UnixMillis>,
    error: Option<&'e str>,
}

impl<'e> EndedRow<'e> {
    fn of(end: &'e JobEnd, at: UnixMillis) -> Self {
        let waits = |due_at: UnixMillis| if due_at > at { JobState::Scheduled } else { JobState::Ready };
        let row = Self {
            state: JobState::Ready,
            due_at: None,
            attempts: 0,
            crashes: 1,
            ended_at: None,
            expires_at: None,
            error: None,
        };
        match end {
            JobEnd::Released => row,
            JobEnd::Done { keep_until } => {
                Self { state: JobState::Done, ended_at: Some(at), expires_at: Some(*keep_until), ..row }
            }
            JobEnd::Retry { due_at, error } => {
                Self { state: waits(*due_at), due_at: Some(*due_at), attempts: 1, error: Some(error), ..row }
            }
            JobEnd::Dead { error, keep_until } => Self {
                state: JobState::Failed,
                attempts: 1,
                ended_at: Some(at),
                expires_at: Some(*keep_until),
                error: Some(error),
                ..row
            },
            JobEnd::Lost { due_at, error } => {
                Self { state: waits(*due_at), due_at: Some(*due_at), crashes: 0, error: Some(error), ..row }
            }
            JobEnd::Poisoned { error, keep_until } => Self {
                state: JobState::Crashed,
                crashes: 0,
                ended_at: Some(at),
                expires_at: Some(*keep_until),
                error: Some(error),
                ..row
            },
        }
    }
}
