//! Paths, methods and queries that nobody meant.

use serde_json::json;

use crate::site::Site;

const APPS: &str = "/api/v1/app";

#[tokio::test]
async fn unknown_methods_and_paths_are_told_apart_in_the_form_of_the_interface() {
    let mut site = Site::start(&[]).await;
    for (method, path) in [
        ("BREW", APPS),
        ("TRACE", APPS),
        ("DELETE", APPS),
        ("GET", "/v1/jobs/dead/retry"),
        ("POST", "/api/v1/app/acme/stats/../x/headers/y/secret"),
        ("PUT", "/api/v1/app/acme/msg"),
        ("POST", "/api/v1/health"),
    ] {
        let answer = site.ask(method, path, "").await;
        answer.refuses(if path.contains("..") { 404 } else { 405 }, &[]);
    }
    let long = format!("/api/v1/app/acme{}", "/x".repeat(10_000));
    for path in ["/", "/api", "/api/v2/app", "//api/v1/app", "/api/v1/app/acme/nothing", "/metrics", &long] {
        site.get(path).await.refuses(404, &["not_found"]);
    }
    site.ask("OPTIONS", "*", "").await.refuses(404, &[]);
    for method in ["CONNECT", "OPTIONS"] {
        let answer = site.say(site.request(method, "a.example:443", "", "")).await;
        assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 400..=499)), "{answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_not_found() {
    let mut site = Site::start(&[]).await;
    let long = "x".repeat(10_000);
    for id in [
        "%00",
        "a%00b",
        "%",
        "%z",
        "%zz",
        "%ff",
        "%c3%28",
        "%2e%2e%2f",
        "..%2f..%2fetc%2fpasswd",
        "%0d%0a",
        "'--",
        "%27%20OR%201=1",
        "%F0%9F%92%A9",
        "app_",
        "msg_%20",
        "app_zzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "{app}",
        "-",
        &long,
    ] {
        for path in [
            format!("/api/v1/app/{id}"),
            format!("/api/v1/app/{id}/endpoint/{id}"),
            format!("/api/v1/app/acme/msg/{id}"),
            format!("/api/v1/app/acme/endpoint/{id}/health"),
            format!("/api/v1/app/acme/msg/{id}/attempt/{id}"),
            format!("/api/v1/background-task/{id}"),
            format!("/v1/jobs/{id}"),
        ] {
            let answer = site.get(&path).await;
            answer.refuses(404, &[]);
        }
        let answer = site.get(&format!("/api/v1/event-type/{id}")).await;
        answer.refuses(if matches!(answer.status, 422) { 422 } else { 404 }, &[]);
    }
    // A PUT would make it, if it could be a uid.
    let body = json!({ "name": "a" });
    for id in ["%00", "a%00b", "%zz", "%0d%0a", &long] {
        let answer = site.ask("PUT", &format!("/api/v1/app/{id}"), &body.to_string()).await;
        answer.refuses_field(&json!(["path", "app_id"]), &[]);
    }
    site.is_well().await;
}

#[tokio::test]
async fn queries_are_read_within_bounds_and_what_is_wrong_is_named_with_its_value() {
    let mut site = Site::start(&[]).await;
    let (many, same) = ("a&".repeat(10_000), "limit=1&".repeat(3_000));
    for query in ["limit=0", "limit=250", "limit=1000000000", "limit=", "x=%ff%00", "&&&==&", &many, &same] {
        let answer = site.get(&format!("{APPS}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.json()["data"].as_array().unwrap().len() <= 250);
    }
    for limit in ["-1", "1e9", "0x10", "99999999999999999999999", "NaN", "1.5", "%00"] {
        let told = if limit == "%00" { "whole number" } else { limit };
        for path in [APPS, "/api/v1/app/acme/msg", "/api/v1/event-type"] {
            let answer = site.get(&format!("{path}?limit={limit}")).await;
            answer.refuses_field(&json!(["query", "limit"]), &[told]);
        }
        let answer = site.get(&format!("/v1/jobs?tenant=t&limit={limit}")).await;
        answer.refuses_field(&json!(["query", "limit"]), &["1 to 250", told]);
    }
    let long = "9".repeat(10_000);
    let answer = site.get(&format!("{APPS}?limit=-{long}")).await;
    answer.refuses_field(&json!(["query", "limit"]), &["whole number"]);
    for iterator in ["x", "-", "--", "app_", "task_x", "%00", &long] {
        for path in [APPS, "/api/v1/app/acme/msg", "/api/v1/app/acme/endpoint", "/v1/jobs/dead?tenant=t"] {
            let sign = if path.contains('?') { '&' } else { '?' };
            let answer = site.get(&format!("{path}{sign}iterator={iterator}")).await;
            answer.refuses_field(&json!(["query", "iterator"]), &["iterator"]);
        }
    }
    let items: Vec<_> = (0..101).map(|number| format!("t{number}")).collect();
    let answer = site.get(&format!("/api/v1/app/acme/msg?event_types={}", items.join(","))).await;
    answer.refuses_field(&json!(["query", "event_types"]), &["100"]);
    for time in ["now", "1e999", "-1", "2026-13-01T00:00:00Z", "99999-01-01T00:00:00Z"] {
        let answer = site.get(&format!("/api/v1/app/acme/msg?before={time}")).await;
        answer.refuses_field(&json!(["query", "before"]), &["RFC 3339"]);
    }
    site.is_well().await;
}
