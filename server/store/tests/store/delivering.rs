//! Fan-out, attempts, due work.

use plimsoll_store::*;

use crate::made::*;

const RETRY: Next = Next::Retry { due_at: NOW + 5_000 };
const SUCCEEDED: Next = Next::End(AttemptState::Succeeded);

#[tokio::test]
async fn a_fan_out_goes_from_its_frontier_to_its_end() {
    let made = Made::new().await;
    let app = made.app().await;
    let message = made.message(app, 9).await;
    let frontier = async || made.store.fanouts(app, vec![], 1, 0).await.unwrap()[0].fanout.frontier;
    made.record(vec![Progress::Advanced { app, message, frontier: 4 }]).await;
    made.record(vec![Progress::Advanced { app, message, frontier: 2 }]).await;
    assert_eq!(frontier().await, 4, "it never moves back");
    made.record(vec![
        Progress::Advanced { app, message, frontier: 9 },
        Progress::Finished { app, message },
        Progress::Finished { app, message },
    ])
    .await;
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), []);
}

#[tokio::test]
async fn fan_outs_are_found_oldest_first_within_their_bounds() {
    let made = Made::new().await;
    let (app, other) = (made.app().await, made.app().await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(made.message(app, 1).await);
    }
    made.message(other, 1).await;
    let found = async |except: Vec<MessageId>, limit, bytes| {
        let work = made.store.fanouts(app, except, limit, bytes).await.unwrap();
        work.into_iter().map(|work| work.message.id).collect::<Vec<_>>()
    };
    assert_eq!(found(vec![], 3, 1 << 20).await, ids[..3]);
    assert_eq!(found(vec![ids[0], ids[2]], 2, 1 << 20).await, [ids[1], ids[3]]);
    assert_eq!(found(vec![], 10, 0).await, ids[..1], "at least one, however large");
    assert_eq!(found(vec![], 10, 2 * b"{\"amount\":12}".len()).await, ids[..2]);
    let mut apps = vec![app, other];
    apps.sort();
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), apps);
    let second = Page { after: Some(apps[0]), ..page() };
    assert_eq!(made.store.fanout_apps(0, second).await.unwrap(), apps[1..]);
    let backwards = Page { order: Order::Descending, ..page() };
    assert_eq!(made.store.fanout_apps(0, backwards).await.unwrap(), [apps[1], apps[0]]);
}

#[tokio::test]
async fn a_failed_attempt_is_due_again_until_it_ends() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    let first = attempt(app, message, endpoint, 1, RETRY);
    made.record(vec![attempted(first.clone())]).await;

    let made = made.reopened().await;
    let key = DueKey { kind: WorkKind::Delivery, tenant: app, key: endpoint.0, due_at: NOW + 5_000 };
    assert_eq!(made.due_keys().await, [key]);
    assert_eq!(made.due_at(app, endpoint, NOW + 4_999).await, []);
    let due = made.due_at(app, endpoint, NOW + 5_000).await;
    assert_eq!(due, [DueWork { tries: 1, ..deferred(app, message, endpoint, NOW + 5_000) }]);

    let mut second = attempt(app, message, endpoint, 2, Next::Retry { due_at: NOW + 60_000 });
    second.at = NOW + 5_000;
    made.record(vec![attempted(second)]).await;
    let due = made.due_at(app, endpoint, NOW + HOUR).await;
    assert_eq!((due.len(), due[0].tries, due[0].due_at), (1, 2, NOW + 60_000), "it was moved");

    made.record(vec![attempted(attempt(app, message, endpoint, 3, SUCCEEDED))]).await;
    assert_eq!(made.due_keys().await, []);
    let attempts = made.attempts(app, message).await;
    let numbers: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.state)).collect();
    let (retrying, succeeded) = (AttemptState::Retrying, AttemptState::Succeeded);
    assert_eq!(numbers, [(1, retrying), (2, retrying), (3, succeeded)]);
}

#[tokio::test]
async fn an_attempt_that_is_recorded_twice_changes_nothing() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    let first = attempted(attempt(app, message, endpoint, 1, RETRY));
    made.record(vec![first.clone()]).await;
    made.record(vec![attempted(attempt(app, message, endpoint, 2, SUCCEEDED))]).await;
    made.record(vec![first]).await;
    assert_eq!(made.attempts(app, message).await.len(), 2);
    assert_eq!(made.due_keys().await, [], "it is not due again");
}

