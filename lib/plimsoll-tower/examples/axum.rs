//! An axum server with a limit over all connections, a deadline and labels from each request's
//! headers, and a count of the calls that each request makes.
//!
//! `cargo run -p plimsoll-tower --example axum`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing::get};
use http_body_util::BodyExt;
use plimsoll::Rejected;
use plimsoll::scope::{self, header, header::Edge};
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use plimsoll_tower::{Admit, CallCounter, Deadline, DeadlineRefused, FanOutFactor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// A download takes its place until its last byte was sent, not only until its head was.
fn kept(response: Response, place: OwnedPermit) -> Response {
    // Unlike a stream made of it, the body still knows its length.
    let keep = move |error| {
        let _kept = &place;
        error
    };
    response.map(|body| Body::new(body.map_err(keep)))
}

/// The limit is the server's own, not one of this caller's: 503 and not 429.
fn busy(rejected: &Rejected) -> Response {
    // Whole seconds, rounded up: who comes back early is rejected again.
    let after = rejected.retry_after().map_or(1.0, |after| after.as_secs_f64().ceil().max(1.0));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, after.to_string())], rejected.to_string())
        .into_response()
}

fn refused(refused: DeadlineRefused) -> Response {
    let status = match refused {
        DeadlineRefused::Malformed(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::GATEWAY_TIMEOUT,
    };
    (status, refused.to_string()).into_response()
}

/// What `/wait` tells that it is there, and what it waits for.
#[derive(Default)]
struct Gate {
    arrived: Notify,
    release: Notify,
}

fn app(requests: Semaphore, fan_out: FanOutFactor, gate: Arc<Gate>) -> Result<Router, plimsoll::Invalid> {
    let edge = Edge::builder().labels(["tenant"]).build()?;
    let read = move |request: &Request| {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        edge.read(header(header::DEADLINE), header(header::LABELS))
    };
    let layers = ServiceBuilder::new()
        .layer(Admit::rejecting(requests).on_rejected(|rejected| busy(&rejected)).hold(kept))
        .layer(Deadline::by(read).on_refused(refused))
        .layer(fan_out);
    let tenant = async || {
        let stock = service_fn(async |sku: u32| Ok::<_, Rejected>(sku * 10));
        let client = ServiceBuilder::new().layer(CallCounter::new()).service(stock);
        let (first, second) = tokio::join!(client.clone().oneshot(1), client.oneshot(2));
        let tenant = scope::current().label_value("tenant").unwrap_or("nobody").to_owned();
        first.and(second).map(|_| tenant).map_err(|rejected| busy(&rejected))
    };
    let wait = async |Extension(gate): Extension<Arc<Gate>>| {
        gate.arrived.notify_one();
        gate.release.notified().await;
    };
    Ok(Router::new()
        .route("/tenant", get(tenant))
        .route("/wait", get(wait))
        .route("/never", get(async || std::future::pending::<()>().await))
        .layer(Extension(gate))
        .layer(layers))
}

/// One request over a connection of its own; the response as text.
async fn send(server: SocketAddr, path: &str, headers: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

/// Serves, asks, and checks what comes back.
pub(crate) async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let requests = Semaphore::builder("example requests").limit(1).build()?;
    let fan_out = FanOutFactor::builder("example fan-out").max(100).build()?;
    let gate = Arc::new(Gate::default());
    let app = app(requests.clone(), fan_out.clone(), Arc::clone(&gate))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;

    let ask = async {
        let response = send(server, "/tenant", "grpc-timeout: 5S\r\nbaggage: tenant=acme%20inc\r\n").await?;
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("acme inc"), "{response}");
        let response = send(server, "/tenant", "grpc-timeout: soon\r\n").await?;
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
        let response = send(server, "/never", "grpc-timeout: 1m\r\n").await?;
        assert!(response.starts_with("HTTP/1.1 504"), "{response}");

        // While one connection waits for its response, another is over the limit: they share it.
        let second = async {
            gate.arrived.notified().await;
            let response = send(server, "/tenant", "").await;
            gate.release.notify_one();
            response
        };
        let (first, second) = tokio::join!(send(server, "/wait", ""), second);
        let (first, second) = (first?, second?);
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        assert!(second.starts_with("HTTP/1.1 503") && second.contains("retry-after: 1"), "{second}");
        assert!(second.ends_with("example requests: 1 of 1 in use, 0 waiting"), "{second}");
        assert_eq!(requests.in_use(), 0);
        assert!(fan_out.snapshot().details.contains(&("max", 2)));
        Ok(())
    };
    tokio::select! {
        ended = axum::serve(listener, app).into_future() => Ok(ended?),
        asked = ask => asked,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await?;
    println!("the second connection was told to come again");
    Ok(())
}
