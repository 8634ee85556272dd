//! Senders that are slow, or never send.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::site::Site;
use crate::wire::Wire;

const MESSAGES: &str = "/api/v1/app/acme/msg";
/// Between two bytes; a head or a body of these tests takes minutes so.
const DRIP: Duration = Duration::from_millis(20);

async fn start() -> Site {
    Site::start(&["http.head_timeout_ms=1000", "admission.body_timeout_ms=1000", "http.connections=16"]).await
}

/// Sends a byte at a time until the server takes no more.
async fn drip(wire: &mut Wire, bytes: &[u8]) {
    for byte in bytes.chunks(1) {
        if !wire.send(byte).await {
            return;
        }
        sleep(DRIP).await;
    }
    panic!("the server waited for all of it");
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_ends_the_connection() {
    let mut site = start().await;
    let head = site.request("GET", "/api/v1/app", &format!("x: {}\r\n", "y".repeat(10_000)), "");
    let mut wire = Wire::connect(site.listen).await;
    drip(&mut wire, head.as_bytes()).await;
    assert_eq!(wire.end().await, 0);
    // One that never comes, and none behind a request that was answered.
    let mut wire = Wire::connect(site.listen).await;
    assert_eq!(wire.end().await, 0);
    let mut wire = Wire::connect(site.listen).await;
    wire.send(site.request("GET", "/api/v1/app", "", "").as_bytes()).await;
    assert_eq!(wire.end().await, 1);
    site.is_well().await;
}

#[tokio::test]
async fn a_body_that_comes_a_byte_at_a_time_is_408() {
    let mut site = start().await;
    let body = json!({ "eventType": "a", "payload": { "x": "y".repeat(10_000) } }).to_string();
    let request = site.request("POST", MESSAGES, "", &body);
    let (head, body) = request.split_at(request.len() - body.len());
    for (head, drops) in
        [(head.to_owned(), body.to_owned()), (site.chunked(MESSAGES, ""), "1\r\n{\r\n".repeat(5_000))]
    {
        let mut wire = Wire::connect(site.listen).await;
        wire.send(head.as_bytes()).await;
        drip(&mut wire, drops.as_bytes()).await;
        // It may be lost: what the server does not read any more resets the connection.
        if let Some(answer) = wire.answer().await {
            answer.refuses(408, &["admission.body_timeout_ms", "1000 ms"]);
        }
        assert_eq!(wire.end().await, 0);
    }
    let mut wire = Wire::connect(site.listen).await;
    wire.send(head.as_bytes()).await;
    wire.answer().await.unwrap().refuses(408, &["admission.body_timeout_ms"]);
    assert_eq!(wire.end().await, 0);
    site.is_well().await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_and_the_idle_ones_leave() {
    let mut site = start().await;
    let mut idle = Vec::new();
    for number in 0..64 {
        let mut wire = Wire::connect(site.listen).await;
        // Some say a little, some nothing.
        if number % 2 == 0 {
            wire.send(b"POST /api/v1/app HTTP/1.1\r\n").await;
        }
        idle.push(wire);
    }
    // Behind all of them, who behaves is served.
    site.is_well().await;
    for mut wire in idle {
        assert_eq!(wire.end().await, 0);
    }
    site.is_well().await;
}

#[tokio::test]
async fn slow_bodies_of_one_organisation_take_no_place_of_another() {
    let settings = ["admission.body_timeout_ms=600000", "tenant.requests=8", "admission.requests=64"];
    let mut site = Site::start(&settings).await;
    let own = site.token.clone();
    let other =
        plimsoll_service::auth::Keys::load_or_create(&site.data()).unwrap().issue("org_slow").unwrap();
    site.token = other;
    let request = site.request("POST", MESSAGES, "", &"x".repeat(1_000));
    let begun = &request.as_bytes()[..request.len() - 1];
    let (slow, refused) = site.until_refused(begun, "/api/v1/app").await;
    refused.refuses(429, &["tenant.requests", "8 of 8"]);
    site.token = own;
    site.is_well().await;
    drop(slow);
    site.is_well().await;
}
