//! What was accepted is delivered, whatever happens to the process: `kill -9` at random moments,
//! SIGTERM, a second server on the same data.
//!
//! `CRASH_SEED=n` repeats the moments of an earlier run; it prints its seed.

mod harness;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use harness::client::{Connection, Error};
use harness::{Delivery, Receivers, Reply, SECRET, Server, make, token};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const KILLS: u32 = 24;
const TENANTS: u64 = 2;
const ENDPOINTS: u64 = 6;
const SENDERS: usize = 6;
/// Between two events of a sender: the load is there to be interrupted, not to fill the machine.
const PAUSE: Duration = Duration::from_millis(15);
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// At the end: how long nothing may arrive before what is missing counts as lost.
const STALL: Duration = Duration::from_secs(15);
const ANYWHERE: &str = "127.0.0.1:0";

/// Tenant `t` has the endpoints `e` with `e % TENANTS == t`, event `n` is of tenant `n % TENANTS`.
struct World {
    listen: SocketAddr,
    token: String,
    apps: Vec<String>,
    // The next event; every event below it was begun.
    next: AtomicU64,
    accepted: AtomicU64,
    tries: AtomicU64,
    stop: AtomicBool,
}

impl World {
    async fn set_up(
        directory: &Path,
        listen: SocketAddr,
        receivers: &Receivers,
        counts: (u64, u64),
    ) -> Arc<Self> {
        let (tenants, endpoints) = counts;
        let token = token(directory).await;
        let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&token);
        let mut apps = Vec::new();
        for tenant in 0..tenants {
            apps.push(
                make(&mut connection, "/api/v1/app", &json!({ "name": format!("Tenant {tenant}") })).await,
            );
        }
        for endpoint in 0..endpoints {
            let path = format!("/api/v1/app/{}/endpoint", apps[(endpoint % tenants) as usize]);
            make(&mut connection, &path, &json!({ "url": receivers.url(endpoint), "secret": SECRET })).await;
        }
        Arc::new(Self {
            listen,
            token,
            apps,
            next: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            tries: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Sends events until it is told to stop; the one that was begun is sent until it is accepted.
    async fn send_until_stopped(&self) {
        let mut connection = Connection::new(self.listen, TRY_TIMEOUT).with_token(&self.token);
        while !self.stop.load(Ordering::Relaxed) {
            let event = self.next.fetch_add(1, Ordering::Relaxed);
            self.send(&mut connection, event).await;
            sleep(PAUSE).await;
        }
    }

    async fn send(&self, connection: &mut Connection, event: u64) {
        let path = format!("/api/v1/app/{}/msg", self.apps[(event % self.apps.len() as u64) as usize]);
        let body =
            Bytes::from(json!({ "eventType": "crash.test", "payload": { "event": event } }).to_string());
        loop {
            self.tries.fetch_add(1, Ordering::Relaxed);
            match connection.post(&path, &format!("event-{event}"), body.clone()).await {
                Ok(answer) if answer.status == 202 => break,
                Ok(answer) => {
                    let text = String::from_utf8_lossy(&answer.body);
                    let again = answer.status == 429 || answer.status == 503;
                    assert!(again, "event {event} is answered with {}: {text}", answer.status);
                }
                // With the same key: nobody took it, or nobody knows.
                Err(Error::Refused(_) | Error::Unknown(_) | Error::TimedOut) => {}
            }
            sleep(Duration::from_millis(25)).await;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// The deliveries that are due and were not made, of `endpoints` endpoints.
    fn missing(&self, receivers: &Receivers, endpoints: u64) -> Vec<(u64, u64)> {
        let books = receivers.books();
        let tenants = self.apps.len() as u64;
        let due = (0..self.next.load(Ordering::Relaxed)).flat_map(|event| {
            (0..endpoints)
                .filter(move |endpoint| endpoint % tenants == event % tenants)
                .map(move |endpoint| (endpoint, event))
        });
        due.filter(|(endpoint, event)| !books.has(*endpoint, *event)).collect()
    }
}

/// Waits until nothing is missing, or nothing has arrived for a while.
async fn settle(world: &World, receivers: &Receivers, endpoints: u64) -> Vec<(u64, u64)> {
    let mut left = world.missing(receivers, endpoints);
    let mut progress = Instant::now();
    while !left.is_empty() && progress.elapsed() < STALL {
        sleep(Duration::from_millis(100)).await;
        let now = world.missing(receivers, endpoints);
        if now.len() < left.len() {
            progress = Instant::now();
        }
        left = now;
    }
    left
}

fn seed() -> u64 {
    let given = std::env::var("CRASH_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("CRASH_SEED is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_kill_nine_at_any_moment() {
    let seed = seed();
    println!("crash test: CRASH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    // Every 16th delivery fails at first and becomes due work, one endpoint is slow: kills find
    // deliveries in every state.
    let receivers = Receivers::start(|delivery: Delivery| Reply {
        delay: Duration::from_millis(if delivery.endpoint == 0 { 40 } else { 0 }),
        status: if delivery.seen == 0 && (delivery.event + delivery.endpoint).is_multiple_of(16) {
            500
        } else {
            200
        },
    })
    .await;
    let settings = ["hooks.retry_schedule_seconds=1,1,1,1,1,1,1,1", "log=warn"];
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &settings);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (TENANTS, ENDPOINTS)).await;
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let world = Arc::clone(&world);
        senders.spawn(async move { world.send_until_stopped().await });
    }

    for kill in 0..KILLS {
        // One in four while it starts, one in six as soon as it listens, the others under load.
        match random.u32(..12) {
            0..3 if kill > 0 => sleep(Duration::from_millis(random.u64(..120))).await,
            3..5 if kill > 0 => drop(server.ready().await),
            _ => {
                if kill > 0 {
                    server.ready().await;
                }
                sleep(Duration::from_millis(random.u64(50..1_500))).await;
            }
        }
        assert!(server.kill().await, "the server ended by itself before kill {kill}:\n{}", server.log());
        server = Server::start(directory.path(), listen, &settings);
    }
    server.ready().await;
    world.stop.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }

    let missing = settle(&world, &receivers, ENDPOINTS).await;
    let accepted = world.accepted.load(Ordering::Relaxed);
    let books = receivers.books().clone();
    println!(
        "crash test: {KILLS} kills, {accepted} accepted, {} delivered, {} lost, {} duplicates",
        books.delivered(),
        missing.len(),
        books.duplicates
    );
    let tries = world.tries.load(Ordering::Relaxed);
    println!("crash test: {} of {tries} tries to send were repeats", tries - accepted);
    assert!(missing.is_empty(), "lost (endpoint, event): {missing:?}\n{}", server.log());
    assert_eq!(books.delivered() as u64, accepted * ENDPOINTS / TENANTS);
    assert_eq!((books.bad_signatures, books.second_ids), (0, 0), "bad signatures, events accepted twice");
    assert!(accepted > 100, "only {accepted} events: the load was not there to be interrupted");
    assert!(server.runs(), "the server ended by itself:\n{}", server.log());
}

#[tokio::test]
async fn sigterm_finishes_what_runs_and_keeps_the_rest() {
    const EVENTS: u64 = 30;
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(|_| Reply { delay: Duration::from_millis(400), status: 200 }).await;
    let settings = ["hooks.endpoint_concurrency=2", "log=warn"];
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &settings);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (1, 1)).await;
    let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&world.token);
    for event in 0..EVENTS {
        world.send(&mut connection, event).await;
    }
    world.next.store(EVENTS, Ordering::Relaxed);

