use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::body::{Body, Fed};
use super::head::{self, Asked, Head, Kind, Malformed};
use super::*;
use crate::tally::{Class, RetryAfter};
use crate::target::{Located, Protocol};

/// Feeds a body in pieces of so many bytes: how many belong to it.
fn ends(mut body: Body, bytes: &[u8], piece: usize) -> Result<Option<usize>, ()> {
    let mut at = 0;
    for piece in bytes.chunks(piece) {
        match body.feed(piece) {
            Fed::More => at += piece.len(),
            Fed::Done(taken) => return Ok(Some(at + taken)),
            Fed::Wrong => return Err(()),
        }
    }
    Ok(None)
}

proptest! {
    #[test]
    fn a_body_in_chunks_ends_where_it_does_however_it_is_cut(
        chunks in prop::collection::vec(1usize..300, 0..8), piece in 1usize..64, surplus in 0usize..5, trailers in 0usize..3,
    ) {
        let mut bytes = Vec::new();
        for (number, length) in chunks.iter().enumerate() {
            let extension = if number % 2 == 0 { "" } else { ";a=\"b\"" };
            bytes.extend(format!("{length:X}{extension}\r\n").into_bytes());
            bytes.extend(std::iter::repeat_n(b'\n', *length));
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n");
        (0..trailers).for_each(|_| bytes.extend(b"x: y\r\n"));
        bytes.extend(b"\r\n");
        let length = bytes.len();
        prop_assert_eq!(ends(Body::chunked(), &bytes[..length - 1], piece), Ok(None));
        bytes.extend(std::iter::repeat_n(b'H', surplus));
        prop_assert_eq!(ends(Body::chunked(), &bytes, piece), Ok(Some(length)));
    }

    #[test]
    fn any_bytes_are_a_head_or_not_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = head::parse(&bytes, Asked::Whole);
        let with = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
        let _ = head::parse(&with, Asked::Whole);
        let _ = ends(Body::chunked(), &bytes, 7);
    }
}

#[test]
fn chunks_that_never_end_their_lines_are_refused() {
    assert_eq!(ends(Body::chunked(), b"5\r\nhello!", 3), Err(()));
    assert_eq!(ends(Body::chunked(), b"g\r\n", 1), Err(()));
    assert_eq!(ends(Body::chunked(), b"\r\n", 1), Err(()));
    assert_eq!(ends(Body::chunked(), b"fffffffffffffffff\r\n", 4), Err(()));
    let extension = [b"5;".as_slice(), &[b'x'; 5_000]].concat();
    assert_eq!(ends(Body::chunked(), &extension, 100), Err(()));
    let trailers = [b"0\r\n".as_slice(), &b"x: y\r\n".repeat(5_000)].concat();
    assert_eq!(ends(Body::chunked(), &trailers, 100), Err(()));
}

fn answer(text: &str) -> Kind {
    head::parse(text.as_bytes(), Asked::Whole).unwrap().unwrap().kind
}

fn whole(class: Class, body: Body, keeps: Keeps) -> Kind {
    Kind::Answer { class, body, keeps }
}

#[test]
fn the_class_is_of_the_status_and_whether_it_says_when_to_come_again() {
    let class = |status: &str| match answer(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")) {
        Kind::Answer { class, .. } => class,
        Kind::Interim => panic!("interim"),
    };
    let date = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(class("204 No Content"), Class::Success);
    assert_eq!(class("301 Moved"), Class::Redirected);
    assert_eq!(class("429 Too Many\r\nretry-after: 3"), Class::TooManyTold);
    assert_eq!(class("429 Too Many\r\nretry-after: soon"), Class::TooManyUntold);
    assert_eq!(class(&format!("503 Unavailable\r\n{date}")), Class::UnavailableTold);
    assert_eq!(class("503"), Class::UnavailableUntold);
    assert_eq!(class("404 Not Found\r\nretry-after: 3"), Class::ClientError);
    assert_eq!(class("500 Oh"), Class::ServerError);
    assert_eq!(class("999 What"), Class::Malformed);
    assert_eq!(head::retry_after(b""), RetryAfter::Untold);
}

#[test]
fn a_body_is_framed_as_rfc_9112_says() {
    let success = |body, keeps| whole(Class::Success, body, keeps);
    assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), success(Body::Length(7), Keeps::Open));
    assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n"), success(Body::UntilClosed, Keeps::Closed));
    assert_eq!(
        answer("HTTP/1.1 200 OK\r\ncontent-length: 7\r\nConnection: x, close\r\n\r\n"),
        success(Body::Length(7), Keeps::Closed)
    );
    assert_eq!(
        answer("HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\n"),
        success(Body::Length(7), Keeps::Closed)
    );
    assert_eq!(
        answer("HTTP/1.0 200 OK\r\ncontent-length: 7\r\nconnection: keep-alive\r\n\r\n"),
        success(Body::Length(7), Keeps::Open)
    );
    assert_eq!(
        answer("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
        success(Body::chunked(), Keeps::Open)
    );
    assert_eq!(
        answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n"),
        success(Body::chunked(), Keeps::Closed)
    );
    assert_eq!(answer("HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n"), success(Body::Length(0), Keeps::Open));
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
    let only = head::parse(text, Asked::HeadOnly).unwrap().unwrap();
    assert_eq!(only, Head { bytes: text.len(), kind: success(Body::Length(0), Keeps::Open) });
}

