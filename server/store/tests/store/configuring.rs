//! Applications, endpoints, event types, remembered answers.

use plimsoll_store::*;

use crate::made::*;

/// The largest there is.
const SEQUENCE: u64 = i64::MAX.cast_unsigned();

/// The purge goes by the clock on the wall.
const NEVER_PURGED: UnixMillis = UnixMillis::MAX;

fn put_endpoint(endpoint: &Endpoint) -> Change {
    Change::PutEndpoint(Box::new(endpoint.clone()))
}

fn full_endpoint(app: AppId) -> Endpoint {
    Endpoint {
        uid: Some("main".into()),
        description: "of \"theirs\"".into(),
        disabled: true,
        disabled_by: Some(DisabledBy::Failing),
        event_types: Some(vec!["invoice.paid".into(), "ünï".into()]),
        channels: Some(vec![]),
        throttle_rate: Some(u32::MAX),
        old_secrets: vec![
            OldSecret { secret: Secret(vec![1, 2, 3]), expires_at: NOW + 1 },
            OldSecret { secret: Secret(vec![]), expires_at: -1 },
        ],
        headers: vec![("X-B".into(), "2".into()), ("X-A".into(), "\n\"\\".into())],
        paused_at: Some(NOW + 1),
        metadata: "{\"a\":\"b\"}".into(),
        updated_at: NOW + 5,
        ..endpoint(app, SEQUENCE)
    }
}

#[tokio::test]
async fn everything_about_them_is_kept() {
    let made = Made::new().await;
    let app = App {
        uid: Some("acme".into()),
        throttle_rate: Some(5),
        paused_at: Some(NOW),
        metadata: "{\"k\":\"v\"}".into(),
        updated_at: NOW + 1,
        ..app()
    };
    let endpoint = full_endpoint(app.id);
    let event_type = EventType {
        org: org(),
        name: "invoice.paid".into(),
        description: "An invoice was paid.".into(),
        archived: false,
        deprecated: true,
        feature_flag: Some("beta".into()),
        schemas: Some("{\"1\":{}}".into()),
        created_at: NOW,
        updated_at: NOW + 2,
    };
    let changes =
        vec![Change::PutApp(app.clone()), put_endpoint(&endpoint), Change::PutEventType(event_type.clone())];
    assert_eq!(made.store.change(made.claim, changes.clone()).await.unwrap(), [Changed::Done; 3]);
    assert_eq!(made.store.change(made.claim, changes).await.unwrap(), [Changed::Done; 3], "twice is once");

    let Made { store, .. } = &made.reopened().await;
    for reference in [Reference::Id(app.id), Reference::Uid("acme".into())] {
        assert_eq!(store.app(org(), reference.clone()).await.unwrap().as_ref(), Some(&app));
        assert_eq!(store.app("org_other".into(), reference).await.unwrap(), None, "another's");
    }
    assert_eq!(store.apps(org(), page()).await.unwrap(), std::slice::from_ref(&app));
    assert_eq!(store.all_apps(page()).await.unwrap(), [(app.clone(), SEQUENCE)]);
    for reference in [Reference::Id(endpoint.id), Reference::Uid("main".into())] {
        assert_eq!(store.endpoint(app.id, reference.clone()).await.unwrap().as_ref(), Some(&endpoint));
        assert_eq!(store.endpoint(AppId(id()), reference).await.unwrap(), None, "another's");
    }
    assert_eq!(store.endpoints(app.id, page()).await.unwrap(), std::slice::from_ref(&endpoint));
    assert_eq!(store.all_endpoints(page()).await.unwrap(), [endpoint]);
    assert_eq!(store.event_type(org(), "invoice.paid".into()).await.unwrap(), Some(event_type.clone()));
    assert_eq!(store.event_types(org(), false, page()).await.unwrap().found, [event_type]);
}

