//! What happens to others: full disks, failing statements, purges that are cut off.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::call::{Call, Write};
use super::committer::Known;
use super::idempotency::{Buckets, Held};
use super::purge::Purge;
use super::schema;
use crate::queue::{Haste, Size};
use crate::*;

const NOW: UnixMillis = 1_767_225_600_000;
const HOUR: UnixMillis = 3_600_000;

async fn store() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = Store::open(Options { directory: directory.path().to_path_buf() }).await.unwrap();
    (directory, store)
}

/// Puts statements of the engine in the committer's queue.
async fn ask(store: &Store, sql: &str) -> oneshot::Receiver<Result<(), Error>> {
    let (caller, answer) = oneshot::channel();
    let call = Call { claim: store.claims()[0], write: Write::Engine(sql.into(), caller) };
    store.host.commits.push(call, Size { operations: 1, bytes: 0 }, Haste::Now).await.unwrap();
    answer
}

async fn engine(store: &Store, sql: &str) {
    ask(store, sql).await.await.unwrap().unwrap();
}

fn app() -> App {
    App {
        id: AppId::fresh(),
        org: "org_faults".into(),
        uid: None,
        name: String::new(),
        throttle_rate: None,
        paused_at: None,
        metadata: "{}".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

fn endpoint(app: AppId) -> Endpoint {
    Endpoint {
        id: EndpointId::fresh(),
        app,
        sequence: 1,
        uid: None,
        url: "https://example.com".into(),
        description: String::new(),
        disabled: false,
        disabled_by: None,
        event_types: None,
        channels: None,
        throttle_rate: None,
        paused_at: None,
        secret: Secret(vec![1; 24]),
        old_secrets: vec![],
        headers: vec![],
        metadata: "{}".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

fn message(app: AppId, event_type: &str) -> NewMessage {
    let message = Message {
        id: MessageId::fresh(),
        app,
        event_id: None,
        event_type: event_type.into(),
        channels: None,
        payload: Some(vec![b'x'; 2_000]),
        accepted_at: NOW,
        deliver_at: None,
        canceled_at: None,
        priority: Priority::Normal,
    };
    let idempotency =
        Idempotency { key: fastrand::u128(..).to_le_bytes(), fingerprint: [0; 16], keep_for_ms: 1_000 };
    NewMessage {
        message,
        org: "org_faults".into(),
        ceiling: 1,
        deliveries: 1,
        backlog_max: u64::MAX,
        idempotency: Some(idempotency),
        retention_days: u16::MAX,
    }
}

fn attempt(app: AppId, message: MessageId, endpoint: EndpointId, next: Next) -> Progress {
    Progress::Attempted(Box::new(NewAttempt {
        id: AttemptId::fresh(),
        org: "org_faults".into(),
        app,
        message,
        endpoint,
        number: 1,
        at: NOW,
        duration_ms: 1,
        status_code: 500,
        response: vec![],
        url: "https://example.com".into(),
        trigger: Trigger::Scheduled,
        priority: 1,
        next,
    }))
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_nothing_is_lost_when_it_has_room_again() {
    let (directory, store) = store().await;
    let (claim, app) = (store.claims()[0], app());
    let id = app.id;
    store.change(claim, vec![Change::PutApp(app)]).await.unwrap();
    // The engine lets the file grow no more than it has.
    engine(&store, "PRAGMA max_page_count = 40").await;
    let mut accepted = Vec::new();
    let refused = loop {
        let new = message(id, "a");
        let message = new.message.id;
        match store.accept(claim, vec![new]).await {
            Ok(answers) => {
                assert_eq!(answers, [Accepted::Stored]);
                accepted.push(message);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::DiskFull), "{refused}");
    assert!(store.stats().calls_failed > 0);
    assert_eq!(store.fanouts(id, vec![], 1_000, 1 << 20).await.unwrap().len(), accepted.len());
    engine(&store, "PRAGMA max_page_count = 1000000").await;
    let new = message(id, "a");
    accepted.push(new.message.id);
    assert_eq!(store.accept(claim, vec![new]).await.unwrap(), [Accepted::Stored]);

    store.close().await;
    let store = Store::open(Options { directory: directory.path().to_path_buf() }).await.unwrap();
    let found = store.fanouts(id, vec![], 1_000, 1 << 20).await.unwrap();
    let mut found: Vec<_> = found.iter().map(|work| work.message.id).collect();
    found.sort();
    accepted.sort();
    assert_eq!(found, accepted);
}

#[tokio::test]
async fn a_call_that_fails_does_not_fail_its_neighbours() {
    let (_directory, store) = store().await;
    let (claim, app) = (store.claims()[0], app());
    let id = app.id;
    store.change(claim, vec![Change::PutApp(app)]).await.unwrap();
    engine(
        &store,
        "CREATE TRIGGER bad BEFORE INSERT ON messages WHEN NEW.event_type = 'bad' \
         BEGIN SELECT RAISE(ABORT, 'as told'); END",
    )
    .await;
    // Long enough for the others to wait behind it, and be one group.
    let slow = "CREATE TEMP TABLE slow AS WITH RECURSIVE n (i) AS \
                (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT sum(i) FROM n";
    let slow = ask(&store, slow).await;
    let mut calls: Vec<_> = (0..9)
        .map(|call| {
            let event_type = if call == 4 { "bad" } else { "good" };
            Box::pin(store.accept(claim, vec![message(id, event_type), message(id, "good")]))
        })
        .collect();
    for call in &mut calls {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    slow.await.unwrap().unwrap();
    for (number, call) in calls.into_iter().enumerate() {
        match (number, call.await) {
            (4, Err(Error::Engine(why))) => assert!(why.contains("as told"), "{why}"),
            (4, other) => panic!("{other:?}"),
            (_, answers) => assert_eq!(answers.unwrap(), [Accepted::Stored, Accepted::Stored]),
        }
    }
    let stats = store.stats();
    assert_eq!((stats.groups_failed, stats.calls_failed), (1, 1));
    let kept = store.fanouts(id, vec![], 1_000, 1 << 20).await.unwrap().len();
    assert_eq!(kept, 16, "nothing of the one that failed");
}

#[tokio::test]
async fn what_was_buried_is_purged_behind_the_accepts() {
    let (directory, store) = store().await;
    let (claim, app) = (store.claims()[0], app());
    let endpoint = endpoint(app.id);
    let (id, endpoint_id) = (app.id, endpoint.id);
    store.change(claim, vec![Change::PutApp(app), Change::PutEndpoint(Box::new(endpoint))]).await.unwrap();
    let messages: Vec<_> = (0..300).map(|_| message(id, "a")).collect();
    let ids: Vec<_> = messages.iter().map(|new| new.message.id).collect();
    store.accept(claim, messages).await.unwrap();
    let retry = Next::Retry { due_at: NOW };
    let progress: Vec<_> = ids.iter().map(|message| attempt(id, *message, endpoint_id, retry)).collect();
    store.record(claim, progress).await.unwrap();
    store.change(claim, vec![Change::DeleteApp { app: id, at: NOW }]).await.unwrap();

    let file = Connection::open(directory.path().join("plimsoll.db")).unwrap();
    let rows = "SELECT (SELECT count(*) FROM apps) + (SELECT count(*) FROM endpoints) + \
                (SELECT count(*) FROM messages) + (SELECT count(*) FROM fanout) + \
                (SELECT count(*) FROM attempts) + (SELECT count(*) FROM due_work)";
    let patience = plimsoll::clock::now() + Duration::from_secs(20);
    while file.query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
        assert!(plimsoll::clock::now() < patience, "the purge does not end");
        std::thread::yield_now();
    }
    assert!(store.stats().purged >= 1_202);
}

fn tables() -> (Connection, Known) {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, schema::STEPS).unwrap();
    let known = Known::load(&connection).unwrap();
    (connection, known)
}

fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

const TABLES: [&str; 6] = ["apps", "endpoints", "messages", "fanout", "attempts", "due_work"];

#[test]
fn a_purge_that_is_cut_off_after_any_unit_goes_on_where_it_was() {
    let (connection, mut known) = tables();
    let (kept, gone) = (app(), app());
    let mut group = known.group(&connection);
    for app in [&kept, &gone] {
        let (endpoint, id) = (endpoint(app.id), app.id);
        let endpoint_id = endpoint.id;
        let changes = [Change::PutApp(app.clone()), Change::PutEndpoint(Box::new(endpoint))];
        assert_eq!(group.change(&changes).unwrap(), [Changed::Done; 2]);
        for _ in 0..700 {
            let new = NewMessage { idempotency: None, ..message(id, "a") };
            group.accept(std::slice::from_ref(&new)).unwrap();
            group.record(&[attempt(id, new.message.id, endpoint_id, Next::Retry { due_at: NOW })]).unwrap();
        }
    }
    group.change(&[Change::DeleteApp { app: gone.id, at: NOW }]).unwrap();
    drop(group);
    let mut before: i64 = TABLES.map(|table| count(&connection, table)).iter().sum();
    // Each time by somebody who knows nothing of the last; the grace is not over.
    while Purge::default().unit(&connection, &mut known, NOW).unwrap().more {
        let after = TABLES.map(|table| count(&connection, table)).iter().sum();
        assert!(before - after <= 256, "{} rows in one unit", before - after);
        before = after;
    }
    assert_eq!(TABLES.map(|table| count(&connection, table)), [2, 1, 700, 700, 700, 700]);
    assert!(Purge::default().unit(&connection, &mut known, NOW + HOUR + 1).unwrap().more);
    assert_eq!(count(&connection, "apps"), 1, "the buried row itself goes last");
    assert!(!Purge::default().unit(&connection, &mut known, NOW + HOUR + 1).unwrap().more);
}

#[test]
fn a_buried_endpoint_loses_its_due_work_and_keeps_its_history() {
    let (connection, mut known) = tables();
    let (app, other) = (app(), app());
    let (gone, kept) = (endpoint(app.id), endpoint(app.id));
    let (gone_id, kept_id) = (gone.id, kept.id);
    let mut group = known.group(&connection);
    let changes = [
        Change::PutApp(app.clone()),
        Change::PutApp(other),
        Change::PutEndpoint(gone.into()),
        Change::PutEndpoint(kept.into()),
    ];
    assert_eq!(group.change(&changes).unwrap(), [Changed::Done; 4]);
    for _ in 0..300 {
        let message = MessageId::fresh();
        for endpoint in [gone_id, kept_id] {
            group.record(&[attempt(app.id, message, endpoint, Next::Retry { due_at: NOW })]).unwrap();
        }
    }
    group.change(&[Change::DeleteEndpoint { app: app.id, endpoint: gone_id, at: NOW }]).unwrap();
    drop(group);
    while Purge::default().unit(&connection, &mut known, NOW + 2 * HOUR).unwrap().more {}
    assert_eq!(TABLES.map(|table| count(&connection, table)), [2, 1, 0, 0, 600, 300]);
}

#[test]
fn a_payload_goes_when_its_days_are_over() {
    let (connection, mut known) = tables();
    let app = app();
    let mut group = known.group(&connection);
    group.change(&[Change::PutApp(app.clone())]).unwrap();
    for days in [1, 5] {
        let messages: Vec<_> =
            (0..50).map(|_| NewMessage { retention_days: days, ..message(app.id, "a") }).collect();
        group.accept(&messages).unwrap();
    }
    drop(group);
    let mut left = |days: i64| {
        while Purge::default().unit(&connection, &mut known, NOW + days * 24 * HOUR).unwrap().more {}
        count(&connection, "messages WHERE payload IS NOT NULL")
    };
    assert_eq!([left(1), left(3), left(7)], [100, 50, 0]);
    assert_eq!(count(&connection, "messages"), 100, "the messages stay");
}

#[test]
fn history_goes_when_its_days_are_over_but_for_what_is_pending() {
    let (connection, mut known) = tables();
    let (app, endpoint_id) = (app(), EndpointId::fresh());
    let mut group = known.group(&connection);
    let endpoint = Endpoint { id: endpoint_id, ..endpoint(app.id) };
    group.change(&[Change::PutApp(app.clone()), Change::PutEndpoint(endpoint.into())]).unwrap();
    let mut accepted = Vec::new();
    for hour in 0..600 {
        let mut new = message(app.id, "a");
        new.message.accepted_at = NOW + hour * HOUR;
        new.idempotency = None;
        group.accept(std::slice::from_ref(&new)).unwrap();
        accepted.push(new.message.id);
    }
    // The first 300 are to be fanned out still, each third of the others is to be tried again.
    for (place, message) in accepted.iter().enumerate().skip(300) {
        let next =
            if place % 3 == 0 { Next::Retry { due_at: NOW } } else { Next::End(AttemptState::Succeeded) };
        group.record(&[attempt(app.id, *message, endpoint_id, next)]).unwrap();
        group.record(&[Progress::Finished { app: app.id, message: *message }]).unwrap();
    }
    drop(group);
    let mut purge = Purge::default();
    let mut left = |known: &mut Known, hours: i64| {
        while purge.unit(&connection, known, NOW + hours * HOUR).unwrap().more {}
        ["messages", "attempts", "fanout", "due_work"].map(|table| count(&connection, table))
    };
    assert_eq!(left(&mut known, 100_000), [600, 300, 300, 100], "it is kept for ever unless told otherwise");
    known.history_days.store(2, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(left(&mut known, 48 + 360), [560, 260, 300, 100], "two thirds of sixty");
    assert_eq!(left(&mut known, 48 + 600), [400, 100, 300, 100]);
    let mut group = known.group(&connection);
    for message in &accepted[..300] {
        group.record(&[Progress::Finished { app: app.id, message: *message }]).unwrap();
    }
    drop(group);
    assert_eq!(
        left(&mut known, 48 + 600),
        [100, 100, 0, 100],
        "what is settled meanwhile goes with the next pass"
    );
}

fn idempotency(key: u8) -> Idempotency {
    Idempotency { key: [key; 16], fingerprint: [key; 16], keep_for_ms: 24 * HOUR as u32 }
}

fn buckets_in(connection: &Connection) -> i64 {
    count(connection, "sqlite_schema WHERE name LIKE 'idempotency%'")
}

#[test]
fn a_bucket_goes_whole_when_nothing_in_it_is_in_force() {
    let (connection, mut known) = tables();
    let held = Held::Message(MessageId::fresh());
    for hour in 0..40 {
        known.buckets.put(&connection, &idempotency(hour), NOW + i64::from(hour) * HOUR, &held).unwrap();
    }
    known.buckets.committed();
    let now = NOW + 39 * HOUR;
    for hour in 0..40 {
        let found = known.buckets.find(&connection, &[hour; 16], now).unwrap();
        assert_eq!(found.is_some(), hour > 15, "hour {hour}");
    }
    assert_eq!(buckets_in(&connection), 40);
    while Purge::default().unit(&connection, &mut known, now).unwrap().more {}
    assert_eq!(buckets_in(&connection), 25);
    assert!(known.buckets.find(&connection, &[16; 16], now).unwrap().is_some());
}

#[test]
fn buckets_of_an_earlier_process_are_asked_until_their_filters_are_full() {
    let (connection, mut known) = tables();
    let held = Held::Answer { status: 201, body: b"made" };
    for key in 0..100 {
        known.buckets.put(&connection, &idempotency(key), NOW + i64::from(key % 3) * HOUR, &held).unwrap();
    }
    let mut reopened = Buckets::load(&connection).unwrap();
    let all = |buckets: &Buckets| {
        (0..100).all(|key| buckets.find(&connection, &[key; 16], NOW + 3 * HOUR).unwrap().is_some())
    };
    assert!(all(&reopened), "before");
    let mut steps = 0;
    while reopened.fill_filter(&connection).unwrap() > 0 {
        steps += 1;
        assert!(all(&reopened), "meanwhile");
    }
    assert_eq!(steps, 3);
    // Now a key that was never put does not reach the table: it need not even be there.
    connection.execute_batch(&format!("DROP TABLE idempotency_{}", NOW / HOUR)).unwrap();
    assert!(reopened.find(&connection, &[200; 16], NOW).unwrap().is_none());
}

#[test]
fn a_bucket_that_was_rolled_back_is_made_again() {
    let (connection, mut known) = tables();
    let held = Held::Message(MessageId::fresh());
    connection.execute_batch("BEGIN").unwrap();
    known.buckets.put(&connection, &idempotency(1), NOW, &held).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
    known.buckets.rolled_back();
    assert!(known.buckets.find(&connection, &[1; 16], NOW).unwrap().is_none());
    known.buckets.put(&connection, &idempotency(1), NOW, &held).unwrap();
    assert!(known.buckets.find(&connection, &[1; 16], NOW).unwrap().is_some());
}

#[tokio::test]
async fn a_hundred_thousand_units_of_due_work_are_found_by_index() {
    let (_directory, store) = store().await;
    let (claim, app) = (store.claims()[0], app());
    let endpoints: Vec<_> = (0..20).map(|_| endpoint(app.id)).collect();
    let mut changes = vec![Change::PutApp(app.clone())];
    changes.extend(endpoints.iter().map(|endpoint| Change::PutEndpoint(Box::new(endpoint.clone()))));
    store.change(claim, changes).await.unwrap();
    for part in 0..20 {
        let progress = (0..5_000).map(|number| {
            let id = WorkId::delivery(
                MessageId::fresh(),
                endpoints[number as usize % endpoints.len()].id,
                Trigger::Scheduled,
            );
            let due_at = NOW + part * 5_000 + number;
            Progress::Deferred(DueWork {
                id,
                org: app.org.clone(),
                tenant: app.id,
                due_at,
                priority: 0,
                tries: 0,
            })
        });
        store.record(claim, progress.collect::<Vec<_>>()).await.unwrap();
    }
    let page = Page { after: None, limit: 10_000, order: Order::Ascending };
    let keys = store.due_keys(0, WorkKind::Delivery, page).await.unwrap();
    assert_eq!(keys.len(), 20);
    for key in keys {
        let (found, next) =
            store.due(WorkKind::Delivery, app.id, key.key, NOW + 100_000, vec![], 10).await.unwrap();
        let times: Vec<_> = found.iter().map(|work| work.due_at).collect();
        assert_eq!(times, (0..10).map(|turn| key.due_at + turn * 20).collect::<Vec<_>>());
        assert_eq!(next, Some(key.due_at + 200));
    }
}
