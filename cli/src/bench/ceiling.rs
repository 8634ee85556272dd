//! The ceiling: the same client posts the same signed deliveries straight to the receiver, with no
//! server in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::group::Group;

use crate::client::wire::Wire;
use crate::receiver::machine_micros;

/// How long an exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts `delivery` over and over, on so many connections, and returns how many a second were
/// answered with 200 in `span`, after `warm_up`.
///
/// # Errors
/// The receiver does not answer so.
pub(super) async fn ceiling(
    to: SocketAddr,
    delivery: &[u8],
    connections: usize,
    warm_up: Duration,
    span: Duration,
) -> Result<f64, String> {
    let request: Arc<[u8]> = not_counted(delivery)?.into();
    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut senders = Group::new(connections).map_err(|error| error.to_string())?;
    for _ in 0..connections {
        let (request, answered, stop) = (Arc::clone(&request), Arc::clone(&answered), Arc::clone(&stop));
        let sender = async move {
            let mut wire = Wire::new(to, TIMEOUT);
            while !stop.load(Ordering::Relaxed) {
                let reply =
                    wire.exchange(&request).await.map_err(|error| format!("the receiver: {error}"))?;
                if reply.status != 200 {
                    let body = String::from_utf8_lossy(wire.body());
                    return Err(format!("the receiver answers with {}: {body}", reply.status));
                }
                answered.fetch_add(1, Ordering::Relaxed);
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

/// The same delivery to the place where nothing is entered in the books.
fn not_counted(delivery: &[u8]) -> Result<Vec<u8>, String> {
    let rest = delivery.strip_prefix(b"POST /e/").ok_or("the first delivery is no POST to an endpoint")?;
    Ok([&b"POST /c/"[..], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_a_delivery_is_changed() {
        let delivery = b"POST /e/12 HTTP/1.1\r\nhost: x\r\n\r\n/e/";
        let expected = b"POST /c/12 HTTP/1.1\r\nhost: x\r\n\r\n/e/".to_vec();
        assert_eq!(not_counted(delivery), Ok(expected));
        assert!(not_counted(b"GET /e/12").is_err());
    }
}
