//! The ceiling: the server's own client of deliveries posts the same signed delivery straight to the
//! receiver, with no server around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plimsoll::group::Group;
use plimsoll_hooks::Direct;

use crate::receiver::machine_micros;

/// Posts `delivery` over and over, on so many connections, and returns how many a second were
/// answered with 200 in `span`, after `warm_up`.
///
/// # Errors
/// The receiver does not answer so.
pub(super) async fn ceiling(
    to: SocketAddr,
    delivery: &Bytes,
    connections: usize,
    warm_up: Duration,
    span: Duration,
) -> Result<f64, String> {
    let direct = Arc::new(direct(to, delivery, connections)?);
    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut senders = Group::new(connections).map_err(|error| error.to_string())?;
    for _ in 0..connections {
        let (direct, answered, stop) = (Arc::clone(&direct), Arc::clone(&answered), Arc::clone(&stop));
        let sender = async move {
            while !stop.load(Ordering::Relaxed) {
                match direct.post().await.map_err(|error| format!("the receiver: {error}"))? {
                    200 => answered.fetch_add(1, Ordering::Relaxed),
                    status => return Err(format!("the receiver answers with {status}")),
                };
            }
            Ok::<_, String>(())
        };
        senders.spawn(sender).await;
    }
    tokio::time::sleep(warm_up).await;
    let (from, before) = (machine_micros(), answered.load(Ordering::Relaxed));
    tokio::time::sleep(span).await;
    let (to, after) = (machine_micros(), answered.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    let ended = senders.join().await;
    ended.map_err(|error| error.into_first().unwrap_or_else(|| "cancelled".to_owned()))?;
    Ok((after - before) as f64 * 1e6 / (to - from) as f64)
}

/// The delivery as it arrived, to be posted again, to the place where nothing is entered in the books.
fn direct(to: SocketAddr, delivery: &Bytes, connections: usize) -> Result<Direct, String> {
    const NONE: &str = "the first delivery is no POST to an endpoint";
    let end = delivery.windows(4).position(|end| end == b"\r\n\r\n").ok_or(NONE)?;
    let head = std::str::from_utf8(&delivery[..end]).map_err(|_| NONE)?;
    let (first, headers) = head.split_once("\r\n").ok_or(NONE)?;
    let number =
        first.strip_prefix("POST /e/").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).ok_or(NONE)?;
    // What the client writes itself is not given to it.
    let given = |name: &str| !["host", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own));
    let headers = headers.split("\r\n").filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name, value.trim())).filter(|(name, _)| given(name));
    Direct::new(&format!("http://{to}/c/{number}"), headers, delivery.slice(end + 4..), connections)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_delivery_goes_out_as_it_came_but_for_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let delivery = "POST /e/12 HTTP/1.1\r\nhost: x\r\nWebhook-Id: msg_1\r\ncontent-length: 2\r\n\r\n{}";
        let direct = direct(to, &Bytes::from(delivery), 1).unwrap();
        let receive = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "closed early");
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8(request).unwrap().to_ascii_lowercase()
        };
        let (status, request) = tokio::join!(direct.post(), receive);
        assert_eq!(status, Ok(200));
        assert!(request.starts_with("post /c/12 http/1.1\r\n"), "{request}");
        assert!(request.contains("webhook-id: msg_1\r\n"), "{request}");
        assert_eq!(request.matches("content-length").count(), 1, "{request}");
        assert!(super::direct(to, &Bytes::from("GET /e/12 HTTP/1.1\r\na: b\r\n\r\n"), 1).is_err());
    }
}
