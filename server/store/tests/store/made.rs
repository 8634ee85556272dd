//! Values to put in.
#![expect(clippy::unwrap_used, reason = "these serve tests only, where a failure ends the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_store::*;
use tempfile::TempDir;

/// 2026-01-01, the beginning of an hour.
pub(crate) const NOW: UnixMillis = 1_767_225_600_000;
pub(crate) const HOUR: UnixMillis = 3_600_000;

static IDS: AtomicU64 = AtomicU64::new(1);

/// An id greater than all before it, made now.
pub(crate) fn id() -> Id {
    id_at(NOW)
}

/// An id greater than all before it that were made then.
pub(crate) fn id_at(at: UnixMillis) -> Id {
    let mut bytes = *Id::at_millis(at).as_bytes();
    bytes[12..].copy_from_slice(&IDS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Id::from_bytes(bytes)
}

/// A store in a directory of its own.
pub(crate) struct Made {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    pub(crate) claim: Claim,
}

impl Made {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = open(&directory).await.unwrap();
        let claim = store.claims()[0];
        Self { store, directory, claim }
    }

    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let store = open(&self.directory).await.unwrap();
        let claim = store.claims()[0];
        Self { store, directory: self.directory, claim }
    }

    /// The store as the next process finds it after this one was killed.
    pub(crate) async fn crashed(self) -> Self {
        let directory = TempDir::new().unwrap();
        // The log last: what is written to it meanwhile is behind what the file has.
        for name in ["plimsoll.db", "plimsoll.db-wal"] {
            std::fs::copy(self.directory.path().join(name), directory.path().join(name)).unwrap();
        }
        let store = open(&directory).await.unwrap();
        let claim = store.claims()[0];
        Self { store, directory, claim }
    }

    /// The backlogs as the commits counted them, and as the rows have them at the same moment.
    pub(crate) fn counted_and_recounted(&self) -> [Vec<(Id, i64)>; 2] {
        let file = rusqlite::Connection::open(self.directory.path().join("plimsoll.db")).unwrap();
        file.execute_batch("BEGIN").unwrap();
        [
            "SELECT app, deliveries FROM backlog WHERE deliveries > 0 ORDER BY app",
            "SELECT id, pending FROM (
                 SELECT id,
                     (SELECT coalesce(sum(deliveries - deliveries * min(frontier, ceiling) / ceiling), 0)
                      FROM fanout WHERE app = id)
                     + (SELECT coalesce(sum(deliveries), 0) FROM scheduled WHERE app = id)
                     + (SELECT count(*) FROM due_work WHERE tenant = id) AS pending
                 FROM apps WHERE deleted_at IS NULL
             ) WHERE pending > 0 ORDER BY id",
        ]
        .map(|sql| {
            let mut statement = file.prepare(sql).unwrap();
            let read = |row: &rusqlite::Row<'_>| Ok((Id::from_bytes(row.get(0)?), row.get(1)?));
            statement.query_map([], read).unwrap().map(Result::unwrap).collect()
        })
    }

    pub(crate) async fn change(&self, change: Change) -> Changed {
        self.store.change(self.claim, vec![change]).await.unwrap()[0]
    }

    pub(crate) async fn accept(&self, message: NewMessage) -> Accepted {
        self.store.accept(self.claim, vec![message]).await.unwrap().remove(0)
    }

    pub(crate) async fn record(&self, progress: Vec<Progress>) {
        self.store.record(self.claim, progress).await.unwrap();
    }

    /// An application that is there.
    pub(crate) async fn app(&self) -> AppId {
        let app = app();
        assert_eq!(self.change(Change::PutApp(app.clone())).await, Changed::Done);
        app.id
    }

    /// An endpoint that is there.
    pub(crate) async fn endpoint(&self, app: AppId, sequence: u64) -> EndpointId {
        let endpoint = endpoint(app, sequence);
        let id = endpoint.id;
        assert_eq!(self.change(Change::PutEndpoint(Box::new(endpoint))).await, Changed::Done);
        id
    }

    /// A message that is there.
    pub(crate) async fn message(&self, app: AppId, ceiling: u64) -> MessageId {
        let new = NewMessage { ceiling, deliveries: ceiling, ..message(app) };
        let id = new.message.id;
        assert_eq!(self.accept(new).await, Accepted::Stored);
        id
    }

    pub(crate) async fn due_at(&self, app: AppId, endpoint: EndpointId, now: UnixMillis) -> Vec<DueWork> {
        self.store.due(WorkKind::Delivery, app, endpoint.0, now, vec![], 10_000).await.unwrap().0
    }

    pub(crate) async fn due_keys(&self) -> Vec<DueKey> {
        self.store.due_keys(0, WorkKind::Delivery, page()).await.unwrap()
    }

    pub(crate) async fn attempts(&self, app: AppId, message: MessageId) -> Vec<Attempt> {
        self.store.attempts_of_message(app, message, AttemptFilter::default(), page()).await.unwrap()
    }
}

