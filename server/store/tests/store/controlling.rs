//! Messages for later, dead letters, failing endpoints, background tasks.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use plimsoll_store::*;

use crate::made::*;

const DAY: UnixMillis = 24 * HOUR;

fn for_later(app: AppId, due_at: UnixMillis) -> NewMessage {
    let new = message(app);
    let message = Message { deliver_at: Some(due_at), priority: Priority::High, ..new.message };
    NewMessage { message, ceiling: 0, deliveries: 3, ..new }
}

fn dead(made: &Made, app: AppId, endpoint: Option<EndpointId>) -> impl Future<Output = Vec<DeadLetter>> {
    let filter = DeadLetterFilter { endpoint, ..DeadLetterFilter::default() };
    let store = made.store.clone();
    async move { store.dead_letters(app, filter, page()).await.unwrap().found }
}

#[tokio::test]
async fn a_message_for_later_waits_through_a_crash_and_is_released_once() {
    let made = Made::new().await;
    let app = made.app().await;
    made.endpoint(app, 1).await;
    let (later, sooner) = (for_later(app, NOW + DAY), for_later(app, NOW + HOUR));
    let (second, first) = (later.message.id, sooner.message.id);
    for new in [later.clone(), sooner, later] {
        assert_eq!(made.accept(new).await, Accepted::Stored);
    }
    let made = made.crashed().await;
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), []);
    let waiting = made.store.scheduled(10).await.unwrap();
    assert_eq!(
        waiting,
        [
            Scheduled { app, message: first, due_at: NOW + HOUR },
            Scheduled { app, message: second, due_at: NOW + DAY },
        ]
    );
    assert_eq!(made.store.backlog(app).deliveries, 6);
    let found = made.store.message(app, MessageRef::Id(first), true).await.unwrap().unwrap();
    assert_eq!((found.deliver_at, found.priority), (Some(NOW + HOUR), Priority::High));

    let release = Change::Release { app, message: first, ceiling: 1, deliveries: 1 };
    assert_eq!(made.change(release.clone()).await, Changed::Done);
    assert_eq!(made.change(release).await, Changed::Missing);
    let made = made.crashed().await;
    let fanouts = made.store.fanouts(app, vec![], 10, 1 << 20).await.unwrap();
    assert_eq!(fanouts.len(), 1);
    assert_eq!((fanouts[0].message.id, fanouts[0].message.priority), (first, Priority::High));
    assert!(fanouts[0].message.payload.is_some());
    assert_eq!(made.store.backlog(app).deliveries, 4);
    let [counted, recounted] = made.counted_and_recounted();
    assert_eq!(counted, recounted);
}

#[tokio::test]
async fn a_message_that_was_called_off_is_never_released() {
    let made = Made::new().await;
    let app = made.app().await;
    let new = for_later(app, NOW + HOUR);
    let message = new.message.id;
    made.accept(new).await;
    let cancel = Change::Cancel { app, message, at: NOW + 5 };
    assert_eq!(made.change(cancel.clone()).await, Changed::Done);
    assert_eq!(made.change(cancel).await, Changed::Missing, "it does not wait any more");
    let release = Change::Release { app, message, ceiling: 1, deliveries: 1 };
    assert_eq!(made.change(release).await, Changed::Missing);
    let found = made.store.message(app, MessageRef::Id(message), false).await.unwrap().unwrap();
    assert_eq!(found.canceled_at, Some(NOW + 5));
    assert_eq!(made.store.scheduled(10).await.unwrap(), []);
    assert_eq!(made.store.backlog(app).deliveries, 0);
    let at_once = made.message(app, 0).await;
    let cancel = Change::Cancel { app, message: at_once, at: NOW };
    assert_eq!(made.change(cancel).await, Changed::Missing, "it never waited");
}

#[tokio::test]
async fn what_is_expunged_is_not_fanned_out_or_sent_again() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let message = made.message(app, 1).await;
    assert_eq!(made.change(Change::Expunge { app, message }).await, Changed::Done);
    assert_eq!(made.store.fanouts(app, vec![], 10, 1 << 20).await.unwrap(), []);
    assert_eq!(made.store.backlog(app).deliveries, 0);
    let resend = ResendRequest { org: org(), app, message, endpoint, at: NOW };
    assert_eq!(made.change(Change::Resend(resend)).await, Changed::Missing);
    let message = MessageId(id());
    assert_eq!(made.change(Change::Expunge { app, message }).await, Changed::Missing);
}

