//! Does background tasks: makes due again what failed for good, or what was never sent.
//!
//! A task is a row with a cursor. Each step makes a few messages due and moves the cursor in one
//! commit, so that a restart goes on where the last step was; what is made due is bounded by the
//! second, for all tasks together, and by the application's backlog.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{
    Change, Claim, DeadLetterFilter, DeadLetterId, Error, Order, Page, Store, Task, TaskId, TaskKind,
};
use tokio::sync::Notify;

use crate::backlog::BacklogBound;
use crate::dispatch::{Dispatch, unix_millis};
use crate::routing::Routing;

/// How often running tasks do a step.
const TICK: Duration = Duration::from_secs(1);
/// How long is rested when no task runs: whoever begins one tells.
const REST: Duration = Duration::from_secs(600);
/// Messages in one step: what the store takes at once.
const STEP_MAX: u32 = 256;

/// Does background tasks; cheap to clone.
#[derive(Clone)]
pub(crate) struct Replayer {
    store: Store,
    claim: Claim,
    routing: Arc<Routing>,
    dispatch: Dispatch,
    backlog: Arc<BacklogBound>,
    per_second: u32,
    told: Arc<Notify>,
}

impl Replayer {
    pub(crate) fn new(
        store: Store,
        claim: Claim,
        routing: Arc<Routing>,
        dispatch: Dispatch,
        backlog: Arc<BacklogBound>,
        per_second: u32,
    ) -> Self {
        Self { store, claim, routing, dispatch, backlog, per_second, told: Arc::new(Notify::new()) }
    }

    /// A task was begun.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    /// Runs as long as the system does, or until another process holds the shard.
    pub(crate) async fn run(self) {
        let mut after = None;
        loop {
            match self.turn(after).await {
                Ok(Some(last)) => after = Some(last),
                // The end of the list: from its beginning again, or to rest if there is none.
                Ok(None) if after.is_some() => {
                    after = None;
                    continue;
                }
                Ok(None) => {
                    let _ = tokio::time::timeout(REST, self.told.notified()).await;
                    continue;
                }
                Err(Error::Fenced { .. } | Error::Closed) => return,
                Err(error) => tracing::error!(%error, "cannot go on with background tasks, trying again"),
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// One step for each of the running tasks behind `after`, as many as there are steps a second;
    /// returns the last of them.
    async fn turn(&self, after: Option<TaskId>) -> Result<Option<TaskId>, Error> {
        let page = Page { after, limit: self.per_second.min(STEP_MAX), order: Order::Ascending };
        let tasks = self.store.running_tasks(page).await?;
        let last = tasks.last().map(|task| task.id);
        let share = self.per_second / u32::try_from(tasks.len()).unwrap_or(u32::MAX).max(1);
        for task in tasks {
            self.advance(task, share.max(1)).await?;
        }
        Ok(last)
    }

    /// Makes up to `share` messages of the task due.
    async fn advance(&self, mut task: Task, mut share: u32) -> Result<(), Error> {
        let route = self.routing.app(task.app);
        let has_room = || {
            // What is gone has no bound: its tasks end by their next step.
            let max = route.as_ref().map_or(u64::MAX, |app| self.backlog.max_of(app));
            self.store.backlog(task.app).deliveries < max
        };
        while share > 0 && has_room() {
            let step = self.step(&task, share.min(STEP_MAX)).await?;
            let Change::StepTask { messages, cursor, last, .. } = &step else { return Ok(()) };
            let (some, cursor, last) = (!messages.is_empty(), *cursor, *last);
            share = share.saturating_sub(u32::try_from(messages.len()).unwrap_or(u32::MAX));
            self.store.change(self.claim, vec![step]).await?;
            if some {
                self.dispatch.due_now(task.app, task.endpoint);
            }
            // A look that found nothing was a long one: the next is another turn's.
            if last || !some {
                return Ok(());
            }
            task.cursor = cursor;
        }
        Ok(())
    }

    async fn step(&self, task: &Task, limit: u32) -> Result<Change, Error> {
        let (messages, cursor, last) = match task.kind {
            TaskKind::Recover => {
                let filter = DeadLetterFilter {
                    endpoint: Some(task.endpoint),
                    death: None,
                    before: Some(task.until),
                    after: Some(task.since),
                };
                let after = Some(DeadLetterId { message: task.cursor, endpoint: task.endpoint });
                let page = Page { after, limit, order: Order::Ascending };
                let dead = self.store.dead_letters(task.app, filter, page).await?;
                let messages: Vec<_> = dead.iter().map(|one| one.id.message).collect();
                let last = messages.len() < limit as usize;
                (messages, None, last)
            }
            TaskKind::ReplayMissing => {
                let missing = self.store.missing(task.clone(), limit).await?;
                let last = missing.cursor.is_none();
                (missing.messages, missing.cursor, last)
            }
        };
        let cursor = cursor.or_else(|| messages.last().copied()).unwrap_or(task.cursor);
        Ok(Change::StepTask { task: task.id, at: unix_millis(), messages, cursor, last })
    }
}