#[tokio::test]
async fn a_uid_that_is_taken_fails_alone() {
    let made = Made::new().await;
    let named = |name: &str| App { uid: Some("acme".into()), name: name.into(), ..app() };
    let (first, second, elsewhere) = (named("first"), named("second"), named("third"));
    let elsewhere = App { org: "org_other".into(), ..elsewhere };
    let unnamed = app();
    let changes = [&first, &second, &elsewhere, &unnamed].map(|app| Change::PutApp(app.clone()));
    let answers = made.store.change(made.claim, changes.to_vec()).await.unwrap();
    assert_eq!(answers, [Changed::Done, Changed::UidTaken, Changed::Done, Changed::Done]);

    let named = || Endpoint { uid: Some("main".into()), ..endpoint(unnamed.id, 1) };
    let (one, two) = (named(), named());
    let answers = made.store.change(made.claim, vec![put_endpoint(&one), put_endpoint(&two)]).await.unwrap();
    assert_eq!(answers, [Changed::Done, Changed::UidTaken]);
    let moved = Endpoint { uid: None, ..one };
    let answers =
        made.store.change(made.claim, vec![put_endpoint(&moved), put_endpoint(&two)]).await.unwrap();
    assert_eq!(answers, [Changed::Done, Changed::Done], "given up, it is free");
}

#[tokio::test]
async fn what_is_buried_is_not_seen_and_its_names_are_free() {
    let made = Made::new().await;
    let first = App { uid: Some("acme".into()), ..app() };
    let endpoint = Endpoint { uid: Some("main".into()), ..endpoint(first.id, 7) };
    made.store
        .change(made.claim, vec![Change::PutApp(first.clone()), put_endpoint(&endpoint)])
        .await
        .unwrap();
    let message = made.message(first.id, 7).await;
    made.record(vec![attempted(attempt(first.id, message, endpoint.id, 1, Next::End(AttemptState::Failed)))])
        .await;

    let delete = Change::DeleteEndpoint { app: first.id, endpoint: endpoint.id, at: NEVER_PURGED };
    assert_eq!(made.change(delete.clone()).await, Changed::Done);
    assert_eq!(made.change(delete).await, Changed::Missing);
    assert_eq!(made.change(put_endpoint(&endpoint)).await, Changed::Missing, "nobody rises");
    let store = &made.store;
    assert_eq!(store.endpoint(first.id, Reference::Id(endpoint.id)).await.unwrap(), None);
    assert_eq!(store.endpoint(first.id, Reference::Uid("main".into())).await.unwrap(), None);
    assert_eq!(store.endpoints(first.id, page()).await.unwrap(), []);
    assert_eq!(store.all_endpoints(page()).await.unwrap(), []);
    assert_eq!(store.message_endpoints(first.id, message, page()).await.unwrap(), []);
    assert_eq!(store.all_apps(page()).await.unwrap()[0].1, 7, "its sequence is not used again");
    let next = Endpoint { id: EndpointId(id()), sequence: 8, ..endpoint.clone() };
    assert_eq!(made.change(put_endpoint(&next)).await, Changed::Done, "its uid is free");

    assert_eq!(made.change(Change::DeleteApp { app: first.id, at: NEVER_PURGED }).await, Changed::Done);
    assert_eq!(made.change(Change::PutApp(first.clone())).await, Changed::Missing, "nobody rises");
    assert_eq!(made.change(put_endpoint(&next)).await, Changed::Missing);
    assert_eq!(store.app(org(), Reference::Uid("acme".into())).await.unwrap(), None);
    assert_eq!(store.apps(org(), page()).await.unwrap(), []);
    assert_eq!(store.all_apps(page()).await.unwrap(), []);
    assert_eq!(store.all_endpoints(page()).await.unwrap(), []);
    assert_eq!(store.message(first.id, MessageRef::Id(message), true).await.unwrap(), None);
    let second = App { id: AppId(id()), ..first };
    assert_eq!(made.change(Change::PutApp(second)).await, Changed::Done);
}

#[tokio::test]
async fn lists_go_page_by_page_in_both_directions() {
    let made = Made::new().await;
    let app = made.app().await;
    let mut endpoints = Vec::new();
    for sequence in 1..=7 {
        endpoints.push(made.endpoint(app, sequence).await);
    }
    for order in [Order::Ascending, Order::Descending] {
        let mut expected = endpoints.clone();
        if order == Order::Descending {
            expected.reverse();
        }
        let mut page = Page { after: None, limit: 3, order };
        let mut found = Vec::new();
        loop {
            let part = made.store.endpoints(app, page).await.unwrap();
            assert_eq!(part, made.store.all_endpoints(page).await.unwrap());
            let Some(last) = part.last() else { break };
            page.after = Some(last.id);
            found.extend(part.iter().map(|endpoint| endpoint.id));
        }
        assert_eq!(found, expected);
    }
    assert_eq!(made.store.endpoints(app, Page { limit: 0, ..page() }).await.unwrap(), []);
}

