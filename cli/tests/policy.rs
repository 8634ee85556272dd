//! Policy of a running server: pushed, kept over a restart, read again from its file, refused whole.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and an operator who may do everything.
struct Server {
    process: Child,
    admin: String,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Server {
    async fn start(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        // Nothing of what the environment would set.
        command.env_clear();
        command.arg("serve").arg("--data").arg(directory.join("data"));
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(directory.join("plimsoll.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        let token = std::fs::read_to_string(directory.join("data/admin.token")).unwrap();
        Self { process, admin: line["admin"].as_str().unwrap().into(), token: token.trim().into() }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.admin).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.into(), body: serde_json::from_str(body).unwrap_or_default() }
    }

    async fn operate(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n{headers}", self.token);
        self.ask(method, path, &headers, body).await
    }

    async fn in_force(&self) -> Value {
        self.operate("GET", "/policy", "", "").await.body["inForce"].clone()
    }

    async fn until_in_force(&self, app: &str, field: &str, value: u64) {
        let wait = async {
            while self.in_force().await["app"][app][field] != value {
                sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{app} {field} is never {value}");
    }

    fn hang_up(&self) {
        let id = rustix::process::Pid::from_raw(self.process.id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    let draft = directory.join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, directory.join(name)).unwrap();
}

#[tokio::test]
async fn policy_is_pushed_kept_read_again_and_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let policy = directory.join("policy.toml");
    let settings = |tenant: u64| {
        format!("[hooks]\npolicy_file = {:?}\ntenant_concurrency = {tenant}\n", policy.display().to_string())
    };
    write(directory, "plimsoll.toml", &settings(64));
    write(directory, "policy.toml", "[app.\"acme\"]\nconcurrency = 32\n");
    let server = Server::start(directory).await;
    assert_eq!(server.ask("GET", "/policy", "", "").await.status, 401);
    assert_eq!(server.ask("GET", "/ready", "", "").await.status, 200);
    assert_eq!(server.in_force().await["app"]["acme"]["concurrency"], 32);

    let pushed = server.operate("PUT", "/policy/app/acme", "if-match: \"0\"\r\n", r#"{"weight": 7}"#).await;
    assert_eq!((pushed.status, &pushed.body["version"]), (200, &json!(1)));
    assert!(pushed.head.contains("etag: \"1\""), "{}", pushed.head);
    let late = server.operate("PUT", "/policy/app/acme", "if-match: \"0\"\r\n", r#"{"weight": 9}"#).await;
    assert_eq!(late.status, 412);
    let unreadable = server.operate("PUT", "/policy/app/a%0Ab", "", r#"{"weight": 2}"#).await;
    assert_eq!(unreadable.status, 422, "no start would read it");
    let whole = server.operate("PUT", "/policy", "", r#"{"app": {}}"#).await;
    assert_eq!(whole.status, 428, "who replaces all must say what");
    let too_much = r#"{"concurrency": 64, "endpoint_concurrency": 65}"#;
    let refused = server.operate("PUT", "/policy/app/acme", "", too_much).await;
    assert_eq!(refused.status, 422);
    let said = refused.body["detail"][0]["msg"].as_str().unwrap();
    assert!(said.contains("endpoint_concurrency is 65") && said.contains("which is 64"), "{said}");
    let expected = json!({"concurrency": 32, "weight": 7});
    assert_eq!(
        server.in_force().await["app"]["acme"],
        expected,
        "field by field, and nothing of the refused"
    );

    // The file changes by itself; a bad one changes nothing.
    write(directory, "policy.toml", "[app.\"acme\"]\nconcurrency = 48\n");
    server.until_in_force("acme", "concurrency", 48).await;
    write(directory, "policy.toml", "[app.\"acme\"]\nconcurrency = 0\n");
    let wait = async {
        while server.operate("GET", "/policy", "", "").await.body["file"]["refused"] != true {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "the refusal is never shown");
    assert_eq!(server.in_force().await["app"]["acme"]["concurrency"], 48);
    write(directory, "policy.toml", "[app.\"acme\"]\nconcurrency = 48\n");

    // The settings change under the policy: a smaller default refuses what stood on the larger one.
    let wide = r#"{"endpoint_concurrency": 60}"#;
    assert_eq!(server.operate("PUT", "/policy/app/wide", "", wide).await.status, 200);
    write(directory, "plimsoll.toml", &settings(200));
    server.hang_up();
    let wider = r#"{"endpoint_concurrency": 150}"#;
    let wait = async {
        while server.operate("PUT", "/policy/app/wide", "", wider).await.status != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "SIGHUP never took effect");

    let mut server = server;
    server.process.kill().await.unwrap();
    let server = Server::start(directory).await;
    let after = server.in_force().await;
    assert_eq!(after["app"]["acme"], json!({"concurrency": 48, "weight": 7}), "after kill -9");
    assert_eq!(after["app"]["wide"]["endpoint_concurrency"], 150);
    assert_eq!(server.operate("DELETE", "/policy/app/wide", "", "").await.status, 200);
    assert_eq!(server.in_force().await["app"]["wide"], Value::Null);
}
