//! Commits what happened, many steps at once.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{Error, Progress};

use super::engine::Engine;

/// Steps in one commit at the most: where each is a page of its own to find on the disk, as after an outage,
/// more of them would hold up those who wait for the next commit.
const BATCH: usize = 1_024;
/// Between tries while the store cannot write.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Takes what waits, commits it, lets go of it; while one commit is under way the next fills.
pub(super) async fn run(engine: Arc<Engine>) {
    loop {
        let (steps, releases) = engine.lock().take_steps(BATCH);
        if steps.is_empty() {
            engine.settled.notify_one();
            engine.record.notified().await;
            continue;
        }
        let steps: Arc<[Progress]> = steps.into();
        let mut wait = RETRY_MIN;
        loop {
            // The steps are kept until they are durable. Nothing is delivered meanwhile beyond the bound on
            // unrecorded steps, and nothing is lost.
            match engine.store.record(engine.claim, Arc::clone(&steps)).await {
                Ok(()) => break,
                Err(Error::Fenced { carried, in_force }) => {
                    tracing::error!(
                        carried,
                        in_force,
                        "another process holds this shard: nothing more is recorded here"
                    );
                    engine.fenced.notify_one();
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, steps = steps.len(), "cannot record deliveries, trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
        engine.act(|schedule, now| schedule.recorded(releases, now));
    }
}
