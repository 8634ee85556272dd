//! Accepting connections, as many as there are places.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use plimsoll::Invalid;
use plimsoll::group::{Group, Spawned};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use super::counts::Counts;
use super::service::Guarded;
use super::taking::Taking;
use crate::drain::Drain;

/// How long to wait after the system failed to hand a connection over, at first and at the most.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The name of the bound on connections in the registry.
    pub name: &'static str,
    /// Connections at once.
    pub connections: usize,
    /// How long a connection may take from being ready for a request to the last byte of the
    /// request's head. It bounds clients that send slowly and connections that idle alike.
    pub head_timeout: Duration,
    /// How large the head of a request may be, in bytes; at least 8,192.
    pub head_bytes_max: usize,
    /// How long a client may take to take an answer of more than 64 KiB, which is memory of ours.
    pub answer_timeout: Duration,
}

/// A bound socket that has not begun to serve.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    connections: Group<()>,
    options: Options,
    counts: Counts,
}

/// Why it cannot listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be had.
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An option is out of its range.
    Options(Invalid),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: another process does; choose another address")
            }
            Self::Address { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Options(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. } => Some(source),
            Self::Options(invalid) => Some(invalid),
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    /// Connections that were cut because the drain's deadline had passed.
    pub cut: usize,
}

impl Listener {
    /// Takes the address; clients may connect from here on, and wait until it [serves](Self::serve).
    ///
    /// # Errors
    /// When the address cannot be had, or an option is out of its range.
    ///
    /// # Cancel safety
    /// The address is free again.
    pub async fn bind(address: SocketAddr, options: Options, counts: Counts) -> Result<Self, BindError> {
        let connections = Group::builder(options.name)
            .limit(options.connections)
            .collect_all()
            .build()
            .map_err(BindError::Options)?;
        if options.head_bytes_max < 8_192 {
            let (name, given) = (connections.name(), options.head_bytes_max);
            let invalid = Invalid::new(name, "head_bytes_max", given, "at least 8,192");
            return Err(BindError::Options(invalid));
        }
        let failed = |source| BindError::Address { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, connections, options, counts })
    }

    /// Where it listens: with the real port where 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `drain` begins, then lets every connection finish its request, and cuts
    /// those that have not by the drain's deadline.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket and cuts every connection.
    pub async fn serve(self, router: Router, drain: Drain) -> Served {
        let Self { socket, mut connections, options, counts, .. } = self;
        let protocol = connection::protocol(options.head_timeout, options.head_bytes_max);
        let mut draining = pin!(drain.started());
        let mut backoff = BACKOFF_MIN;
        loop {
            let connected = async {
                let stream = accept(&socket, &counts, &mut backoff).await;
                connection::prepare(&stream);
                let taking = Taking::new(options.answer_timeout);
                let service = Guarded { router: router.clone(), counts: counts.clone(), taking };
                let serve = connection::serve(protocol.clone(), stream, service, drain.clone());
                // At the bound this waits, and nobody else is accepted meanwhile.
                connections.spawn(serve).await
            };
            tokio::select! {
                biased;
                () = draining.as_mut() => break,
                spawned = connected => debug_assert_eq!(spawned, Spawned::Started),
            }
        }
        // The system refuses clients from here on.
        drop(socket);
        Served { cut: connections.drain(drain.left()).await }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Accepts one connection, however often the system fails to.
async fn accept(socket: &TcpListener, counts: &Counts, backoff: &mut Duration) -> TcpStream {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                *backoff = BACKOFF_MIN;
                return stream;
            }
            Err(error) => {
                counts.accept_error();
                // A client that left again costs nothing. Anything else, too many open files above
                // all, stays true until something ends: asking again at once would only burn.
                if !is_of_the_client(&error) {
                    tracing::warn!(%error, retry_in = ?*backoff, "cannot accept a connection");
                    tokio::time::sleep(*backoff).await;
                    *backoff = (*backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
