//! Endpoints in this process that verify signatures and keep books.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::signature::{Key, Signed};

/// The secret of every endpoint.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A delivery as the test's rule sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// The endpoint.
    pub(crate) endpoint: u64,
    /// The event.
    pub(crate) event: u64,
    /// How often this event came to this endpoint before.
    pub(crate) seen: u32,
}

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    /// After this.
    pub(crate) delay: Duration,
    /// With this.
    pub(crate) status: u16,
}

/// What came.
#[derive(Clone, Default, Debug)]
pub(crate) struct Books {
    /// Per (endpoint, event): how often it came, and how often it was answered with 200.
    pub(crate) deliveries: HashMap<(u64, u64), (u32, u32)>,
    /// Arrivals after it had been answered with 200.
    pub(crate) duplicates: u64,
    /// Requests that were not signed well.
    pub(crate) bad_signatures: u64,
    /// Arrivals of an event under a second message id.
    pub(crate) second_ids: u64,
    ids: HashMap<u64, String>,
}

impl Books {
    /// How many message ids came.
    pub(crate) fn distinct_ids(&self) -> usize {
        self.ids.values().collect::<HashSet<_>>().len()
    }

    /// How many (endpoint, event) pairs were answered with 200.
    pub(crate) fn delivered(&self) -> usize {
        self.deliveries.values().filter(|(_, taken)| *taken > 0).count()
    }

    /// Whether this event was answered with 200 by this endpoint.
    pub(crate) fn has(&self, endpoint: u64, event: u64) -> bool {
        self.deliveries.get(&(endpoint, event)).is_some_and(|(_, taken)| *taken > 0)
    }
}

/// The running receivers; they end when this is dropped.
pub(crate) struct Receivers {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    _tasks: JoinSet<()>,
}

/// By which clock a signature's age is judged.
#[derive(Clone, Copy)]
enum Clock {
    Ours,
    Theirs,
}

type Rule = Arc<dyn Fn(Delivery) -> Reply + Send + Sync>;

impl Receivers {
    /// Starts them; `rule` says how to answer.
    pub(crate) async fn start(rule: impl Fn(Delivery) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_by(Clock::Ours, rule).await
    }

    /// Starts them for a server whose clock is set: what it says the time is, is the time.
    pub(crate) async fn start_by_their_clock(
        rule: impl Fn(Delivery) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_by(Clock::Theirs, rule).await
    }

    async fn start_by(clock: Clock, rule: impl Fn(Delivery) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback address can be bound");
        let address = listener.local_addr().expect("it is bound");
        let books = Arc::new(Mutex::new(Books::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&books), clock, Arc::new(rule)));
        Self { address, books, _tasks: tasks }
    }

    /// The URL of an endpoint.
    pub(crate) fn url(&self, endpoint: u64) -> String {
        format!("http://{}/e/{endpoint}", self.address)
    }

    /// What came so far.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        locked(&self.books)
    }
}

fn locked(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, books: Arc<Mutex<Books>>, clock: Clock, rule: Rule) {
    // As many as the one server under test opens; it has a bound of its own.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (books, rule) = (Arc::clone(&books), Arc::clone(&rule));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (books, rule) = (Arc::clone(&books), Arc::clone(&rule));
                async move { Ok::<_, Infallible>(take(&books, clock, &rule, request).await) }
            });
            // A killed server cuts its connections.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(
    books: &Mutex<Books>,
    clock: Clock,
    rule: &Rule,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return answer(400) };
    let body = body.to_bytes();
    let key = Key::from_secret(SECRET).expect("the secret is a constant");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let now = match clock {
        Clock::Ours => now,
        Clock::Theirs => text("webhook-timestamp").and_then(|text| text.parse().ok()).unwrap_or(now),
    };
    let signed = Signed {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signatures: text("webhook-signature"),
    };
    let Ok(id) = key.verify(signed, &body, now) else {
        locked(books).bad_signatures += 1;
        return answer(401);
    };
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let endpoint = head.uri.path().strip_prefix("/e/").and_then(|number| number.parse().ok());
    let (Some(endpoint), Some(event)) = (endpoint, json["event"].as_u64()) else { return answer(422) };
    let reply = {
        let mut books = locked(books);
        if books.ids.entry(event).or_insert_with(|| id.to_owned()) != id {
            books.second_ids += 1;
        }
        let (seen, taken) = books.deliveries.entry((endpoint, event)).or_default();
        let (before, repeat) = (*seen, *taken > 0);
        *seen += 1;
        books.duplicates += u64::from(repeat);
        rule(Delivery { endpoint, event, seen: before })
    };
    tokio::time::sleep(reply.delay).await;
    if reply.status == 200 {
        locked(books).deliveries.entry((endpoint, event)).or_default().1 += 1;
    }
    answer(reply.status)
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).expect("a constant of the test");
    response
}
