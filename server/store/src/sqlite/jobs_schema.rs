//! The tables of background jobs.

/// Background jobs.
/// - Not in `due_work`: a job is one row that is due, claimed and done; as due work beside it, it
///   would be two rows in each of its three commits, and its tenant and key are texts of the
///   caller's.
/// - A lane is organisation, tenant, kind and share of keys in one text, an owner the first two:
///   the engine seeks from one to the next by a single column.
/// - The payload stands apart: it is not written again with each change of the state.
/// - States: 0 scheduled, 1 ready, 2 running, 3 done, 4 cancelled, 5 failed, 6 crashed. What waits,
///   runs or is dead is found by an index that has only that.
/// - `crashes` is counted when a job is claimed, and taken back when its worker ends the claim: a
///   process that is killed has counted already.
pub(super) const JOBS: &str = "
CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    owner TEXT NOT NULL,
    lane TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    key TEXT,
    unique_key TEXT,
    claims INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    attempts_max INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    expires_at INTEGER,
    error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_owner ON jobs (owner, id);
CREATE INDEX jobs_scheduled ON jobs (due_at, id) WHERE state = 0;
CREATE INDEX jobs_ready ON jobs (lane, priority, due_at, id) WHERE state = 1;
CREATE INDEX jobs_running ON jobs (id) WHERE state = 2;
CREATE INDEX jobs_dead ON jobs (owner, id) WHERE state >= 5;
CREATE UNIQUE INDEX jobs_unique ON jobs (owner, unique_key) WHERE unique_key IS NOT NULL AND state <= 2;
CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE job_payloads (
    job BLOB PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE job_owners (
    owner TEXT PRIMARY KEY,
    unfinished INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
