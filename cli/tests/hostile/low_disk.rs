//! While the disk is low nothing may grow, by whatever method it is asked for.

use serde_json::{Value, json};

use crate::site::Site;

/// So much is free of no disk.
const NEVER: &str = "store.disk_free_bytes_min=17592186044416";
const APP: &str = "/api/v1/app/acme";
const ENDPOINT: &str = "/api/v1/app/acme/endpoint/e";
const EVENT_TYPE: &str = "/api/v1/event-type/t";

/// Makes what is then changed, and answers with the path of a job.
async fn make(site: &Site) -> String {
    let later =
        json!({ "eventType": "t", "eventId": "later", "deliverAt": in_an_hour(), "payload": { "a": 1 } });
    for (path, body) in [
        (
            "/api/v1/app/acme/endpoint",
            json!({ "uid": "e", "url": "http://127.0.0.1:9/", "description": "long" }),
        ),
        ("/api/v1/event-type", json!({ "name": "t", "description": "long" })),
        ("/api/v1/app/acme/msg", later),
        ("/api/v1/app", json!({ "name": "Paused", "uid": "paused" })),
    ] {
        let answer = site.post(path, &body).await;
        assert!(matches!(answer.status, 200..=299), "{path}: {}", answer.text);
    }
    let job = json!({ "tenant": "t", "kind": "k", "payload": {}, "runAt": "2999-01-01T00:00:00Z" });
    let job = site.post("/v1/jobs", &job).await.json();
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

fn in_an_hour() -> Value {
    let now = plimsoll_store::wall_clock();
    let text = plimsoll_service::request::timestamp::Timestamp(now + 3_600_000).text();
    json!(String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn what_grows_is_refused_by_the_bound_s_name_and_what_frees_or_costs_nothing_goes_on() {
    let mut site = Site::start(&[]).await;
    let job = make(&site).await;
    site.restart(&[NEVER]).await;
    let endpoint = json!({ "url": "http://127.0.0.1:9/" });
    let event_type = json!({ "description": "x" });
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    for (method, path, body) in [
        ("POST", "/api/v1/app", json!({ "name": "New" })),
        ("PUT", "/api/v1/app/new", json!({ "name": "New" })),
        ("PATCH", APP, json!({ "name": "A longer name than before" })),
        ("PATCH", APP, json!({ "metadata": { "more": "of it" } })),
        ("POST", "/api/v1/app/acme/endpoint", endpoint.clone()),
        ("PUT", "/api/v1/app/acme/endpoint/new", endpoint),
        ("PATCH", ENDPOINT, json!({ "description": "longer" })),
        ("PUT", "/api/v1/app/acme/endpoint/e/headers", json!({ "headers": { "x": "y" } })),
        ("PATCH", "/api/v1/app/acme/endpoint/e/headers", json!({ "headers": { "x": "y" } })),
        ("POST", "/api/v1/app/acme/endpoint/e/secret/rotate", json!({})),
        ("POST", "/api/v1/app/acme/endpoint/e/recover", since.clone()),
        ("POST", "/api/v1/app/acme/endpoint/e/replay-missing", since),
        ("POST", "/api/v1/event-type", json!({ "name": "new", "description": "" })),
        ("PUT", "/api/v1/event-type/new", event_type),
        ("PATCH", EVENT_TYPE, json!({ "description": "longer" })),
        ("POST", "/api/v1/app/acme/msg", json!({ "eventType": "t", "payload": {} })),
        ("POST", "/api/v1/app/acme/msg/batch", json!({ "messages": [{ "eventType": "t", "payload": {} }] })),
        ("POST", "/api/v1/app/acme/msg/later/endpoint/e/resend", json!({})),
        ("POST", "/v1/jobs", json!({ "tenant": "t", "kind": "k", "payload": {} })),
        ("POST", "/v1/jobs/dead/retry", json!({ "tenant": "t" })),
    ] {
        let answer = site.ask(method, path, &body.to_string()).await;
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text);
        answer.refuses(503, &["storage_low", "store.disk_free_bytes_min"]);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    for (method, path, body) in [
        ("GET", "/api/v1/app/acme/msg", json!({})),
        ("PATCH", APP, json!({ "name": "A" })),
        ("PUT", APP, json!({ "name": "B", "uid": "acme" })),
        ("PATCH", ENDPOINT, json!({ "disabled": true })),
        ("PATCH", ENDPOINT, json!({ "disabled": false, "description": "" })),
        ("POST", "/api/v1/app/acme/endpoint/e/secret/rotate", json!({ "gracePeriodSeconds": 0 })),
        ("POST", "/api/v1/app/acme/endpoint/e/pause", json!({})),
        ("POST", "/api/v1/app/acme/endpoint/e/resume", json!({})),
        ("POST", "/api/v1/app/paused/pause", json!({})),
        ("POST", "/api/v1/app/paused/resume", json!({})),
        ("PUT", EVENT_TYPE, json!({ "description": "" })),
        ("POST", "/api/v1/app/acme/msg/later/cancel", json!({})),
        ("DELETE", "/api/v1/app/acme/msg/later/content", json!({})),
        ("DELETE", &job, json!({})),
        ("DELETE", EVENT_TYPE, json!({})),
        ("DELETE", ENDPOINT, json!({})),
        ("DELETE", "/api/v1/app/paused", json!({})),
    ] {
        let answer = site.ask(method, path, &body.to_string()).await;
        assert!(matches!(answer.status, 200..=299), "{method} {path}: {} {}", answer.status, answer.text);
    }
    site.restart(&[]).await;
    site.is_well().await;
}
