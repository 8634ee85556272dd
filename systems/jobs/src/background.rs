//! What runs beside the jobs: reads what waits on disk, and does what is due by the clock.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock;
use plimsoll_store::{Error, JobWrite, JobWritten};

use crate::engine::Engine;

/// Jobs that become ready in one commit.
const PROMOTIONS: u32 = 1_024;
/// Ended jobs that go in one commit, and how often it is looked for them.
const PURGES: u32 = 64;
const PURGE_EVERY: Duration = Duration::from_secs(10);
/// Rows read at once while what the last life of the process left is looked for.
const PAGE: u32 = 1_000;
/// Between two looks for lanes while there are none, or no room for them.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After the store failed.
const REST: Duration = Duration::from_millis(500);

/// Finds what the last life of the process left.
pub(crate) async fn resume(engine: &Arc<Engine>) -> Result<(), Error> {
    let store = &engine.store;
    let mut after = None;
    loop {
        let owners = store.job_owners(after, PAGE).await?;
        after = owners.last().map(|(owner, _)| owner.clone());
        let complete = owners.len() < PAGE as usize;
        let mut schedule = engine.lock();
        owners.into_iter().for_each(|(owner, unfinished)| schedule.found(owner, unfinished));
        drop(schedule);
        if complete {
            break;
        }
    }
    engine.lock().look_for_lanes();
    resume_claims(engine).await?;
    engine.due_at(engine.clock.now());
    Ok(())
}

/// A worker over HTTP may have outlived us: it has its lease again to say so. A handler has not.
async fn resume_claims(engine: &Arc<Engine>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let running = engine.store.jobs_running(after, PAGE).await?;
        after = running.last().map(|job| job.id);
        let complete = running.len() < PAGE as usize;
        let now = clock::now();
        for job in running {
            let ours = engine.handlers.contains_key(job.lane.kind());
            engine.act(|schedule| schedule.inherited(&job, now));
            if ours {
                let how = |engine: &Engine, held: &_| engine.crashed(held, "its process ended");
                let _ = engine.end(job.id, job.claims, how, None);
            }
        }
        if complete {
            return Ok(());
        }
    }
}

/// Reads lanes of which more is wanted in memory, until it is cancelled.
pub(crate) async fn load(engine: Arc<Engine>) {
    loop {
        let next = engine.lock().next_load();
        let Some((lane, limit)) = next else {
            engine.load.notified().await;
            continue;
        };
        match engine.store.jobs_ready(lane.clone(), limit).await {
            Ok(jobs) => engine.act(|schedule| schedule.loaded(&lane, &jobs, limit)),
            Err(error) => {
                tracing::warn!(%error, ?lane, "cannot read what waits, trying again");
                tokio::time::sleep(REST).await;
                engine.act(|schedule| schedule.not_loaded(&lane));
            }
        }
    }
}

/// Looks for lanes that are ready on disk and were left out of memory, until it is cancelled.
pub(crate) async fn look(engine: Arc<Engine>) {
    let mut after = None;
    loop {
        if !engine.lock().is_to_look() {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        if after.is_none() {
            engine.lock().begin_look();
        }
        match engine.store.job_lanes(after.clone(), PAGE).await {
            Ok(lanes) => {
                let opened =
                    engine.act(|schedule| lanes.iter().filter(|lane| schedule.found_on_disk(lane)).count());
                after = lanes.last().filter(|_| lanes.len() == PAGE as usize).cloned();
                if after.is_none() {
                    engine.lock().end_look();
                }
                if opened == 0 {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for what waits, trying again");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Does what is due, until it is cancelled.
pub(crate) async fn tick(engine: Arc<Engine>) {
    let mut purge = tokio::time::interval(PURGE_EVERY);
    loop {
        let wait = engine.wait();
        tokio::select! {
            () = engine.timer.notified() => {}
            () = sleep_or_never(wait) => {
                engine.expire();
                if engine.take_next_due(engine.clock.now())
                    && let Err(error) = promote(&engine).await
                {
                    tracing::warn!(%error, "scheduled jobs could not be made ready, trying again");
                    tokio::time::sleep(REST).await;
                    engine.due_at(engine.clock.now());
                }
            }
            _ = purge.tick() => {
                match purge_expired(&engine).await {
                    // The next batch takes its turn beside what is due meanwhile.
                    Ok(purged) if purged == PURGES as usize => purge.reset_immediately(),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "ended jobs could not be purged; they go later"),
                }
            }
        }
    }
}

/// Makes ready what is due: one batch, and the timer for the next.
async fn promote(engine: &Arc<Engine>) -> Result<(), Error> {
    let (due, next) = engine.store.jobs_scheduled(engine.clock.now(), PROMOTIONS).await?;
    let writes = due.iter().map(|(_, job)| JobWrite::Promote { id: job.id }).collect();
    let written = engine.store.write_jobs(engine.claim, writes).await?;
    engine.act(|schedule| {
        for ((lane, job), written) in due.iter().zip(&written) {
            if *written == JobWritten::Done {
                schedule.offer(lane, *job);
            }
        }
    });
    if let Some(next) = next {
        engine.due_at(next);
    }
    Ok(())
}

async fn purge_expired(engine: &Engine) -> Result<usize, Error> {
    let purge = vec![JobWrite::Purge { at: engine.clock.now(), limit: PURGES }];
    match engine.store.write_jobs(engine.claim, purge).await?.first() {
        Some(JobWritten::Purged(rows)) => Ok(*rows),
        _ => Ok(0),
    }
}

async fn sleep_or_never(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
