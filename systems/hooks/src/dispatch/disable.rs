//! Disables endpoints that said that they are gone.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{Change, Changed, Error, Reference};

use super::engine::Engine;
use super::job::unix_millis;
use super::schedule::Gone;

/// After a change that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Disables one after the other; nothing is sent to any of them meanwhile.
pub(super) async fn run(engine: Arc<Engine>) {
    loop {
        let next = engine.lock().next_gone();
        let Some(gone) = next else {
            engine.gone.notified().await;
            continue;
        };
        while let Err(error) = disable(&engine, &gone).await {
            tracing::error!(%error, endpoint = %gone.endpoint, "cannot disable an endpoint, trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Durable first, then in memory. An endpoint that was changed meanwhile is not the one that is gone.
async fn disable(engine: &Arc<Engine>, gone: &Gone) -> Result<(), Error> {
    let Gone { app, endpoint, url } = gone;
    let lock = engine.routing.write_lock(*app).await;
    let found = engine.store.endpoint(*app, Reference::Id(*endpoint)).await?;
    if let Some(mut stored) = found.filter(|stored| stored.url == *url && !stored.disabled) {
        stored.disabled = true;
        stored.updated_at = unix_millis();
        let change = vec![Change::PutEndpoint(Box::new(stored.clone()))];
        let changed = engine.store.change(engine.store.claim_of(*app), change).await?;
        if changed == [Changed::Done] {
            tracing::warn!(%app, %endpoint, "an endpoint answered 410: it is disabled");
            engine.routing.put_endpoint(stored);
        }
    }
    drop(lock);
    engine.endpoint_changed(*app, *endpoint);
    Ok(())
}
