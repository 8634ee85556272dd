//! Receivers that do their worst, on real sockets.
//!
//! Where a deadline must end it, time is paused: it passes only while nothing else can happen. Where
//! a bound must end it, the deadline is an hour away: with a bound missing the test does not end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plimsoll::clock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::names::Names;
use super::{AddressPolicy, Answer, Client, Failure, Prepared, Settings, connector};
use crate::routing::test_endpoint;

const ATTEMPT: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_hours(1);
const BODY_MAX: usize = 1_024;
const SOCKETS: u64 = 4;
/// Only where a bound is missing it takes that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// What sockets hold between the two sides, generously.
const BUFFERED_MAX: usize = 32 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A receiver; it ends when this is dropped.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    /// Treats each connection, and its number, as `treat` says.
    async fn start<F>(treat: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(treat(stream, accepted.fetch_add(1, Ordering::Relaxed)));
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    /// Reads each request and answers it with these bytes; keeps the connection open.
    async fn says(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut stream, _| {
            let bytes = bytes.clone();
            async move { while read_request(&mut stream).await && stream.write_all(&bytes).await.is_ok() {} }
        })
        .await
    }

    /// Reads a request, says `first`, then `again` for as long as anybody listens.
    async fn floods(first: &'static [u8], again: Vec<u8>) -> (Self, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let (counted, again) = (Arc::clone(&sent), Bytes::from(again));
        let receiver = Self::start(move |mut stream, _| {
            let (counted, again) = (Arc::clone(&counted), again.clone());
            async move {
                read_request(&mut stream).await;
                let _gone = stream.write_all(first).await;
                while stream.write_all(&again).await.is_ok() {
                    counted.fetch_add(again.len(), Ordering::Relaxed);
                }
            }
        })
        .await;
        (receiver, sent)
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Reads a whole request; false where the other side has gone.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return false;
        }
    }
    true
}

