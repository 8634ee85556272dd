//! The senders: a steady rate of events through the public API, each until it is accepted.
//!
//! # Invariants
//! - The schedule is open: when the server is slow or away, what is due piles up and is sent when
//!   it is back, so no latency is hidden by sending less.
//! - An event has one payload and one idempotency key for all of its tries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use plimsoll::clock;
use plimsoll::group::Group;

use super::shape::Shape;
use crate::client::{Connection, Error};
use crate::receiver::{Bits, machine_micros};

/// How many events are on their way at once.
const SENDERS: usize = 32;
/// The deadline of one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries where the server does not say.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause that the server can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After the seconds of sending: how long what was due in them may still be sent.
const GRACE: Duration = Duration::from_secs(30);

/// What all senders share.
pub(super) struct Load {
    to: SocketAddr,
    token: String,
    apps: Vec<String>,
    run: String,
    tenants: usize,
    events: usize,
    interval: Duration,
    started: clock::Instant,
    give_up_at: clock::Instant,
    next: AtomicUsize,
    // One set a tenant: event `n` as number `n / tenants`.
    accepted: Vec<Mutex<Bits>>,
    counts: Counts,
    failure: Mutex<Option<String>>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    not_admitted: AtomicU64,
    given_up: AtomicU64,
    last_accepted_nanos: AtomicU64,
}

/// What the senders have seen so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sent {
    /// Events answered with 202.
    pub(super) accepted: u64,
    /// Tries that nobody took: the server was away.
    pub(super) refused: u64,
    /// Tries without an answer: taken or not, nobody knows.
    pub(super) unknown: u64,
    /// Tries answered with 429 or 5xx.
    pub(super) not_admitted: u64,
    /// Events that were tried and given up, never answered with 202.
    pub(super) given_up: u64,
    /// Events that are due by the schedule and not accepted yet.
    pub(super) overdue: u64,
}

impl Load {
    /// A load of this shape, to these applications, starting now. `run` makes the idempotency keys.
    pub(super) fn new(shape: &Shape, to: SocketAddr, token: &str, apps: Vec<String>, run: &str) -> Arc<Self> {
        let started = clock::now();
        let seconds = Duration::from_secs(shape.seconds.into());
        let page = shape.events.div_ceil(shape.tenants);
        Arc::new(Self {
            to,
            token: token.to_owned(),
            apps,
            run: run.to_owned(),
            tenants: shape.tenants,
            events: shape.events,
            interval: seconds.div_f64(shape.events as f64),
            started,
            give_up_at: started + seconds + GRACE,
            next: AtomicUsize::new(0),
            accepted: (0..shape.tenants).map(|_| Mutex::new(Bits::new(page))).collect(),
            counts: Counts::default(),
            failure: Mutex::new(None),
        })
    }

    /// Starts the senders; they end by themselves when all is sent, or given up.
    pub(super) async fn start(self: &Arc<Self>) -> Group<()> {
        let mut senders = Group::new(SENDERS).expect("the number of senders is a constant above zero");
        for _ in 0..SENDERS.min(self.events) {
            let load = Arc::clone(self);
            senders.spawn(async move { load.run_sender().await }).await;
        }
        senders
    }

    /// What was seen so far.
    pub(super) fn sent(&self) -> Sent {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let accepted = read(&self.counts.accepted);
        let elapsed = clock::now() - self.started;
        let due = (elapsed.as_secs_f64() / self.interval.as_secs_f64()).min(self.events as f64) as u64;
        Sent {
            accepted,
            refused: read(&self.counts.refused),
            unknown: read(&self.counts.unknown),
            not_admitted: read(&self.counts.not_admitted),
            given_up: read(&self.counts.given_up),
            overdue: due.saturating_sub(accepted),
        }
    }

    /// From the start to the last 202.
    pub(super) fn took(&self) -> Duration {
        let last = clock::Instant::from_nanos(self.counts.last_accepted_nanos.load(Ordering::Relaxed));
        last - self.started
    }

    /// How long since the start.
    pub(super) fn elapsed(&self) -> Duration {
        clock::now() - self.started
    }

