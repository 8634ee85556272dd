//! Dropping at every await point: each future is polled so many times and then dropped, and nothing
//! of its job, its place in the queue or its lane may be left.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use super::{Counted, detail, seen, settle};
use crate::pool::{OnFull, Pool};
use crate::retry::{Decision, Policy};

const SECOND: Duration = Duration::from_secs(1);

const MODES: [OnFull; 6] = [
    OnFull::Wait,
    OnFull::WaitUpTo(SECOND),
    OnFull::Reject,
    OnFull::DropOldest,
    OnFull::DropNewest,
    OnFull::RunInCaller,
];

fn pool(name: &str, on_full: OnFull) -> Pool<Counted, Result<u32, &'static str>> {
    let job = |job: Counted| async move {
        for _ in 0..*job {
            sleep(SECOND / 4).await;
        }
        Err("fails")
    };
    let pool = Pool::builder(name, job).workers(1).queue(2).lane_depth(1).delayed(4).on_full(on_full);
    let policy = Policy::schedule([SECOND]);
    pool.lanes(|job: &Counted| **job).retry(policy, |_| Decision::Retry).build().unwrap()
}

/// Polls `future` up to `polls` times, a little time apart, and drops it; whether it was ready.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        sleep(SECOND / 8).await;
    }
    None
}

async fn is_left_clean(pool: &Pool<Counted, Result<u32, &'static str>>, jobs: &[Counted], what: &str) {
    sleep(600 * SECOND).await;
    for job in jobs {
        assert_eq!(Arc::strong_count(job), 1, "{what}: a job is left");
    }
    let snapshot = seen(pool);
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0), "{what}");
    for count in ["working", "lanes", "delayed"] {
        assert_eq!(detail(pool, count), 0, "{what}: {count}");
    }
    assert_eq!(detail(pool, "workers"), 1, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_submission_dropped_at_any_point_leaves_nothing_behind() {
    for on_full in MODES {
        let pool = pool(&format!("pool-drops-submit-{on_full:?}"), on_full);
        for polls in 0..12 {
            let jobs: Vec<Counted> = [8, 8, 9, 9, 8].map(Arc::new).to_vec();
            // One that runs, two that fill their lanes and the queue, and two that find no room.
            for job in &jobs[..3] {
                drop(polled(1, pool.submit(Arc::clone(job))).await);
                settle().await;
            }
            for job in &jobs[3..] {
                drop(polled(polls, pool.submit(Arc::clone(job))).await);
            }
            is_left_clean(&pool, &jobs, &format!("{on_full:?} after {polls} polls")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_execution_dropped_at_any_point_leaves_nothing_behind() {
    for on_full in MODES {
        let pool = pool(&format!("pool-drops-execute-{on_full:?}"), on_full);
        for polls in 0..12 {
            let jobs: Vec<Counted> = [8, 8, 9, 9, 8].map(Arc::new).to_vec();
            for job in &jobs[..3] {
                drop(polled(1, pool.execute(Arc::clone(job))).await);
                settle().await;
            }
            for job in &jobs[3..] {
                drop(polled(polls, pool.execute(Arc::clone(job))).await);
            }
            is_left_clean(&pool, &jobs, &format!("{on_full:?} after {polls} polls")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_dropped_at_any_point_leaves_nothing_behind() {
    for on_full in MODES {
        let pool = pool(&format!("pool-drops-ticket-{on_full:?}"), on_full);
        for polls in 0..12 {
            let jobs: Vec<Counted> = [2, 2].map(Arc::new).to_vec();
            for job in &jobs {
                let wait = async { pool.submit(Arc::clone(job)).await.unwrap().await };
                drop(polled(polls, wait).await);
            }
            is_left_clean(&pool, &jobs, &format!("{on_full:?} after {polls} polls")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_dropped_at_any_point_goes_on_and_can_be_called_again() {
    for polls in 0..12 {
        let pool = pool(&format!("pool-drops-drain-{polls}"), OnFull::Reject);
        let jobs: Vec<Counted> = [4, 5, 6].map(Arc::new).to_vec();
        let running = pool.try_submit(Arc::clone(&jobs[0])).unwrap();
        settle().await;
        let queued = pool.try_submit(Arc::clone(&jobs[1])).unwrap();
        let delayed = pool.submit_after(Arc::clone(&jobs[2]), SECOND).unwrap();
        let first = polled(polls, pool.drain(SECOND / 2)).await;
        let left: Vec<_> = first.into_iter().chain([pool.drain(SECOND / 2).await]).collect();
        let counted = |count: fn(&crate::pool::Left<Counted>) -> usize| left.iter().map(count).sum::<usize>();
        // The one that ran is cut off, or fails in time and would have been tried again.
        let handed_back = counted(|left| left.not_started.len() + left.not_due.len() + left.abandoned);
        assert_eq!(handed_back, 3, "after {polls} polls: {left:?}");
        drop(left);
        // Nobody is stranded, however it ended.
        drop((running.await, queued.await));
        assert!(delayed.await.is_err());
        assert!(jobs.iter().all(|job| Arc::strong_count(job) == 1));
        assert_eq!(detail(&pool, "workers"), 0);
    }
}