#[tokio::test]
async fn the_dead_are_told_apart_and_live_again_when_they_succeed() {
    let made = Made::new().await;
    let app = made.app().await;
    let (one, other) = (made.endpoint(app, 1).await, made.endpoint(app, 2).await);
    let (first, second) = (made.message(app, 2).await, made.message(app, 2).await);
    made.record(vec![
        attempted(attempt(app, first, one, 1, Next::Retry { due_at: NOW })),
        attempted(attempt(app, first, one, 2, Next::End(AttemptState::Exhausted))),
        attempted(attempt(app, second, one, 1, Next::End(AttemptState::Faulted))),
        attempted(attempt(app, first, other, 1, Next::End(AttemptState::Succeeded))),
        attempted(attempt(app, second, other, 1, Next::End(AttemptState::Exhausted))),
    ])
    .await;
    let made = made.crashed().await;
    let letters = dead(&made, app, None).await;
    let told: Vec<_> =
        letters.iter().map(|one| (one.id.message, one.id.endpoint, one.death, one.attempts)).collect();
    let mut expected = vec![
        (first, one, Death::Exhausted, 2),
        (second, one, Death::InternalFault, 1),
        (second, other, Death::Exhausted, 1),
    ];
    expected.sort_by_key(|letter| (letter.0, letter.1));
    assert_eq!(told, expected);
    assert_eq!((letters[0].status_code, &letters[0].response[..]), (500, &b"no"[..]));
    assert_eq!(letters[0].event_type, "invoice.paid");
    assert_eq!(dead(&made, app, Some(one)).await.len(), 2);
    let faults = DeadLetterFilter { death: Some(Death::InternalFault), ..DeadLetterFilter::default() };
    assert_eq!(made.store.dead_letters(app, faults, page()).await.unwrap().found[0].id.message, second);

    // Walked one by one, there and back, with and without an endpoint.
    for endpoint in [None, Some(one)] {
        for order in [Order::Ascending, Order::Descending] {
            let filter = DeadLetterFilter { endpoint, ..DeadLetterFilter::default() };
            let (mut walked, mut after) = (Vec::new(), None);
            loop {
                let page = Page { after, limit: 1, order };
                let found = made.store.dead_letters(app, filter, page).await.unwrap().found;
                let Some(last) = found.last() else { break };
                after = Some(last.id);
                walked.push(last.id);
            }
            if order == Order::Descending {
                walked.reverse();
            }
            let all: Vec<_> = dead(&made, app, endpoint).await.iter().map(|letter| letter.id).collect();
            assert_eq!(walked, all);
        }
    }

    let by_hand =
        |state| NewAttempt { trigger: Trigger::Manual, ..attempt(app, first, one, 3, Next::End(state)) };
    made.record(vec![attempted(by_hand(AttemptState::Failed))]).await;
    assert_eq!(dead(&made, app, Some(one)).await[0].attempts, 3);
    made.record(vec![attempted(NewAttempt { number: 4, ..by_hand(AttemptState::Succeeded) })]).await;
    assert_eq!(dead(&made, app, Some(one)).await.len(), 1);
}

#[tokio::test]
async fn what_was_to_be_tried_again_dies_with_the_disabling_of_its_endpoint() {
    let made = Made::new().await;
    let app = made.app().await;
    let wanted = endpoint(app, 1);
    made.change(Change::PutEndpoint(Box::new(wanted.clone()))).await;
    let (tried, untried) = (made.message(app, 1).await, made.message(app, 1).await);
    made.record(vec![
        attempted(attempt(app, tried, wanted.id, 1, Next::Retry { due_at: NOW })),
        Progress::Deferred(deferred(app, untried, wanted.id, NOW)),
    ])
    .await;
    let dropped = |message| Progress::Dropped(WorkId::delivery(message, wanted.id, Trigger::Scheduled));
    made.change(Change::PutEndpoint(Box::new(Endpoint { disabled: true, ..wanted.clone() }))).await;
    made.record(vec![dropped(tried), dropped(untried), dropped(tried)]).await;
    let letters = dead(&made, app, None).await;
    assert_eq!(letters.len(), 1, "what was never tried was not to be sent");
    assert_eq!((letters[0].id.message, letters[0].death), (tried, Death::Disabled));
}