/// Writes a byte a second.
async fn drip(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn client_of(attempt_timeout: Duration, allowed: &[&str]) -> Client {
    let settings = Settings {
        attempt_timeout,
        connect_timeout: attempt_timeout * 2 / 5,
        response_bytes_max: BODY_MAX,
        idle_longest: HOUR,
        sockets_max: SOCKETS,
    };
    let policy = AddressPolicy::new(allowed.iter().map(|net| net.parse().unwrap()).collect());
    let tls = connector(Some(&certificate("authority"))).unwrap();
    Client::new(settings, policy, tls).unwrap()
}

/// For what a deadline must end.
fn hasty() -> Client {
    client_of(ATTEMPT, &["127.0.0.0/8"])
}

/// For what a bound must end.
fn patient() -> Client {
    client_of(HOUR, &["127.0.0.0/8"])
}

async fn post(client: &Client, url: &str) -> Result<Answer, Failure> {
    let prepared = Prepared::new(&test_endpoint(url)).unwrap();
    let answer = client.post(&prepared, |_| {}, Bytes::from_static(b"{}"));
    timeout(2 * HOUR, answer).await.expect("an attempt ends by itself")
}

/// For what must end long before the deadline; real time.
async fn post_at_once(client: &Client, url: &str) -> Result<Answer, Failure> {
    timeout(PATIENCE, post(client, url)).await.expect("a bound ends it, not the deadline")
}

/// Nothing of the attempt is left: neither its socket nor a connection to use again.
#[track_caller]
fn nothing_is_left(client: &Client) {
    assert_eq!((client.sockets(), client.idle()), (0, 0), "sockets open, connections kept");
}

#[track_caller]
fn is_http_failure(result: Result<Answer, Failure>) -> String {
    match result {
        Err(failure @ Failure::Http { .. }) => failure.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_left_at_the_deadline() {
    let receiver =
        Receiver::start(|mut stream, _| async move { while read_request(&mut stream).await {} }).await;
    let (client, began) = (hasty(), clock::now());
    let result = post(&client, &receiver.url()).await;
    assert!(matches!(result, Err(Failure::TimedOut { after }) if after == ATTEMPT), "{result:?}");
    assert_eq!((clock::now() - began).as_secs(), ATTEMPT.as_secs());
    nothing_is_left(&client);
}

#[tokio::test(start_paused = true)]
async fn who_never_accepts_is_left_at_the_deadline_of_connecting() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queued.push(stream);
        assert!(queued.len() < 64, "the kernel accepts for a queue of none");
    }
    let (client, began) = (hasty(), clock::now());
    let result = post(&client, &format!("http://{address}/")).await;
    assert!(matches!(result, Err(Failure::TimedOut { after }) if after == CONNECT), "{result:?}");
    assert_eq!((clock::now() - began).as_secs(), CONNECT.as_secs());
    nothing_is_left(&client);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_no_answer_when_time_is_up() {
    let receiver = Receiver::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        drip(&mut stream, OK).await;
    })
    .await;
    let (client, began) = (hasty(), clock::now());
    let result = post(&client, &receiver.url()).await;
    assert!(matches!(result, Err(Failure::TimedOut { after }) if after == ATTEMPT), "{result:?}");
    assert_eq!((clock::now() - began).as_secs(), ATTEMPT.as_secs());
    nothing_is_left(&client);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_after_a_complete_head_is_an_answer_and_is_not_asked_for_again() {
    let receiver = Receiver::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n").await.unwrap();
        drip(&mut stream, &[b'.'; 60]).await;
    })
    .await;
    let (client, began) = (hasty(), clock::now());
    let answer = post(&client, &receiver.url()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!((1..=6).contains(&answer.body.len()), "{answer:?}");
    assert_eq!((clock::now() - began).as_secs(), ATTEMPT.as_secs());
    nothing_is_left(&client);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_the_tls_handshake_is_left_at_the_deadline_of_connecting() {
    let receiver = Receiver::start(|stream, _| async move {
        sleep(HOUR).await;
        drop(stream);
    })
    .await;
    let client = hasty();
    let result = post(&client, &format!("https://{}/", receiver.address)).await;
    assert!(matches!(result, Err(Failure::TimedOut { after }) if after == CONNECT), "{result:?}");
    nothing_is_left(&client);
}

#[tokio::test]
async fn of_an_endless_body_no_more_is_read_than_is_kept() {
    for head in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
    ] {
        let (receiver, sent) = Receiver::floods(head, vec![b'x'; 64 * 1024]).await;
        let client = patient();
        let answer = post_at_once(&client, &receiver.url()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, BODY_MAX));
        assert!(sent.load(Ordering::Relaxed) < BUFFERED_MAX);
        nothing_is_left(&client);
    }
}

#[tokio::test]
async fn endless_heads_are_refused_however_they_are_made() {
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100);
    for (first, again) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], b"x: y\r\n".repeat(100)),
        (b"HTTP/1.1 200 OK\r\nx: ", vec![b'y'; 4_096]),
        (b"HTTP/1.1 200 ", vec![b'O'; 4_096]),
        (b"", interim),
        (b"", b"\r\n".repeat(2_048)),
    ] {
        let (receiver, sent) = Receiver::floods(first, again).await;
        let client = patient();
        is_http_failure(post_at_once(&client, &receiver.url()).await);
        assert!(sent.load(Ordering::Relaxed) < BUFFERED_MAX);
        nothing_is_left(&client);
    }
}

