//! What the API shows of messages and attempts.

use plimsoll_store::*;

use crate::made::*;

const SUCCEEDED: Next = Next::End(AttemptState::Succeeded);
const DEAD: Next = Next::End(AttemptState::Exhausted);
const RETRY: Next = Next::Retry { due_at: NOW + 5_000 };

/// A message accepted `minutes` after [`NOW`], with an id to match.
async fn message_at(made: &Made, app: AppId, minutes: i64, event_type: &str, channel: &str) -> MessageId {
    let at = NOW + minutes * 60_000;
    let mut new = message(app);
    new.message.id = MessageId(id_at(at));
    new.message.accepted_at = at;
    new.message.event_type = event_type.into();
    new.message.channels = Some(vec![channel.into()]);
    let id = new.message.id;
    assert_eq!(made.accept(new).await, Accepted::Stored);
    id
}

#[tokio::test]
async fn messages_are_listed_by_type_channel_and_time() {
    let made = Made::new().await;
    let app = made.app().await;
    let mut all = Vec::new();
    for (minutes, event_type, channel) in [(0, "a", "x"), (10, "b", "x"), (20, "a", "y"), (30, "c", "y")] {
        all.push(message_at(&made, app, minutes, event_type, channel).await);
    }
    message_at(&made, made.app().await, 0, "a", "x").await;
    let list = async |filter: MessageFilter, page: Page<MessageId>| {
        let found = made.store.messages(app, filter, page).await.unwrap().found;
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    let any = MessageFilter::default;
    let minute = |minutes: i64| Some(NOW + minutes * 60_000);
    assert_eq!(list(any(), page()).await, all);
    let backwards = Page { after: Some(all[3]), limit: 2, order: Order::Descending };
    assert_eq!(list(any(), backwards).await, [all[2], all[1]]);
    let types = MessageFilter { event_types: vec!["a".into(), "c".into()], ..any() };
    assert_eq!(list(types, page()).await, [all[0], all[2], all[3]]);
    let channel = MessageFilter { channel: Some("x".into()), ..any() };
    assert_eq!(list(channel, page()).await, all[..2]);
    let between = MessageFilter { after: minute(0), before: minute(20), ..any() };
    assert_eq!(list(between, page()).await, all[1..2], "both ends are out");
    let none = MessageFilter { channel: Some("z".into()), ..any() };
    assert_eq!(list(none, page()).await, []);

    let content = MessageFilter { with_content: true, ..any() };
    let found = made.store.messages(app, content, page()).await.unwrap().found;
    assert!(found.iter().all(|message| message.payload.is_some()));
    let found = made.store.messages(app, any(), page()).await.unwrap().found;
    assert!(found.iter().all(|message| message.payload.is_none()));
}

#[tokio::test]
async fn attempts_are_listed_by_time_whoever_they_went_to() {
    let made = Made::new().await;
    let app = made.app().await;
    let mut endpoints = [made.endpoint(app, 1).await, made.endpoint(app, 2).await];
    endpoints.reverse();
    let mut messages = Vec::new();
    for event_type in ["a", "b"] {
        messages.push(message_at(&made, app, 0, event_type, event_type).await);
    }
    let mut all = Vec::new();
    let mut progress = Vec::new();
    for number in 1..=3 {
        for message in &messages {
            for endpoint in endpoints {
                let next = if number == 3 { SUCCEEDED } else { RETRY };
                let mut each = attempt(app, *message, endpoint, number, next);
                let at = NOW + i64::from(number) * 60 * 60_000;
                each.id = AttemptId(id_at(at));
                each.at = at;
                all.push(each.clone());
                progress.push(attempted(each));
            }
        }
    }
    progress.reverse();
    made.record(progress).await;

    let ids = |list: Vec<Attempt>| list.into_iter().map(|attempt| attempt.id).collect::<Vec<_>>();
    let expected = |keep: &dyn Fn(&NewAttempt) -> bool| {
        all.iter().filter(|attempt| keep(attempt)).map(|attempt| attempt.id).collect::<Vec<_>>()
    };
    let of_message = async |filter, page| {
        ids(made.store.attempts_of_message(app, messages[0], filter, page).await.unwrap())
    };
    let of_endpoint = async |filter, page| {
        ids(made.store.attempts_of_endpoint(app, endpoints[0], filter, page).await.unwrap().found)
    };
    let any = AttemptFilter::default;
    let hour = |hours: i64| Some(NOW + hours * HOUR);
    let check = async |filter: AttemptFilter, keep: &dyn Fn(&NewAttempt) -> bool| {
        let right = expected(&|each| each.message == messages[0] && keep(each));
        assert_eq!(of_message(filter.clone(), page()).await, right, "{filter:?}");
        let right = expected(&|each| each.endpoint == endpoints[0] && keep(each));
        assert_eq!(of_endpoint(filter.clone(), page()).await, right, "{filter:?}");
    };
    check(any(), &|_| true).await;
    check(AttemptFilter { succeeded: Some(true), ..any() }, &|each| each.number == 3).await;
    check(AttemptFilter { succeeded: Some(false), ..any() }, &|each| each.number < 3).await;
    check(AttemptFilter { status_class: Some(200), ..any() }, &|each| each.number == 3).await;
    check(AttemptFilter { status_class: Some(500), ..any() }, &|each| each.number < 3).await;
    check(AttemptFilter { status_class: Some(0), ..any() }, &|_| false).await;
    check(AttemptFilter { after: hour(1), before: hour(3), ..any() }, &|each| each.number == 2).await;
    check(AttemptFilter { channel: Some("a".into()), ..any() }, &|each| each.message == messages[0]).await;
    check(AttemptFilter { event_types: vec!["b".into()], ..any() }, &|each| each.message == messages[1])
        .await;
    check(AttemptFilter { endpoint: Some(endpoints[1]), ..any() }, &|each| each.endpoint == endpoints[1])
        .await;

    let right = expected(&|each| each.message == messages[0]);
    let page = Page { after: Some(right[1]), limit: 3, order: Order::Ascending };
    assert_eq!(of_message(any(), page).await, right[2..5]);
    let page = Page { after: Some(right[4]), limit: 2, order: Order::Descending };
    assert_eq!(of_message(any(), page).await, [right[3], right[2]]);
    let right = expected(&|each| each.endpoint == endpoints[0]);
    let page = Page { after: Some(right[1]), limit: 3, order: Order::Ascending };
    assert_eq!(of_endpoint(any(), page).await, right[2..5]);
    let page = Page { after: None, limit: 2, order: Order::Descending };
    assert_eq!(of_endpoint(any(), page).await, [right[5], right[4]]);
}

#[tokio::test]
async fn an_attempt_is_read_as_it_was_recorded() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    let new = attempt(app, message, endpoint, 1, DEAD);
    made.record(vec![attempted(new.clone())]).await;
    let expected = Attempt {
        id: new.id,
        message,
        endpoint,
        number: 1,
        at: NOW,
        duration_ms: 12,
        status_code: 500,
        response: b"no".to_vec(),
        url: "https://example.com/hook".into(),
        state: AttemptState::Exhausted,
        trigger: Trigger::Scheduled,
    };
    let read = async |app, message| made.store.attempt(app, message, new.id).await.unwrap();
    assert_eq!(read(app, message).await, Some(expected.clone()));
    let other = made.app().await;
    assert_eq!(read(other, message).await, None, "another's");
    assert_eq!(
        made.store.attempts_of_message(other, message, AttemptFilter::default(), page()).await.unwrap(),
        []
    );
    assert_eq!(
        made.store
            .attempts_of_endpoint(other, endpoint, AttemptFilter::default(), page())
            .await
            .unwrap()
            .found,
        []
    );
    let content = AttemptFilter { with_content: true, ..AttemptFilter::default() };
    let found = made.store.attempts_of_endpoint(app, endpoint, content, page()).await.unwrap().found;
    assert_eq!(found, [expected]);
    assert_eq!(made.attempts(app, message).await[0].response, b"", "not asked for");
}

