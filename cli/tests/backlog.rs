//! Five million pending deliveries, in three shapes: how much memory the server takes, how long
//! until it delivers again, and what it costs who sends meanwhile.
//!
//! Measurements, to be asked for:
//! `cargo test -p plimsoll-cli --release --test backlog -- --ignored --nocapture --test-threads 1`.
//! Each builds its shape through the store in half a minute and a few GiB of disk;
//! `BACKLOG_SHARE=0.1` makes a tenth of it.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod harness;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use harness::client::{Connection, Error};
use harness::{Delivery, Receivers, Reply, SECRET, Server, make, token};
use plimsoll_service::auth::DEFAULT_ORG;
use plimsoll_store::*;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server is watched while it works the backlog off.
const WATCHED: Duration = Duration::from_secs(20);
/// Between two messages that are sent meanwhile.
const PAUSE: Duration = Duration::from_millis(40);
/// The mark of each shape.
const RSS_MAX: u64 = 300 << 20;
const FIRST_DELIVERY_MAX: Duration = Duration::from_secs(5);
/// Numbers of endpoints and events that are not of the backlog.
const BYSTANDER: u64 = 1_000_000;
const MEANWHILE: u64 = 1 << 40;

/// The application with the backlog.
struct House {
    store: Store,
    claim: Claim,
    app: AppId,
    endpoints: Vec<Endpoint>,
}

fn share(of: u64) -> u64 {
    let share = std::env::var("BACKLOG_SHARE").ok().map_or(1.0, |text| text.parse().unwrap());
    (of as f64 * share).ceil() as u64
}

fn now() -> UnixMillis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn app() -> App {
    App {
        id: AppId::fresh(),
        org: DEFAULT_ORG.into(),
        uid: None,
        name: "Backlog".into(),
        throttle_rate: None,
        paused_at: None,
        metadata: "{}".into(),
        created_at: now(),
        updated_at: now(),
    }
}

fn endpoint(app: AppId, sequence: u64, url: String) -> Endpoint {
    Endpoint {
        id: EndpointId::fresh(),
        app,
        sequence,
        uid: None,
        url,
        description: String::new(),
        disabled: false,
        disabled_by: None,
        paused_at: None,
        event_types: None,
        channels: None,
        throttle_rate: None,
        secret: Secret(STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap()),
        old_secrets: vec![],
        headers: vec![],
        metadata: "{}".into(),
        created_at: now(),
        updated_at: now(),
    }
}

impl House {
    async fn build(directory: &Path, receivers: &Receivers, endpoints: u64) -> Self {
        let store = Store::open(Options { directory: directory.join("data") }).await.unwrap();
        let claim = store.claims()[0];
        let owner = app();
        store.change(claim, vec![Change::PutApp(owner.clone())]).await.unwrap();
        let endpoints: Vec<_> =
            (1..=endpoints).map(|number| endpoint(owner.id, number, receivers.url(number))).collect();
        for some in endpoints.chunks(256) {
            let changes = some.iter().map(|endpoint| Change::PutEndpoint(Box::new(endpoint.clone())));
            store.change(claim, changes.collect()).await.unwrap();
        }
        Self { store, claim, app: owner.id, endpoints }
    }

    /// Messages to all endpoints, as they are accepted; returns their ids.
    async fn accept(&self, events: std::ops::Range<u64>) -> Vec<MessageId> {
        let (at, ceiling) = (now(), self.endpoints.len() as u64);
        let messages: Vec<_> = events
            .map(|event| NewMessage {
                message: Message {
                    id: MessageId::fresh(),
                    app: self.app,
                    event_id: None,
                    event_type: "backlog.test".into(),
                    channels: None,
                    payload: Some(json!({ "event": event }).to_string().into_bytes()),
                    accepted_at: at,
                    deliver_at: None,
                    canceled_at: None,
                    priority: Priority::Normal,
                },
                org: DEFAULT_ORG.into(),
                ceiling,
                deliveries: ceiling,
                backlog_max: u64::MAX,
                idempotency: None,
                retention_days: 90,
            })
            .collect();
        let ids = messages.iter().map(|new| new.message.id).collect();
        let answers = self.store.accept(self.claim, messages).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == Accepted::Stored));
        ids
    }

    async fn accept_all(&self, events: u64) {
        for first in (0..events).step_by(1_024) {
            self.accept(first..events.min(first + 1_024)).await;
        }
    }

    /// Messages that every endpoint failed to take once: they are due again within an hour, the
    /// first of them now.
    async fn accept_and_fail(&self, events: u64) {
        let begun = now();
        let url: Arc<str> = "http://127.0.0.1:1/".into();
        for event in 0..events {
            let message = self.accept(event..event + 1).await[0];
            for some in self.endpoints.chunks(4_096) {
                let failed = some.iter().map(|endpoint| {
                    let wait = if event == 0 { 0 } else { 20_000 + fastrand::i64(..3_600_000) };
                    Progress::Attempted(Box::new(NewAttempt {
                        id: AttemptId::fresh(),
                        org: DEFAULT_ORG.into(),
                        app: self.app,
                        message,
                        endpoint: endpoint.id,
                        number: 1,
                        priority: Priority::Normal as u8,
                        at: begun,
                        duration_ms: 1,
                        status_code: 500,
                        response: vec![],
                        url: Arc::clone(&url),
                        trigger: Trigger::Scheduled,
                        next: Next::Retry { due_at: begun + wait },
                    }))
                });
                self.store.record(self.claim, failed.collect::<Vec<_>>()).await.unwrap();
            }
            let finished = Progress::Finished { app: self.app, message };
            self.store.record(self.claim, vec![finished]).await.unwrap();
        }
    }
}

