//! A job as the interface shows it.

use plimsoll_service::request::timestamp::Timestamp;
use plimsoll_store::{Job, JobState};
use serde::Serialize;
use serde_json::value::RawValue;

/// The names of priorities, by number.
pub(super) const PRIORITIES: [&str; 3] = ["high", "normal", "low"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobOut<'j> {
    id: String,
    tenant: &'j str,
    kind: &'j str,
    state: &'static str,
    priority: &'static str,
    run_at: Timestamp,
    key: Option<&'j str>,
    unique_key: Option<&'j str>,
    attempts: u32,
    attempts_max: u32,
    crashes: u32,
    run_timeout_seconds: u64,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    error: Option<&'j str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'j RawValue>,
}

impl<'j> JobOut<'j> {
    pub(super) fn of(job: &'j Job) -> Self {
        // What runs counts as crashed until its worker says otherwise: not a crash to tell of.
        let crashes = job.crashes.saturating_sub(u32::from(job.state == JobState::Running));
        Self {
            id: job.id.to_string(),
            tenant: job.lane.tenant(),
            kind: job.lane.kind(),
            state: name(job.state),
            priority: PRIORITIES.get(usize::from(job.priority)).copied().unwrap_or("normal"),
            run_at: Timestamp(job.due_at),
            key: job.key.as_deref(),
            unique_key: job.unique_key.as_deref(),
            attempts: job.attempts,
            attempts_max: job.attempts_max,
            crashes,
            run_timeout_seconds: job.timeout_ms / 1_000,
            created_at: Timestamp(job.created_at),
            started_at: job.started_at.map(Timestamp),
            ended_at: job.ended_at.map(Timestamp),
            error: job.error.as_deref(),
            payload: job.payload.as_deref().map(payload),
        }
    }

    pub(super) const fn without_payload(mut self) -> Self {
        self.payload = None;
        self
    }
}

/// The payload as JSON: what came over HTTP is; what a program submitted may be any bytes, and is
/// then not shown.
pub(super) fn payload(bytes: &[u8]) -> &RawValue {
    serde_json::from_slice(bytes).unwrap_or(RawValue::NULL)
}

pub(super) const fn name(state: JobState) -> &'static str {
    match state {
        JobState::Scheduled => "scheduled",
        JobState::Ready => "ready",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Cancelled => "cancelled",
        JobState::Failed => "failed",
        JobState::Crashed => "crashed",
    }
}

/// The state with this name.
pub(super) fn state(text: &str) -> Option<JobState> {
    JobState::ALL.into_iter().find(|state| name(*state) == text)
}