#[tokio::test]
async fn a_number_that_is_taken_gives_way_to_the_next_free_one() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    let by_hand = |number| {
        let mut by_hand = attempt(app, message, endpoint, number, SUCCEEDED);
        by_hand.trigger = Trigger::Manual;
        by_hand
    };
    let (first, second, third) = (attempt(app, message, endpoint, 1, RETRY), by_hand(1), by_hand(1));
    let all = [first, second.clone(), third, second];
    made.record(all.map(attempted).to_vec()).await;
    let numbers: Vec<_> = made.attempts(app, message).await.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(made.due_at(app, endpoint, NOW + HOUR).await.len(), 1, "a resend settles its own work only");
}

#[tokio::test]
async fn what_was_put_off_is_due_once_and_can_be_dropped() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    let work = deferred(app, message, endpoint, NOW);
    let later = DueWork { due_at: NOW + 1, tries: 7, ..work.clone() };
    made.record(vec![Progress::Deferred(work.clone()), Progress::Deferred(later)]).await;
    assert_eq!(made.due_at(app, endpoint, NOW + HOUR).await, std::slice::from_ref(&work));
    made.record(vec![Progress::Dropped(work.id), Progress::Dropped(work.id)]).await;
    assert_eq!(made.due_keys().await, []);
}

#[tokio::test]
async fn work_is_found_by_priority_and_then_by_time() {
    let made = Made::new().await;
    let app = made.app().await;
    let endpoint = made.endpoint(app, 1).await;
    let work = |priority, due_at| {
        let mut work = deferred(app, MessageId(id()), endpoint, due_at);
        work.priority = priority;
        work
    };
    let all = [work(0, NOW + 3), work(0, NOW + 9), work(1, NOW + 1), work(1, NOW + 2), work(7, NOW + 8)];
    made.record(all.iter().rev().cloned().map(Progress::Deferred).collect()).await;
    let due = async |now, except: &[&DueWork], limit| {
        let except = except.iter().map(|work| work.id).collect();
        made.store.due(WorkKind::Delivery, app, endpoint.0, now, except, limit).await.unwrap()
    };
    assert_eq!(due(NOW + 9, &[], 9).await, (all.to_vec(), None));
    assert_eq!(due(NOW, &[], 9).await, (vec![], Some(NOW + 1)));
    let (found, next) = due(NOW + 3, &[], 9).await;
    assert_eq!((found, next), (vec![all[0].clone(), all[2].clone(), all[3].clone()], Some(NOW + 8)));
    let (found, next) = due(NOW + 3, &[&all[0], &all[4]], 1).await;
    assert_eq!((found, next), (vec![all[2].clone()], Some(NOW + 2)), "what is due is next, too");
    assert_eq!(due(NOW + 9, &[], 0).await, (vec![], Some(NOW + 1)));
    assert_eq!(made.due_keys().await[0].due_at, NOW + 1);
}

#[tokio::test]
async fn keys_are_found_page_by_page_in_both_directions() {
    let made = Made::new().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let app = made.app().await;
        for sequence in 1..=3 {
            let endpoint = made.endpoint(app, sequence).await;
            for wait in 1..=4 {
                let work = deferred(app, MessageId(id()), endpoint, NOW + wait);
                made.record(vec![Progress::Deferred(work)]).await;
            }
            keys.push((app, endpoint.0));
        }
    }
    keys.sort();
    let mut found = Vec::new();
    let mut next = Page { after: None, limit: 2, order: Order::Ascending };
    loop {
        let keys = made.store.due_keys(0, WorkKind::Delivery, next).await.unwrap();
        let Some(last) = keys.last() else { break };
        next.after = Some((last.tenant, last.key));
        assert!(keys.iter().all(|key| key.due_at == NOW + 1));
        found.extend(keys.iter().map(|key| (key.tenant, key.key)));
    }
    assert_eq!(found, keys);
    let backwards = Page { order: Order::Descending, ..page() };
    let found = made.store.due_keys(0, WorkKind::Delivery, backwards).await.unwrap();
    let found: Vec<_> = found.iter().rev().map(|key| (key.tenant, key.key)).collect();
    assert_eq!(found, keys);
    assert_eq!(made.store.due_keys(1, WorkKind::Delivery, page()).await.unwrap(), []);
}

