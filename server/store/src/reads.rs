//! What can be read of the store.

use crate::sqlite::{self, DueQuery, Lane};
use crate::store::at_most;
use crate::*;

/// Rows of a page.
const PAGE_MAX: usize = 10_000;
/// Ids that a call can leave out.
const EXCEPT_MAX: usize = 128 * 1_024;

/// # Reading
///
/// A read sees what was durable when it began, all of it and nothing newer. A page has at most its
/// limit (10,000) of rows and 4 MiB of content (64 MiB of responses), and one call looks at no more than
/// 100,000 rows
/// for a filter that lets few of them through: such a page ends early. What is buried is not seen.
///
/// Every read fails with [`Error::TooLarge`] when more is asked for than a call may, with
/// [`Error::Rejected`] when too many wait already, with [`Error::Closed`] and [`Error::Engine`].
impl Store {
    /// The answer remembered for a request: status, body, and whether its body was the same.
    pub async fn remembered(&self, idempotency: Idempotency) -> Result<Option<(u16, Vec<u8>, bool)>, Error> {
        let buckets = self.host.buckets.clone();
        let now = wall_clock();
        let read = move |reader: &_| buckets.remembered(reader, &idempotency, now);
        self.host.reads.read(Lane::Api, read).await
    }

    /// All applications of all organisations, by id, each with the highest endpoint sequence it ever
    /// used (deleted endpoints count): for routing tables.
    pub async fn all_apps(&self, page: Page<AppId>) -> Result<Vec<(App, u64)>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::all_apps(reader, page)).await
    }

    /// All endpoints of all applications, by id: for routing tables.
    pub async fn all_endpoints(&self, page: Page<EndpointId>) -> Result<Vec<Endpoint>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::all_endpoints(reader, page)).await
    }

    /// What is pending of an application, as far as it is durable. It is known without reading.
    #[must_use]
    pub fn backlog(&self, app: AppId) -> Backlog {
        self.host.backlog.of(app)
    }

    /// The applications that have most pending, at most `count` of them, the largest first.
    #[must_use]
    pub fn largest_backlogs(&self, count: usize) -> Vec<(AppId, u64)> {
        self.host.backlog.largest(count)
    }

    /// What is pending of all applications; looks at each that has something pending.
    #[must_use]
    pub fn backlogs(&self) -> Backlogs {
        self.host.backlog.all()
    }

    /// One application.
    pub async fn app(&self, org: Org, app: Reference<AppId>) -> Result<Option<App>, Error> {
        self.host.reads.read(Lane::Api, move |reader| sqlite::app(reader, &org, &app)).await
    }

    /// The applications of an organisation.
    pub async fn apps(&self, org: Org, page: Page<AppId>) -> Result<Vec<App>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::apps(reader, &org, page)).await
    }

    /// One endpoint.
    pub async fn endpoint(
        &self,
        app: AppId,
        endpoint: Reference<EndpointId>,
    ) -> Result<Option<Endpoint>, Error> {
        self.host.reads.read(Lane::Api, move |reader| sqlite::endpoint(reader, app, &endpoint)).await
    }

    /// The endpoints of an application.
    pub async fn endpoints(&self, app: AppId, page: Page<EndpointId>) -> Result<Vec<Endpoint>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::endpoints(reader, app, page)).await
    }

    /// One event type.
    pub async fn event_type(&self, org: Org, name: String) -> Result<Option<EventType>, Error> {
        self.host.reads.read(Lane::Api, move |reader| sqlite::event_type(reader, &org, &name)).await
    }

    /// The event types of an organisation, by name; archived ones only if asked for.
    pub async fn event_types(
        &self,
        org: Org,
        archived: bool,
        page: Page<String>,
    ) -> Result<Sought<EventType, String>, Error> {
        fits(&page)?;
        let read = move |reader: &_| sqlite::event_types(reader, &org, archived, &page);
        self.host.reads.read(Lane::Api, read).await
    }

    /// One message. Asked for with its content it is read in the lane of deliveries.
    pub async fn message(
        &self,
        app: AppId,
        message: MessageRef,
        with_content: bool,
    ) -> Result<Option<Message>, Error> {
        // A retry reads its message so: it must not wait behind somebody's list.
        let lane = if with_content { Lane::Delivery } else { Lane::Api };
        let read = move |reader: &_| sqlite::message(reader, app, &message, with_content);
        self.host.reads.read(lane, read).await
    }

    /// The messages with these ids (at most 10,000), in their order and with their payloads; `None`
    /// for one that is gone. It ends early behind so many bytes of payload, after one at the least.
    pub async fn contents(
        &self,
        app: AppId,
        ids: Vec<MessageId>,
        bytes: usize,
    ) -> Result<Vec<(MessageId, Option<Message>)>, Error> {
        at_most("ids", ids.len(), PAGE_MAX)?;
        let read = move |reader: &_| sqlite::contents(reader, app, &ids, bytes);
        self.host.reads.read(Lane::Delivery, read).await
    }

    /// The messages of an application, by id. Times are those of acceptance, which is taken to lie
    /// within a minute of the time in the id.
    pub async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page<MessageId>,
    ) -> Result<Sought<Message, MessageId>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::messages(reader, app, &filter, page)).await
    }

    /// The attempts of a message, by id.
    pub async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Vec<Attempt>, Error> {
        fits(&page)?;
        let read = move |reader: &_| sqlite::attempts_of_message(reader, app, message, &filter, page);
        self.host.reads.read(Lane::Api, read).await
    }

    /// The attempts to an endpoint, by id. Times are those at which attempts began, which are taken
    /// to lie within ten minutes of the times in the ids.
    pub async fn attempts_of_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Sought<Attempt, AttemptId>, Error> {
        fits(&page)?;
        let read = move |reader: &_| sqlite::attempts_of_endpoint(reader, app, endpoint, &filter, page);
        self.host.reads.read(Lane::Api, read).await
    }

    /// One attempt.
    pub async fn attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<Option<Attempt>, Error> {
        let read = move |reader: &_| sqlite::attempt(reader, app, message, attempt);
        self.host.reads.read(Lane::Api, read).await
    }

    /// The endpoints a message went or goes to, and how each stands.
    pub async fn message_endpoints(
        &self,
        app: AppId,
        message: MessageId,
        page: Page<EndpointId>,
    ) -> Result<Vec<MessageEndpoint>, Error> {
        fits(&page)?;
        let read = move |reader: &_| sqlite::message_endpoints(reader, app, message, page);
        self.host.reads.read(Lane::Api, read).await
    }

    /// Deliveries of an endpoint by state, of messages accepted in the range (by the time in their
    /// ids). Counts the newest 100,000 attempts, and as many rows of due work and of fan-out.
    pub async fn endpoint_stats(
        &self,
        app: AppId,
        endpoint: EndpointId,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Result<EndpointStats, Error> {
        let read = move |reader: &_| sqlite::endpoint_stats(reader, app, endpoint, since, until);
        self.host.reads.read(Lane::Api, read).await
    }

    /// The newest attempts to an endpoint, of each sort.
    pub async fn last_attempts(&self, app: AppId, endpoint: EndpointId) -> Result<LastAttempts, Error> {
        self.host.reads.read(Lane::Api, move |reader| sqlite::last_attempts(reader, app, endpoint)).await
    }

    /// Since when the attempts to an endpoint fail, as far as it is durable. It is known without
    /// reading.
    #[must_use]
    pub fn failing(&self, endpoint: EndpointId) -> Option<Failing> {
        self.host.failing.of(endpoint)
    }

    /// Endpoints whose attempts failed for so long, from the first to the last that this process has
    /// seen, up to `limit` of those that are wanted. It is known without reading; looks at each that
    /// fails, under a lock that commits wait for: `wanted` must be quick.
    #[must_use]
    pub fn failing_longer_than(
        &self,
        span_ms: i64,
        limit: usize,
        wanted: impl Fn(EndpointId, Failing) -> bool,
    ) -> Vec<(EndpointId, Failing)> {
        self.host.failing.longer_than(span_ms, limit, wanted)
    }

    /// The dead letters of an application, or of one of its endpoints, by message and endpoint.
    pub async fn dead_letters(
        &self,
        app: AppId,
        filter: DeadLetterFilter,
        page: Page<DeadLetterId>,
    ) -> Result<Sought<DeadLetter, DeadLetterId>, Error> {
        fits(&page)?;
        let read = move |reader: &_| sqlite::dead_letters(reader, app, &filter, page);
        self.host.reads.read(Lane::Api, read).await
    }

    /// The first messages that wait for their time, by time, of all applications.
    pub async fn scheduled(&self, limit: u32) -> Result<Vec<Scheduled>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::scheduled(reader, limit)).await
    }

    /// One background task.
    pub async fn task(&self, org: Org, task: TaskId) -> Result<Option<Task>, Error> {
        self.host.reads.read(Lane::Api, move |reader| sqlite::task_of(reader, &org, task)).await
    }

    /// The background tasks of an organisation, by id.
    pub async fn tasks(
        &self,
        org: Org,
        filter: TaskFilter,
        page: Page<TaskId>,
    ) -> Result<Sought<Task, TaskId>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::tasks_of(reader, &org, filter, page)).await
    }

    /// The background tasks of an application that have something left to do, by id.
    pub async fn running_tasks(&self, app: AppId, page: Page<TaskId>) -> Result<Vec<Task>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::running_tasks(reader, app, page)).await
    }

    /// The applications, by id, that have a background task with something left to do.
    pub async fn apps_with_tasks(&self, after: Option<AppId>, limit: u32) -> Result<Vec<AppId>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::apps_with_tasks(reader, after, limit)).await
    }

    /// Messages behind the task's cursor that were never sent to its endpoint although it wants
    /// them, up to `limit`; one call looks at no more than 2,000 messages.
    pub async fn missing(&self, task: Task, limit: u32) -> Result<Missing, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        self.host.reads.read(Lane::Api, move |reader| sqlite::missing(reader, &task, limit)).await
    }

    /// Applications with a fan-out row, by id.
    pub async fn fanout_apps(&self, shard: u32, page: Page<AppId>) -> Result<Vec<AppId>, Error> {
        fits(&page)?;
        if shard != 0 {
            return Ok(Vec::new());
        }
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::fanout_apps(reader, page)).await
    }

    /// The oldest messages of an application whose fan-out is not complete, up to `limit` and up to
    /// `bytes` of payload (at least one); those in `except` are left out (at most 131,072).
    pub async fn fanouts(
        &self,
        app: AppId,
        except: Vec<MessageId>,
        limit: u32,
        bytes: usize,
    ) -> Result<Vec<FanoutWork>, Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        at_most("ids left out", except.len(), EXCEPT_MAX)?;
        let read = move |reader: &_| sqlite::fanouts(reader, app, &except, limit, bytes);
        self.host.reads.read(Lane::Delivery, read).await
    }

    /// Endpoints of a message that have an attempt or due work, by id.
    pub async fn settled(
        &self,
        message: MessageId,
        page: Page<EndpointId>,
    ) -> Result<Vec<EndpointId>, Error> {
        fits(&page)?;
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::settled(reader, message, page)).await
    }

    /// Keys with due work and when the earliest of each is due, by (tenant, key).
    pub async fn due_keys(
        &self,
        shard: u32,
        kind: WorkKind,
        page: Page<(AppId, Id)>,
    ) -> Result<Vec<DueKey>, Error> {
        fits(&page)?;
        if shard != 0 {
            return Ok(Vec::new());
        }
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::due_keys(reader, kind, page)).await
    }

    /// The first work of a key that is due by `now`, by priority and then by time, up to `limit`;
    /// those in `except` are left out (at most 131,072). With it, when the next work of the key is due
    /// that was not returned and is not in `except`.
    pub async fn due(
        &self,
        kind: WorkKind,
        tenant: AppId,
        key: Id,
        now: UnixMillis,
        except: Vec<WorkId>,
        limit: u32,
    ) -> Result<(Vec<DueWork>, Option<UnixMillis>), Error> {
        at_most("rows", limit as usize, PAGE_MAX)?;
        at_most("ids left out", except.len(), EXCEPT_MAX)?;
        let query = DueQuery { kind, tenant, key, now, except, limit };
        self.host.reads.read(Lane::Delivery, move |reader| sqlite::due(reader, &query)).await
    }
}

fn fits<K>(page: &Page<K>) -> Result<(), Error> {
    at_most("rows", page.limit as usize, PAGE_MAX)
}
