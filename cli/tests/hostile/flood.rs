//! Thousands of such requests: memory is what it was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::site::Site;
use crate::wire::{PATIENCE, Wire};

/// What the allocator may keep, and what a debug build wastes.
const SLACK: u64 = 64 << 20;

/// One of each kind, some of which leave before they are answered.
async fn one_of_each(site: &Site) {
    let deep = format!("{{\"eventType\":\"a\",\"payload\":{}", "[".repeat(100_000));
    let fields: Vec<_> = (0..50_000).map(|number| format!("\"{number}\":0")).collect();
    let fields = format!("{{{}}}", fields.join(","));
    let batch = format!("{{\"messages\":[{}1]}}", "1,".repeat(200_000));
    let message = "/api/v1/app/acme/msg";
    let requests = [
        site.request("POST", message, "", &deep),
        site.request("POST", "/api/v1/app", "", &fields),
        site.request("POST", "/api/v1/app/acme/msg/batch", "", &batch),
        site.request("POST", message, "", &"x".repeat(900_000)),
        site.request("POST", message, "", &"x".repeat(1_100_000)),
        site.chunked(message, &format!("{:x}\r\n{}\r\n0\r\n\r\n", 800_000, "{".repeat(800_000))),
        site.request("GET", &format!("/api/v1/app?{}", "a=b&".repeat(7_000)), "", ""),
        site.request("GET", "/api/v1/app", &format!("x: {}\r\n", "y".repeat(40_000)), ""),
        "\0".repeat(10_000),
    ];
    for (number, request) in requests.iter().enumerate() {
        let mut wire = Wire::connect(site.listen).await;
        wire.send(request.as_bytes()).await;
        if number % 3 != 2 {
            let answer = wire.answer().await;
            assert!(answer.as_ref().is_none_or(|answer| answer.status < 500), "{answer:?}");
        }
    }
    // One that leaves in the middle of its body.
    let mut wire = Wire::connect(site.listen).await;
    wire.send(&requests[3].as_bytes()[..300_000]).await;
}

async fn rounds(site: &Arc<Site>, rounds: usize) {
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let site = Arc::clone(site);
        clients.spawn(async move {
            for _ in 0..rounds {
                one_of_each(&site).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn thousands_of_hostile_requests_leave_memory_as_it_was() {
    let site = Arc::new(Site::start(&[]).await);
    rounds(&site, 10).await;
    let before = site.memory();
    rounds(&site, 40).await;
    let after = site.memory();
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after < before + SLACK, "{} MiB became {} MiB", before >> 20, after >> 20);
    }
    let Ok(mut site) = Arc::try_unwrap(site) else { panic!("a client is left") };
    site.is_well().await;
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_places_of_their_organisation_and_bounded_memory() {
    const CLIENTS: usize = 64;
    let mut site = Site::start(&["tenant.requests=4", "hooks.payload_bytes_max=8000000"]).await;
    // A page has two of them: more than the system buffers for a client that does not read.
    let content = json!({ "eventType": "a", "payload": { "x": "y".repeat(3_900_000) } });
    for _ in 0..4 {
        assert_eq!(site.post("/api/v1/app/acme/msg", &content).await.status, 202);
    }
    let before = site.memory();
    let list = site.request("GET", "/api/v1/app/acme/msg?limit=250", "", "");
    let (mut idle, refused) = site.until_refused(list.as_bytes(), "/api/v1/app/acme").await;
    refused.refuses(429, &["tenant.requests"]);
    for _ in 0..CLIENTS {
        let mut wire = Wire::connect(site.listen).await;
        wire.send(list.as_bytes()).await;
        idle.push(wire);
    }
    site.get("/api/v1/app/acme").await.refuses(429, &["tenant.requests"]);
    if let (Some(before), Some(after)) = (before, site.memory()) {
        assert!(after < before + 2 * SLACK, "{} MiB became {} MiB", before >> 20, after >> 20);
    }
    let own = site.token.clone();
    site.token = plimsoll_service::auth::Keys::load_or_create(&site.data()).unwrap().issue("org_b").unwrap();
    assert_eq!(site.get("/api/v1/app").await.status, 200);
    site.token = own;
    // Taken at last, they free the places.
    for mut wire in idle {
        wire.answer().await.unwrap();
    }
    site.is_well().await;
}

#[tokio::test]
async fn an_answer_that_is_taken_too_slowly_is_cut_and_its_place_is_free() {
    let settings = ["http.answer_timeout_ms=1000", "tenant.requests=1", "hooks.payload_bytes_max=8000000"];
    let mut site = Site::start(&settings).await;
    let content = json!({ "eventType": "a", "payload": { "x": "y".repeat(7_900_000) } });
    assert_eq!(site.post("/api/v1/app/acme/msg", &content).await.status, 202);
    let list = site.request("GET", "/api/v1/app/acme/msg", "", "");
    let (wires, refused) = site.until_refused(list.as_bytes(), "/api/v1/app/acme").await;
    refused.refuses(429, &["tenant.requests", "1 of 1"]);
    let free = async {
        while site.get("/api/v1/app/acme").await.status != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the place is never free");
    let mut cut = 0;
    for mut wire in wires {
        cut += usize::from(wire.answer().await.is_none());
    }
    assert!(cut > 0, "no answer was cut");
    site.is_well().await;
}
