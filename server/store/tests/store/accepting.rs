//! Accepting messages.

use plimsoll_store::*;

use crate::made::*;

#[tokio::test]
async fn what_was_accepted_is_to_be_fanned_out_with_its_payload() {
    let made = Made::new().await;
    let app = made.app().await;
    let mut new = message(app);
    new.ceiling = 3;
    new.message.channels = Some(vec!["a".into(), "ü \" b".into()]);
    assert_eq!(made.accept(new.clone()).await, Accepted::Stored);

    let made = made.reopened().await;
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), [app]);
    let work = made.store.fanouts(app, vec![], 10, 1 << 20).await.unwrap();
    let fanout = Fanout { app, message: new.message.id, ceiling: 3, frontier: 0, priority: Priority::Normal };
    assert_eq!(work, [FanoutWork { fanout, message: new.message.clone() }]);
    let read = made.store.message(app, MessageRef::Id(new.message.id), true).await.unwrap();
    assert_eq!(read, Some(new.message));
}

#[tokio::test]
async fn a_message_for_no_endpoint_has_no_fan_out_row() {
    let made = Made::new().await;
    let app = made.app().await;
    let id = made.message(app, 0).await;
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), []);
    assert!(made.store.message(app, MessageRef::Id(id), false).await.unwrap().is_some());
}

#[tokio::test]
async fn no_application_no_message() {
    let made = Made::new().await;
    let app = made.app().await;
    assert_eq!(made.accept(message(AppId(id()))).await, Accepted::NoApp);
    let answers = made
        .store
        .change(made.claim, vec![Change::DeleteApp { app, at: NOW }, Change::DeleteApp { app, at: NOW }])
        .await
        .unwrap();
    assert_eq!(answers, [Changed::Done, Changed::Missing]);
    assert_eq!(made.accept(message(app)).await, Accepted::NoApp);
}

