//! The interface as a client meets it, on a real store.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request};
use plimsoll_service::auth::Caller;
use plimsoll_store::{Options, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::core::{Core, Host};
use crate::overrides::Differing;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Api {
    pub(super) core: Arc<Core>,
    router: Router,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) retry_after: Option<u64>,
}

impl Answer {
    #[track_caller]
    pub(super) fn is(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.body);
        &self.body
    }

    #[track_caller]
    pub(super) fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    /// The ids (or names) of a list.
    #[track_caller]
    pub(super) fn list(&self, field: &str) -> Vec<String> {
        let data = self.is(200)["data"].as_array().unwrap();
        data.iter().map(|one| one[field].as_str().unwrap().to_owned()).collect()
    }
}

impl Api {
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(super) async fn start_with(flags: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Options { directory: directory.path().to_owned() }).await.unwrap();
        let settings = crate::tests::settings(flags);
        let core =
            Core::start(store, &settings, &Differing::default(), Host { sockets_max: 64 }).await.unwrap();
        let router = super::router(Arc::clone(&core));
        Self { core, router, _directory: directory }
    }

    pub(super) async fn send(
        &self,
        org: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: String,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/api/v1/{path}"))
            .extension(Caller { org: org.into() });
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        if !body.is_empty() {
            assert_eq!(head.headers["content-type"], "application/json");
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let retry_after = head.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Answer { status: head.status.as_u16(), body, retry_after }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("org_a", "GET", path, None, String::new()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send("org_a", "DELETE", path, None, String::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("org_a", "POST", path, None, body.to_string()).await
    }

    pub(super) async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send("org_a", "POST", path, Some(key), body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("org_a", "PUT", path, None, body.to_string()).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("org_a", "PATCH", path, None, body.to_string()).await
    }

    /// An application with the uid `app`.
    pub(super) async fn with_app() -> Self {
        let api = Self::start().await;
        api.post("app", json!({"name": "App", "uid": "app"})).await.is(201);
        api
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_lives_and_dies() {
    let api = Api::start().await;
    let wanted = json!({"name": "A", "uid": "a", "rateLimit": 7, "metadata": {"k": "v"}, "newer": [1]});
    let made = api.post("app", wanted).await;
    assert_eq!(made.is(201)["throttleRate"], 7);
    assert!(made.id().starts_with("app_") && made.id().len() == 31);
    assert_eq!(api.get(&format!("app/{}", made.id())).await, Answer { status: 200, ..made.clone() });
    assert_eq!(api.get("app/a/").await.is(200), &made.body);

    api.post("app", json!({"name": "B", "uid": "a"})).await.is(409);
    let again = api.post("app/?get_if_exists=true", json!({"name": "B", "uid": "a"})).await;
    assert_eq!(again.is(200), &made.body);

    let changed = api.patch("app/a", json!({"name": "C", "throttleRate": null})).await;
    let changed = changed.is(200);
    assert_eq!(
        (&changed["name"], &changed["uid"], &changed["throttleRate"]),
        (&json!("C"), &json!("a"), &Value::Null)
    );
    assert_eq!(changed["metadata"], json!({"k": "v"}));
    assert_eq!(changed["createdAt"], made.body["createdAt"]);
    let replaced = api.put("app/a", json!({"name": "D"})).await;
    assert_eq!((&replaced.is(200)["uid"], &replaced.body["metadata"]), (&Value::Null, &json!({})));
    api.get("app/a").await.is(404);
    api.get(&format!("app/{}", made.id())).await.is(200);

    api.delete(&format!("app/{}", made.id())).await.is(204);
    api.get(&format!("app/{}", made.id())).await.is(404);
    api.delete(&format!("app/{}", made.id())).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_to_a_missing_uid_makes_it_and_the_next_finds_it() {
    let api = Api::start().await;
    let made = api.put("app/new", json!({"name": "A"})).await;
    assert_eq!(made.is(201)["uid"], "new");
    assert_eq!(api.put("app/new", json!({"name": "A", "uid": "new"})).await.is(200)["id"], made.body["id"]);
    api.put("app/a%20b", json!({"name": "A"})).await.is(422);
    api.put("app/app_0ujtsYcgvSTl8PAuAdqWYSMnLOv", json!({"name": "A"})).await.is(404);
    api.put("app/other", json!({"name": "A", "uid": "new"})).await.is(409);

    let made = api.put("app/new/endpoint/e", json!({"url": "http://a/"})).await;
    assert_eq!(made.is(201)["uid"], "e");
    let found = api.put("app/new/endpoint/e", json!({"url": "http://b/", "uid": "e"})).await;
    assert_eq!(
        (found.is(200)["id"].clone(), &found.body["url"]),
        (made.body["id"].clone(), &json!("http://b/"))
    );
    api.put("app/new/endpoint/ep_0ujtsYcgvSTl8PAuAdqWYSMnLOv", json!({"url": "http://a/"})).await.is(404);

    assert_eq!(api.put("event-type/a.b", json!({"description": "x"})).await.is(201)["name"], "a.b");
    api.put("event-type/a.b", json!({"description": "y"})).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organisation_does_not_see_another_s() {
    let api = Api::with_app().await;
    let body = || json!({"name": "B", "uid": "app"}).to_string();
    let other = async |method: &str, path: &str| api.send("org_b", method, path, None, String::new()).await;
    assert_eq!(other("GET", "app/app").await.status, 404);
    assert_eq!(other("GET", "app").await.list("id"), Vec::<String>::new());
    assert_eq!(other("DELETE", "app/app").await.status, 404);
    let id = api.get("app/app").await.id();
    assert_eq!(other("GET", &format!("app/{id}")).await.status, 404);
    assert_eq!(other("GET", &format!("app/{id}/endpoint")).await.status, 404);
    assert_eq!(api.send("org_b", "POST", "app", None, body()).await.status, 201);
    assert_ne!(other("GET", "app/app").await.id(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_walked_there_and_back() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(api.post("app", json!({"name": format!("{n}")})).await.id());
    }
    let first = api.get("app?limit=3").await;
    assert_eq!((first.list("id"), &first.body["done"]), (made[..3].to_vec(), &json!(false)));
    let second = api.get(&format!("app?limit=3&iterator={}", first.body["iterator"].as_str().unwrap())).await;
    assert_eq!(second.list("id"), made[3..6]);
    let third = api.get(&format!("app?limit=3&iterator={}", second.body["iterator"].as_str().unwrap())).await;
    assert_eq!((third.list("id"), &third.body["done"]), (made[6..].to_vec(), &json!(true)));
    let back =
        api.get(&format!("app?limit=3&iterator={}", third.body["prevIterator"].as_str().unwrap())).await;
    assert_eq!((back.list("id"), &back.body["done"]), (made[3..6].to_vec(), &json!(false)));
    made.reverse();
    assert_eq!(api.get("app?order=descending").await.list("id"), made);
    api.get("app?limit=-1").await.is(422);
    api.get("app?iterator=ep_x").await.is(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_the_same_key_is_done_once() {
    let api = Api::start().await;
    let app = json!({"name": "A", "uid": "a"});
    let (one, two) = tokio::join!(api.post_keyed("app", "k", &app), api.post_keyed("app/", "k", &app));
    assert_eq!(one.is(201), two.is(201));
    assert_eq!(api.get("app").await.list("id").len(), 1);
    let other = api.post_keyed("app", "k", &json!({"name": "B"})).await;
    assert_eq!(other.is(409)["code"], "idempotency_key_reused");

    let endpoint = json!({"url": "http://a/"});
    let one = api.post_keyed("app/a/endpoint", "k", &endpoint).await;
    assert_eq!(one.is(201), api.post_keyed("app/a/endpoint", "k", &endpoint).await.is(201));
    let rotate = format!("app/a/endpoint/{}/secret/rotate", one.id());
    let rotated = api.post_keyed(&rotate, "k", &json!({})).await;
    let secret = api.get(&format!("app/a/endpoint/{}/secret", one.id())).await;
    assert_eq!(rotated.is(200), &secret.body);
    assert_eq!(api.post_keyed(&rotate, "k", &json!({})).await, rotated);
    assert_eq!(api.get(&format!("app/a/endpoint/{}/secret", one.id())).await, secret);

    let event_type = json!({"name": "a", "description": ""});
    let one = api.post_keyed("event-type", "k", &event_type).await;
    assert_eq!(one.is(201), api.post_keyed("event-type", "k", &event_type).await.is(201));
    api.post("event-type", event_type).await.is(409);

    let message = json!({"eventType": "a", "payload": {"n": 1}, "eventId": "e"});
    let one = api.post_keyed("app/a/msg", "k", &message).await;
    assert_eq!(one.is(202), api.post_keyed("app/a/msg", "k", &message).await.is(202));
    assert_eq!(
        api.post_keyed("app/a/msg", "k", &json!({"eventType": "b", "payload": {}})).await.is(409)["code"],
        "idempotency_key_reused"
    );
    api.post_keyed("app/a/msg", "", &message).await.is(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_may_be_sent_again_with_its_key() {
    let api = Api::start().await;
    api.post("app", json!({"name": "A", "uid": "a"})).await.is(201);
    let wanted = json!({"name": "B", "uid": "a"});
    api.post_keyed("app", "k", &wanted).await.is(409);
    api.delete("app/a").await.is(204);
    api.post_keyed("app", "k", &wanted).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_lives_and_dies() {
    let api = Api::with_app().await;
    let wanted = json!({
        "url": "https://example.com/x#y", "uid": "e", "eventTypes": ["a", "b"], "channels": ["c"],
        "description": "D", "throttleRate": 9, "metadata": {"k": "v"}, "headers": {"X-A": "1"},
    });
    let made = api.post("app/app/endpoint", wanted.clone()).await;
    for field in ["url", "uid", "eventTypes", "channels", "description", "throttleRate", "metadata"] {
        assert_eq!(made.is(201)[field], wanted[field], "{field}");
    }
    assert_eq!(made.body["disabled"], false);
    assert_eq!(api.get("app/app/endpoint/e").await.is(200), &made.body);
    assert_eq!(api.get(&format!("app/app/endpoint/{}", made.id())).await.is(200), &made.body);
    assert_eq!(api.get("app/app/endpoint").await.list("id"), [made.id()]);
    api.post("app/app/endpoint", wanted).await.is(409);

    let changed = api.patch("app/app/endpoint/e", json!({"eventTypes": null, "disabled": true})).await;
    assert_eq!((&changed.is(200)["eventTypes"], &changed.body["disabled"]), (&Value::Null, &json!(true)));
    assert_eq!(changed.body["channels"], json!(["c"]));
    api.patch("app/app/endpoint/e", json!({"channels": []})).await.is(422);
    api.patch("app/app/endpoint/e", json!({"url": null})).await.is(422);
    let replaced = api.put("app/app/endpoint/e", json!({"url": "http://b/", "uid": "e"})).await;
    assert_eq!((&replaced.is(200)["channels"], &replaced.body["disabled"]), (&Value::Null, &json!(false)));
    assert_eq!(api.get("app/app/endpoint/e/headers").await.body["headers"], json!({"x-a": "1"}));

    let stats = json!({"canceled": 0, "fail": 0, "pending": 0, "sending": 0, "success": 0});
    assert_eq!(api.get("app/app/endpoint/e/stats").await.is(200), &stats);
    api.get("app/app/endpoint/e/stats?since=x").await.is(422);
    api.delete("app/app/endpoint/e").await.is(204);
    api.get("app/app/endpoint/e").await.is(404);
    assert_eq!(api.get("app/app/endpoint").await.list("id"), Vec::<String>::new());
    api.post("app/app/endpoint", json!({"url": "http://a/", "uid": "e"})).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_made_or_brought_and_rotate() {
    let api = Api::with_app().await;
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    api.post("app/app/endpoint", json!({"url": "http://a/", "uid": "e", "secret": key})).await.is(201);
    assert_eq!(api.get("app/app/endpoint/e/secret").await.is(200), &json!({ "key": key }));
    api.post("app/app/endpoint/e/secret/rotate", json!({ "key": key })).await.is(409);
    let rotated = api.post("app/app/endpoint/e/secret/rotate", json!({"gracePeriodSeconds": 60})).await;
    let fresh = api.get("app/app/endpoint/e/secret").await;
    assert_eq!(rotated.is(200), fresh.is(200));
    assert_ne!(fresh.body["key"], key);
    assert!(fresh.body["key"].as_str().unwrap().starts_with("whsec_"));
    api.post("app/app/endpoint", json!({"url": "http://a/", "secret": "whsec_short"})).await.is(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_set_patched_and_masked() {
    let api = Api::with_app().await;
    api.post("app/app/endpoint", json!({"url": "http://a/", "uid": "e"})).await.is(201);
    let path = "app/app/endpoint/e/headers/";
    assert_eq!(api.get(path).await.is(200), &json!({"headers": {}, "sensitive": []}));
    api.put(path, json!({"headers": {"X-A": "1", "Authorization": "Bearer x"}})).await.is(204);
    let shown = json!({"headers": {"x-a": "1"}, "sensitive": ["authorization"]});
    assert_eq!(api.get(path).await.is(200), &shown);
    api.patch(path, json!({"headers": {"x-a": null, "x-b": "2"}})).await.is(204);
    let shown = json!({"headers": {"x-b": "2"}, "sensitive": ["authorization"]});
    assert_eq!(api.get(path).await.is(200), &shown);
    api.put(path, json!({"headers": {"host": "x"}})).await.is(422);
    api.put(path, json!({})).await.is(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_types_are_archived_and_come_back() {
    let api = Api::start().await;
    let wanted =
        json!({"name": "a.b", "description": "x", "schemas": {"1": {"type": "object"}}, "featureFlag": "f"});
    let made = api.post("event-type", wanted.clone()).await;
    assert_eq!(made.is(201)["schemas"], json!({"1": {"type": "object"}}));
    assert_eq!(api.post("event-type", wanted.clone()).await.is(409)["code"], "event_type_exists");
    assert_eq!(api.get("event-type/a.b").await.is(200), &made.body);
    let list = api.get("event-type").await;
    assert_eq!((list.list("name"), &list.body["data"][0]["schemas"]), (vec!["a.b".to_owned()], &Value::Null));
    assert_eq!(
        api.get("event-type?with_content=true").await.body["data"][0]["schemas"],
        made.body["schemas"]
    );

    let changed = api.patch("event-type/a.b", json!({"deprecated": true, "schemas": null})).await;
    assert_eq!((&changed.is(200)["deprecated"], &changed.body["schemas"]), (&json!(true), &Value::Null));
    assert_eq!(changed.body["featureFlag"], "f");

    api.delete("event-type/a.b").await.is(204);
    assert_eq!(api.get("event-type").await.list("name"), Vec::<String>::new());
    assert_eq!(api.get("event-type?include_archived=true").await.list("name"), ["a.b"]);
    assert_eq!(api.get("event-type/a.b").await.is(200)["archived"], true);
    let back = api.post("event-type", wanted).await;
    assert_eq!(
        (&back.is(201)["archived"], &back.body["createdAt"]),
        (&json!(false), &made.body["createdAt"])
    );
    api.delete("event-type/a.b?expunge=true").await.is(204);
    api.get("event-type/a.b").await.is(404);
    api.delete("event-type/a.b").await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_accepted_and_read() {
    let api = Api::with_app().await;
    let body = r#"{"eventType":"a.b","eventId":"e-1","channels":["x","y"],"payload":{ "n": 1.50 }}"#;
    let made = api.send("org_a", "POST", "app/app/msg", None, body.to_owned()).await;
    assert_eq!((&made.is(202)["eventId"], &made.body["channels"]), (&json!("e-1"), &json!(["x", "y"])));
    assert!(made.id().starts_with("msg_"));
    assert_eq!(api.get(&format!("app/app/msg/{}", made.id())).await.is(200), &made.body);
    assert_eq!(api.get("app/app/msg/e-1").await.is(200), &made.body);
    assert_eq!(api.get("app/app/msg/e-1?with_content=false").await.body["payload"], json!({}));
    api.get("app/app/msg/nothing").await.is(404);
    let bare =
        api.post("app/app/msg?with_content=false", json!({"eventType": "c", "payload": {"n": 2}})).await;
    assert_eq!(bare.is(202)["payload"], json!({}));
    assert_eq!(api.get(&format!("app/app/msg/{}", bare.id())).await.body["payload"], json!({"n": 2}));
    api.send("org_a", "POST", "app/app/msg", None, body.to_owned()).await.is(409);

    let (first, second) = (made.id(), bare.id());
    assert_eq!(api.get("app/app/msg").await.list("id"), [second.clone(), first.clone()]);
    assert_eq!(api.get("app/app/msg?event_types=a.b,z").await.list("id"), slice::from_ref(&first));
    assert_eq!(api.get("app/app/msg?event_types=z&event_types=c").await.list("id"), slice::from_ref(&second));
    assert_eq!(api.get("app/app/msg?channel=y").await.list("id"), slice::from_ref(&first));
    assert_eq!(api.get("app/app/msg?before=2020-01-01T00:00:00Z").await.list("id"), Vec::<String>::new());
    let recent = "app/app/msg?after=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00Z";
    assert_eq!(api.get(recent).await.list("id"), [second.clone(), first.clone()]);
    let page = api.get("app/app/msg?limit=1").await;
    let next =
        api.get(&format!("app/app/msg?limit=1&iterator={}", page.body["iterator"].as_str().unwrap())).await;
    assert_eq!((page.list("id"), next.list("id")), (vec![second], vec![first]));
    api.post("app/none/msg", json!({"eventType": "c", "payload": {}})).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_bring_its_application() {
    let api = Api::start().await;
    let message =
        |uid: Value| json!({"eventType": "a", "payload": {}, "application": {"name": "N", "uid": uid}});
    api.post("app/new/msg", message(json!("other"))).await.is(422);
    api.post("app/new/msg", message(Value::Null)).await.is(422);
    api.post("app/new/msg", message(json!("new"))).await.is(202);
    assert_eq!(api.get("app/new").await.is(200)["name"], "N");
    api.post("app/new/msg", message(json!("new"))).await.is(202);
    assert_eq!(api.get("app/new/msg").await.list("id").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_listed_filtered_and_resent() {
    let api = Api::with_app().await;
    // Nobody listens there: the attempt fails at once.
    let endpoint =
        api.post("app/app/endpoint", json!({"url": "http://127.0.0.1:1/x", "uid": "e"})).await.id();
    let message =
        api.post("app/app/msg", json!({"eventType": "a", "payload": {}, "eventId": "m"})).await.id();
    let by_message = format!("app/app/attempt/msg/{message}");
    let attempts = async |count: usize| {
        loop {
            let list = api.get(&by_message).await;
            if list.list("id").len() >= count {
                return list;
            }
            tokio::task::yield_now().await;
        }
    };
    let list = tokio::time::timeout(PATIENCE, attempts(1)).await.unwrap();
    let attempt = &list.body["data"][0];
    assert_eq!((&attempt["msgId"], &attempt["endpointId"]), (&json!(message), &json!(endpoint)));
    assert_eq!((&attempt["status"], &attempt["statusText"]), (&json!(2), &json!("fail")));
    assert_eq!((&attempt["responseStatusCode"], &attempt["triggerType"]), (&json!(0), &json!(0)));
    assert_eq!(attempt["url"], "http://127.0.0.1:1/x");
    let id = attempt["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("app/app/msg/m/attempt/{id}")).await.is(200), attempt);
    api.get("app/app/msg/m/attempt/atmpt_0ujtsYcgvSTl8PAuAdqWYSMnLOv").await.is(404);

    for (query, there) in [
        ("status=2", true),
        ("status=0", false),
        ("status=1", false),
        ("status_code_class=0", true),
        ("status_code_class=200", false),
        ("event_types=a,b", true),
        ("event_types=b", false),
        ("endpoint_id=e", true),
        ("after=2100-01-01T00:00:00Z", false),
        ("with_content=false", true),
    ] {
        let list = api.get(&format!("app/app/attempt/msg/m?{query}")).await.list("id");
        assert_eq!(!list.is_empty(), there, "{query}");
    }
    api.get("app/app/attempt/msg/m?endpoint_id=none").await.is(404);
    assert_eq!(api.get("app/app/attempt/endpoint/e").await.list("id"), [id]);
    assert_eq!(api.get("app/app/attempt/endpoint/e?channel=x").await.list("id"), Vec::<String>::new());

    let destinations = api.get("app/app/msg/m/endpoint").await;
    assert_eq!(destinations.list("id"), [endpoint]);
    assert_eq!(destinations.body["data"][0]["statusText"], "pending");
    assert!(destinations.body["data"][0]["nextAttempt"].is_string());
    assert_eq!(api.post("app/app/msg/m/endpoint/e/resend", Value::Null).await.is(202), &json!({}));
    let list = tokio::time::timeout(PATIENCE, attempts(2)).await.unwrap();
    assert_eq!(list.body["data"][0]["triggerType"], 1);
    api.post("app/app/msg/none/endpoint/e/resend", Value::Null).await.is(404);
    api.post("app/app/msg/m/endpoint/none/resend", Value::Null).await.is(404);
    api.core.dispatch.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_in_json() {
    let api = Api::with_app().await;
    for path in ["nothing", "auth/app-portal-access/app"] {
        assert_eq!(api.post(path, json!({})).await.is(404)["code"], "not_found", "{path}");
    }
    assert_eq!(api.delete("app").await.is(405)["code"], "method_not_allowed");
    assert_eq!(api.patch("app/app/msg/", json!({})).await.is(405)["code"], "method_not_allowed");
    assert!(api.post("app", Value::Null).await.is(422)["detail"].is_array());
    for path in ["/api/v1/health", "/api/v1/health/", "/api/v1/health/ping"] {
        for (method, status) in [("GET", 204), ("HEAD", 204), ("POST", 405)] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            assert_eq!(super::health().oneshot(request).await.unwrap().status(), status, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_too_much_pending_is_told_so_and_nobody_else() {
    let api = Api::start_with(&[("hooks.tenant_backlog_max", "2")]).await;
    for app in ["full", "other"] {
        api.post("app", json!({"name": "App", "uid": app})).await.is(201);
        // Nobody listens there: each delivery waits to be tried again.
        let endpoint = json!({"url": "http://127.0.0.1:1/"});
        api.post(&format!("app/{app}/endpoint"), endpoint).await.is(201);
    }
    let message = json!({"eventType": "a", "payload": {}});
    api.post("app/full/msg", message.clone()).await.is(202);
    api.post("app/full/msg", message.clone()).await.is(202);
    let refused = api.post("app/full/msg", message.clone()).await;
    assert_eq!(refused.is(429)["code"], "backlog_full");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("hooks.tenant_backlog_max: app_"), "{detail}");
    assert!(
        detail.contains(" has 2 of 2 deliveries pending, 1 more are too many; try again in "),
        "{detail}"
    );
    assert!((1..=60).contains(&refused.retry_after.unwrap()), "{refused:?}");
    api.post("app/other/msg", message).await.is(202);
    assert_eq!(api.core.backlog.refused(), 1);
    assert_eq!(api.core.store.backlogs().deliveries, 3, "nothing that was accepted is gone");
}

/// Waits until it holds; asks again and again.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

pub(super) fn in_millis(millis: i64) -> String {
    let at = super::timestamp::Timestamp(super::timestamp::now() + millis);
    String::from_utf8(at.text().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_later_goes_out_then_and_to_the_endpoints_of_then() {
    let api = Api::with_app().await;
    let body =
        json!({"eventType": "a", "payload": {"n": 1}, "deliverAt": in_millis(700), "priority": "high"});
    let made = api.post("app/app/msg", body).await;
    assert_eq!(made.is(202)["priority"], "high");
    let at = made.body["deliverAt"].as_str().unwrap().to_owned();
    // Made after the message was: it is there when the message goes out.
    api.post("app/app/endpoint", json!({"url": "http://127.0.0.1:1/", "uid": "e"})).await.is(201);
    let path = format!("app/app/msg/{}", made.id());
    assert_eq!(api.get(&path).await.is(200)["deliverAt"], at.as_str());
    assert_eq!(api.get("app/app/msg").await.body["data"][0]["deliverAt"], at.as_str());
    let attempts = format!("app/app/attempt/msg/{}", made.id());
    until("an attempt", async || !api.get(&attempts).await.list("id").is_empty()).await;
    let tried = api.get(&attempts).await.body["data"][0]["timestamp"].as_str().unwrap().to_owned();
    assert!(tried >= at, "{tried} is before {at}");
    let late = api.post(&format!("{path}/cancel"), Value::Null).await;
    assert_eq!(late.is(409)["code"], "too_late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_later_can_be_called_off_in_time() {
    let api = Api::with_app().await;
    api.post("app/app/endpoint", json!({"url": "http://127.0.0.1:1/"})).await.is(201);
    let wanted = |at: String| json!({"eventType": "a", "payload": {}, "deliverAt": at});
    let made = api.post("app/app/msg", wanted(in_millis(3_600_000))).await;
    assert_eq!(
        api.core.store.backlog(api.core.routing.find(&"org_a".into(), "app").unwrap().id).deliveries,
        1
    );
    let path = format!("app/app/msg/{}/cancel", made.id());
    let canceled = api.post(&path, Value::Null).await;
    assert!(canceled.is(200)["canceledAt"].is_string());
    assert_eq!(api.post(&path, Value::Null).await.is(200), &canceled.body, "once is enough");
    assert!(api.get(&format!("app/app/msg/{}", made.id())).await.body["canceledAt"].is_string());
    assert_eq!(api.core.store.scheduled(10).await.unwrap(), []);
    let at_once = api.post("app/app/msg", json!({"eventType": "a", "payload": {}})).await.id();
    let late = api.post(&format!("app/app/msg/{at_once}/cancel"), Value::Null).await;
    assert_eq!(late.is(409)["code"], "too_late");
    api.post("app/app/msg/none/cancel", Value::Null).await.is(404);

    for (at, allowed) in [
        (in_millis(-30_000), true),
        (in_millis(29 * 86_400_000), true),
        (in_millis(-120_000), false),
        (in_millis(31 * 86_400_000), false),
        ("tomorrow".to_owned(), false),
    ] {
        let answer = api.post("app/app/msg", wanted(at.clone())).await;
        assert_eq!(answer.status, if allowed { 202 } else { 422 }, "{at}: {}", answer.body);
        if !allowed {
            assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "deliverAt"]));
        }
    }
    let wrong = json!({"eventType": "a", "payload": {}, "priority": "urgent"});
    assert_eq!(api.post("app/app/msg", wrong).await.is(422)["detail"][0]["loc"], json!(["body", "priority"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_expunged_is_gone() {
    let api = Api::with_app().await;
    let made = api.post("app/app/msg", json!({"eventType": "a", "payload": {"n": 1}})).await.id();
    let path = format!("app/app/msg/{made}");
    api.delete(&format!("{path}/content")).await.is(204);
    assert_eq!(api.get(&path).await.is(200)["payload"], json!({"expired": true}));
    api.delete("app/app/msg/none/content").await.is(404);
}
