//! Every field at its bound, and one beyond it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::site::Site;

const APP: &str = "/api/v1/app";
const ENDPOINT: &str = "/api/v1/app/acme/endpoint";
const EVENT_TYPE: &str = "/api/v1/event-type";
const MESSAGE: &str = "/api/v1/app/quiet/msg";
const JOB: &str = "/v1/jobs";

/// A field of a request, the most of it that is taken, and how it is told what that is.
struct Bound {
    path: &'static str,
    field: &'static str,
    most: usize,
    allowed: &'static str,
    body: fn(usize) -> Value,
}

const fn bound(
    path: &'static str,
    field: &'static str,
    most: usize,
    allowed: &'static str,
    body: fn(usize) -> Value,
) -> Bound {
    Bound { path, field, most, allowed, body }
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("n{number}")).collect()
}

fn map(count: usize) -> Map<String, Value> {
    names(count).into_iter().map(|name| (name, json!("x"))).collect()
}

fn endpoint(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({ "url": "http://127.0.0.1:9/" });
    body[field] = value.into();
    body
}

fn message(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({ "eventType": "a", "payload": {} });
    body[field] = value.into();
    body
}

fn job(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({ "tenant": "t", "kind": "k", "payload": {} });
    body[field] = value.into();
    body
}

const BOUNDS: &[Bound] = &[
    bound(APP, "name", 4_096, "4096", |n| json!({ "name": text(n) })),
    bound(APP, "uid", 256, "256", |n| json!({ "name": "a", "uid": text(n) })),
    bound(APP, "metadata", 50, "50", |n| json!({ "name": "a", "metadata": map(n) })),
    bound(APP, "metadata", 16_384, "16384", |n| json!({ "name": "a", "metadata": { "m": text(n - 1) } })),
    bound(APP, "throttleRate", 65_535, "65535", |n| json!({ "name": "a", "throttleRate": n })),
    bound(ENDPOINT, "url", 8_192, "8192", |n| json!({ "url": format!("http://a/{}", text(n - 9)) })),
    bound(ENDPOINT, "uid", 256, "256", |n| endpoint("uid", text(n))),
    bound(ENDPOINT, "description", 16_384, "16384", |n| endpoint("description", text(n))),
    bound(ENDPOINT, "channels", 10, "10", |n| endpoint("channels", names(n))),
    bound(ENDPOINT, "channels", 128, "128", |n| endpoint("channels", vec![text(n)])),
    bound(ENDPOINT, "eventTypes", 1_000, "1000", |n| endpoint("eventTypes", names(n))),
    bound(ENDPOINT, "headers", 50, "50", |n| endpoint("headers", map(n))),
    bound(ENDPOINT, "headers", 8_192, "8192", |n| endpoint("headers", json!({ "x": text(n - 1) }))),
    bound(ENDPOINT, "secret", 75, "75", |n| endpoint("secret", STANDARD.encode(vec![7; n]))),
    bound(EVENT_TYPE, "name", 256, "256", |n| json!({ "name": text(n), "description": "" })),
    bound(EVENT_TYPE, "description", 16_384, "16384", |n| json!({ "name": "long", "description": text(n) })),
    bound(MESSAGE, "eventType", 256, "256", |n| message("eventType", text(n))),
    bound(MESSAGE, "eventId", 256, "256", |n| message("eventId", text(n))),
    bound(MESSAGE, "channels", 5, "5", |n| message("channels", names(n))),
    bound(MESSAGE, "payloadRetentionPeriod", 90, "90", |n| message("payloadRetentionPeriod", n)),
    bound(
        "/api/v1/app/quiet/msg/batch",
        "messages",
        1_000,
        "1000",
        |n| json!({ "messages": vec![message("x", 1); n] }),
    ),
    bound(JOB, "tenant", 128, "128", |n| job("tenant", text(n))),
    bound(JOB, "kind", 128, "128", |n| job("kind", text(n))),
    bound(JOB, "key", 256, "256", |n| job("key", text(n))),
    bound(JOB, "uniqueKey", 256, "256", |n| job("uniqueKey", text(n))),
    bound(JOB, "attemptsMax", 1_000, "1000", |n| job("attemptsMax", n)),
    bound(JOB, "runTimeoutSeconds", 604_800, "604800", |n| job("runTimeoutSeconds", n)),
    bound("/v1/jobs/claim", "kinds", 32, "32", |n| json!({ "kinds": names(n) })),
    bound("/v1/jobs/claim", "max", 100, "100", |n| json!({ "kinds": ["none"], "max": n })),
    bound("/v1/jobs/dead/retry", "limit", 1_000, "1000", |n| json!({ "tenant": "t", "limit": n })),
];

#[tokio::test]
async fn every_field_at_its_bound_is_taken_and_one_more_is_refused_by_name() {
    let mut site = Site::start(&[]).await;
    assert_eq!(site.post(APP, &json!({ "name": "Quiet", "uid": "quiet" })).await.status, 201);
    for Bound { path, field, most, allowed, body } in BOUNDS {
        let fits = site.post(path, &body(*most)).await;
        assert!(matches!(fits.status, 200..=299), "{path} {field} {most}: {}", fits.text);
        site.post(path, &body(most + 1)).await.refuses_field(&json!(["body", field]), &[allowed]);
    }
    for (field, less) in [("throttleRate", 0), ("throttleRate", -1)] {
        let body = json!({ "name": "a", field: less });
        site.post(APP, &body).await.refuses_field(&json!(["body", field]), &["65535", &less.to_string()]);
    }
    let later = message("deliverAt", "2999-01-01T00:00:00Z");
    site.post(MESSAGE, &later).await.refuses_field(&json!(["body", "deliverAt"]), &["30 days"]);
    site.is_well().await;
}

#[tokio::test]
async fn an_endpoint_has_a_bound_over_all_of_its_fields_together() {
    let mut site = Site::start(&[]).await;
    let long = |count: usize| -> Vec<String> { (0..count).map(|n| format!("{}{n}", text(250))).collect() };
    assert_eq!(site.post(ENDPOINT, &endpoint("eventTypes", long(100))).await.status, 201);
    let more = site.post(ENDPOINT, &endpoint("eventTypes", long(200))).await;
    more.refuses_field(&json!(["body"]), &["65536 bytes in all"]);
    site.is_well().await;
}

#[tokio::test]
async fn a_payload_of_a_job_and_an_idempotency_key_have_their_bounds() {
    let mut site = Site::start(&["jobs.payload_bytes_max=1024"]).await;
    assert_eq!(site.post(JOB, &job("payload", text(1_022))).await.status, 202);
    site.post(JOB, &job("payload", text(1_023)))
        .await
        .refuses(413, &["jobs.payload_bytes_max", "1025", "1024"]);
    for path in [APP, JOB, MESSAGE] {
        let path = path.replace("quiet", "acme");
        let body = json!({ "name": "a", "eventType": "a", "payload": {}, "tenant": "t", "kind": "k" });
        let keyed = |key: &str| {
            site.request("POST", &path, &format!("idempotency-key: {key}\r\n"), &body.to_string())
        };
        assert!(matches!(site.say(keyed(&text(256))).await.unwrap().status, 200..=299), "{path}");
        for key in [text(257), "a b".into(), "\u{e4}".into(), String::new()] {
            let loc = json!(["header", "idempotency-key"]);
            site.say(keyed(&key)).await.unwrap().refuses_field(&loc, &["256"]);
        }
    }
    site.is_well().await;
}