#[tokio::test]
async fn a_thousand_interim_answers_are_passed_over() {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    bytes.extend_from_slice(OK);
    let (receiver, client) = (Receiver::says(bytes).await, patient());
    for _ in 0..3 {
        let answer = post_at_once(&client, &receiver.url()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    }
}

#[tokio::test]
async fn chunks_that_never_come_to_an_end_of_their_own_do_not_undo_the_answer() {
    let head = &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..];
    for again in [
        // Extensions without an end, a size that is all zeros, extensions by the chunk, trailers.
        [b"2;".as_slice(), &vec![b'e'; 4_096]].concat(),
        vec![b'0'; 4_096],
        b"1;abcdefghijklmnopqrstuvwxyz\r\n.\r\n".repeat(100),
        [b"0\r\n".as_slice(), &b"x: y\r\n".repeat(1_000)].concat(),
    ] {
        let (receiver, sent) = Receiver::floods(head, again).await;
        let client = patient();
        let answer = post_at_once(&client, &receiver.url()).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() <= BODY_MAX && sent.load(Ordering::Relaxed) < BUFFERED_MAX);
        nothing_is_left(&client);
    }
}

#[tokio::test]
async fn bodies_that_are_malformed_do_not_undo_the_answer() {
    for body in ["zz\r\n", "-1\r\n..\r\n", "fffffffffffffffff\r\n.", "2\r\nabcd\r\n0\r\n\r\n", "1 1\r\n.\r\n"]
    {
        let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let (receiver, client) = (Receiver::says(text).await, patient());
        let answer = post_at_once(&client, &receiver.url()).await.unwrap();
        assert_eq!(answer.status, 200, "{body:?}");
        nothing_is_left(&client);
    }
}

#[tokio::test]
async fn lengths_that_contradict_themselves_are_no_answer() {
    for lengths in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: -2",
        "content-length: +2",
        "content-length: 0x2",
        "content-length: 99999999999999999999999",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok");
        let (receiver, client) = (Receiver::says(text).await, patient());
        is_http_failure(post_at_once(&client, &receiver.url()).await);
        nothing_is_left(&client);
    }
}

/// A receiver whose first answer is followed by what looks like another: it must not be taken for
/// the answer to the next request, which it tells apart by going over a connection of its own.
async fn is_not_used_again(first: &'static [u8], status: u16, body: &[u8]) {
    let receiver = Receiver::start(move |mut stream, number| async move {
        read_request(&mut stream).await;
        let bytes = if number == 0 { first } else { b"HTTP/1.1 201 Made\r\ncontent-length: 4\r\n\r\ntrue" };
        stream.write_all(bytes).await.unwrap();
        read_request(&mut stream).await;
    })
    .await;
    let text = String::from_utf8_lossy(first);
    let client = patient();
    let answer = post_at_once(&client, &receiver.url()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (status, body), "{text}");
    nothing_is_left(&client);
    let answer = post_at_once(&client, &receiver.url()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (201, &b"true"[..]), "{text}");
    assert_eq!(receiver.connections(), 2, "{text}");
}

