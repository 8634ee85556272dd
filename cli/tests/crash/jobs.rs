//! Jobs that were accepted are done, whatever happens to the server or to a worker: `kill -9` of the
//! server at random moments and at every boundary of a commit, workers that take jobs and are never heard of
//! again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::harness::client::Connection;
use crate::harness::{Server, token};
use crate::world::{ANYWHERE, SIGKILL, TRY_TIMEOUT, random, rounds};

const SENDERS: usize = 4;
const WORKERS: usize = 3;
/// Jobs that a worker takes at once.
const TAKES: u64 = 4;
/// One in so many times a worker dies with what it took.
const DIES: u64 = 40;
/// A fault comes at one of the first so many commits.
const COMMITS: u64 = 60;
const PAUSE: Duration = Duration::from_millis(10);
/// At the end: how long nothing may be done before what is missing counts as lost.
const STALL: Duration = Duration::from_secs(20);
/// Long enough that no worker that is alive loses its lease while the server is away.
const SETTINGS: &[&str] =
    &["jobs.lease_seconds=5", "jobs.retry_first_ms=50", "jobs.crashes_max=1000", "log=warn"];

/// What senders and workers share.
struct Yard {
    listen: SocketAddr,
    token: String,
    /// The next job; every job below it was begun to be sent.
    next: AtomicU64,
    accepted: AtomicU64,
    /// Jobs that died with their workers.
    abandoned: AtomicU64,
    stop: AtomicBool,
    end: AtomicBool,
    /// By job: how often it was run, and whether an ack of it was taken.
    runs: Mutex<BTreeMap<u64, (u64, bool)>>,
}

impl Yard {
    fn connection(&self) -> Connection {
        Connection::new(self.listen, TRY_TIMEOUT).with_token(&self.token)
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, (u64, bool)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends jobs until it is told to stop; the one that was begun is sent until it is accepted.
    async fn send(&self) {
        let mut connection = self.connection();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let tenant = format!("tenant-{}", number % 3);
            let body = json!({ "tenant": tenant, "kind": "count", "payload": { "number": number } });
            let body = Bytes::from(body.to_string());
            loop {
                match connection.post("/v1/jobs", &format!("job-{number}"), body.clone()).await {
                    Ok(answer) if answer.status == 202 => break,
                    Ok(answer) => assert!([429, 503].contains(&answer.status.as_u16()), "{}", answer.status),
                    // With the same key: nobody took it, or nobody knows.
                    Err(_) => {}
                }
                sleep(PAUSE).await;
            }
            self.accepted.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// Takes and does jobs until all are done.
    async fn work(&self, name: usize) {
        let mut connection = self.connection();
        let mut takes = 0;
        while !self.end.load(Ordering::Relaxed) {
            let body =
                json!({ "kinds": ["count"], "max": TAKES, "waitSeconds": 1, "worker": name.to_string() });
            let claimed = connection.post("/v1/jobs/claim", "", Bytes::from(body.to_string())).await;
            let claimed = claimed.ok().filter(|answer| answer.status == 200);
            let Some(claimed) = claimed else {
                sleep(PAUSE).await;
                continue;
            };
            let claimed: Value = serde_json::from_slice(&claimed.body).unwrap();
            let jobs = claimed["data"].as_array().unwrap();
            takes += 1;
            if takes % DIES == 0 {
                self.abandoned.fetch_add(jobs.len() as u64, Ordering::Relaxed);
                continue;
            }
            for job in jobs {
                let number = job["payload"]["number"].as_u64().unwrap();
                self.runs().entry(number).or_default().0 += 1;
                if self.ack(&mut connection, job).await {
                    self.runs().entry(number).or_default().1 = true;
                }
            }
        }
    }

    /// Says that a job is done until there is an answer; whether it was heard.
    async fn ack(&self, connection: &mut Connection, job: &Value) -> bool {
        let path = format!("/v1/jobs/{}/ack", job["id"].as_str().unwrap());
        let body = Bytes::from(json!({ "lease": job["lease"] }).to_string());
        loop {
            match connection.post(&path, "", body.clone()).await {
                Ok(answer) if answer.status == 204 => return true,
                Ok(answer) if answer.status == 409 => return false,
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Jobs that nobody has done yet; once the senders are done: until then one may be done before it
    /// is counted as accepted.
    fn left(&self) -> u64 {
        let done = self.runs().values().filter(|(_, acked)| *acked).count() as u64;
        self.accepted.load(Ordering::Relaxed) - done
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_survive_kill_nine_of_the_server_and_of_their_workers() {
    let mut random = random();
    let kills = rounds(6);
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), SETTINGS);
    let listen = server.ready().await;
    let yard = Arc::new(Yard {
        listen,
        token: token(directory.path()).await,
        next: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
        abandoned: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        end: AtomicBool::new(false),
        runs: Mutex::default(),
    });
    let (mut senders, mut workers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..SENDERS {
        let yard = Arc::clone(&yard);
        senders.spawn(async move { yard.send().await });
    }
    for name in 0..WORKERS {
        let yard = Arc::clone(&yard);
        workers.spawn(async move { yard.work(name).await });
    }
    for kill in 0..kills {
        if kill > 0 && random.u32(..4) > 0 {
            server.ready().await;
        }
        sleep(Duration::from_millis(random.u64(50..1_500))).await;
        assert!(server.kill().await, "the server ended by itself before kill {kill}:\n{}", server.log());
        // Each is followed by one of its own making, at each boundary in turn.
        let when = ["before", "between", "after"][(kill % 3) as usize];
        let fault = format!("jobs.{when}:{}=kill", random.u64(1..=COMMITS));
        server = Server::start_with_fault(directory.path(), listen, SETTINGS, &fault);
        let status = server.ended().await;
        assert_eq!(status.signal(), Some(SIGKILL), "{fault}: {status}\n{}", server.log());
        server = Server::start(directory.path(), listen, SETTINGS);
    }
    let kills = 2 * kills;
    server.ready().await;
    yard.stop.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    let (mut left, mut progress) = (yard.left(), Instant::now());
    while left > 0 && progress.elapsed() < STALL {
        sleep(Duration::from_millis(100)).await;
        if yard.left() < left {
            (left, progress) = (yard.left(), Instant::now());
        }
    }
    yard.end.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let accepted = yard.accepted.load(Ordering::Relaxed);
    let abandoned = yard.abandoned.load(Ordering::Relaxed);
    let again: u64 = yard.runs().values().map(|(runs, _)| runs - 1).sum();
    println!(
        "crash test of jobs: {kills} kills, {accepted} accepted, {left} lost, {again} run again, \
         {abandoned} left by workers that died"
    );
    assert_eq!(left, 0, "lost\n{}", server.log());
    assert_eq!(yard.runs().len() as u64, accepted, "a job is accepted once");
    // What was in the hands of workers when the server was killed, at the most.
    let in_flight = kills * WORKERS as u64 * TAKES;
    assert!(again <= in_flight, "{again} runs too many, in flight were at most {in_flight}");
    assert!(accepted > 50, "only {accepted} jobs: the load was not there to be interrupted");
    assert!(server.runs(), "the server ended by itself:\n{}", server.log());
}
