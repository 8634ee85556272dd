//! The HTTP client of deliveries.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use plimsoll::clock;
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::AddressPolicy;
use super::connection::{Connection, Stream};
use super::idle::Idle;
use super::metered::{Allowance, Metered};
use super::names::Names;
use super::target::{Destination, Prepared};

/// At most this many names are resolved at once: each takes a thread of the runtime.
const RESOLVING_MAX: u64 = 32;
/// What a receiver may send before there is a TLS session: many times what a chain of certificates is.
const HANDSHAKE_BYTES_MAX: usize = 256 * 1024;
/// How often who waits for a socket looks for an idle connection to close.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The bounds of a client.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// For the whole exchange, connecting and the body of the answer included.
    pub(crate) attempt_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// How much of an answer is read and kept.
    pub(crate) response_bytes_max: usize,
    pub(crate) idle_longest: Duration,
    /// Sockets, open and idle together.
    pub(crate) sockets_max: u64,
}

/// A complete head of an answer, and the beginning of its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// From the header of that name, in either of its forms.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    TimedOut { after: Duration },
    Resolve { host: String, error: std::io::Error },
    NotAllowed { host: String },
    Connect { address: SocketAddr, error: std::io::Error },
    Tls { error: std::io::Error },
    Http { error: hyper::Error },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { after } => write!(f, "no complete answer within {} ms", after.as_millis()),
            Self::Resolve { host, error } => write!(f, "cannot resolve {host}: {error}"),
            Self::NotAllowed { host } => write!(
                f,
                "{host} is at a private or special address, which is not allowed (see allow_private)"
            ),
            Self::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Self::Tls { error } => write!(f, "TLS: {error}"),
            Self::Http { error } => {
                write!(f, "HTTP: {error}")?;
                std::error::Error::source(error).map_or(Ok(()), |source| write!(f, ": {source}"))
            }
        }
    }
}

/// Delivers over kept connections within a budget of sockets.
pub(crate) struct Client {
    settings: Settings,
    policy: AddressPolicy,
    tls: TlsConnector,
    sockets: Semaphore,
    resolving: Semaphore,
    names: Names,
    idle: Mutex<Idle>,
}

impl Client {
    pub(crate) fn new(
        settings: Settings,
        policy: AddressPolicy,
        tls: TlsConnector,
    ) -> Result<Self, plimsoll::Invalid> {
        Ok(Self {
            sockets: Semaphore::builder("hooks.sockets").limit(settings.sockets_max).build()?,
            resolving: Semaphore::builder("hooks.resolving").limit(RESOLVING_MAX).build()?,
            settings,
            policy,
            tls,
            names: Names::System,
            idle: Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(crate) fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Posts `body` with the headers of `prepared` and `extra`, and waits for the answer.
    ///
    /// One deadline holds for all of it. A complete head within the deadline is an answer whatever
    /// the body then does.
    pub(crate) async fn post(
        &self,
        prepared: &Prepared,
        extra: impl Fn(&mut HeaderMap),
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let request = || {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = Method::POST;
            *request.version_mut() = Version::HTTP_11;
            *request.uri_mut() = Uri::from(prepared.path.clone());
            *request.headers_mut() = prepared.headers.clone();
            extra(request.headers_mut());
            request
        };
        let mut head = None;
        let exchange = self.exchange(&prepared.destination, request, &mut head);
        match timeout(self.settings.attempt_timeout, exchange).await {
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(())) | Err(_) => head.ok_or(Failure::TimedOut { after: self.settings.attempt_timeout }),
        }
    }

    /// Leaves the answer in `head` as soon as its head is there, so that it survives the deadline.
    async fn exchange(
        &self,
        destination: &Destination,
        request: impl Fn() -> Request<Full<Bytes>>,
        head: &mut Option<Answer>,
    ) -> Result<(), Failure> {
        let (mut connection, response) = self.send(destination, request).await?;
        let (parts, mut body) = response.into_parts();
        let answer = head.insert(Answer {
            status: parts.status.as_u16(),
            body: Vec::new(),
            retry_after: parts.headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?)),
        });
        let limit = self.settings.response_bytes_max;
        let ended = connection.read(&mut body, limit, &mut answer.body).await;
        drop(body);
        if ended && self.sockets.waiting() == 0 && connection.is_ready().await {
            let now = clock::now();
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.put(destination.clone(), connection, now);
        }
        Ok(())
    }