    /// The accepted events of a tenant.
    pub(super) fn accepted(&self, tenant: usize) -> Bits {
        self.accepted[tenant].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events of each tenant were accepted.
    pub(super) fn accepted_by_tenant(&self) -> Vec<u64> {
        let count = |bits: &Mutex<Bits>| bits.lock().unwrap_or_else(PoisonError::into_inner).count();
        self.accepted.iter().map(count).collect()
    }

    /// Why the senders stopped, if the server gave an answer that no retry helps against.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run_sender(&self) {
        let mut connection = Connection::new(self.to, TRY_TIMEOUT).with_token(&self.token);
        loop {
            let event = self.next.fetch_add(1, Ordering::Relaxed);
            if event >= self.events || self.failure().is_some() {
                return;
            }
            let due = self.started + self.interval.mul_f64(event as f64);
            tokio::time::sleep(due - clock::now()).await;
            if clock::now() >= self.give_up_at {
                return;
            }
            self.send(&mut connection, event).await;
        }
    }

    /// Sends one event until it is accepted, or given up.
    async fn send(&self, connection: &mut Connection, event: usize) {
        let tenant = event % self.tenants;
        let path = format!("/api/v1/app/{}/msg", self.apps[tenant]);
        let key = format!("{}-{event}", self.run);
        let sent_at = machine_micros();
        let body = Bytes::from(format!(
            r#"{{"eventType":"demo.event","payload":{{"tenant":{tenant},"event":{event},"sent_at":{sent_at}}}}}"#
        ));
        while clock::now() < self.give_up_at {
            let pause = match connection.post(&path, &key, body.clone()).await {
                Ok(answer) if answer.status == StatusCode::ACCEPTED => return self.note_accepted(event),
                Ok(answer)
                    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS =>
                {
                    self.counts.not_admitted.fetch_add(1, Ordering::Relaxed);
                    answer.retry_after.unwrap_or(PAUSE).min(PAUSE_MAX)
                }
                Ok(answer) => {
                    let body = String::from_utf8_lossy(&answer.body);
                    let why = format!("event {event} is answered with {}: {body}", answer.status);
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                    return;
                }
                Err(Error::Refused(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    PAUSE
                }
                Err(Error::Unknown(_) | Error::TimedOut) => {
                    self.counts.unknown.fetch_add(1, Ordering::Relaxed);
                    PAUSE
                }
            };
            // Spread out: the senders were refused together and must not come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
        self.counts.given_up.fetch_add(1, Ordering::Relaxed);
    }

    fn note_accepted(&self, event: usize) {
        let mut accepted = self.accepted[event % self.tenants].lock().unwrap_or_else(PoisonError::into_inner);
        accepted.insert(event / self.tenants);
        drop(accepted);
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.counts.last_accepted_nanos.fetch_max(clock::now().as_nanos(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::receiver::Behaviour;

    fn shape(events: usize) -> Shape {
        Shape { tenants: 2, events, seconds: 1, behaviours: vec![Behaviour::Healthy; 2] }
    }

    /// A server that answers one request a connection, with the next answer of the list.
    async fn serve(listener: TcpListener, answers: Vec<&'static str>) -> Result<Vec<String>, ()> {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "closed early");
            }
            requests.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        Ok(requests)
    }

    #[tokio::test]
    async fn an_event_is_sent_with_one_key_and_one_body_until_it_is_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let load = Load::new(&shape(1), to, "t", vec!["app_0".into(), "app_1".into()], "run");
        let mut tasks: Group<Result<_, ()>> = Group::new(1).unwrap();
        let answers = vec![
            "HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\nretry-after: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 202 Ac",
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ];
        tasks.spawn(serve(listener, answers)).await;
        load.start().await.join().await.unwrap();
        let requests = tasks.join().await.unwrap().remove(0);
        let key_and_body = |request: &String| {
            let lower = request.to_ascii_lowercase();
            assert!(lower.contains("idempotency-key: run-0\r\n"), "{request}");
            request.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        let bodies: Vec<String> = requests.iter().map(key_and_body).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        let sent = load.sent();
        assert_eq!((sent.accepted, sent.not_admitted, sent.unknown, sent.given_up), (1, 1, 1, 0));
        assert_eq!((load.accepted(0).count(), load.accepted_by_tenant()), (1, vec![1, 0]));
    }

    #[tokio::test]
    async fn an_answer_that_no_retry_helps_against_stops_the_senders() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let load = Load::new(&shape(1), to, "t", vec!["app_0".into(), "app_1".into()], "run");
        let mut tasks: Group<Result<_, ()>> = Group::new(1).unwrap();
        tasks.spawn(serve(listener, vec!["HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno"])).await;
        load.start().await.join().await.unwrap();
        assert_eq!(load.failure().unwrap(), "event 0 is answered with 401 Unauthorized: no");
        assert_eq!(load.sent(), Sent { overdue: load.sent().overdue, ..Sent::default() });
    }
}
