//! Bodies that are too large, or not what they say they are.

use serde_json::json;

use crate::site::Site;
use crate::wire::Wire;

const MESSAGES: &str = "/api/v1/app/acme/msg";
const BATCH: &str = "/api/v1/app/acme/msg/batch";
const CLAIM: &str = "/v1/jobs/claim";
/// `hooks.payload_bytes_max` of these tests.
const MOST: usize = 64 << 10;

async fn start() -> Site {
    Site::start(&["hooks.payload_bytes_max=65536", "admission.body_timeout_ms=1000"]).await
}

/// This JSON with so much white space behind it that it has so many bytes.
fn padded(json: &str, bytes: usize) -> String {
    format!("{json}{}", " ".repeat(bytes - json.len()))
}

/// As chunks of so many bytes.
fn chunks(body: &str, bytes: usize) -> String {
    let chunk = |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    let chunks: String = body.as_bytes().chunks(bytes).map(chunk).collect();
    format!("{chunks}0\r\n\r\n")
}

#[tokio::test]
async fn a_body_at_its_bound_is_taken_and_one_byte_more_is_413_with_both_numbers() {
    let mut site = start().await;
    let message = json!({ "eventType": "a", "payload": {} }).to_string();
    let batch = json!({ "messages": [{ "eventType": "a", "payload": {} }] }).to_string();
    let poll = json!({ "kinds": ["k"] }).to_string();
    for (path, json, most, status) in
        [(MESSAGES, &message, MOST, 202), (BATCH, &batch, MOST, 202), (CLAIM, &poll, 16 << 10, 200)]
    {
        let (most_text, more_text) = (most.to_string(), (most + 1).to_string());
        assert_eq!(site.ask("POST", path, &padded(json, most)).await.status, status, "{path}");
        let more = site.ask("POST", path, &padded(json, most + 1)).await;
        more.refuses(413, &["payload_too_large", &more_text, &most_text]);

        let request = site.chunked(path, &chunks(&padded(json, most), 1_000));
        assert_eq!(site.say(request).await.unwrap().status, status, "{path} in chunks");
        let request = site.chunked(path, &chunks(&padded(json, most + 1), 1_000));
        site.say(request).await.unwrap().refuses(413, &["more than", &most_text]);
    }
    let request = site.chunked(MESSAGES, &chunks(&message, 1));
    assert_eq!(site.say(request).await.unwrap().status, 202, "a byte at a time");
    site.is_well().await;
}

#[tokio::test]
async fn a_length_that_is_too_large_or_no_length_is_refused_before_a_byte_of_the_body() {
    let mut site = start().await;
    let head = |lines: &str| {
        let token = &site.token;
        format!("POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{lines}\r\n")
    };
    for length in [65_537, 1 << 40, u64::MAX - 2] {
        for expect in ["", "expect: 100-continue\r\n"] {
            let answer = site.say(head(&format!("{expect}content-length: {length}\r\n"))).await.unwrap();
            answer.refuses(413, &[&length.to_string(), "65536"]);
        }
    }
    for lines in [
        "content-length: -1\r\n",
        "content-length: +5\r\n",
        "content-length: 0x10\r\n",
        "content-length: 5 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 18446744073709551615\r\n",
        "content-length: 340282366920938463463374607431768211456\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
    ] {
        let answer = site.say(head(lines)).await;
        let refused = answer.as_ref().is_none_or(|answer| matches!(answer.status, 400 | 431));
        assert!(refused, "{lines}: {answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn a_body_that_is_not_what_its_length_says_harms_nobody() {
    let mut site = start().await;
    let message = json!({ "eventType": "a", "payload": {} }).to_string();
    let long = site.request("POST", MESSAGES, "", &padded(&message, 1_000));

    // It ends early.
    let mut wire = Wire::connect(site.listen).await;
    wire.send(&long.as_bytes()[..long.len() - 10]).await;
    wire.finish().await;
    let answer = wire.answer().await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");

    // It does not end at all.
    let mut wire = Wire::connect(site.listen).await;
    wire.send(&long.as_bytes()[..long.len() - 10]).await;
    wire.answer().await.unwrap().refuses(408, &["admission.body_timeout_ms", "1000 ms"]);
    assert_eq!(wire.end().await, 0);

    // What is more than it says is taken for the next request, which it is not.
    let mut wire = Wire::connect(site.listen).await;
    let short = long.replace("content-length: 1000", "content-length: 20");
    wire.send(short.as_bytes()).await;
    wire.answer().await.unwrap().refuses_field(&json!(["body"]), &["EOF"]);
    let second = wire.answer().await;
    assert!(second.as_ref().is_none_or(|answer| answer.status == 400), "{second:?}");
    assert_eq!(wire.end().await, 0);
    site.is_well().await;
}

#[tokio::test]
async fn chunks_that_lie_are_400_or_the_end_of_the_connection() {
    let mut site = start().await;
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n{}\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n",
        "fffffffffffffff0\r\n{}\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "5\r\n{}\r\n",
        "2\r\n{}\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "\r\n\r\n",
    ] {
        let mut wire = Wire::connect(site.listen).await;
        wire.send(site.chunked(MESSAGES, chunks).as_bytes()).await;
        wire.finish().await;
        let answer = wire.answer().await;
        let refused = |status| matches!(status, 400 | 413 | 422);
        assert!(answer.as_ref().is_none_or(|answer| refused(answer.status)), "{chunks:?}: {answer:?}");
        wire.end().await;
    }
    // Extensions and trailers without an end.
    for endless in [format!("2;{}\r\n", "x".repeat(40_000)), format!("0\r\nx: {}\r\n", "y".repeat(40_000))] {
        let answer = site.say(site.chunked(MESSAGES, &endless)).await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_and_one_that_sends_no_body_is_told_so() {
    let mut site = start().await;
    let body = json!({ "eventType": "a", "payload": {} }).to_string();
    let request = site.request("POST", MESSAGES, "expect: 100-continue\r\n", &body);
    assert_eq!(site.say(request).await.unwrap().status, 202);
    site.ask("POST", MESSAGES, "").await.refuses_field(&json!(["body"]), &["EOF"]);
    let odd =
        site.request("POST", MESSAGES, "content-type: image/png\r\ncontent-encoding: gzip\r\n", "\u{1}");
    site.say(odd).await.unwrap().refuses_field(&json!(["body"]), &[]);
    // Without a body, and with one that a GET has no use for.
    let token = &site.token;
    let none = format!("POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    site.say(none).await.unwrap().refuses_field(&json!(["body"]), &["EOF"]);
    assert_eq!(site.ask("GET", "/api/v1/app", "what").await.status, 200);
    site.is_well().await;
}
