//! Reading jobs.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::encode::{self, Direction, start};
use crate::{Job, JobFilter, JobId, JobLane, JobOwner, JobPage, JobRef, JobState, Order, Page, UnixMillis};

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str = "id, lane, state, priority, due_at, key, unique_key, claims, attempts, \
     attempts_max, crashes, timeout_ms, created_at, started_at, ended_at, error";
/// Rows that a list looks at for a filter that lets few of them through.
const LOOKED_AT_MAX: usize = 100_000;

pub(super) fn read(row: &Row<'_>) -> Result<Job> {
    Ok(Job {
        id: id(row, 0)?,
        lane: JobLane::from_text(row.get_ref(1)?.as_str()?),
        state: state(row, 2)?,
        priority: row.get(3)?,
        due_at: row.get(4)?,
        key: row.get(5)?,
        unique_key: row.get(6)?,
        claims: row.get(7)?,
        attempts: row.get(8)?,
        attempts_max: row.get(9)?,
        crashes: row.get(10)?,
        timeout_ms: encode::count(row, 11)?,
        created_at: row.get(12)?,
        started_at: row.get(13)?,
        ended_at: row.get(14)?,
        error: row.get(15)?,
        payload: None,
    })
}

fn id(row: &Row<'_>, column: usize) -> Result<JobId> {
    encode::id(row, column).map(JobId)
}

fn state(row: &Row<'_>, column: usize) -> Result<JobState> {
    let number: u8 = row.get(column)?;
    JobState::ALL.get(usize::from(number)).copied().ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, "no such state".into())
    })
}

pub(super) fn payload(connection: &Connection, id: JobId) -> Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT payload FROM job_payloads WHERE job = ?1")?;
    statement.query_row([id.as_bytes()], |row| row.get(0)).optional()
}

pub(crate) fn job(connection: &Connection, id: JobId) -> Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([id.as_bytes()], read).optional()?;
    let Some(mut job) = found else { return Ok(None) };
    job.payload = payload(connection, id)?;
    Ok(Some(job))
}

pub(crate) fn jobs(connection: &Connection, filter: &JobFilter, page: Page<JobId>) -> Result<JobPage> {
    let Direction { beyond, order } = Direction::of(page.order);
    let (index, dead) =
        if filter.is_of_the_dead() { ("jobs_dead", "AND state >= 5") } else { ("jobs_by_owner", "") };
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs INDEXED BY {index} \
         WHERE owner = ?1 AND id {beyond} ?2 {dead} ORDER BY id {order}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let from = start(page.after.map(|job| job.0), page.order);
    let mut rows = statement.query(params![filter.owner.text(), from])?;
    let (mut jobs, mut last) = (Vec::new(), None);
    for _ in 0..LOOKED_AT_MAX {
        let Some(row) = rows.next()? else { return Ok(JobPage { jobs, more_after: None }) };
        let job = read(row)?;
        let wanted = filter.lets_through(&job);
        if wanted && jobs.len() == page.limit as usize {
            break;
        }
        last = Some(job.id);
        if wanted {
            jobs.push(job);
        }
    }
    Ok(JobPage { jobs, more_after: last })
}

/// Seeks from lane to lane, whatever their rows.
pub(crate) fn job_lanes(
    connection: &Connection,
    after: Option<&JobLane>,
    limit: u32,
) -> Result<Vec<JobLane>> {
    let mut next = connection.prepare_cached(
        "SELECT lane FROM jobs INDEXED BY jobs_ready WHERE state = 1 AND lane > ?1 ORDER BY lane LIMIT 1",
    )?;
    let mut found: Vec<JobLane> = Vec::new();
    while found.len() < limit as usize {
        let from = found.last().or(after).map_or("", JobLane::text);
        let lane = next.query_row([from], |row| Ok(JobLane::from_text(row.get_ref(0)?.as_str()?)));
        let Some(lane) = lane.optional()? else { break };
        found.push(lane);
    }
    Ok(found)
}

pub(crate) fn jobs_ready(connection: &Connection, lane: &JobLane, limit: u32) -> Result<Vec<JobRef>> {
    let mut statement = connection.prepare_cached(
        "SELECT priority, due_at, id FROM jobs INDEXED BY jobs_ready WHERE state = 1 AND lane = ?1 \
         ORDER BY priority, due_at, id LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| Ok(JobRef { priority: row.get(0)?, due_at: row.get(1)?, id: id(row, 2)? });
    statement.query_map(params![lane.text(), limit], read)?.collect()
}

/// What is due, and when the first is due that is not.
type Due = (Vec<(JobLane, JobRef)>, Option<UnixMillis>);

pub(crate) fn jobs_scheduled(connection: &Connection, now: UnixMillis, limit: u32) -> Result<Due> {
    let mut statement = connection.prepare_cached(
        "SELECT lane, priority, due_at, id FROM jobs INDEXED BY jobs_scheduled WHERE state = 0 \
         ORDER BY due_at, id LIMIT ?1",
    )?;
    let mut rows = statement.query([i64::from(limit) + 1])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let job = JobRef { priority: row.get(1)?, due_at: row.get(2)?, id: id(row, 3)? };
        if job.due_at > now || found.len() == limit as usize {
            return Ok((found, Some(job.due_at)));
        }
        found.push((JobLane::from_text(row.get_ref(0)?.as_str()?), job));
    }
    Ok((found, None))
}

pub(crate) fn jobs_running(connection: &Connection, page: Page<JobId>) -> Result<Vec<Job>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs INDEXED BY jobs_running WHERE state = 2 AND id > ?1 ORDER BY id LIMIT ?2"
    );
    let from = start(page.after.map(|job| job.0), Order::Ascending);
    connection.prepare_cached(&sql)?.query_map(params![from, page.limit], read)?.collect()
}

pub(crate) fn job_owners(
    connection: &Connection,
    after: Option<&JobOwner>,
    limit: u32,
) -> Result<Vec<(JobOwner, u64)>> {
    let sql = "SELECT owner, unfinished FROM job_owners WHERE owner > ?1 ORDER BY owner LIMIT ?2";
    let from = after.map_or("", JobOwner::text);
    let read = |row: &Row<'_>| Ok((JobOwner::from_text(row.get_ref(0)?.as_str()?), encode::count(row, 1)?));
    connection.prepare_cached(sql)?.query_map(params![from, limit], read)?.collect()
}
