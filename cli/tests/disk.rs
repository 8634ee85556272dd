//! A disk that is nearly full takes nothing new, a full one loses nothing, and both go on by
//! themselves: on a small file system of its own, which takes the right to mount one.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use harness::client::{Connection, Error};
use harness::{Delivery, Receivers, Reply, SECRET, Server, make, token};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(40);
const FILLER_MIB: usize = 12;

/// A file system of a few MiB where a server has its data; it goes when this is dropped.
struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// `None`, and why, where nothing can be mounted.
    fn mount(mib: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "plimsoll-test"])
            .arg(&data)
            .output();
        match mounted {
            Ok(output) if output.status.success() => {
                let disk = Self { directory };
                std::fs::write(disk.filler(), vec![1_u8; FILLER_MIB << 20]).unwrap();
                Some(disk)
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("skipped: a small file system cannot be mounted here: {}", why.trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: a small file system cannot be mounted here: mount: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Takes up room from the beginning.
    fn filler(&self) -> PathBuf {
        self.data().join("filler")
    }

    /// Somebody makes room.
    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn free_bytes(&self) -> u64 {
        let found = rustix::fs::statvfs(self.data()).unwrap();
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.data()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is mounted still", self.data().display());
        }
    }
}

/// What the server said.
struct Said {
    status: u16,
    body: Value,
    retry_after: Option<Duration>,
}

impl Said {
    /// The detail of a 503 that says when to come back.
    fn is_503(&self, code: &str) -> &str {
        let Self { status, body, retry_after } = self;
        assert_eq!((*status, &body["code"]), (503, &json!(code)), "{body}");
        assert!(retry_after.is_some(), "{body}");
        body["detail"].as_str().unwrap()
    }
}

/// Sends events of 100 KB to an application with one endpoint.
struct Sender {
    connection: Connection,
    app: String,
    endpoint: String,
    events: u64,
    accepted: u64,
}

impl Sender {
    async fn set_up(disk: &SmallDisk, server: &mut Server, receivers: &Receivers) -> Self {
        let listen = server.ready().await;
        let mut connection = Connection::new(listen, TIMEOUT).with_token(&token(disk.path()).await);
        let app = make(&mut connection, "/api/v1/app", &json!({ "name": "Tenant" })).await;
        let endpoint = json!({ "url": receivers.url(0), "secret": SECRET });
        let endpoint = make(&mut connection, &format!("/api/v1/app/{app}/endpoint"), &endpoint).await;
        Self { connection, app, endpoint, events: 0, accepted: 0 }
    }

    async fn post(&mut self, path: &str, key: &str, body: &Value) -> Result<Said, Error> {
        let answer = self.connection.post(path, key, Bytes::from(body.to_string())).await?;
        let body = serde_json::from_slice(&answer.body).unwrap();
        Ok(Said { status: answer.status.as_u16(), body, retry_after: answer.retry_after })
    }

    async fn send(&mut self) -> Said {
        let event = self.events;
        self.events += 1;
        let payload = json!({ "event": event, "content": "x".repeat(100_000) });
        let path = format!("/api/v1/app/{}/msg", self.app);
        let body = json!({ "eventType": "disk.test", "payload": payload });
        let said = self.post(&path, &format!("event-{event}"), &body).await.unwrap();
        self.accepted += u64::from(said.status == 202);
        said
    }

    /// Until something else than 202 comes back.
    async fn send_until_refused(&mut self) -> Said {
        loop {
            assert!(self.events < 10_000, "the disk is never full");
            let said = self.send().await;
            if said.status != 202 {
                return said;
            }
        }
    }

    async fn send_until_accepted(&mut self) {
        let begun = Instant::now();
        while self.send().await.status != 202 {
            assert!(begun.elapsed() < PATIENCE, "it does not recover");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Until as many deliveries are recorded as messages were accepted.
    async fn until_recorded(&mut self, server: &Server) {
        let path = format!("/api/v1/app/{}/endpoint/{}/stats", self.app, self.endpoint);
        let begun = Instant::now();
        loop {
            let answer = self.connection.get(&path).await.unwrap();
            let stats: Value = serde_json::from_slice(&answer.body).unwrap();
            if stats["success"] == self.accepted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "of {}: {stats}\n{}", self.accepted, server.log());
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_nothing_new_and_delivers_what_it_took() {
    const KEPT: u64 = 10 << 20;
    let Some(disk) = SmallDisk::mount(40) else { return };
    let receivers = Receivers::start(|_: Delivery| Reply { delay: Duration::ZERO, status: 200 }).await;
    let setting = format!("store.disk_free_bytes_min={KEPT}");
    let mut server = Server::start(disk.path(), "127.0.0.1:0".parse().unwrap(), &["log=warn", &setting]);
    let mut sender = Sender::set_up(&disk, &mut server, &receivers).await;

    let refused = sender.send_until_refused().await;
    let detail = refused.is_503("storage_low");
    assert!(detail.starts_with("store.disk_free_bytes_min: "), "{detail}");
    // What came since the last look, and the log of what was delivered meanwhile.
    assert!(disk.free_bytes() > 0, "nothing is left for what was accepted");
    sender.until_recorded(&server).await;
    let another = sender.post("/api/v1/app", "another", &json!({ "name": "Another" })).await.unwrap();
    another.is_503("storage_low");

    disk.make_room();
    sender.send_until_accepted().await;
    sender.until_recorded(&server).await;
    let books = receivers.books();
    assert_eq!((books.delivered() as u64, books.duplicates), (sender.accepted, 0));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(32) else { return };
    let receivers =
        Receivers::start(|_: Delivery| Reply { delay: Duration::from_millis(20), status: 200 }).await;
    let settings = ["log=warn", "store.disk_free_bytes_min=0"];
    let mut server = Server::start(disk.path(), "127.0.0.1:0".parse().unwrap(), &settings);
    let mut sender = Sender::set_up(&disk, &mut server, &receivers).await;

    sender.send_until_refused().await.is_503("storage_full");
    // Now nothing can be written at all, not even what is delivered meanwhile.
    let rest = vec![1_u8; usize::try_from(disk.free_bytes()).unwrap()];
    std::fs::write(disk.data().join("rest"), rest).unwrap();
    sender.send().await.is_503("storage_full");
    sleep(Duration::from_secs(1)).await;
    sender.send().await.is_503("storage_full");
    assert!(server.runs(), "it ended:\n{}", server.log());

    disk.make_room();
    sender.send_until_accepted().await;
    sender.until_recorded(&server).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    let books = receivers.books();
    assert_eq!((books.delivered() as u64, books.duplicates), (sender.accepted, 0));
}
