//! The store.

use std::path::PathBuf;

use crate::*;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made where it is missing.
    pub directory: PathBuf,
}

/// A durable store; cheap to clone, all clones are one store.
#[derive(Clone)]
pub struct Store {}

#[expect(unused_variables, clippy::unused_async, reason = "signatures first")]
impl Store {
    /// Opens or makes the store in its directory, and claims its shards.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        todo!()
    }
    /// The shards that this process may write to.
    pub fn claims(&self) -> Vec<Claim> {
        todo!()
    }
    /// The claim of the shard that an application lives in.
    pub fn claim_of(&self, app: AppId) -> Claim {
        todo!()
    }
    /// Finishes what was begun and closes the files.
    pub async fn close(&self) {
        todo!()
    }

    /// Accepts messages: one answer each, in order. At most 1,024 messages and 32 MiB a call.
    pub async fn accept(&self, claim: Claim, messages: Vec<NewMessage>) -> Result<Vec<Accepted>, Error> {
        todo!()
    }
    /// Records what happened, in order, in one commit. At most 8,192 steps a call.
    pub async fn record(&self, claim: Claim, progress: Vec<Progress>) -> Result<(), Error> {
        todo!()
    }
    /// Changes what is configured: one answer each, in order, in one commit; where one is refused the others hold.
    /// At most 256 changes a call.
    pub async fn change(&self, claim: Claim, changes: Vec<Change>) -> Result<Vec<Changed>, Error> {
        todo!()
    }

    /// The answer remembered for a request: status, body, and whether its body was the same.
    pub async fn remembered(&self, idempotency: Idempotency) -> Result<Option<(u16, Vec<u8>, bool)>, Error> {
        todo!()
    }

    /// All applications of all organisations, by id, each with the highest endpoint sequence it ever
    /// used (deleted endpoints count): for routing tables.
    pub async fn all_apps(&self, page: Page<AppId>) -> Result<Vec<(App, u64)>, Error> {
        todo!()
    }
    /// All endpoints of all applications, by id: for routing tables.
    pub async fn all_endpoints(&self, page: Page<EndpointId>) -> Result<Vec<Endpoint>, Error> {
        todo!()
    }

    /// One application.
    pub async fn app(&self, org: Org, app: Reference<AppId>) -> Result<Option<App>, Error> {
        todo!()
    }
    /// The applications of an organisation.
    pub async fn apps(&self, org: Org, page: Page<AppId>) -> Result<Vec<App>, Error> {
        todo!()
    }
    /// One endpoint.
    pub async fn endpoint(
        &self,
        app: AppId,
        endpoint: Reference<EndpointId>,
    ) -> Result<Option<Endpoint>, Error> {
        todo!()
    }
    /// The endpoints of an application.
    pub async fn endpoints(&self, app: AppId, page: Page<EndpointId>) -> Result<Vec<Endpoint>, Error> {
        todo!()
    }
    /// One event type.
    pub async fn event_type(&self, org: Org, name: String) -> Result<Option<EventType>, Error> {
        todo!()
    }
    /// The event types of an organisation, by name; archived ones only if asked for.
    pub async fn event_types(
        &self,
        org: Org,
        archived: bool,
        page: Page<String>,
    ) -> Result<Vec<EventType>, Error> {
        todo!()
    }
    /// One message.
    pub async fn message(
        &self,
        app: AppId,
        message: MessageRef,
        with_content: bool,
    ) -> Result<Option<Message>, Error> {
        todo!()
    }
    /// The messages of an application.
    pub async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page<MessageId>,
    ) -> Result<Vec<Message>, Error> {
        todo!()
    }
    /// The attempts of a message, by id.
    pub async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Vec<Attempt>, Error> {
        todo!()
    }
    /// The attempts to an endpoint, by id.
    pub async fn attempts_of_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Vec<Attempt>, Error> {
        todo!()
    }
    /// One attempt.
    pub async fn attempt(
        &self,
        app: AppId,
        message: MessageId,
        attempt: AttemptId,
    ) -> Result<Option<Attempt>, Error> {
        todo!()
    }
    /// The endpoints a message went or goes to, and how each stands.
    pub async fn message_endpoints(
        &self,
        app: AppId,
        message: MessageId,
        page: Page<EndpointId>,
    ) -> Result<Vec<MessageEndpoint>, Error> {
        todo!()
    }
    /// Deliveries of an endpoint by state, of messages accepted in the range.
    pub async fn endpoint_stats(
        &self,
        app: AppId,
        endpoint: EndpointId,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Result<EndpointStats, Error> {
        todo!()
    }

    /// Applications with a fan-out row, by id.
    pub async fn fanout_apps(&self, shard: u32, page: Page<AppId>) -> Result<Vec<AppId>, Error> {
        todo!()
    }
    /// The oldest messages of an application whose fan-out is not complete, up to `limit` and up to
    /// `bytes` of payload (at least one); those in `except` are left out (at most 4,096).
    pub async fn fanouts(
        &self,
        app: AppId,
        except: Vec<MessageId>,
        limit: u32,
        bytes: usize,
    ) -> Result<Vec<FanoutWork>, Error> {
        todo!()
    }
    /// Endpoints of a message that have an attempt or due work, by id.
    pub async fn settled(
        &self,
        message: MessageId,
        page: Page<EndpointId>,
    ) -> Result<Vec<EndpointId>, Error> {
        todo!()
    }

    /// Keys with due work and when the earliest of each is due, by (tenant, key).
    pub async fn due_keys(
        &self,
        shard: u32,
        kind: WorkKind,
        page: Page<(AppId, Id)>,
    ) -> Result<Vec<DueKey>, Error> {
        todo!()
    }
    /// The first work of a key that is due by `now`, by priority and then by time, up to `limit`; those in
    /// `except` are left out (at most 4,096). With it, when the next work of the key is due that was not returned and is not in `except`.
    pub async fn due(
        &self,
        kind: WorkKind,
        tenant: AppId,
        key: Id,
        now: UnixMillis,
        except: Vec<WorkId>,
        limit: u32,
    ) -> Result<(Vec<DueWork>, Option<UnixMillis>), Error> {
        todo!()
    }
}