    async fn send(
        &self,
        destination: &Destination,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        if let Some(mut kept) = self.reuse(destination).await {
            match kept.send(request(), self.settings.response_bytes_max).await {
                Ok(response) => return Ok((kept, response)),
                // The other side closed the idle connection just as the request went out, without a
                // complete head: that says nothing about this delivery, so it goes over a fresh
                // connection, once, in the same attempt. A reset or a time-out ends the attempt.
                Err(error) if error.is_canceled() || error.is_incomplete_message() => {}
                Err(error) => return Err(Failure::Http { error }),
            }
        }
        let mut fresh = self.connect(destination).await?;
        let response = fresh.send(request(), self.settings.response_bytes_max).await;
        let response = response.map_err(|error| Failure::Http { error })?;
        Ok((fresh, response))
    }

    async fn reuse(&self, destination: &Destination) -> Option<Connection> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take(destination);
            let mut connection = kept?;
            if connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<Connection, Failure> {
        let socket = self.socket().await;
        let limit = self.settings.connect_timeout;
        let opened = timeout(limit, self.open(destination, socket)).await;
        opened.unwrap_or(Err(Failure::TimedOut { after: limit }))
    }

    /// A place for one more socket; where all are taken, an idle connection to somewhere else
    /// makes room before anybody waits.
    async fn socket(&self) -> OwnedPermit {
        if let Ok(permit) = self.sockets.try_acquire_owned() {
            return permit;
        }
        loop {
            let evicted = self.idle.lock().unwrap_or_else(PoisonError::into_inner).evict();
            drop(evicted);
            // Looks again now and then: a connection may have become idle after nothing was found,
            // and before we were seen to wait.
            if let Ok(permit) = self.sockets.acquire_within_owned(1, LOOK_AGAIN).await {
                return permit;
            }
        }
    }

    async fn open(&self, destination: &Destination, socket: OwnedPermit) -> Result<Connection, Failure> {
        let allowance = Allowance::new(HANDSHAKE_BYTES_MAX);
        let stream = Metered::new(self.open_tcp(destination).await?, allowance.clone());
        let stream: Box<dyn Stream> = if destination.tls {
            let name = ServerName::try_from(destination.host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| Failure::Tls { error: std::io::Error::other(error) })?;
            let secured = self.tls.connect(name, stream).await;
            Box::new(secured.map_err(|error| Failure::Tls { error })?)
        } else {
            Box::new(stream)
        };
        Connection::open(stream, allowance, socket).await.map_err(|error| Failure::Http { error })
    }

    async fn open_tcp(&self, destination: &Destination) -> Result<TcpStream, Failure> {
        let host = || destination.host.to_string();
        let addresses = match destination.literal() {
            Some(address) => vec![SocketAddr::new(address, destination.port)],
            None => {
                let _turn = self.resolving.acquire().await;
                let found = self.names.lookup(&destination.host, destination.port).await;
                found.map_err(|error| Failure::Resolve { host: host(), error })?
            }
        };
        let mut failure = Failure::NotAllowed { host: host() };
        for address in addresses.into_iter().filter(|address| self.policy.allows(address.ip())) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A refusal would only make small requests slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failure = Failure::Connect { address, error },
            }
        }
        Err(failure)
    }

    /// Closes what has been idle for too long; call now and then.
    pub(crate) fn sweep(&self) {
        let now = clock::now();
        loop {
            let expired = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.expire(now, self.settings.idle_longest)
            };
            if expired.is_none() {
                return;
            }
        }
    }

    /// How many sockets are open, kept ones among them.
    #[cfg(test)]
    pub(crate) fn sockets(&self) -> u64 {
        self.sockets.in_use()
    }

    /// How many connections are kept.
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}