#[tokio::test]
async fn what_comes_after_an_answer_is_never_the_answer_to_the_next_request() {
    for (first, status, body) in [
        // A length that is too short, with garbage and with a whole forged answer after it.
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more"[..], 200, &b"ok"[..]),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
            200,
            b"ok",
        ),
        (
            b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nforged",
            500,
            b"",
        ),
        // Answers that have no body, with one.
        (b"HTTP/1.1 204 None\r\ncontent-length: 2\r\n\r\nok", 204, b""),
        (b"HTTP/1.1 304 Same\r\ncontent-length: 21\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok", 304, b""),
        (b"HTTP/1.1 204 None\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", 204, b""),
        // Another protocol.
        (b"HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 101, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\0\0\x12\x04\0\0\0\0\0", 200, b"ok"),
        // It says itself that there is no more.
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    ] {
        is_not_used_again(first, status, body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_connection_is_kept_is_never_the_answer_to_the_next_request() {
    let (forge, forged) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, tell) = (Arc::clone(&forge), Arc::clone(&forged));
    let receiver = Receiver::start(move |mut stream, number| {
        let (told, tell) = (Arc::clone(&told), Arc::clone(&tell));
        async move {
            read_request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            if number == 0 {
                told.notified().await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
                tell.notify_one();
            }
            read_request(&mut stream).await;
        }
    })
    .await;
    let client = patient();
    assert_eq!(post(&client, &receiver.url()).await.unwrap().body, b"ok");
    assert_eq!(client.idle(), 1, "a good connection is kept");
    forge.notify_one();
    forged.notified().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(post(&client, &receiver.url()).await.unwrap().body, b"ok");
    assert_eq!(receiver.connections(), 2);
    assert_eq!((client.sockets(), client.idle()), (1, 1), "the poisoned one is closed");
}

#[tokio::test]
async fn a_body_that_is_cut_off_does_not_undo_the_answer() {
    let receiver = Receiver::start(|mut stream, number| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok").await.unwrap();
        if number == 1 {
            // With unread bytes or without linger a close is a reset.
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let client = patient();
    for _ in 0..2 {
        let answer = post_at_once(&client, &receiver.url()).await.unwrap();
        assert_eq!(answer.status, 200);
        nothing_is_left(&client);
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_head_that_is_cut_off_or_reset_is_no_answer() {
    let receiver = Receiver::start(|mut stream, number| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await.unwrap();
        if number == 1 {
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let client = patient();
    for _ in 0..2 {
        is_http_failure(post_at_once(&client, &receiver.url()).await);
        nothing_is_left(&client);
    }
    assert_eq!(receiver.connections(), 2, "what was reset is not sent again within the attempt");
}

#[tokio::test]
async fn who_speaks_another_protocol_is_no_answer() {
    // An HTTP/2 preface of the server, then frames of each kind that is used to flood: SETTINGS,
    // PING, PRIORITY, RST_STREAM, empty DATA.
    let frame =
        |kind: u8, payload: &[u8]| [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 1][..], payload].concat();
    let floods = [frame(4, &[]), frame(6, &[0; 8]), frame(2, &[0; 5]), frame(3, &[0; 4]), frame(0, &[])];
    for flood in floods {
        let (receiver, sent) = Receiver::floods(&[0, 0, 0, 4, 0, 0, 0, 0, 0], flood.repeat(400)).await;
        let client = patient();
        is_http_failure(post_at_once(&client, &receiver.url()).await);
        assert!(sent.load(Ordering::Relaxed) < BUFFERED_MAX);
        nothing_is_left(&client);
    }
    for greeting in
        ["SSH-2.0-OpenSSH_9.9\r\n", "220 mail ESMTP\r\n", "HTTP/9.9 200 OK\r\n\r\n", "\0\0\0\0\0\0\0\0"]
    {
        let (receiver, client) = (Receiver::says(greeting).await, patient());
        is_http_failure(post_at_once(&client, &receiver.url()).await);
        nothing_is_left(&client);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_never_followed() {
    let elsewhere = Receiver::says(OK).await;
    for to in ["http://169.254.169.254/latest/meta-data/".to_owned(), elsewhere.url()] {
        for status in [301, 302, 303, 307, 308] {
            let text = format!("HTTP/1.1 {status} There\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            let (receiver, client) = (Receiver::says(text).await, patient());
            assert_eq!(post_at_once(&client, &receiver.url()).await.unwrap().status, status);
            assert_eq!(client.sockets(), 1, "its own");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let good = Receiver::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    })
    .await;
    let inside = TcpListener::bind(("127.0.0.2", good.address.port())).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let rebinding = move |_: &str, port| {
        let host = if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            [127, 0, 0, 1]
        } else {
            [127, 0, 0, 2]
        };
        vec![SocketAddr::from((host, port))]
    };
    let client = client_of(HOUR, &["127.0.0.1/32"]).with_names(Names::Played(Box::new(rebinding)));
    let url = format!("http://rebinds.test:{}/", good.address.port());
    for round in 1..=3 {
        assert_eq!(post_at_once(&client, &url).await.unwrap().status, 200);
        assert_eq!(asked.load(Ordering::Relaxed), 2 * round - 1, "asked once a connection");
        let refused = post_at_once(&client, &url).await;
        assert!(
            matches!(&refused, Err(Failure::NotAllowed { host }) if host == "rebinds.test"),
            "{refused:?}"
        );
        nothing_is_left(&client);
    }
    assert_eq!(good.connections(), 3);
    let reached = timeout(Duration::from_millis(1), inside.accept()).await;
    assert!(reached.is_err(), "{reached:?}");
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_connected_to() {
    let good = Receiver::says(OK).await;
    let inside = TcpListener::bind(("127.0.0.2", good.address.port())).await.unwrap();
    let both = |_: &str, port| {
        [[127, 0, 0, 2], [10, 0, 0, 1], [127, 0, 0, 1]].map(|host| SocketAddr::from((host, port))).to_vec()
    };
    let client = client_of(HOUR, &["127.0.0.1/32"]).with_names(Names::Played(Box::new(both)));
    let url = format!("http://both.test:{}/", good.address.port());
    assert_eq!(post_at_once(&client, &url).await.unwrap().status, 200);
    assert!(timeout(Duration::from_millis(1), inside.accept()).await.is_err());
}

#[tokio::test]
async fn an_address_is_checked_in_whatever_way_it_is_written() {
    let client = client_of(HOUR, &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "0xa9fea9fe",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "user:secret@127.0.0.1",
        "localhost",
    ] {
        let refused = post_at_once(&client, &format!("http://{host}:9/")).await;
        assert!(matches!(refused, Err(Failure::NotAllowed { .. })), "{host}: {refused:?}");
    }
    nothing_is_left(&client);
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/tests/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR")))
}

/// Answers over TLS under this certificate.
async fn secured(name: &str) -> Receiver {
    let chain = vec![CertificateDer::from_pem_file(certificate(name)).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate("key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while read_request(&mut stream).await && stream.write_all(OK).await.is_ok() {
                let _gone = stream.flush().await;
            }
        }
    })
    .await
}

fn at_home(client: Client) -> Client {
    let home = |_: &str, port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
    client.with_names(Names::Played(Box::new(home)))
}

#[tokio::test]
async fn only_a_certificate_that_holds_for_the_name_now_and_by_an_authority_we_trust_is_enough() {
    let client = at_home(patient());
    let url = |receiver: &Receiver, host| format!("https://{host}:{}/", receiver.address.port());
    let good = secured("good").await;
    for _ in 0..2 {
        assert_eq!(post_at_once(&client, &url(&good, "receiver.test")).await.unwrap().body, b"ok");
    }
    assert_eq!((good.connections(), client.idle()), (1, 1), "kept, and used again");
    for (receiver, host, why) in [
        (&good, "other.test", "not valid for name"),
        (&good, "127.0.0.1", "not valid for name"),
        (&secured("expired").await, "receiver.test", "expired"),
        (&secured("self_signed").await, "receiver.test", "UnknownIssuer"),
    ] {
        let refused = post_at_once(&client, &url(receiver, host)).await;
        match refused {
            Err(failure @ Failure::Tls { .. }) => assert!(failure.to_string().contains(why), "{failure}"),
            other => panic!("{why}: {other:?}"),
        }
        assert_eq!(client.sockets(), 1, "the good one");
    }
}

#[tokio::test]
async fn who_speaks_no_tls_on_its_port_is_no_answer() {
    let client = patient();
    for greeting in
        [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\x16\x03\x03\xff\xff", b"\x15\x03\x03\0\x02\x02\x28", b"\0"]
    {
        // Records without an end, as far as anybody reads them.
        let receiver = Receiver::start(move |mut stream, _| async move {
            while stream.write_all(&greeting.repeat(1_000)).await.is_ok() {}
        })
        .await;
        let refused = post_at_once(&client, &format!("https://{}/", receiver.address)).await;
        assert!(matches!(refused, Err(Failure::Tls { .. })), "{refused:?}");
        nothing_is_left(&client);
    }
}
