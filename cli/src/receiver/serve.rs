//! The listeners: takes deliveries, enters them in the books, answers as the endpoint behaves.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll::group::{Group, Spawned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::answer::answer;
use super::book::{Book, Entry, Place};
use super::control::control;
use super::machine_micros;
use super::request;

/// The most connections that one listener holds; more wait to be taken.
const CONNECTIONS_MAX: usize = 1_024;
/// What a connection's buffer holds at first: a delivery of the usual size.
const BUFFER_BYTES: usize = 4 * 1_024;
/// After an error of `accept` (descriptors run out, most of all).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

const NO_PLAN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// The books, once there is a plan; those of the last plan.
#[derive(Clone, Default)]
pub(super) struct Fleet(Arc<RwLock<Option<Arc<Book>>>>);

impl Fleet {
    /// The books.
    pub(super) fn book(&self) -> Option<Arc<Book>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens new books.
    pub(super) fn open(&self, book: Book) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(book));
    }
}

/// Takes deliveries on this listener, for ever; dropping it closes the connections.
pub(super) async fn deliveries(listener: TcpListener, fleet: Fleet) {
    serve(listener, move |stream| take(stream, fleet.clone())).await;
}

/// Serves the control port, for ever.
pub(super) async fn controls(listener: TcpListener, fleet: Fleet) {
    let connection = move |stream| {
        let fleet = fleet.clone();
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answered = control(fleet.clone(), request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    };
    serve(listener, connection).await;
}

/// Runs `connection` for each connection of the listener.
async fn serve<C, F>(listener: TcpListener, connection: C)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = Group::new(CONNECTIONS_MAX).expect("the limit is a constant above zero");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        // Waits for a place: what is not taken yet waits in the listener's queue.
        if connections.spawn(connection(stream)).await == Spawned::Ended {
            // Only a panic ends the group: it goes on here, and ends the fleet.
            let _ = connections.join().await;
        }
    }
}

/// Takes the deliveries of one connection. How it ends is the other side's business; what arrived is
/// in the books.
async fn take(mut stream: TcpStream, fleet: Fleet) {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while let Ok(more) = take_one(&mut stream, &mut buffer, &fleet).await {
        if !more {
            return;
        }
    }
}

/// Takes the next request; false at the end of the connection.
async fn take_one(stream: &mut TcpStream, buffer: &mut Vec<u8>, fleet: &Fleet) -> io::Result<bool> {
    loop {
        let first = request::Request::first(buffer);
        if let Some(request) = first.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))? {
            let len = request.len;
            let Some(entry) = enter(fleet, &request, &buffer[..len]) else {
                stream.write_all(NO_PLAN).await?;
                return Ok(false);
            };
            buffer.drain(..len);
            answer(stream, entry).await?;
            return Ok(true);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}

/// Enters a request in the books; `None` while there are none.
fn enter(fleet: &Fleet, request: &request::Request<'_>, bytes: &[u8]) -> Option<Entry> {
    let arrived_at = machine_micros();
    let book = fleet.book()?;
    let Some(place) = place(request.path) else { return Some(Entry::NoEndpoint) };
    book.keep_first(bytes);
    Some(book.enter(place, request.signed, request.body, arrived_at))
}

/// `/e/{number}` or `/c/{number}`.
fn place(path: &str) -> Option<Place> {
    let (kind, number) = path.split_at_checked(3)?;
    let number = number.parse().ok()?;
    match kind {
        "/e/" => Some(Place::Endpoint(number)),
        "/c/" => Some(Place::NotCounted(number)),
        _ => None,
    }
}

/// An answer of plain text.
pub(super) fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}
