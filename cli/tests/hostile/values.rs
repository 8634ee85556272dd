//! JSON that is none, or that asks for trouble.

use serde_json::{Value, json};

use crate::site::Site;

const APPS: &str = "/api/v1/app";
const MESSAGES: &str = "/api/v1/app/acme/msg";
const DEPTH: usize = 10_000;

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn what_is_no_object_is_422_for_the_body_as_a_whole() {
    let mut site = Site::start(&[]).await;
    let (open, closed, objects) = ("[".repeat(DEPTH), nested(DEPTH), "{\"a\":".repeat(DEPTH));
    for body in [
        "",
        " ",
        "null",
        "7",
        "\"x\"",
        "[]",
        "[{}]",
        "{",
        "{}}",
        "{\"a\"}",
        "{'a': 1}",
        "{\"a\": 1,}",
        "\u{feff}{}",
        "nul",
        "-",
        "1e999",
        "{\"a\": 01}",
        "{\"a\": NaN}",
        &open,
        &closed,
        &objects,
    ] {
        for path in [APPS, MESSAGES, "/api/v1/app/acme/msg/batch", "/api/v1/app/acme/endpoint", "/v1/jobs"] {
            let answer = site.ask("POST", path, body).await;
            answer.refuses_field(&json!(["body"]), &[]);
        }
    }
    site.is_well().await;
}

#[tokio::test]
async fn text_that_is_no_unicode_is_refused() {
    let mut site = Site::start(&[]).await;
    for path in [APPS, MESSAGES, "/v1/jobs"] {
        for body in [
            &b"{\"name\": \"\xff\"}"[..],
            b"{\"\xc3\x28\": 1}",
            b"{\"eventType\": \"a\", \"payload\": {\"a\": \"\xff\"}}",
            b"\xfe\xff\x00{",
            b"{\"name\": \"\xed\xa0\x80\"}",
        ] {
            let mut request = site.request("POST", path, "", &" ".repeat(body.len())).into_bytes();
            request.truncate(request.len() - body.len());
            request.extend_from_slice(body);
            site.say(request).await.unwrap().refuses(422, &["body"]);
        }
    }
    for name in [r#""\ud800""#, r#""\u0000""#, r#""a\u0007""#] {
        let answer = site.ask("POST", APPS, &format!("{{\"name\": {name}}}")).await;
        answer.refuses_field(&json!(["body", "name"]), &[]);
    }
    site.is_well().await;
}

#[tokio::test]
async fn values_of_another_type_are_refused_with_what_they_are() {
    let mut site = Site::start(&[]).await;
    let huge = "9".repeat(5_000);
    let deep = nested(DEPTH);
    for (value, told) in [
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("99999999999999999999999", "99999999999999999999999"),
        ("1.5", "1.5"),
        ("\"5\"", "a string"),
        ("{}", "an object"),
        ("true", "a boolean"),
        (&huge, "999..."),
        (&deep, "a list"),
    ] {
        let answer = site.ask("POST", APPS, &format!("{{\"name\": \"a\", \"throttleRate\": {value}}}")).await;
        answer.refuses_field(&json!(["body", "throttleRate"]), &["expected an integer", told]);
    }
    for (path, field) in [(APPS, "name"), (APPS, "uid"), (MESSAGES, "eventType"), ("/v1/jobs", "tenant")] {
        let body = format!("{{\"{field}\": {deep}}}");
        site.ask("POST", path, &body).await.refuses_field(&json!(["body", field]), &["a list"]);
    }
    site.is_well().await;
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_refused() {
    let mut site = Site::start(&[]).await;
    for (path, body, name) in [
        (APPS, r#"{"name": "a", "name": "b"}"#, "name"),
        (MESSAGES, r#"{"eventType": "a", "payload": {}, "payload": {"b": 1}}"#, "payload"),
        ("/api/v1/app/acme/endpoint", r#"{"url": "http://a/", "\u0075rl": "http://b/"}"#, "url"),
        ("/api/v1/app/acme/msg/batch", r#"{"messages": [], "messages": []}"#, "messages"),
        ("/v1/jobs", r#"{"tenant": "a", "kind": "k", "payload": 1, "payload": 2}"#, "payload"),
    ] {
        site.ask("POST", path, body).await.refuses_field(&json!(["body"]), &[name]);
    }
    let many: Vec<_> = (0..1_001).map(|number| format!("\"{number}\":0")).collect();
    let answer = site.ask("POST", APPS, &format!("{{{}}}", many.join(","))).await;
    answer.refuses_field(&json!(["body"]), &["1000 fields"]);
    site.is_well().await;
}

#[tokio::test]
async fn a_payload_is_kept_as_it_came_however_deep_and_with_whatever_numbers() {
    let mut site = Site::start(&[]).await;
    let deep = nested(DEPTH);
    for payload in [
        format!("{{\"deep\":{deep}}}"),
        r#"{"a":1e999,"b":-0.0,"c":12345678901234567890123456789,"d":1.10}"#.to_owned(),
        r#"{"a":1,"a":2}"#.to_owned(),
    ] {
        let body = format!("{{\"eventType\":\"a\",\"payload\":{payload}}}");
        let answer = site.ask("POST", MESSAGES, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(answer.text.contains(&payload));
        assert!(site.get(MESSAGES).await.text.contains(&payload));
    }
    site.is_well().await;
}

/// It ended the worker's request with 500, with every other job that it was given, and the job, not
/// the request that brought it, was dead after three such crashes.
#[tokio::test]
async fn a_job_whose_payload_is_deep_or_has_a_huge_number_is_given_to_its_worker_as_it_came() {
    let mut site = Site::start(&[]).await;
    let payloads = [
        nested(DEPTH),
        r#"{"a":1e999}"#.into(),
        "12345678901234567890123456789".into(),
        r#"{"a":1,"a":2}"#.into(),
    ];
    for payload in &payloads {
        let body = format!("{{\"tenant\":\"t\",\"kind\":\"k\",\"payload\":{payload}}}");
        let answer = site.ask("POST", "/v1/jobs", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let json = answer.json();
        let id = json["id"].as_str().unwrap();
        assert!(site.get(&format!("/v1/jobs/{id}")).await.text.contains(payload));
    }
    let mut given = String::new();
    let mut leases = 0;
    while leases < payloads.len() {
        let answer =
            site.post("/v1/jobs/claim", &json!({ "kinds": ["k"], "max": 10, "waitSeconds": 5 })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        leases += answer.text.matches("\"lease\"").count();
        given += &answer.text;
    }
    assert!(payloads.iter().all(|payload| given.contains(&format!("\"payload\":{payload}"))));
    let listed: Value = site.get("/v1/jobs?tenant=t").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(payloads.len()));
    site.is_well().await;
}