#[tokio::test]
async fn a_resend_to_a_disabled_endpoint_does_not_kill_what_had_arrived() {
    let made = Made::new().await;
    let app = made.app().await;
    let wanted = endpoint(app, 1);
    made.change(Change::PutEndpoint(Box::new(wanted.clone()))).await;
    let (arrived, failed) = (made.message(app, 1).await, made.message(app, 1).await);
    let first = |message, next| attempted(attempt(app, message, wanted.id, 1, next));
    let end = |message, state| first(message, Next::End(state));
    made.record(vec![end(arrived, AttemptState::Succeeded), end(failed, AttemptState::Failed)]).await;
    made.change(Change::PutEndpoint(Box::new(Endpoint { disabled: true, ..wanted.clone() }))).await;
    for message in [arrived, failed] {
        let again = ResendRequest { org: org(), app, message, endpoint: wanted.id, at: NOW };
        assert_eq!(made.change(Change::Resend(again)).await, Changed::Done);
        let dropped = WorkId::delivery(message, wanted.id, Trigger::Manual);
        made.record(vec![Progress::Dropped(dropped)]).await;
    }
    let letters = dead(&made, app, None).await;
    assert_eq!(letters.iter().map(|letter| letter.id.message).collect::<Vec<_>>(), [failed]);
}

#[tokio::test]
async fn a_task_fails_when_its_endpoint_is_disabled_and_does_not_count_what_was_not_sent() {
    let made = Made::new().await;
    let app = made.app().await;
    let wanted = endpoint(app, 1);
    made.change(Change::PutEndpoint(Box::new(wanted.clone()))).await;
    let message = made.message(app, 0).await;
    let task = task(app, wanted.id, TaskKind::Recover);
    made.change(Change::StartTask(Box::new(task.clone()))).await;
    made.change(Change::PutEndpoint(Box::new(Endpoint { disabled: true, ..wanted.clone() }))).await;
    let (messages, cursor) = (vec![message], message);
    made.change(Change::StepTask { task: task.id, at: NOW, messages, cursor, last: true }).await;
    let ended = made.store.task(org(), task.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.replayed), (TaskState::Failed, 0));
}

#[tokio::test]
async fn an_endpoint_fails_from_its_first_failure_to_its_next_success() {
    let made = Made::new().await;
    let app = made.app().await;
    let wanted = endpoint(app, 1);
    made.change(Change::PutEndpoint(Box::new(wanted.clone()))).await;
    let message = made.message(app, 1).await;
    let at =
        |number, at, next| attempted(NewAttempt { at, ..attempt(app, message, wanted.id, number, next) });
    let retry = Next::Retry { due_at: NOW };
    made.record(vec![at(1, NOW, retry), at(2, NOW + 4, Next::End(AttemptState::Faulted))]).await;
    made.record(vec![at(3, NOW + HOUR, retry)]).await;
    assert_eq!(made.store.failing(wanted.id), Some(Failing { app, since: NOW, last: NOW + HOUR }));
    assert_eq!(made.store.failing_longer_than(HOUR + 1, 9, |_, _| true), []);
    assert_eq!(made.store.failing_longer_than(HOUR, 9, |_, _| true).len(), 1);
    assert_eq!(made.store.failing_longer_than(HOUR, 9, |_, _| false), []);

    let made = made.crashed().await;
    let known = made.store.failing(wanted.id).unwrap();
    assert_eq!((known.since, known.last), (NOW, NOW), "the last is only known in memory");
    made.record(vec![at(4, NOW + DAY, retry)]).await;
    assert_eq!(made.store.failing_longer_than(DAY, 9, |_, _| true).len(), 1);
    made.record(vec![at(5, NOW + DAY, Next::End(AttemptState::Succeeded))]).await;
    assert_eq!(made.store.failing(wanted.id), None);
    let made = made.crashed().await;
    assert_eq!(made.store.failing(wanted.id), None);

    // Enabled again it has a new start; deleted it is forgotten.
    made.record(vec![at(6, NOW, retry)]).await;
    let off = Endpoint { disabled: true, disabled_by: Some(DisabledBy::Failing), ..wanted.clone() };
    made.change(Change::PutEndpoint(Box::new(off))).await;
    assert!(made.store.failing(wanted.id).is_some());
    made.change(Change::PutEndpoint(Box::new(wanted.clone()))).await;
    assert_eq!(made.store.failing(wanted.id), None);
    made.record(vec![at(7, NOW, retry)]).await;
    made.change(Change::DeleteApp { app, at: NOW }).await;
    assert_eq!(made.store.failing(wanted.id), None);
}