#[tokio::test]
async fn deliveries_stand_where_their_last_attempt_or_due_work_says() {
    let made = Made::new().await;
    let app = made.app().await;
    let mut endpoints = Vec::new();
    for sequence in 1..=9 {
        let mut endpoint = endpoint(app, sequence);
        match sequence {
            6 => endpoint.disabled = true,
            7 => endpoint.event_types = Some(vec!["other".into()]),
            8 => endpoint.channels = Some(vec!["other".into()]),
            _ => {}
        }
        endpoints.push(endpoint.id);
        made.change(Change::PutEndpoint(Box::new(endpoint))).await;
    }
    // The ninth came after the message.
    let message = made.message(app, 8).await;
    let [succeeded, pending, dead, resent, ..] = endpoints[..] else { unreachable!() };
    made.record(vec![
        attempted(attempt(app, message, succeeded, 1, RETRY)),
        attempted(attempt(app, message, succeeded, 2, SUCCEEDED)),
        attempted(attempt(app, message, pending, 1, RETRY)),
        attempted(attempt(app, message, dead, 1, DEAD)),
        attempted(attempt(app, message, resent, 1, DEAD)),
        Progress::Advanced { app, message, frontier: 4 },
    ])
    .await;
    made.change(Change::Resend(ResendRequest { org: org(), app, message, endpoint: resent, at: NOW })).await;

    let all = made.store.message_endpoints(app, message, page()).await.unwrap();
    let states: Vec<_> = all.iter().map(|each| (each.endpoint.sequence, each.state)).collect();
    let expected = [
        (1, DeliveryState::Succeeded),
        (2, DeliveryState::Pending { due_at: NOW + 5_000 }),
        (3, DeliveryState::Failed),
        (4, DeliveryState::Pending { due_at: NOW }),
        (5, DeliveryState::Sending),
    ];
    assert_eq!(states, expected);
    let page = Page { after: Some(dead), limit: 1, order: Order::Descending };
    let found = made.store.message_endpoints(app, message, page).await.unwrap();
    assert_eq!(found[0].endpoint.id, pending);

    let stats = async |endpoint| made.store.endpoint_stats(app, endpoint, None, None).await.unwrap();
    let none = EndpointStats::default;
    assert_eq!(stats(succeeded).await, EndpointStats { succeeded: 1, ..none() });
    assert_eq!(stats(pending).await, EndpointStats { pending: 1, ..none() });
    assert_eq!(stats(dead).await, EndpointStats { failed: 1, ..none() });
    assert_eq!(stats(resent).await, EndpointStats { pending: 1, ..none() });
    assert_eq!(stats(endpoints[4]).await, EndpointStats { sending: 1, ..none() });
    for nothing in &endpoints[5..] {
        assert_eq!(stats(*nothing).await, none());
    }
}

#[tokio::test]
async fn endpoint_stats_are_of_the_messages_in_the_range() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    for (hours, next) in [(0, SUCCEEDED), (1, DEAD), (1, RETRY), (2, SUCCEEDED)] {
        let message = message_at(&made, app, hours * 60, "a", "x").await;
        let mut each = attempt(app, message, endpoint, 1, next);
        each.id = AttemptId(id_at(NOW + 5 * HOUR));
        made.record(vec![attempted(each), Progress::Finished { app, message }]).await;
    }
    let stats = async |since, until| made.store.endpoint_stats(app, endpoint, since, until).await.unwrap();
    let all = EndpointStats { succeeded: 2, failed: 1, pending: 1, sending: 0 };
    assert_eq!(stats(None, None).await, all);
    let middle = stats(Some(NOW + HOUR / 2), Some(NOW + 3 * HOUR / 2)).await;
    assert_eq!(middle, EndpointStats { failed: 1, pending: 1, ..EndpointStats::default() });
    assert_eq!(stats(Some(NOW + 3 * HOUR), None).await, EndpointStats::default());
}
