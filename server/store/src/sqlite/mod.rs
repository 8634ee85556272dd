//! The engine: SQLite, one connection that writes and a few that read, each on a thread of its own.

mod accept;
mod backlog;
mod call;
mod change;
mod committer;
mod dead_letters;
mod encode;
mod failing;
#[cfg(test)]
mod faults;
mod filter;
mod group;
mod host;
mod idempotency;
mod jobs;
mod jobs_read;
mod jobs_schema;
mod open;
mod purge;
mod read_attempts;
mod read_config;
mod read_deliveries;
mod read_messages;
mod read_work;
mod reader;
mod record;
mod scheduled;
mod schema;
mod tasks;
mod write_back;

pub(crate) use call::{Call, Weigh, Write};
pub(crate) use dead_letters::dead_letters;
pub(crate) use host::Host;
pub(crate) use jobs_read::{job, job_lanes, job_owners, jobs, jobs_ready, jobs_running, jobs_scheduled};
pub(crate) use read_attempts::{attempt, attempts_of_endpoint, attempts_of_message, last_attempts};
pub(crate) use read_config::{
    all_apps, all_endpoints, app, apps, endpoint, endpoints, event_type, event_types,
};
pub(crate) use read_deliveries::{endpoint_stats, message_endpoints};
pub(crate) use read_messages::{contents, message, messages};
pub(crate) use read_work::{DueQuery, due, due_keys, fanout_apps, fanouts, settled};
pub(crate) use reader::Lane;
pub(crate) use scheduled::scheduled;
pub(crate) use tasks::{apps_with_tasks, missing, running_tasks, task_of, tasks_of};