fn task(app: AppId, endpoint: EndpointId, kind: TaskKind) -> Task {
    Task {
        id: TaskId(id()),
        org: org(),
        app,
        endpoint,
        kind,
        since: NOW - HOUR,
        until: NOW + HOUR,
        cursor: MessageId(Id::MIN),
        replayed: 0,
        state: TaskState::Running,
        created_at: NOW,
        updated_at: NOW,
    }
}

#[tokio::test]
async fn a_background_task_goes_on_after_a_crash_where_it_was() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let messages = [made.message(app, 0).await, made.message(app, 0).await, made.message(app, 0).await];
    let wanted = task(app, endpoint, TaskKind::Recover);
    let start = |task: Task| Change::StartTask(Box::new(task));
    assert_eq!(made.change(start(wanted.clone())).await, Changed::Done);
    assert_eq!(made.change(start(wanted.clone())).await, Changed::Done, "it is the same");
    assert_eq!(made.change(start(task(app, endpoint, TaskKind::Recover))).await, Changed::Busy);

    let step = |at: usize, last| Change::StepTask {
        task: wanted.id,
        at: NOW + 1,
        messages: vec![messages[at]],
        cursor: messages[at],
        last,
    };
    made.change(step(0, false)).await;
    made.change(step(1, false)).await;
    made.change(step(1, false)).await;
    made.change(step(0, false)).await;
    let made = made.crashed().await;
    let running = made.store.running_tasks(app, page()).await.unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!((running[0].cursor, running[0].replayed), (messages[1], 2), "no step counts twice");
    let due = made.due_at(app, endpoint, NOW + 1).await;
    assert_eq!(due.len(), 2);
    assert!(
        due.iter().all(|work| work.id.trigger == Trigger::Manual && work.priority == Priority::Low as u8)
    );

    made.change(step(2, true)).await;
    assert_eq!(made.store.running_tasks(app, page()).await.unwrap(), []);
    let ended = made.store.task(org(), wanted.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.replayed), (TaskState::Finished, 3));
    assert_eq!(made.store.task("org_other".into(), wanted.id).await.unwrap(), None);
    let finished = TaskFilter { state: Some(TaskState::Finished), kind: None };
    assert_eq!(made.store.tasks(org(), finished, page()).await.unwrap().found.len(), 1);
    let missing = TaskFilter { state: None, kind: Some(TaskKind::ReplayMissing) };
    assert_eq!(made.store.tasks(org(), missing, page()).await.unwrap().found, []);
    assert_eq!(made.change(start(task(app, endpoint, TaskKind::Recover))).await, Changed::Done);
}

#[tokio::test]
async fn the_answer_to_what_was_not_done_is_not_remembered() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let change = async |key| {
        let start = Change::StartTask(Box::new(task(app, endpoint, TaskKind::Recover)));
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let (at, body) = (at as UnixMillis, vec![1]);
        let answer = Change::Remember { idempotency: idempotency(key), at, status: 202, body };
        made.store.change(made.store.claim_of(app), vec![start, answer]).await.unwrap()
    };
    assert_eq!(change(1).await, [Changed::Done, Changed::Done]);
    assert_eq!(change(2).await, [Changed::Busy, Changed::Missing]);
    assert!(made.store.remembered(idempotency(1)).await.unwrap().is_some());
    assert_eq!(made.store.remembered(idempotency(2)).await.unwrap(), None);
}