#[tokio::test]
async fn settled_endpoints_are_those_with_an_attempt_or_due_work() {
    let made = Made::new().await;
    let app = made.app().await;
    let message = made.message(app, 4).await;
    let mut endpoints = Vec::new();
    for sequence in 1..=4 {
        endpoints.push(made.endpoint(app, sequence).await);
    }
    endpoints.sort();
    made.record(vec![
        attempted(attempt(app, message, endpoints[0], 1, SUCCEEDED)),
        attempted(attempt(app, message, endpoints[1], 1, RETRY)),
        attempted(attempt(app, message, endpoints[1], 2, RETRY)),
        Progress::Deferred(deferred(app, message, endpoints[3], NOW)),
    ])
    .await;
    let settled = async |page| made.store.settled(message, page).await.unwrap();
    let expected = [endpoints[0], endpoints[1], endpoints[3]];
    assert_eq!(settled(page()).await, expected);
    assert_eq!(settled(Page { after: Some(endpoints[0]), limit: 1, ..page() }).await, expected[1..2]);
    let backwards = Page { order: Order::Descending, ..page() };
    assert_eq!(settled(backwards).await, [expected[2], expected[1], expected[0]]);
}

#[tokio::test]
async fn nothing_becomes_due_for_the_buried() {
    let made = Made::new().await;
    let app = made.app().await;
    let (gone, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    made.record(vec![attempted(attempt(app, message, gone, 1, RETRY))]).await;
    made.change(Change::DeleteEndpoint { app, endpoint: gone, at: NOW }).await;
    assert_eq!(made.due_keys().await, [], "it is not seen any more");
    made.record(vec![
        attempted(attempt(app, message, gone, 2, RETRY)),
        Progress::Deferred(deferred(app, message, gone, NOW)),
    ])
    .await;
    assert_eq!(made.due_keys().await, []);
    let attempts = made.attempts(app, message).await;
    assert_eq!(attempts.len(), 2, "what happened is kept");
    assert_eq!(attempts[1].state, AttemptState::Failed);

    let endpoint = made.endpoint(app, 2).await;
    made.change(Change::DeleteApp { app, at: NOW }).await;
    made.record(vec![
        attempted(attempt(app, message, endpoint, 1, RETRY)),
        Progress::Deferred(deferred(app, message, endpoint, NOW)),
        Progress::Advanced { app, message, frontier: 1 },
    ])
    .await;
    assert_eq!(made.due_keys().await, []);
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), []);
}

#[tokio::test]
async fn a_resend_is_due_at_once_beside_the_schedule() {
    let made = Made::new().await;
    let app = made.app().await;
    let (endpoint, message) = (made.endpoint(app, 1).await, made.message(app, 1).await);
    made.record(vec![attempted(attempt(app, message, endpoint, 1, RETRY))]).await;
    let request = ResendRequest { org: org(), app, message, endpoint, at: NOW };
    let twice = vec![Change::Resend(request.clone()), Change::Resend(request.clone())];
    let answers = made.store.change(made.claim, twice).await.unwrap();
    assert_eq!(answers, [Changed::Done, Changed::Done]);
    let due = made.due_at(app, endpoint, NOW).await;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].id.trigger, due[0].tries, due[0].due_at), (Trigger::Manual, 1, NOW));

    let mut by_hand = attempt(app, message, endpoint, 2, SUCCEEDED);
    by_hand.trigger = Trigger::Manual;
    made.record(vec![attempted(by_hand)]).await;
    let due = made.due_at(app, endpoint, NOW + HOUR).await;
    assert_eq!(due.len(), 1, "the schedule's own is still due");
    assert_eq!(due[0].id.trigger, Trigger::Scheduled);

    let gone = ResendRequest { message: MessageId(id()), ..request.clone() };
    assert_eq!(made.change(Change::Resend(gone)).await, Changed::Missing);
    made.change(Change::DeleteEndpoint { app, endpoint, at: NOW }).await;
    assert_eq!(made.change(Change::Resend(request)).await, Changed::Missing);
}

#[tokio::test]
async fn contents_are_read_in_order_up_to_their_bytes_and_the_gone_are_told() {
    let made = Made::new().await;
    let (app, other) = (made.app().await, made.app().await);
    let ids = [made.message(app, 1).await, made.message(other, 1).await, made.message(app, 1).await];
    let found = |bytes| made.store.contents(app, ids.to_vec(), bytes);
    let all = found(1_000).await.unwrap();
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    let payloads =
        all.iter().map(|(_, message)| message.as_ref().and_then(|message| message.payload.clone()));
    let payload = message(app).message.payload;
    assert_eq!(payloads.collect::<Vec<_>>(), [payload.clone(), None, payload], "of another is gone");
    assert_eq!(found(1).await.unwrap().len(), 1, "one at the least");
    made.change(Change::DeleteApp { app, at: NOW }).await;
    assert!(found(1_000).await.unwrap().iter().all(|(_, message)| message.is_none()));
}