    let running = |receivers: &Receivers| {
        let books = receivers.books();
        let running = books.deliveries.iter().filter(|(_, (seen, taken))| seen > taken);
        running.map(|((_, event), _)| *event).collect::<Vec<_>>()
    };
    while running(&receivers).is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let in_flight = running(&receivers);
    server.terminate();
    let status = server.ended().await;
    assert!(status.success(), "{status}\n{}", server.log());
    let after = receivers.books().clone();
    assert!(in_flight.iter().all(|event| after.has(0, *event)), "cut off: {in_flight:?}, {after:?}");
    assert!(after.delivered() < EVENTS as usize, "nothing was left to keep");

    let mut server = Server::start(directory.path(), listen, &settings);
    server.ready().await;
    assert_eq!(settle(&world, &receivers, 1).await, [], "{}", server.log());
    assert_eq!(receivers.books().duplicates, 0, "what was finished in the drain is not sent again");
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(|_| Reply { delay: Duration::from_secs(3_600), status: 200 }).await;
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (1, 1)).await;
    let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&world.token);
    world.send(&mut connection, 0).await;
    while receivers.books().deliveries.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    server.terminate();
    sleep(Duration::from_millis(500)).await;
    assert!(server.runs(), "it waits for the delivery that runs");
    let before = Instant::now();
    server.terminate();
    server.ended().await;
    // The delivery would have had 15 s more: this is not about how fast the machine is.
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    first.ready().await;
    let mut second = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    let status = second.ended().await;
    assert!(!status.success(), "{status}");
    let log = second.log();
    let data = directory.path().join("data");
    assert!(log.contains(&data.display().to_string()), "the error names the directory:\n{log}");
    assert!(first.runs(), "the first goes on:\n{log}");
}