#[tokio::test]
async fn applications_with_tasks_are_each_told_once_however_many_they_have() {
    let made = Made::new().await;
    let mut apps = [made.app().await, made.app().await, made.app().await];
    apps.sort();
    for (app, tasks) in [(apps[0], 5), (apps[2], 1)] {
        for sequence in 1..=tasks {
            let endpoint = made.endpoint(app, sequence).await;
            made.change(Change::StartTask(Box::new(task(app, endpoint, TaskKind::Recover)))).await;
        }
    }
    let with_tasks = async |after, limit| made.store.apps_with_tasks(after, limit).await.unwrap();
    assert_eq!(with_tasks(None, 9).await, [apps[0], apps[2]]);
    assert_eq!(with_tasks(None, 1).await, [apps[0]]);
    assert_eq!(with_tasks(Some(apps[0]), 9).await, [apps[2]]);
    assert_eq!(with_tasks(Some(apps[2]), 9).await, []);
    let tasks = made.store.running_tasks(apps[0], page()).await.unwrap();
    assert_eq!((tasks.len(), tasks[0].app), (5, apps[0]));
}

#[tokio::test]
async fn a_task_ends_with_its_endpoint() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let message = made.message(app, 0).await;
    let wanted = task(app, endpoint, TaskKind::Recover);
    made.change(Change::StartTask(Box::new(wanted.clone()))).await;
    made.change(Change::DeleteEndpoint { app, endpoint, at: NOW }).await;
    let (at, messages) = (NOW, vec![message]);
    made.change(Change::StepTask { task: wanted.id, at, messages, cursor: message, last: false }).await;
    let ended = made.store.task(org(), wanted.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.replayed), (TaskState::Failed, 0));
}

#[tokio::test]
async fn missing_is_what_an_endpoint_wants_and_was_never_sent() {
    let made = Made::new().await;
    let app = made.app().await;
    // Accepted before there was an endpoint, or while it was disabled: no fan-out comes to it.
    let (missed, tried, due) =
        (made.message(app, 0).await, made.message(app, 0).await, made.message(app, 0).await);
    let other_type = NewMessage { ceiling: 0, deliveries: 0, ..message(app) };
    let other_type =
        NewMessage { message: Message { event_type: "other".into(), ..other_type.message }, ..other_type };
    made.accept(other_type).await;
    made.accept(for_later(app, NOW + DAY)).await;
    let on_its_way = made.message(app, 9).await;
    let wanted = Endpoint { event_types: Some(vec!["invoice.paid".into()]), ..endpoint(app, 2) };
    let endpoint = wanted.id;
    made.change(Change::PutEndpoint(Box::new(wanted))).await;
    made.record(vec![
        attempted(attempt(app, tried, endpoint, 1, Next::End(AttemptState::Exhausted))),
        Progress::Deferred(deferred(app, due, endpoint, NOW)),
    ])
    .await;
    let last = made.message(app, 0).await;
    let all = task(app, endpoint, TaskKind::ReplayMissing);
    let found = made.store.missing(all.clone(), 10).await.unwrap();
    assert_eq!(found, Missing { messages: vec![missed, last], cursor: None });
    let first = made.store.missing(all.clone(), 1).await.unwrap();
    assert_eq!(first, Missing { messages: vec![missed], cursor: Some(missed) });
    let rest = made.store.missing(Task { cursor: missed, ..all.clone() }, 10).await.unwrap();
    assert_eq!(rest.messages, [last]);
    let earlier = Task { since: NOW - DAY, until: NOW - HOUR, ..all };
    assert_eq!(made.store.missing(earlier, 10).await.unwrap().messages, []);
    assert!(last > on_its_way);
}

#[tokio::test]
async fn an_application_takes_what_was_under_control_with_it() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let message = made.message(app, 1).await;
    made.accept(for_later(app, NOW + DAY)).await;
    made.record(vec![attempted(attempt(app, message, endpoint, 1, Next::End(AttemptState::Exhausted)))])
        .await;
    made.change(Change::StartTask(Box::new(task(app, endpoint, TaskKind::Recover)))).await;
    made.change(Change::DeleteApp { app, at: NOW }).await;
    let rows = || {
        let file = rusqlite::Connection::open(made.directory.path().join("plimsoll.db")).unwrap();
        let count = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            file.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        ["scheduled", "message_options", "dead_letters", "tasks", "failing", "messages"].map(count)
    };
    let emptied = async {
        while rows() != [0; 6] {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), emptied).await;
    assert!(waited.is_ok(), "{:?}", rows());
}