#[test]
fn a_head_that_could_be_read_two_ways_is_refused() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +7\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
    ] {
        assert_eq!(head::parse(text.as_bytes(), Asked::Whole), Err(Malformed), "{text}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(head::parse(many.as_bytes(), Asked::Whole), Err(Malformed));
}

/// What an exchange comes to when these are the bytes that come back, in pieces, and then the end.
async fn exchanged(answer: Vec<u8>, piece: usize, body_bytes_max: u64) -> Fate {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1_024);
    let serve = async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut request = [0; 4];
        theirs.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"ping");
        for piece in answer.chunks(piece) {
            if theirs.write_all(piece).await.is_err() {
                break;
            }
        }
    };
    let mut wire = Wire::new(ours);
    let exchange = Exchange { request: b"ping", asked: Asked::Whole, body_bytes_max };
    let (fate, ()) = tokio::join!(
        async move {
            let fate = wire.exchange(exchange).await;
            drop(wire);
            fate
        },
        serve
    );
    fate
}

#[tokio::test]
async fn an_answer_is_the_same_however_it_is_cut() {
    let text = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                5\r\nhello\r\n0\r\n\r\n";
    for piece in [1, 2, 3, 7, 1_000] {
        let fate = exchanged(text.into(), piece, 100).await;
        assert_eq!((fate.class, fate.keeps), (Class::Success, Keeps::Open), "{piece}");
        assert_eq!(fate.bytes, text.len() as u64);
    }
}

#[tokio::test]
async fn what_a_hostile_server_sends_has_an_end() {
    let class = |answer: Vec<u8>, piece| async move { exchanged(answer, piece, 1_000).await.class };
    let head = "HTTP/1.1 200 OK\r\n";
    let endless = format!("{head}{}", "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(10_000));
    assert_eq!(class(endless.into_bytes(), 1_000).await, Class::Malformed);
    assert_eq!(class(format!("{head}{}", "y".repeat(100_000)).into_bytes(), 999).await, Class::Malformed);
    let body = |framing: &str| format!("{head}{framing}\r\n{}", "z".repeat(100_000)).into_bytes();
    assert_eq!(class(body("content-length: 90000\r\n"), 512).await, Class::Malformed);
    assert_eq!(class(body(""), 512).await, Class::Malformed);
    assert_eq!(class("HTTP/1.1 100 Go\r\n\r\n".repeat(1_000).into_bytes(), 512).await, Class::Malformed);
    assert_eq!(class(b"SSH-2.0-OpenSSH\r\n".to_vec(), 512).await, Class::Malformed);
    assert_eq!(class(vec![0; 10], 512).await, Class::Malformed);
    assert_eq!(class(vec![], 512).await, Class::Cut);
    assert_eq!(class(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi".to_vec(), 512).await, Class::Cut);
}

#[tokio::test]
async fn a_connection_with_more_than_was_asked_for_is_not_used_again() {
    let fate = exchanged(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!".to_vec(), 512, 100).await;
    assert_eq!((fate.class, fate.keeps), (Class::Success, Keeps::Closed));
}

/// A target of these addresses, of which the first ones are deaf: nobody listens there.
async fn half_deaf() -> (Located, Vec<SocketAddr>, Vec<TcpListener>) {
    let (mut deaf, mut listening) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        // The port of a listener that is gone: the system does not give it away again at once.
        deaf.push(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
        listening.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let heard = listening.iter().map(|listener| listener.local_addr().unwrap());
    let addresses = deaf.iter().copied().chain(heard).collect();
    let located = Located { addresses, authority: "a".to_owned(), origin: "http://a".to_owned(), tls: None };
    (located, deaf, listening)
}

#[tokio::test]
async fn a_connection_goes_to_the_next_address_of_the_name_where_one_is_deaf() {
    let (target, deaf, _listening) = half_deaf().await;
    let connector = Connector::new(&target, Protocol::Http1, 1, Duration::from_secs(10)).unwrap();
    for turn in 0..8 {
        assert!(connector.connect().await.is_ok(), "turn {turn}");
    }
    assert_eq!(connector.leave_out_deaf(), deaf);
    assert_eq!(connector.leave_out_deaf(), [], "those that are left take connections");
}

#[tokio::test]
async fn an_address_whose_turn_has_not_come_is_not_left_out() {
    let (target, deaf, listening) = half_deaf().await;
    let connector = Connector::new(&target, Protocol::Http1, 1, Duration::from_secs(10)).unwrap();
    assert!(connector.connect().await.is_ok());
    assert_eq!(connector.leave_out_deaf(), deaf, "the last one was never asked, and stays");
    drop(listening);
    assert!(connector.connect().await.is_err());
    assert_eq!(connector.leave_out_deaf(), [], "where nobody takes any, all stay");
}

#[test]
fn descriptors_and_ports_that_are_used_up_are_denied_by_this_machine_and_refusals_are_not() {
    use rustix::io::Errno;
    for (error, denied) in [
        (Errno::MFILE, true),
        (Errno::NFILE, true),
        (Errno::ADDRNOTAVAIL, true),
        (Errno::CONNREFUSED, false),
        (Errno::CONNRESET, false),
        (Errno::HOSTUNREACH, false),
        (Errno::TIMEDOUT, false),
    ] {
        assert_eq!(is_denied(&error.into()), denied, "{error}");
    }
    assert!(!is_denied(&std::io::Error::other("a certificate of somebody else")));
}