pub(crate) async fn open(directory: &TempDir) -> Result<Store, OpenError> {
    Store::open(Options { directory: directory.path().to_path_buf() }).await
}

pub(crate) fn org() -> Org {
    "org_tests".into()
}

pub(crate) fn page<K>() -> Page<K> {
    Page { after: None, limit: 10_000, order: Order::Ascending }
}

pub(crate) fn app() -> App {
    App {
        id: AppId(id()),
        org: org(),
        uid: None,
        name: "Tests".into(),
        throttle_rate: None,
        paused_at: None,
        metadata: "{}".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn endpoint(app: AppId, sequence: u64) -> Endpoint {
    Endpoint {
        id: EndpointId(id()),
        app,
        sequence,
        uid: None,
        url: "https://example.com/hook".into(),
        description: String::new(),
        disabled: false,
        disabled_by: None,
        event_types: None,
        channels: None,
        throttle_rate: None,
        paused_at: None,
        secret: Secret(vec![7; 24]),
        old_secrets: vec![],
        headers: vec![],
        metadata: "{}".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn message(app: AppId) -> NewMessage {
    NewMessage {
        message: Message {
            id: MessageId(id()),
            app,
            event_id: None,
            event_type: "invoice.paid".into(),
            channels: None,
            payload: Some(b"{\"amount\":12}".to_vec()),
            accepted_at: NOW,
            deliver_at: None,
            canceled_at: None,
            priority: Priority::Normal,
        },
        org: org(),
        ceiling: 1,
        deliveries: 1,
        backlog_max: u64::MAX,
        idempotency: None,
        // The purge goes by the clock on the wall.
        retention_days: u16::MAX,
    }
}

pub(crate) fn idempotency(key: u8) -> Idempotency {
    Idempotency { key: [key; 16], fingerprint: [1; 16], keep_for_ms: 12 * HOUR as u32 }
}

pub(crate) fn attempt(
    app: AppId,
    message: MessageId,
    endpoint: EndpointId,
    number: u32,
    next: Next,
) -> NewAttempt {
    NewAttempt {
        id: AttemptId(id()),
        org: org(),
        app,
        message,
        endpoint,
        number,
        at: NOW,
        duration_ms: 12,
        status_code: if next == Next::End(AttemptState::Succeeded) { 204 } else { 500 },
        response: b"no".to_vec(),
        url: Arc::from("https://example.com/hook"),
        trigger: Trigger::Scheduled,
        priority: 0,
        next,
    }
}

pub(crate) fn attempted(attempt: NewAttempt) -> Progress {
    Progress::Attempted(Box::new(attempt))
}

pub(crate) fn deferred(app: AppId, message: MessageId, endpoint: EndpointId, due_at: UnixMillis) -> DueWork {
    DueWork {
        id: WorkId::delivery(message, endpoint, Trigger::Scheduled),
        org: org(),
        tenant: app,
        due_at,
        priority: 0,
        tries: 0,
    }
}
