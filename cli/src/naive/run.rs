//! The process: listens, says where, takes events until its standard input is closed.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{post, put};
use axum::{Json, Router, body::Bytes};
use http::{HeaderMap, StatusCode};
use plimsoll::group::Group;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::dispatch::dispatch;
use super::send::{Endpoint, Event};
use crate::receiver::raise_descriptors;

/// Runs a dispatcher without a bound on the loopback interface.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {}

/// Where it listens: the first line on its standard output, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Takes `PUT /endpoints` and `POST /event`.
    pub(crate) listen: SocketAddr,
}

type Endpoints = Arc<Mutex<Arc<[Endpoint]>>>;

/// Runs `plimsoll naive`.
pub(crate) fn run(Args {}: Args) -> ExitCode {
    match serve_until_closed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::failed("naive", &error),
    }
}

fn serve_until_closed() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _server = runtime.block_on(open())?;
    // Whoever started it holds the other end: when that process is gone, however it went, this is closed.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    // Its tasks have no owner: nobody waits for them.
    runtime.shutdown_background();
    Ok(())
}

async fn open() -> io::Result<Group<io::Result<()>>> {
    raise_descriptors();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ready = Ready { listen: listener.local_addr()? };
    let router = Router::new()
        .route("/endpoints", put(set_endpoints))
        .route("/event", post(event))
        .with_state(Endpoints::new(Mutex::new(Arc::new([]))));
    let mut server = Group::new(1).map_err(io::Error::other)?;
    server.spawn(async move { axum::serve(listener, router).await }).await;
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &ready)?;
    writeln!(out)?;
    out.flush()?;
    Ok(server)
}

async fn set_endpoints(State(endpoints): State<Endpoints>, Json(new): Json<Vec<Endpoint>>) {
    *endpoints.lock().unwrap_or_else(PoisonError::into_inner) = new.into();
}

async fn event(State(endpoints): State<Endpoints>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or("event");
    let endpoints = Arc::clone(&endpoints.lock().unwrap_or_else(PoisonError::into_inner));
    dispatch(&endpoints, &Event { id: id.to_owned(), body: body.into() });
    StatusCode::ACCEPTED
}
