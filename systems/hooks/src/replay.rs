//! Does background tasks: makes due again what failed for good, or what was never sent.
//!
//! A task is a row with a cursor. Each step makes a few messages due and moves the cursor in one
//! commit, so that a restart goes on where the last step was; what is made due is bounded by the
//! second, for all tasks together, and by the application's backlog. Applications take turns, and the
//! tasks of one take turns within its own.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{
    AppId, Change, Claim, DeadLetterFilter, DeadLetterId, Error, Order, Page, Store, Task, TaskId, TaskKind,
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

/// Where going round is: by application, and within each by task, so that nobody's many tasks are in
/// another's way.
#[derive(Default)]
struct Round {
    /// The last application that had its turn.
    after: Option<AppId>,
    /// The last task of each that had its turn, in the round before and in this one: no more than
    /// there are applications with tasks.
    before: HashMap<AppId, TaskId>,
    reached: HashMap<AppId, TaskId>,
}

impl Round {
    /// From the first application again.
    fn again(&mut self) {
        self.after = None;
        self.before = mem::take(&mut self.reached);
    }
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
        let mut round = Round::default();
        loop {
            match self.turn(&mut round).await {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(REST, self.told.notified()).await;
                    continue;
                }
                Err(Error::Fenced { .. } | Error::Closed) => return,
                Err(error) => tracing::error!(%error, "cannot go on with background tasks, trying again"),
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Each of the next applications gets its share of a second; `false` where none has a task.
    async fn turn(&self, round: &mut Round) -> Result<bool, Error> {
        let limit = self.per_second.min(STEP_MAX);
        let mut apps = self.store.apps_with_tasks(round.after, limit).await?;
        if apps.is_empty() && round.after.is_some() {
            round.again();
            apps = self.store.apps_with_tasks(None, limit).await?;
        }
        let share = self.per_second / u32::try_from(apps.len()).unwrap_or(u32::MAX).max(1);
        for app in &apps {
            round.after = Some(*app);
            if let Some(last) = self.serve(*app, round.before.get(app).copied(), share.max(1)).await? {
                round.reached.insert(*app, last);
            }
        }
        if apps.is_empty() {
            round.again();
        }
        Ok(!apps.is_empty())
    }

    /// Makes up to `share` messages of the application's tasks due, from the one behind `after` on;
    /// returns the last that had its turn, or none where the next turn is the first's.
    async fn serve(
        &self,
        app: AppId,
        after: Option<TaskId>,
        mut share: u32,
    ) -> Result<Option<TaskId>, Error> {
        let page = |after| Page { after, limit: share.min(STEP_MAX), order: Order::Ascending };
        let mut tasks = self.store.running_tasks(app, page(after)).await?;
        if tasks.is_empty() && after.is_some() {
            tasks = self.store.running_tasks(app, page(None)).await?;
        }
        let mut last = None;
        for task in tasks {
            if share == 0 {
                break;
            }
            let id = task.id;
            last = Some(id);
            match self.advance(task, share).await {
                // A look that finds nothing is work too.
                Ok(made_due) => share = share.saturating_sub(made_due.max(1)),
                Err(error @ (Error::Fenced { .. } | Error::Closed)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, task = %id, "a step of a background task failed, trying again");
                    // The next turn is of those behind it.
                    break;
                }
            }
        }
        Ok(last)
    }

    /// Makes up to `share` messages of the task due; returns how many.
    async fn advance(&self, mut task: Task, share: u32) -> Result<u32, Error> {
        let route = self.routing.app(task.app);
        let (app, endpoint, mut made_due) = (task.app, task.endpoint, 0);
        let has_room = || {
            // What is gone has no bound: its tasks end by their next step.
            let max = route.as_ref().map_or(u64::MAX, |app| self.backlog.max_of(app));
            self.store.backlog(app).deliveries < max
        };
        while made_due < share && has_room() {
            let step = self.step(&task, (share - made_due).min(STEP_MAX)).await?;
            let Change::StepTask { messages, cursor, last, .. } = &step else { break };
            let (count, cursor, last) = (u32::try_from(messages.len()).unwrap_or(u32::MAX), *cursor, *last);
            made_due = made_due.saturating_add(count);
            self.store.change(self.claim, vec![step]).await?;
            if count > 0 {
                self.dispatch.due_now(app, endpoint);
            }
            // A look that found nothing was a long one: the next is another turn's.
            if last || count == 0 {
                break;
            }
            task.cursor = cursor;
        }
        Ok(made_due)
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
                let messages: Vec<_> = dead.found.iter().map(|one| one.id.message).collect();
                let last = messages.len() < limit as usize && dead.stopped_at.is_none();
                (messages, dead.stopped_at.map(|id| id.message), last)
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

#[cfg(test)]
mod tests {
    use plimsoll_store::{App, Endpoint, Id, MessageId, TaskState};

    use super::*;
    use crate::core::Core;
    use crate::routing::{test_app, test_endpoint};
    use crate::tests::{start, stop};

    /// An application with that many tasks that have nothing to make due.
    async fn with_tasks(core: &Core, app: App, count: u64) -> Vec<TaskId> {
        let claim = core.store.claim_of(app.id);
        core.store.change(claim, vec![Change::PutApp(app.clone())]).await.unwrap();
        let mut tasks = Vec::new();
        for sequence in 1..=count {
            let endpoint = Endpoint { sequence, app: app.id, ..test_endpoint("http://127.0.0.1:1/") };
            let task = Task {
                id: TaskId::fresh(),
                org: Arc::clone(&app.org),
                app: app.id,
                endpoint: endpoint.id,
                kind: TaskKind::Recover,
                since: 0,
                until: 0,
                cursor: MessageId(Id::MIN),
                replayed: 0,
                state: TaskState::Running,
                created_at: 0,
                updated_at: 0,
            };
            tasks.push(task.id);
            let changes = vec![Change::PutEndpoint(Box::new(endpoint)), Change::StartTask(Box::new(task))];
            core.store.change(claim, changes).await.unwrap();
        }
        tasks
    }

    #[tokio::test]
    async fn many_tasks_of_one_application_do_not_hold_up_another_s() {
        let directory = tempfile::tempdir().unwrap();
        let core = start(directory.path(), &[("hooks.replay_per_second", "1")]).await;
        let (first, second) = (test_app(), test_app());
        let org = Arc::clone(&first.org);
        let many = with_tasks(&core, first, 5).await;
        let one = with_tasks(&core, second, 1).await;
        let is_running = async |task| {
            core.store.task(Arc::clone(&org), task).await.unwrap().unwrap().state == TaskState::Running
        };
        let (mut round, mut turns) = (Round::default(), 0);
        while is_running(one[0]).await {
            assert!(core.replayer.turn(&mut round).await.unwrap());
            turns += 1;
            assert!(turns <= 2, "it waits for the tasks of another");
        }
        while core.replayer.turn(&mut round).await.unwrap() {
            turns += 1;
            assert!(turns < 100, "no end");
        }
        for task in many {
            assert!(!is_running(task).await);
        }
        stop(core).await;
    }
}
