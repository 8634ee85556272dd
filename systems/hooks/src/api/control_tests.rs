//! What an operator has in hand, over the real router and store.

use plimsoll_store::{
    AppId, AttemptId, AttemptState, EndpointId, MessageId, NewAttempt, Next, Progress, Trigger,
};
use serde_json::{Value, json};

use super::tests::{Api, until};
use super::timestamp;
use crate::policy::{Override, Table, Who};

/// Nobody listens there: an attempt fails at once.
const NOWHERE: &str = "http://127.0.0.1:1/";

async fn with_endpoint(flags: &[(&str, &str)]) -> Api {
    let api = Api::start_with(flags).await;
    api.post("app", json!({"name": "App", "uid": "app"})).await.is(201);
    api.post("app/app/endpoint", json!({"url": NOWHERE, "uid": "e"})).await.is(201);
    api
}

fn message() -> Value {
    json!({"eventType": "a", "payload": {"n": 1}})
}

async fn count(api: &Api, path: &str) -> usize {
    api.get(path).await.list("id").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_message_by_message_and_done_once() {
    let api = Api::with_app().await;
    let batch = json!({"messages": [
        {"eventType": "a", "eventId": "e1", "payload": {"n": 1}},
        {"eventType": "a b", "payload": {}},
        {"eventType": "a", "eventId": "e1", "payload": {}},
        7,
        {"eventType": "b", "payload": {"n": 2}, "priority": "low"},
    ]});
    let answer = api.post_keyed("app/app/msg/batch", "k", &batch).await;
    let data = answer.is(202)["data"].as_array().unwrap();
    let statuses: Vec<_> = data.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 422, 409, 422, 202]);
    assert_eq!(data[0]["message"]["eventId"], "e1");
    assert_eq!(data[1]["error"]["detail"][0]["loc"], json!(["body", "eventType"]));
    assert_eq!(data[2]["error"]["code"], "conflict");
    assert_eq!(data[4]["message"]["priority"], "low");
    let again = api.post_keyed("app/app/msg/batch", "k", &batch).await;
    assert_eq!(again.is(202), &answer.body, "done once");
    assert_eq!(count(&api, "app/app/msg").await, 2);

    for wrong in [json!([]), json!(7), json!(vec![message(); 1_001])] {
        let refused = api.post("app/app/msg/batch", json!({ "messages": wrong })).await;
        assert_eq!(refused.is(422)["detail"][0]["loc"], json!(["body", "messages"]));
    }
    api.post("app/app/msg/batch", json!({})).await.is(422);
    api.post("app/none/msg/batch", json!({"messages": [message()]})).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_nothing_is_accepted_tells_its_sender_to_slow_down() {
    let api = with_endpoint(&[("hooks.tenant_backlog_max", "1")]).await;
    api.post("app/app/msg", message()).await.is(202);
    let refused = api.post("app/app/msg/batch", json!({"messages": [message(), message()]})).await;
    assert_eq!(refused.is(429)["code"], "backlog_full");
    assert!(refused.retry_after.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_sent_once_more() {
    let api = with_endpoint(&[("hooks.retry_schedule_seconds", "")]).await;
    let (first, second) =
        (api.post("app/app/msg", message()).await.id(), api.post("app/app/msg", message()).await.id());
    until("two dead letters", async || count(&api, "app/app/dead-letter").await == 2).await;
    let list = api.get("app/app/dead-letter").await;
    let endpoint = api.get("app/app/endpoint/e").await.id();
    assert_eq!(list.list("msgId"), [second, first.clone()], "the newest first");
    let letter = &list.body["data"][1];
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("exhausted"), &json!(1)));
    assert_eq!((&letter["endpointId"], &letter["eventType"]), (&json!(endpoint), &json!("a")));
    assert!(letter["response"].as_str().unwrap().contains("connect"), "{letter}");
    let id = letter["id"].as_str().unwrap();
    assert_eq!(api.get("app/app/endpoint/e/dead-letter").await.is(200), &list.body);
    assert_eq!(count(&api, "app/app/dead-letter?reason=internal_fault").await, 0);
    assert_eq!(count(&api, "app/app/dead-letter?before=2020-01-01T00:00:00Z").await, 0);
    api.get("app/app/dead-letter?reason=bad").await.is(422);
    let page = api.get("app/app/dead-letter?limit=1").await;
    let next = page.body["iterator"].as_str().unwrap();
    let rest = api.get(&format!("app/app/dead-letter?limit=1&iterator={next}")).await;
    assert_eq!(rest.list("id"), [id]);

    let gone = format!("{}.{}", MessageId::fresh(), EndpointId::fresh());
    let replayed = api.post("app/app/dead-letter/replay", json!({"ids": [id, gone]})).await;
    assert_eq!(replayed.is(202)["replayed"], json!([id]));
    let attempts = format!("app/app/attempt/msg/{first}");
    until("a second attempt", async || count(&api, &attempts).await == 2).await;
    assert_eq!(api.get(&attempts).await.body["data"][0]["triggerType"], 1);
    for wrong in [json!([]), json!(["x"]), json!(vec![id; 251])] {
        api.post("app/app/dead-letter/replay", json!({ "ids": wrong })).await.is(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_dead_letters_is_done_once_and_only_of_what_is_dead() {
    let api = with_endpoint(&[("hooks.retry_schedule_seconds", "")]).await;
    let dead = api.post("app/app/msg", message()).await.id();
    until("a dead letter", async || count(&api, "app/app/dead-letter").await == 1).await;
    let letter = api.get("app/app/dead-letter").await.list("id").remove(0);
    let body = json!({ "ids": [letter] });
    let attempts = format!("app/app/attempt/msg/{dead}");
    let replay = async |key| api.post_keyed("app/app/dead-letter/replay", key, &body).await;
    assert_eq!(replay("k").await.is(202)["replayed"], json!([letter]));
    until("a second attempt", async || count(&api, &attempts).await == 2).await;
    assert_eq!(replay("k").await.is(202)["replayed"], json!([letter]), "the answer of before");
    assert_eq!(replay("l").await.is(202)["replayed"], json!([letter]));
    until("a third attempt", async || count(&api, &attempts).await == 3).await;
    let reused = api.post_keyed("app/app/dead-letter/replay", "k", &json!({"ids": [letter, letter]})).await;
    assert_eq!(reused.is(409)["code"], "idempotency_key_reused");

    api.post("app/app/pause", Value::Null).await.is(200);
    let alive = api.post("app/app/msg", message()).await.id();
    let endpoint = api.get("app/app/endpoint/e").await.id();
    let ids = json!({ "ids": [format!("{alive}.{endpoint}")] });
    assert_eq!(api.post("app/app/dead-letter/replay", ids).await.is(202)["replayed"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_recovered_in_the_background() {
    let api =
        with_endpoint(&[("hooks.retry_schedule_seconds", ""), ("hooks.replay_per_second", "1000")]).await;
    for _ in 0..3 {
        api.post("app/app/msg", message()).await.is(202);
    }
    until("three dead letters", async || count(&api, "app/app/dead-letter").await == 3).await;
    let body = json!({"since": "2020-01-01T00:00:00Z"});
    let started = api.post_keyed("app/app/endpoint/e/recover", "k", &body).await;
    assert_eq!(
        (&started.is(202)["status"], &started.body["task"]),
        (&json!("running"), &json!("endpoint.recover"))
    );
    assert!(started.id().starts_with("qtask_"));
    assert_eq!(
        api.post_keyed("app/app/endpoint/e/recover", "k", &body).await.is(202)["id"],
        started.body["id"]
    );
    let path = format!("background-task/{}", started.id());
    until("its end", async || api.get(&path).await.is(200)["status"] == "finished").await;
    assert_eq!(api.get(&path).await.body["data"]["replayed"], 3);
    until("three more attempts", async || count(&api, "app/app/attempt/endpoint/e").await == 6).await;
    assert_eq!(
        api.get("background-task?status=finished&task=endpoint.recover").await.list("id"),
        [started.id()]
    );
    assert_eq!(count(&api, "background-task?task=endpoint.replay").await, 0);
    assert_eq!(count(&api, "background-task?task=sdk.generate").await, 0);

    for wrong in [json!({}), json!({"since": "x"}), json!({"since": "2100-01-01T00:00:00Z"})] {
        api.post("app/app/endpoint/e/recover", wrong).await.is(422);
    }
    api.post("app/app/endpoint/none/recover", body).await.is(404);
    api.get("background-task/qtask_0ujtsYcgvSTl8PAuAdqWYSMnLOv").await.is(404);
    assert_eq!(api.send("org_b", "GET", &path, None, String::new()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_could_send_nothing_to_a_disabled_endpoint_is_refused() {
    let api = with_endpoint(&[]).await;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let before = api.post_keyed("app/app/endpoint/e/recover", "k", &since).await;
    api.patch("app/app/endpoint/e", json!({"disabled": true})).await.is(200);
    for path in ["app/app/endpoint/e/recover", "app/app/endpoint/e/replay-missing"] {
        assert_eq!(api.post(path, since.clone()).await.is(409)["code"], "endpoint_disabled");
    }
    let again = api.post_keyed("app/app/endpoint/e/recover", "k", &since).await;
    assert_eq!(again.is(202), before.is(202), "what was done before is answered as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_with_more_room_than_others_is_held_up_by_its_own_bound_alone() {
    let api = with_endpoint(&[("hooks.retry_schedule_seconds", ""), ("hooks.tenant_backlog_max", "1")]).await;
    let table = api.core.policies.table();
    let roomy = Override { backlog_max: Some(100), ..Override::default() };
    let who = Who::Uid("org_a".into(), "app".into());
    api.core.policies.replace(Table::new(table.defaults(), table.totals(), [(who, roomy)]).unwrap());
    let health = api.get("app/app/endpoint/e/health").await;
    assert_eq!(health.is(200)["limits"]["applicationPendingMax"], 100);
    for _ in 0..3 {
        api.post("app/app/msg", message()).await.is(202);
    }
    until("three dead letters", async || count(&api, "app/app/dead-letter").await == 3).await;
    api.post("app/app/pause", Value::Null).await.is(200);
    for _ in 0..2 {
        api.post("app/app/msg", message()).await.is(202);
    }
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let task = api.post("app/app/endpoint/e/recover", since).await;
    let path = format!("background-task/{}", task.id());
    until("its end", async || api.get(&path).await.is(200)["status"] == "finished").await;
    assert_eq!(api.get(&path).await.body["data"]["replayed"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_replayed_and_then_tried_like_any_other() {
    let api = Api::start_with(&[("hooks.retry_schedule_seconds", "")]).await;
    api.post("app", json!({"name": "App", "uid": "app"})).await.is(201);
    let missed = api.post("app/app/msg", message()).await.id();
    api.post("app/app/msg", json!({"eventType": "other", "payload": {}})).await.is(202);
    let later = json!({"eventType": "a", "payload": {}, "deliverAt": super::tests::in_millis(3_600_000)});
    api.post("app/app/msg", later).await.is(202);
    api.post("app/app/endpoint", json!({"url": NOWHERE, "uid": "e", "eventTypes": ["a"]})).await.is(201);
    let body = json!({"since": "2020-01-01T00:00:00Z"});
    let task = api.post("app/app/endpoint/e/replay-missing", body).await;
    let path = format!("background-task/{}", task.id());
    until("its end", async || api.get(&path).await.is(200)["status"] == "finished").await;
    assert_eq!(api.get(&path).await.body["data"]["replayed"], 1);
    until("a dead letter", async || count(&api, "app/app/dead-letter").await == 1).await;
    assert_eq!(api.get("app/app/dead-letter").await.list("msgId"), [missed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_is_sent_nothing_until_it_goes_on() {
    let api = with_endpoint(&[]).await;
    api.post("app", json!({"name": "Other", "uid": "other"})).await.is(201);
    api.post("app/other/endpoint", json!({"url": NOWHERE})).await.is(201);
    for path in ["app/app", "app/app/endpoint/e"] {
        let paused = api.post(&format!("{path}/pause"), Value::Null).await;
        assert!(paused.is(200)["pausedAt"].is_string());
        assert_eq!(
            api.post(&format!("{path}/pause"), Value::Null).await.is(200)["pausedAt"],
            paused.body["pausedAt"]
        );
        let state = if path == "app/app" { "application_paused" } else { "paused" };
        assert_eq!(api.get("app/app/endpoint/e/health").await.is(200)["state"], state);
        let sent = api.post("app/app/msg", message()).await.id();
        let attempts = format!("app/app/attempt/msg/{sent}");
        // What was accepted behind it and is not paused is sent.
        let behind = api.post("app/other/msg", message()).await.id();
        let attempts_behind = format!("app/other/attempt/msg/{behind}");
        until("a delivery of another", async || count(&api, &attempts_behind).await == 1).await;
        assert_eq!(count(&api, &attempts).await, 0);
        assert!(api.post(&format!("{path}/resume"), Value::Null).await.is(200)["pausedAt"].is_null());
        until("an attempt", async || count(&api, &attempts).await == 1).await;
    }
    api.post("app/none/pause", Value::Null).await.is(404);
    api.post("app/app/endpoint/none/resume", Value::Null).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_not_undone_by_a_message_that_was_on_its_way_in() {
    let api = with_endpoint(&[]).await;
    api.post("app", json!({"name": "Other", "uid": "other"})).await.is(201);
    api.post("app/other/endpoint", json!({"url": NOWHERE})).await.is(201);
    let read_before = api.core.routing.find(&"org_a".into(), "app").unwrap();
    api.post("app/app/pause", Value::Null).await.is(200);
    api.core.dispatch.expect(std::iter::once((&read_before, MessageId::fresh())));
    let held = format!("app/app/attempt/msg/{}", api.post("app/app/msg", message()).await.id());
    let behind = format!("app/other/attempt/msg/{}", api.post("app/other/msg", message()).await.id());
    until("a delivery of another", async || count(&api, &behind).await == 1).await;
    assert_eq!(count(&api, &held).await, 0);

    // Nor is going on: what is read before it does not hold up what comes after.
    let read_before = api.core.routing.find(&"org_a".into(), "app").unwrap();
    api.post("app/app/resume", Value::Null).await.is(200);
    api.core.dispatch.expect(std::iter::once((&read_before, MessageId::fresh())));
    let sent = api.post("app/app/msg", message()).await.id();
    let attempts = format!("app/app/attempt/msg/{sent}");
    until("an attempt", async || count(&api, &attempts).await == 1).await;
}

fn failed(app: AppId, message: MessageId, endpoint: EndpointId, number: u32, at: i64) -> Progress {
    Progress::Attempted(Box::new(NewAttempt {
        id: AttemptId::fresh(),
        org: "org_a".into(),
        app,
        message,
        endpoint,
        number,
        at,
        duration_ms: 1,
        status_code: 500,
        response: b"no".to_vec(),
        url: NOWHERE.into(),
        trigger: Trigger::Scheduled,
        priority: 1,
        next: Next::End(AttemptState::Exhausted),
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_too_long_is_disabled_and_says_why() {
    let api = with_endpoint(&[("hooks.disable_after_failing_hours", "24")]).await;
    let (app, core) = (api.core.routing.find(&"org_a".into(), "app").unwrap(), &api.core);
    let endpoint = app.targets()[0].endpoint.id;
    let now = timestamp::now();
    let record = async |number, at| {
        let step = failed(app.id, MessageId::fresh(), endpoint, number, at);
        core.store.record(core.store.claim_of(app.id), vec![step]).await.unwrap();
    };
    let health = async || api.get("app/app/endpoint/e/health").await;
    assert_eq!(health().await.is(200)["failingSince"], Value::Null);
    record(1, now - 25 * 3_600_000).await;
    assert_eq!(core.disabler.disable_failing().await.unwrap(), 0, "it failed once");
    assert!(health().await.body["failingSince"].is_string());
    record(2, now).await;
    let told = health().await;
    assert_eq!(
        (&told.body["lastError"]["status"], &told.body["lastError"]["response"]),
        (&json!(500), &json!("no"))
    );
    assert_eq!(core.disabler.disable_failing().await.unwrap(), 1);
    assert_eq!(core.disabler.disable_failing().await.unwrap(), 0);
    let told = health().await;
    assert_eq!((&told.body["state"], &told.body["disabledBy"]), (&json!("disabled"), &json!("failing")));
    let shown = api.get("app/app/endpoint/e").await;
    assert_eq!((&shown.is(200)["disabled"], &shown.body["disabledBy"]), (&json!(true), &json!("failing")));
    let enabled = api.patch("app/app/endpoint/e", json!({"disabled": false})).await;
    assert!(enabled.is(200)["disabledBy"].is_null());
    let told = health().await;
    assert_eq!((&told.body["state"], &told.body["failingSince"]), (&json!("idle"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_a_destination_that_is_full() {
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let api = Api::start_with(&[("hooks.destination_concurrency", "1")]).await;
    api.post("app", json!({"name": "App", "uid": "app"})).await.is(201);
    for uid in ["e", "f"] {
        api.post("app/app/endpoint", json!({"url": url, "uid": uid})).await.is(201);
    }
    api.post("app/app/msg", message()).await.is(202);
    let state = async |uid| api.get(&format!("app/app/endpoint/{uid}/health")).await.body["state"].clone();
    until("one that waits for the other", async || {
        let mut states = [state("e").await, state("f").await].map(|one| one.as_str().unwrap().to_owned());
        states.sort();
        states == ["delivering", "destination_at_concurrency"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_succeeded_since_it_was_found_to_fail_is_not_disabled() {
    let api = with_endpoint(&[("hooks.disable_after_failing_hours", "24")]).await;
    let (app, core) = (api.core.routing.find(&"org_a".into(), "app").unwrap(), &api.core);
    let endpoint = app.targets()[0].endpoint.id;
    let now = timestamp::now();
    let message = MessageId::fresh();
    let record = async |number, at, succeeded: bool| {
        let mut step = failed(app.id, message, endpoint, number, at);
        if let (true, Progress::Attempted(attempt)) = (succeeded, &mut step) {
            attempt.next = Next::End(AttemptState::Succeeded);
        }
        core.store.record(core.store.claim_of(app.id), vec![step]).await.unwrap();
    };
    record(1, now - 25 * 3_600_000, false).await;
    record(2, now, false).await;
    let found = core.store.failing(endpoint).unwrap();
    record(3, now, true).await;
    assert!(!core.disabler.disable_if_failing(endpoint, found).await.unwrap());
    record(4, now, false).await;
    assert!(!core.disabler.disable_if_failing(endpoint, found).await.unwrap(), "it fails anew");

    // Another receiver stands behind it: what the one before did counts no more.
    let health = async || api.get("app/app/endpoint/e/health").await;
    assert!(health().await.is(200)["failingSince"].is_string());
    api.patch("app/app/endpoint/e", json!({"description": "the same"})).await.is(200);
    assert!(health().await.is(200)["failingSince"].is_string());
    api.patch("app/app/endpoint/e", json!({"url": "http://127.0.0.1:2/"})).await.is(200);
    assert_eq!(health().await.is(200)["failingSince"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_is_waited_for() {
    let api = with_endpoint(&[]).await;
    let health = async || api.get("app/app/endpoint/e/health").await;
    assert_eq!(health().await.is(200)["state"], "idle");
    api.post("app/app/msg", message()).await.is(202);
    until("a retry", async || health().await.body["state"] == "waiting_to_retry").await;
    let told = health().await;
    assert!(
        told.body["until"].is_string() && told.body["queue"]["nextDueAt"] == told.body["until"],
        "{told:?}"
    );
    assert_eq!(told.body["queue"]["applicationPending"], 1);
    assert_eq!(told.body["lastError"]["status"], 0);
    assert_eq!((&told.body["breaker"], &told.body["limits"]["concurrency"]), (&json!("closed"), &json!(10)));
    api.get("app/app/endpoint/none/health").await.is(404);
}

/// What stands for the variable parts of a path.
struct Ids {
    app: String,
    endpoint: String,
    message: String,
    attempt: String,
    task: String,
}

impl Ids {
    async fn make(api: &Api, org: &str) -> Self {
        let post = async |path: &str, body: Value| {
            let answer = api.send(org, "POST", path, None, body.to_string()).await;
            assert!(answer.status < 300, "{answer:?}");
            answer.id()
        };
        let app = post("app", json!({"name": "App"})).await;
        let endpoint = post(&format!("app/{app}/endpoint"), json!({"url": NOWHERE})).await;
        let message = post(&format!("app/{app}/msg"), message()).await;
        let attempts = format!("app/{app}/attempt/msg/{message}");
        let list = async || api.send(org, "GET", &attempts, None, String::new()).await.list("id");
        until("an attempt", async || !list().await.is_empty()).await;
        let attempt = list().await.remove(0);
        let since = json!({"since": "2020-01-01T00:00:00Z"});
        let task = post(&format!("app/{app}/endpoint/{endpoint}/recover"), since).await;
        Self { app, endpoint, message, attempt, task }
    }

    fn of(&self, part: &str) -> Option<&str> {
        Some(match part {
            "{app}" => &self.app,
            "{endpoint}" => &self.endpoint,
            "{message}" => &self.message,
            "{attempt}" => &self.attempt,
            "{task}" => &self.task,
            _ => return None,
        })
    }
}

/// The path with its own ids, but for one part that is another's; once for each part.
fn with_one_foreign(path: &str, own: &Ids, other: &Ids) -> Vec<String> {
    let parts: Vec<_> = path.trim_start_matches("/api/v1/").split('/').collect();
    let variable = (0..parts.len()).filter(|at| own.of(parts[*at]).is_some());
    let filled = |foreign: usize| {
        let whose = |at| if at == foreign { other } else { own };
        let part = |(at, part): (usize, &&str)| whose(at).of(part).unwrap_or(part).to_owned();
        parts.iter().enumerate().map(part).collect::<Vec<_>>().join("/")
    };
    variable.map(filled).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_knows_another_s_ids() {
    let api = Api::start().await;
    let own = Ids::make(&api, "org_a").await;
    let neighbour = Ids::make(&api, "org_a").await;
    let stranger = Ids::make(&api, "org_b").await;
    // Whatever a route asks for is in it, so that none is refused for its body.
    let body = json!({
        "name": "x", "url": NOWHERE, "eventType": "a", "payload": {}, "headers": {}, "since": "2020-01-01T00:00:00Z",
        "messages": [message()], "ids": [format!("{}.{}", own.message, own.endpoint)],
    })
    .to_string();
    let mut asked = 0;
    for (path, _) in super::routes::routes() {
        for (foreign, of_org) in [(&neighbour, false), (&stranger, true)] {
            for tried in with_one_foreign(path, &own, foreign) {
                // In one's own organisation, one's other application and its tasks are one's own.
                let is_own = tried.contains(&foreign.app) || tried.contains(&foreign.task);
                if is_own && !of_org && (path.matches('{').count() == 1) {
                    continue;
                }
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                    let answer = api.send("org_a", method, &tried, None, body.clone()).await;
                    assert!(matches!(answer.status, 404 | 405), "{method} {tried}: {answer:?}");
                    asked += u32::from(answer.status == 404);
                }
            }
        }
    }
    assert!(asked > 60, "{asked}");
    for list in ["app", "event-type", "background-task"] {
        let text = api.get(list).await.is(200).to_string();
        assert!(!text.contains(&stranger.app) && !text.contains(&stranger.task), "{list}: {text}");
    }
    // An id in a body is no way in either.
    let ids = json!({"ids": [format!("{}.{}", stranger.message, stranger.endpoint)]});
    let replayed = api.post(&format!("app/{}/dead-letter/replay", own.app), ids).await;
    assert_eq!(replayed.is(202)["replayed"], json!([]));
}
