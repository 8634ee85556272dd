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
async fn a_list_says_that_it_goes_on_where_something_follows_and_only_there() {
    let made = Made::new().await;
    let jobs: Vec<_> = (0..3).map(|_| job("t", 2)).collect();
    add(&made, jobs.clone()).await;
    let filter = JobFilter { owner: JobOwner::new("org_a", "t"), kind: None, states: Vec::new() };
    let list = async |after, limit| {
        let page = Page { after, limit, order: Order::Ascending };
        let JobPage { jobs, more_after } = made.store.jobs(filter.clone(), page).await.unwrap();
        (jobs.iter().map(|job| job.id).collect::<Vec<_>>(), more_after)
    };
    let mut ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    assert_eq!(list(None, 2).await, (ids[..2].to_vec(), Some(ids[1])));
    assert_eq!(list(Some(ids[1]), 2).await, (ids[2..].to_vec(), None));
    assert_eq!(list(None, 3).await, (ids.clone(), None));
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
