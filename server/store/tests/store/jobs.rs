//! Background jobs.
#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use plimsoll_store::*;

use crate::made::{Made, NOW};

fn job(tenant: &str, payload: usize) -> Job {
    Job {
        id: JobId::fresh(),
        lane: JobLane::new("org_a", tenant, "kind", 0),
        state: JobState::Ready,
        priority: 1,
        due_at: NOW,
        key: None,
        unique_key: None,
        claims: 0,
        attempts: 0,
        attempts_max: 1,
        crashes: 0,
        timeout_ms: 1_000,
        created_at: NOW,
        started_at: None,
        ended_at: None,
        error: None,
        payload: Some(vec![b'1'; payload]),
    }
}

async fn add(made: &Made, jobs: Vec<Job>) {
    for job in jobs {
        let new = NewJob { job, idempotency: None };
        made.store.write_jobs(made.claim, vec![JobWrite::Add(Box::new(new))]).await.unwrap();
    }
}

#[tokio::test]
async fn one_commit_does_not_claim_more_payloads_than_memory_has_room_for() {
    let made = Made::new().await;
    let jobs: Vec<_> = (0..6).map(|_| job("t", 4 << 20)).collect();
    let claim = |jobs: &[Job]| -> Vec<JobWrite> {
        jobs.iter().map(|job| JobWrite::Claim { id: job.id, at: NOW }).collect()
    };
    add(&made, jobs.clone()).await;
    let claimed = made.store.write_jobs(made.claim, claim(&jobs)).await.unwrap();
    let bytes = |written: &JobWritten| match written {
        JobWritten::Claimed(job) => job.payload.as_ref().map_or(0, Vec::len),
        _ => 0,
    };
    assert_eq!(claimed.iter().map(bytes).sum::<usize>(), 16 << 20);
    assert_eq!(claimed[4..], [JobWritten::Later, JobWritten::Later]);
    let rest = made.store.write_jobs(made.claim, claim(&jobs[4..])).await.unwrap();
    assert!(rest.iter().all(|written| matches!(written, JobWritten::Claimed(job) if job.claims == 1)));
}
