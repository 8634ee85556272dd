//! A task that is always admitted gives way to the others of its thread, as tokio's own primitives do:
//! a loop of acquisitions neither starves its neighbours nor outruns the timeout around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plimsoll::adaptive::Adaptive;
use plimsoll::budget::Budget;
use plimsoll::rate::{Quota, RateLimiter, Sliding};
use plimsoll::semaphore::Semaphore;
use plimsoll::shed::{Priority, Shed};
use tokio::task::JoinSet;

/// Far more than tokio lets a task do in one turn.
const TURNS_MAX: u32 = 100_000;

/// Acquires until the neighbour has run.
async fn gives_way<F: Future<Output = ()>>(acquire: impl Fn() -> F) {
    let neighbour_ran = Arc::new(AtomicBool::new(false));
    let ran = Arc::clone(&neighbour_ran);
    let mut neighbour = JoinSet::new();
    neighbour.spawn(async move { ran.store(true, Ordering::Relaxed) });
    for _ in 0..TURNS_MAX {
        acquire().await;
        if neighbour_ran.load(Ordering::Relaxed) {
            return;
        }
    }
    panic!("the neighbour was starved");
}

#[tokio::test]
async fn a_loop_over_a_semaphore_gives_way() {
    let semaphore = Semaphore::new(8).unwrap();
    gives_way(|| async { drop(semaphore.acquire().await) }).await;
    gives_way(|| async { drop(semaphore.acquire_many(2).await.unwrap()) }).await;
    gives_way(|| async { drop(semaphore.acquire_within(2, Duration::from_secs(1)).await.unwrap()) }).await;
}

#[tokio::test]
async fn a_loop_over_a_rate_gives_way() {
    let unlimited = RateLimiter::new(Quota::unlimited()).unwrap();
    gives_way(|| async { unlimited.acquire().await.unwrap() }).await;
    gives_way(|| async { unlimited.acquire_within(2, Duration::from_secs(1)).await.unwrap() }).await;
    let sliding = Sliding::approximate(Quota::per_second(10_000_000)).unwrap();
    gives_way(|| async { sliding.acquire().await.unwrap() }).await;
}

#[tokio::test]
async fn a_loop_over_a_share_gives_way() {
    let budget = Budget::builder("cooperative").limit(8).share("all", 8).build().unwrap();
    let share = budget.share("all").unwrap();
    gives_way(|| async { drop(share.acquire().await) }).await;
    gives_way(|| async { drop(share.acquire_many(2).await.unwrap()) }).await;
}

#[tokio::test]
async fn a_loop_over_an_adaptive_or_a_shedding_limit_gives_way() {
    let adaptive = Adaptive::new();
    gives_way(|| async { drop(adaptive.acquire().await) }).await;
    let shed = Shed::builder("cooperative shed").concurrency(8).build().unwrap();
    gives_way(|| async { drop(shed.acquire(Priority::CRITICAL).await.unwrap()) }).await;
}
