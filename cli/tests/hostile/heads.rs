//! Heads of requests that are too large, or none.

use std::fmt::Write as _;

use crate::site::Site;
use crate::wire::Wire;

const APPS: &str = "/api/v1/app";
/// As it is unless set.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
/// Those that every request of these tests has: host, authorization, content-length.
const HEADERS: usize = 3;

fn headers(count: usize) -> String {
    (0..count).fold(String::new(), |mut all, number| {
        let _ = write!(all, "x-{number}: y\r\n");
        all
    })
}

#[tokio::test]
async fn headers_at_their_bounds_are_taken_and_more_or_larger_ones_are_431() {
    let mut site = Site::start(&[]).await;
    let name = format!("{}: y\r\n", "x".repeat(20_000));
    for fits in [headers(HEADERS_MAX - HEADERS), format!("x: {}\r\n", "y".repeat(30_000)), name] {
        let answer = site.say(site.request("GET", APPS, &fits, "")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", fits.len());
    }
    let empty = site.request("GET", APPS, "x: \r\n", "").len();
    let most = format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX - empty));
    let answer = site.say(site.request("GET", APPS, &most, "")).await.unwrap();
    assert_eq!(answer.status, 200, "a head of exactly its bound");
    let more = most.replacen('y', "yy", 1);
    let value = format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
    let name = format!("{}: y\r\n", "x".repeat(HEAD_BYTES_MAX));
    let large = headers(10).replace('y', &"y".repeat(HEAD_BYTES_MAX / 10));
    for more in [more, headers(HEADERS_MAX - HEADERS + 1), headers(5_000), value, name, large] {
        let answer = site.say(site.request("GET", APPS, &more, "")).await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn a_request_line_that_is_too_long_is_refused() {
    let mut site = Site::start(&["http.head_bytes_max=131072"]).await;
    for (length, statuses) in
        [(8_000, [404, 404]), (60_000, [404, 404]), (70_000, [414, 431]), (200_000, [414, 431])]
    {
        let path = format!("/api/v1/app/{}", "x".repeat(length));
        let answer = site.say(site.request("GET", &path, "", "")).await;
        let status = answer.as_ref().map_or(431, |answer| answer.status);
        assert!(statuses.contains(&status), "{length}: {answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn what_is_no_request_is_400_or_the_end_of_the_connection() {
    let mut site = Site::start(&["http.head_timeout_ms=1000"]).await;
    let lines = "\r\n".repeat(50_000);
    for bytes in [
        &b"GET\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /api/v1 app HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\nhost: x\r\n\r\n",
        // What a client of HTTP/2 says first, and what one of TLS does.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        lines.as_bytes(),
    ] {
        let mut wire = Wire::connect(site.listen).await;
        wire.send(bytes).await;
        let answer = wire.answer().await;
        let is_refused = answer.as_ref().is_none_or(|answer| matches!(answer.status, 400 | 431));
        assert!(is_refused, "{:?}: {answer:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
        assert_eq!(wire.end().await, 0);
    }
    site.is_well().await;
}

#[tokio::test]
async fn older_clients_and_proxies_are_served() {
    let mut site = Site::start(&[]).await;
    let request = site.request("GET", APPS, "", "").replace("HTTP/1.1", "HTTP/1.0");
    let mut wire = Wire::connect(site.listen).await;
    wire.send(request.as_bytes()).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!(wire.end().await, 0, "the connection ends, since the client did not ask to keep it");
    let request = site.request("GET", "http://elsewhere.example/api/v1/app", "", "");
    assert_eq!(site.say(request).await.unwrap().status, 200);
    site.is_well().await;
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let mut site = Site::start(&[]).await;
    let mut wire = Wire::connect(site.listen).await;
    let message = r#"{"eventType": "a", "payload": {}}"#;
    let mut ahead = String::new();
    for _ in 0..50 {
        ahead += &site.request("GET", APPS, "", "");
        ahead += &site.request("GET", "/api/v1/app/nobody", "", "");
        ahead += &site.request("POST", "/api/v1/app/acme/msg", "", message);
    }
    wire.send(ahead.as_bytes()).await;
    for _ in 0..50 {
        for status in [200, 404, 202] {
            assert_eq!(wire.answer().await.unwrap().status, status);
        }
    }
    site.is_well().await;
}

/// A proxy in front that goes by the length would see another request where this server sees none.
#[tokio::test]
async fn a_request_with_two_lengths_does_not_leave_a_second_one_behind() {
    let mut site = Site::start(&[]).await;
    let hidden = site.request("GET", "/api/v1/app/acme", "", "");
    let body = format!("0\r\n\r\n{hidden}");
    let request = site.request("GET", APPS, "transfer-encoding: chunked\r\n", &body);
    let mut wire = Wire::connect(site.listen).await;
    wire.send(request.as_bytes()).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!(wire.end().await, 0, "the hidden request was answered");
    site.is_well().await;
}
