//! Tenants, endpoints and senders around a server that is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plimsoll_service::request::timestamp::{self, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::harness::client::{Connection, Error};
use crate::harness::{Delivery, Receivers, Reply, SECRET, Server, make, token};

pub(crate) const TENANTS: u64 = 2;
pub(crate) const ENDPOINTS: u64 = 6;
const SENDERS: usize = 6;
/// Every so many events is one for later.
const LATER_EVERY: u64 = 8;
/// Between two events of a sender: the load is there to be interrupted, not to fill the machine.
const PAUSE: Duration = Duration::from_millis(15);
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// At the end: how long nothing may arrive before what is missing counts as lost.
const STALL: Duration = Duration::from_secs(15);
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";
/// The signal that a fault ends the server with.
pub(crate) const SIGKILL: i32 = 9;
/// 64 deliveries run at once, and the commit under way is of no more than ran while it was made: a
/// sender waits for the commit of its event before it sends the next.
const IN_FLIGHT_MAX: u64 = 2 * 64;
pub(crate) const SETTINGS: &[&str] =
    &["hooks.retry_schedule_seconds=1,1,1,1,1,1,1,1", "hooks.concurrency=64", "log=warn"];

/// How many kills there are: the share of the rounds that are asked for.
pub(crate) fn rounds(of_36: u64) -> u64 {
    let asked = std::env::var("PLIMSOLL_CRASH_ROUNDS").ok();
    let rounds: u64 = asked.map_or(36, |text| text.parse().expect("PLIMSOLL_CRASH_ROUNDS is a number"));
    (rounds * of_36).div_ceil(36)
}

/// The moments of this run; `CRASH_SEED=n` repeats those of an earlier one.
pub(crate) fn random() -> fastrand::Rng {
    let given = std::env::var("CRASH_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("CRASH_SEED is a number"));
    println!("crash test: CRASH_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Every 16th delivery fails at first and becomes due work, one endpoint is slow: kills find
/// deliveries in every state.
pub(crate) fn some_fail(delivery: Delivery) -> Reply {
    let fails = delivery.seen == 0 && (delivery.event + delivery.endpoint).is_multiple_of(16);
    Reply {
        delay: Duration::from_millis(if delivery.endpoint == 0 { 40 } else { 0 }),
        status: if fails { 500 } else { 200 },
    }
}

/// Tenant `t` has the endpoints `e` with `e % TENANTS == t`, event `n` is of tenant `n % TENANTS`.
pub(crate) struct World {
    listen: SocketAddr,
    pub(crate) token: String,
    pub(crate) apps: Vec<String>,
    // The next event; every event below it was begun.
    pub(crate) next: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) tries: AtomicU64,
    pub(crate) made: AtomicU64,
    /// Whether some events are for later.
    pub(crate) some_later: AtomicBool,
    stop: AtomicBool,
}

impl World {
    pub(crate) async fn set_up(
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
            made: AtomicU64::new(0),
            some_later: AtomicBool::new(false),
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

    pub(crate) async fn send(&self, connection: &mut Connection, event: u64) {
        let path = format!("/api/v1/app/{}/msg", self.apps[(event % self.apps.len() as u64) as usize]);
        let mut body = json!({ "eventType": "crash.test", "payload": { "event": event } });
        if self.some_later.load(Ordering::Relaxed) && event % LATER_EVERY == LATER_EVERY - 1 {
            body["deliverAt"] = json!(in_seconds(1));
        }
        self.post(connection, &path, &format!("event-{event}"), &body, 202).await;
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Posts until it is answered with `status`, and returns the answer.
    pub(crate) async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        key: &str,
        body: &Value,
        status: u16,
    ) -> Value {
        let body = Bytes::from(body.to_string());
        loop {
            self.tries.fetch_add(1, Ordering::Relaxed);
            match connection.post(path, key, body.clone()).await {
                Ok(answer) if answer.status == status => {
                    return serde_json::from_slice(&answer.body).expect("the API answers with JSON");
                }
                Ok(answer) => {
                    let text = String::from_utf8_lossy(&answer.body);
                    let again = answer.status == 429 || answer.status == 503;
                    assert!(again, "{key} is answered with {}: {text}", answer.status);
                }
                // With the same key: nobody took it, or nobody knows.
                Err(Error::Refused(_) | Error::Unknown(_) | Error::TimedOut) => {}
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Makes applications until it is told to stop; the one that was begun is made.
    async fn change_until_stopped(&self) {
        let mut connection = Connection::new(self.listen, TRY_TIMEOUT).with_token(&self.token);
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.made.load(Ordering::Relaxed);
            let body = json!({ "name": "Made", "uid": made(number) });
            self.post(&mut connection, "/api/v1/app", &made(number), &body, 201).await;
            self.made.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE * 4).await;
        }
    }

    /// Sets senders to work, and one who changes what is configured.
    pub(crate) fn begin(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..SENDERS {
            let world = Arc::clone(self);
            tasks.spawn(async move { world.send_until_stopped().await });
        }
        let world = Arc::clone(self);
        tasks.spawn(async move { world.change_until_stopped().await });
        tasks
    }

    /// Ends them; what was begun is finished first.
    pub(crate) async fn end(&self, mut tasks: JoinSet<()>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    }

    /// What is to be true at the end: everything that was accepted was delivered, under one id, and
    /// what was sent twice is no more than could be in flight at so many kills.
    pub(crate) async fn check(&self, receivers: &Receivers, server: &Server, kills: u64) {
        let missing = settle(self, receivers, ENDPOINTS).await;
        let accepted = self.accepted.load(Ordering::Relaxed);
        let tries = self.tries.load(Ordering::Relaxed);
        let made_count = self.made.load(Ordering::Relaxed);
        let books = receivers.books().clone();
        println!(
            "crash test: {kills} kills, {accepted} accepted, {} delivered, {} lost, {} duplicates; \
             {made_count} changes; {} of {tries} requests were repeats",
            books.delivered(),
            missing.len(),
            books.duplicates,
            tries - accepted - made_count,
        );
        assert!(missing.is_empty(), "lost (endpoint, event): {missing:?}\n{}", server.log());
        assert_eq!(books.delivered() as u64, accepted * ENDPOINTS / TENANTS);
        assert_eq!((books.bad_signatures, books.second_ids), (0, 0), "bad signatures, events accepted twice");
        assert_eq!(books.distinct_ids() as u64, accepted, "an id for each event");
        let bound = kills * IN_FLIGHT_MAX;
        assert!(books.duplicates <= bound, "{} duplicates, {bound} could be in flight", books.duplicates);
        let mut connection = Connection::new(self.listen, TRY_TIMEOUT).with_token(&self.token);
        for number in 0..made_count {
            let answer = connection.get(&format!("/api/v1/app/{}", made(number))).await.unwrap();
            assert_eq!(answer.status, 200, "change {number} of {made_count} is lost");
        }
    }

    /// The deliveries that are due and were not made, of `endpoints` endpoints.
    pub(crate) fn missing(&self, receivers: &Receivers, endpoints: u64) -> Vec<(u64, u64)> {
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

fn made(number: u64) -> String {
    format!("made-{number}")
}

/// By our own clock; the server's may have been set.
pub(crate) fn in_seconds(seconds: i64) -> String {
    let text = Timestamp(timestamp::now() + seconds * 1_000).text();
    String::from_utf8(text.to_vec()).expect("digits are text")
}

/// Waits until nothing is missing, or nothing has arrived for a while.
pub(crate) async fn settle(world: &World, receivers: &Receivers, endpoints: u64) -> Vec<(u64, u64)> {
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