#[tokio::test]
async fn a_page_of_event_types_with_large_schemas_goes_on_where_it_stopped() {
    let made = Made::new().await;
    let event_type = |number: u8| EventType {
        org: org(),
        name: format!("type-{number}"),
        description: String::new(),
        archived: false,
        deprecated: false,
        feature_flag: None,
        schemas: Some(format!("{{\"1\":{{\"a\":\"{}\"}}}}", "x".repeat(1 << 20))),
        created_at: NOW,
        updated_at: NOW,
    };
    let changes = (0..6).map(event_type).map(Change::PutEventType).collect();
    made.store.change(made.claim, changes).await.unwrap();
    let list = async |after: Option<String>| {
        let page = Page { after, limit: 10, order: Order::Ascending };
        let found = made.store.event_types(org(), false, page).await.unwrap();
        (found.found.len(), found.stopped_at)
    };
    let (first, stopped_at) = list(None).await;
    assert_eq!((first, stopped_at.as_deref()), (4, Some("type-3")));
    assert_eq!(list(stopped_at).await, (2, None));
}

#[tokio::test]
async fn event_types_are_listed_by_name() {
    let made = Made::new().await;
    let event_type = |name: &str, archived| EventType {
        org: org(),
        name: name.into(),
        description: String::new(),
        archived,
        deprecated: false,
        feature_flag: None,
        schemas: None,
        created_at: NOW,
        updated_at: NOW,
    };
    let all = [event_type("b", true), event_type("a", false), event_type("c", false)];
    let changes = all.into_iter().map(Change::PutEventType).collect();
    made.store.change(made.claim, changes).await.unwrap();
    let list = async |archived, after: Option<&str>, order| {
        let page = Page { after: after.map(str::to_owned), limit: 10, order };
        let found = made.store.event_types(org(), archived, page).await.unwrap();
        assert_eq!(found.stopped_at, None);
        found.found.into_iter().map(|each| each.name).collect::<Vec<_>>()
    };
    assert_eq!(list(false, None, Order::Ascending).await, ["a", "c"]);
    assert_eq!(list(true, None, Order::Descending).await, ["c", "b", "a"]);
    assert_eq!(list(true, Some("a"), Order::Ascending).await, ["b", "c"]);
    assert_eq!(list(true, Some("c"), Order::Descending).await, ["b", "a"]);
    let delete = Change::DeleteEventType { org: org(), name: "a".into() };
    assert_eq!(made.change(delete.clone()).await, Changed::Done);
    assert_eq!(made.change(delete).await, Changed::Missing);
    assert_eq!(made.store.event_type(org(), "a".into()).await.unwrap(), None);
}

#[tokio::test]
async fn the_answer_to_a_request_is_remembered() {
    let made = Made::new().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = now.as_millis() as UnixMillis;
    let remember = |key, at, body: &str| {
        let body = body.as_bytes().to_vec();
        Change::Remember { idempotency: idempotency(key), at, status: 201, body }
    };
    made.change(remember(1, at, "first")).await;
    made.change(remember(1, at, "second")).await;
    made.change(remember(2, at - 13 * HOUR, "long ago")).await;
    made.change(remember(3, at - 2 * HOUR, "in another hour")).await;
    let made = made.reopened().await;
    let remembered = async |idempotency| made.store.remembered(idempotency).await.unwrap();
    assert_eq!(remembered(idempotency(1)).await, Some((201, b"first".to_vec(), true)));
    let other = Idempotency { fingerprint: [9; 16], ..idempotency(1) };
    assert_eq!(remembered(other).await, Some((201, b"first".to_vec(), false)));
    assert_eq!(remembered(idempotency(2)).await, None, "no longer than it was to be kept");
    assert_eq!(remembered(idempotency(3)).await, Some((201, b"in another hour".to_vec(), true)));
    assert_eq!(remembered(idempotency(4)).await, None);
    let app = made.app().await;
    let new = NewMessage { idempotency: Some(idempotency(5)), ..message(app) };
    made.accept(new).await;
    assert_eq!(remembered(idempotency(5)).await, None, "a message is no answer");
}

#[test]
fn secrets_are_not_shown() {
    let endpoint = Endpoint { secret: Secret(vec![222; 24]), ..full_endpoint(AppId(id())) };
    let shown = format!("{endpoint:?}");
    assert!(!shown.contains("222"), "{shown}");
    assert!(shown.contains("Secret(24 bytes)") && shown.contains("Secret(3 bytes)"), "{shown}");
}
