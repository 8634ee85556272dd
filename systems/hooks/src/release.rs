//! Lets go of messages for later when their time has come.
//!
//! What waits is on disk, found by time; here is only when to look next. A message gets its fan-out
//! row in the commit that takes it out of those that wait, and is then delivered like any other.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{AppId, Change, Claim, Error, MessageRef, Scheduled, Store};
use tokio::sync::Notify;

use crate::dispatch::{Dispatch, unix_millis};
use crate::routing::Routing;

/// Messages in one commit: what the store takes at once.
const BATCH: u32 = 256;
/// The wall clock may be set: it is looked at again after so long.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a read or commit that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets messages go; cheap to clone.
#[derive(Clone)]
pub(crate) struct Releaser {
    store: Store,
    claim: Claim,
    routing: Arc<Routing>,
    dispatch: Dispatch,
    told: Arc<Notify>,
}

impl Releaser {
    pub(crate) fn new(store: Store, claim: Claim, routing: Arc<Routing>, dispatch: Dispatch) -> Self {
        Self { store, claim, routing, dispatch, told: Arc::new(Notify::new()) }
    }

    /// A message for later was accepted: it may be the next.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    /// Runs as long as the system does, or until another process holds the shard.
    pub(crate) async fn run(self) {
        loop {
            let wait = match self.release_due().await {
                Ok(wait) => wait,
                Err(Error::Fenced { .. } | Error::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "cannot release messages for later, trying again");
                    PAUSE
                }
            };
            // Whoever tells cuts the wait short; nothing else does.
            let _ = tokio::time::timeout(wait, self.told.notified()).await;
        }
    }

    /// Releases what is due; returns how long nothing more is.
    async fn release_due(&self) -> Result<Duration, Error> {
        loop {
            let waiting = self.store.scheduled(BATCH).await?;
            let now = unix_millis();
            let due = waiting.partition_point(|one| one.due_at <= now);
            let Some(due) = waiting.get(..due).filter(|due| !due.is_empty()) else {
                let next = waiting.first().map_or(LOOK_EVERY, |next| {
                    Duration::from_millis(u64::try_from(next.due_at - now).unwrap_or(0))
                });
                return Ok(next.min(LOOK_EVERY));
            };
            self.release(due).await?;
        }
    }

    async fn release(&self, due: &[Scheduled]) -> Result<(), Error> {
        let mut changes = Vec::with_capacity(due.len());
        for one in due {
            changes.push(self.change(one).await?);
        }
        self.store.change(self.claim, changes).await?;
        let mut apps: Vec<AppId> = due.iter().map(|one| one.app).collect();
        apps.sort_unstable();
        apps.dedup();
        let routes: Vec<_> = apps.into_iter().filter_map(|app| self.routing.app(app)).collect();
        self.dispatch.fanouts_on_disk(&routes);
        Ok(())
    }

    /// To whom it goes is decided now: the endpoints as they are when it is delivered.
    async fn change(&self, one: &Scheduled) -> Result<Change, Error> {
        let Scheduled { app, message, .. } = *one;
        let (mut ceiling, mut deliveries) = (0, 0);
        if let Some(route) = self.routing.app(app)
            && let Some(found) = self.store.message(app, MessageRef::Id(message), false).await?
        {
            ceiling = route.ceiling();
            deliveries = route.deliveries(&found.event_type, found.channels.as_deref());
        }
        Ok(Change::Release { app, message, ceiling, deliveries })
    }
}