/// What the server took, by its process.
fn memory(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Sends a message now and then, and tells how long each took to be accepted.
async fn send_meanwhile(
    connection: &mut Connection,
    app: &str,
    from: u64,
    until: Instant,
) -> Result<Vec<Duration>, Error> {
    let (path, mut took, mut event) = (format!("/api/v1/app/{app}/msg"), Vec::new(), from);
    while Instant::now() < until {
        let body = json!({ "eventType": "backlog.test", "payload": { "event": event } }).to_string();
        let begun = Instant::now();
        let answer = connection.post(&path, &format!("meanwhile-{event}"), Bytes::from(body)).await?;
        took.push(begun.elapsed());
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        event += 1;
        sleep(PAUSE).await;
    }
    took.sort();
    Ok(took)
}

fn quantiles(took: &[Duration]) -> String {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1?}, p99 {:.1?}, max {:.1?} of {}", at(0.5), at(0.99), at(1.0), took.len())
}

/// Starts the server on what was built, and watches it.
async fn measure(name: &str, directory: &Path, receivers: &Receivers, house: House, built: Duration) {
    let pending = house.store.backlog(house.app).deliveries;
    let app = house.app.to_string();
    house.store.close().await;
    drop(house);
    let bytes = std::fs::metadata(directory.join("data/plimsoll.db")).unwrap().len();
    println!("{name}: {pending} deliveries pending, {} MiB, built in {built:.1?}", bytes >> 20);

    let begun = Instant::now();
    let mut server = Server::start(directory, "127.0.0.1:0".parse().unwrap(), &["log=warn"]);
    let first = async {
        while receivers.books().deliveries.is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    };
    let (first, listen) = tokio::join!(timeout(TIMEOUT, first), server.ready());
    let first = first.unwrap_or_else(|_| panic!("nothing is delivered\n{}", server.log()));
    println!("{name}: first delivery after {first:.2?}, RSS {} MiB", memory(&server, "VmRSS") >> 20);

    let token = token(directory).await;
    let connection = || Connection::new(listen, TIMEOUT).with_token(&token);
    let (mut owners, mut others) = (connection(), connection());
    let bystander = make(&mut others, "/api/v1/app", &json!({ "name": "Bystander" })).await;
    let endpoint = json!({ "url": receivers.url(BYSTANDER), "secret": SECRET });
    make(&mut others, &format!("/api/v1/app/{bystander}/endpoint"), &endpoint).await;
    let until = Instant::now() + WATCHED;
    let before = receivers.books().delivered();
    let (owners, others) = tokio::join!(
        send_meanwhile(&mut owners, &app, MEANWHILE, until),
        send_meanwhile(&mut others, &bystander, 2 * MEANWHILE, until),
    );
    let (owners, others) = (owners.unwrap(), others.unwrap());
    let (delivered, reached) = {
        let books = receivers.books();
        assert_eq!((books.duplicates, books.bad_signatures), (0, 0));
        let reached = books.deliveries.keys().filter(|(endpoint, _)| *endpoint == BYSTANDER).count();
        ((books.delivered() - before) as f64 / WATCHED.as_secs_f64(), reached)
    };
    let peak = memory(&server, "VmHWM");
    println!("{name}: {delivered:.0} deliveries/s, RSS at most {} MiB", peak >> 20);
    println!("{name}: its own messages accepted in {}", quantiles(&owners));
    println!("{name}: a bystander's accepted in {}; {reached} delivered", quantiles(&others));
    assert!(server.runs(), "{}", server.log());
    assert!(reached + 25 >= others.len(), "the bystander is held up: {reached} of {}", others.len());
    assert!(peak <= RSS_MAX, "{} MiB", peak >> 20);
    assert!(first <= FIRST_DELIVERY_MAX, "{first:?}");
    println!("{}", server.log());
}

async fn receivers() -> Receivers {
    Receivers::start(|_: Delivery| Reply { delay: Duration::ZERO, status: 200 }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: see above"]
async fn five_hundred_messages_to_ten_thousand_endpoints() {
    let (directory, receivers, begun) = (tempfile::tempdir().unwrap(), receivers().await, Instant::now());
    let house = House::build(directory.path(), &receivers, 10_000).await;
    house.accept_all(share(500)).await;
    measure("500 x 10,000", directory.path(), &receivers, house, begun.elapsed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: see above"]
async fn five_million_messages_to_one_endpoint() {
    let (directory, receivers, begun) = (tempfile::tempdir().unwrap(), receivers().await, Instant::now());
    let house = House::build(directory.path(), &receivers, 1).await;
    house.accept_all(share(5_000_000)).await;
    measure("5,000,000 x 1", directory.path(), &receivers, house, begun.elapsed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: see above"]
async fn a_million_scheduled_retries() {
    let (directory, receivers, begun) = (tempfile::tempdir().unwrap(), receivers().await, Instant::now());
    let house = House::build(directory.path(), &receivers, 10_000).await;
    house.accept_and_fail(share(100)).await;
    measure("1,000,000 retries", directory.path(), &receivers, house, begun.elapsed()).await;
}