#[tokio::test]
async fn the_same_call_once_more_changes_nothing() {
    let made = Made::new().await;
    let app = made.app().await;
    let new = NewMessage { idempotency: Some(idempotency(1)), ..message(app) };
    assert_eq!(made.accept(new.clone()).await, Accepted::Stored);
    made.record(vec![Progress::Finished { app, message: new.message.id }]).await;
    assert_eq!(made.accept(new.clone()).await, Accepted::Stored);
    assert_eq!(made.accept(NewMessage { idempotency: None, ..new }).await, Accepted::Stored);
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), [], "it is not fanned out again");
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_message() {
    let made = Made::new().await;
    let app = made.app().await;
    let request = || NewMessage { idempotency: Some(idempotency(1)), ..message(app) };
    let (first, again) = (request(), request());
    let both = made.store.accept(made.claim, vec![first.clone(), again]).await.unwrap();
    let repeat = Accepted::Repeat(Box::new(first.message.clone()));
    assert_eq!(both, [Accepted::Stored, repeat.clone()], "in one call");
    assert_eq!(made.accept(request()).await, repeat, "in another");

    let mut other = request();
    if let Some(idempotency) = &mut other.idempotency {
        idempotency.fingerprint = [2; 16];
    }
    assert_eq!(made.accept(other).await, Accepted::KeyReused);

    let made = made.reopened().await;
    assert_eq!(made.accept(request()).await, repeat, "after a restart");
    let mut later = request();
    later.message.accepted_at = NOW + 12 * HOUR - 1;
    assert_eq!(made.accept(later.clone()).await, repeat, "in another hour");
    later.message.accepted_at = NOW + 12 * HOUR;
    assert_eq!(made.accept(later).await, Accepted::Stored, "no longer than it was to be kept");
    assert_eq!(made.store.fanouts(app, vec![], 10, 1 << 20).await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_equal_requests_at_once_are_one_message() {
    let made = Made::new().await;
    let app = made.app().await;
    let requests = (0..32).map(|_| NewMessage { idempotency: Some(idempotency(9)), ..message(app) });
    let calls: Vec<_> = requests
        .map(|request| {
            let (store, claim) = (made.store.clone(), made.claim);
            async move { store.accept(claim, vec![request]).await.unwrap().remove(0) }
        })
        .collect();
    let answers = join_all(calls).await;
    let stored = answers.iter().filter(|answer| **answer == Accepted::Stored).count();
    assert_eq!(stored, 1, "{answers:?}");
}

#[tokio::test]
async fn an_event_id_is_taken_for_a_day_in_all_of_the_organisation() {
    let made = Made::new().await;
    let (app, other) = (made.app().await, made.app().await);
    let event = |app, hours| {
        let mut new = message(app);
        new.message.event_id = Some("evt_1".into());
        new.message.accepted_at = NOW + hours * HOUR;
        new
    };
    let first = event(app, 0);
    let both = made.store.accept(made.claim, vec![first.clone(), event(other, 0)]).await.unwrap();
    assert_eq!(both, [Accepted::Stored, Accepted::EventIdTaken]);
    assert_eq!(made.accept(first.clone()).await, Accepted::Stored, "it is its own");
    assert_eq!(made.accept(event(app, 23)).await, Accepted::EventIdTaken);
    let mut elsewhere = event(other, 0);
    elsewhere.org = "org_other".into();
    assert_eq!(made.accept(elsewhere).await, Accepted::Stored);
    let second = event(app, 24);
    assert_eq!(made.accept(second.clone()).await, Accepted::Stored);
    let by_event = MessageRef::EventId("evt_1".into());
    let found = made.store.message(app, by_event, true).await.unwrap();
    assert_eq!(found, Some(second.message), "the newest");

    // What is buried takes no names.
    let (third, fourth) = (made.app().await, made.app().await);
    let event = |app| {
        let mut new = event(app, 0);
        new.message.event_id = Some("evt_2".into());
        new
    };
    assert_eq!(made.accept(event(third)).await, Accepted::Stored);
    assert_eq!(made.change(Change::DeleteApp { app: third, at: NOW }).await, Changed::Done);
    assert_eq!(made.accept(event(fourth)).await, Accepted::Stored);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_carried_out() {
    let made = Made::new().await;
    let app = made.app().await;
    let new = message(app);
    let id = new.message.id;
    {
        let mut call = Box::pin(made.store.accept(made.claim, vec![new]));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    made.message(app, 0).await;
    assert!(made.store.message(app, MessageRef::Id(id), false).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_too_large_is_refused_whole() {
    let made = Made::new().await;
    let app = made.app().await;
    let many = vec![message(app); 1_025];
    let refused = made.store.accept(made.claim, many).await;
    assert!(matches!(refused, Err(Error::TooLarge { what: "messages", got: 1_025, limit: 1_024 })));
    let mut large = message(app);
    large.message.payload = Some(vec![b' '; 33 << 20]);
    assert!(matches!(
        made.store.accept(made.claim, vec![large]).await,
        Err(Error::TooLarge { what: "bytes", .. })
    ));
    let steps = vec![Progress::Finished { app, message: MessageId(id()) }; 8_193];
    assert!(matches!(made.store.record(made.claim, steps).await, Err(Error::TooLarge { .. })));
    let body = vec![0; 65_537];
    let remember = Change::Remember { idempotency: idempotency(1), at: NOW, status: 201, body };
    assert!(matches!(made.store.change(made.claim, vec![remember]).await, Err(Error::TooLarge { .. })));
    let page = Page { limit: 10_001, ..page() };
    assert!(matches!(made.store.fanout_apps(0, page).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn what_was_answered_is_in_a_copy_of_the_files_taken_at_any_time() {
    let made = Made::new().await;
    let app = made.app().await;
    let ids: Vec<_> = {
        let mut ids = Vec::new();
        for _ in 0..200 {
            ids.push(made.message(app, 1).await);
        }
        ids
    };
    let copy = tempfile::TempDir::new().unwrap();
    for file in ["plimsoll.db", "plimsoll.db-wal"] {
        std::fs::copy(made.directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let store = open(&copy).await.unwrap();
    let found = store.fanouts(app, vec![], 1_000, 1 << 30).await.unwrap();
    assert_eq!(found.iter().map(|work| work.message.id).collect::<Vec<_>>(), ids);
}

/// Polls all of them to their ends, none waiting for another.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_full_backlog_refuses_its_application_and_nobody_else() {
    let made = Made::new().await;
    let (full, other) = (made.app().await, made.app().await);
    let endpoint = made.endpoint(full, 1).await;
    let bounded = |app| NewMessage { ceiling: 4, deliveries: 4, backlog_max: 10, ..message(app) };
    let first = bounded(full);
    let messages = vec![first.clone(), bounded(full), bounded(full), bounded(other)];
    let answers = made.store.accept(made.claim, messages).await.unwrap();
    let refused = Accepted::Full { pending: 8 };
    assert_eq!(answers, [Accepted::Stored, Accepted::Stored, refused, Accepted::Stored], "in one commit");
    let repeated = made.accept(first.clone()).await;
    assert_eq!(repeated, Accepted::Stored, "what was accepted is not refused when it is sent again");

    // Room comes from what is settled: a delivery that failed is pending still.
    let (app, message) = (full, first.message.id);
    let retry = attempt(app, message, endpoint, 1, Next::Retry { due_at: NOW });
    made.record(vec![attempted(retry.clone()), Progress::Finished { app, message }]).await;
    assert_eq!(made.store.backlog(full).deliveries, 5);
    assert_eq!(made.accept(bounded(full)).await, Accepted::Stored);
    assert_eq!(made.accept(bounded(full)).await, Accepted::Full { pending: 9 });
    let made = made.reopened().await;
    assert_eq!(made.accept(bounded(full)).await, Accepted::Full { pending: 9 }, "after a restart, too");
    assert_eq!(made.store.backlogs(), Backlogs { applications: 2, deliveries: 13, deliveries_max: 9 });
}

#[tokio::test]
async fn a_message_alone_is_never_too_much() {
    let made = Made::new().await;
    let app = made.app().await;
    let large = NewMessage { ceiling: 100, deliveries: 100, backlog_max: 10, ..message(app) };
    assert_eq!(made.accept(large.clone()).await, Accepted::Stored);
    assert_eq!(made.accept(NewMessage { ..message(app) }).await, Accepted::Stored, "it has no bound");
    let again = NewMessage { message: message(app).message, ..large };
    assert_eq!(made.accept(again).await, Accepted::Full { pending: 101 });
}

#[tokio::test]
async fn the_backlog_of_a_deleted_application_is_nothing() {
    let made = Made::new().await;
    let app = made.app().await;
    let message = made.message(app, 3).await;
    assert_eq!(made.store.backlog(app).deliveries, 3);
    made.change(Change::DeleteApp { app, at: NOW }).await;
    assert_eq!(made.store.backlog(app), Backlog::default());
    made.record(vec![Progress::Finished { app, message }]).await;
    assert_eq!(made.store.backlogs(), Backlogs::default());
}
