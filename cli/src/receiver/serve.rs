//! The endpoints: takes deliveries, enters them in the books, answers as the endpoint behaves.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll::group::{Group, Spawned};
use tokio::net::TcpListener;

use super::book::{Book, Entry};
use super::{Behaviour, machine_micros};

/// The most connections that one listener holds; more wait to be taken.
const CONNECTIONS_MAX: usize = 1_024;
/// The most of a delivery's body that is read.
const BODY_BYTES_MAX: usize = 64 * 1_024;
/// After an error of `accept` (descriptors run out, most of all).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The books, once there is a plan.
pub(super) type Fleet = Arc<OnceLock<Book>>;

/// Serves each connection of the listener with `answer`, for ever; dropping it closes them all.
pub(super) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = Group::new(CONNECTIONS_MAX).expect("the limit is a constant above zero");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        let connection = async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            // How a connection ends is the other side's business; what arrived is in the books.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        };
        // Waits for a place: what is not taken yet waits in the listener's queue.
        if connections.spawn(connection).await == Spawned::Ended {
            // Only a panic ends the group: it goes on here, and ends the fleet.
            let _ = connections.join().await;
        }
    }
}

/// Answers one delivery.
pub(super) async fn deliver(fleet: Fleet, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let endpoint = request.uri().path().strip_prefix("/e/").and_then(|number| number.parse::<usize>().ok());
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too large or cut off");
    };
    let arrived_at = machine_micros();
    let Some(book) = fleet.get() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "no plan yet");
    };
    let entry = endpoint.map_or(Entry::NoEndpoint, |endpoint| {
        book.enter(endpoint, &head.headers, &body.to_bytes(), arrived_at)
    });
    match entry {
        Entry::Known(Behaviour::Healthy) => text(StatusCode::OK, ""),
        Entry::Known(Behaviour::Slow { delay_ms }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms.into())).await;
            text(StatusCode::OK, "")
        }
        // Ends when the other side closes the connection, which drops this.
        Entry::Known(Behaviour::Hangs) => std::future::pending().await,
        Entry::Known(Behaviour::Fails | Behaviour::Refuses) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "this endpoint always fails")
        }
        Entry::BadSignature(fault) => text(StatusCode::UNAUTHORIZED, &fault.to_string()),
        Entry::Stranger => text(StatusCode::UNPROCESSABLE_ENTITY, "not an event of this endpoint"),
        Entry::NoEndpoint => text(StatusCode::NOT_FOUND, "no such endpoint"),
    }
}

/// An answer of plain text.
pub(super) fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}
