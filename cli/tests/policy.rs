//! Policy of a running server: pushed, kept over a restart, read again from its file, refused whole.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and an operator who may do everything.
struct Server {
    process: Child,
    api: String,
    admin: String,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
    text: String,
}

fn serve(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    // Nothing of what the environment would set.
    command.env_clear();
    command.arg("serve").arg("--data").arg(directory.join("data"));
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--allow-private", "127.0.0.0/8"]);
    command.arg("--config").arg(directory.join("plimsoll.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

impl Server {
    async fn start(directory: &Path) -> Self {
        Self::ready(serve(directory).spawn().unwrap(), directory).await
    }

    async fn ready(mut process: Child, directory: &Path) -> Self {
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        let token = std::fs::read_to_string(directory.join("data/admin.token")).unwrap();
        let [api, admin] = ["listen", "admin"].map(|name| line[name].as_str().unwrap().to_owned());
        Self { process, api, admin, token: token.trim().into() }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        Self::ask_at(&self.admin, method, path, headers, body).await
    }

    async fn ask_at(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.into(),
            body: serde_json::from_str(body).unwrap_or_default(),
            text: body.into(),
        }
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

    /// How often the policy file was read again and took effect: the last thing that SIGHUP does.
    async fn reloads(&self) -> u64 {
        let page = self.ask("GET", "/metrics", "", "").await.text;
        let line = page.lines().find_map(|line| line.strip_prefix("plimsoll_policy_reloads_total "));
        line.unwrap().parse().unwrap()
    }

    /// Something of the public interface, by somebody with `token`.
    async fn call(&self, token: &str, path: &str, body: &Value) -> u16 {
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        Self::ask_at(&self.api, "POST", &format!("/api/v1/{path}"), &headers, &body.to_string()).await.status
    }

    fn hang_up(&self) {
        hang_up(&self.process);
    }
}

fn hang_up(process: &Child) {
    let id = rustix::process::Pid::from_raw(process.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
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
    let before = server.reloads().await;
    write(directory, "plimsoll.toml", &settings(64));
    server.hang_up();
    let wait = async {
        while server.reloads().await == before {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "SIGHUP is never seen");
    let still = r#"{"endpoint_concurrency": 151}"#;
    assert_eq!(
        server.operate("PUT", "/policy/app/other", "", still).await.status,
        200,
        "the old default stands"
    );
    assert_eq!(server.in_force().await["app"]["wide"]["endpoint_concurrency"], 150);
    write(directory, "plimsoll.toml", &settings(200));

    let mut server = server;
    server.process.kill().await.unwrap();
    let server = Server::start(directory).await;
    let after = server.in_force().await;
    assert_eq!(after["app"]["acme"], json!({"concurrency": 48, "weight": 7}), "after kill -9");
    assert_eq!(after["app"]["wide"]["endpoint_concurrency"], 150);
    assert_eq!(server.operate("DELETE", "/policy/app/wide", "", "").await.status, 200);
    assert_eq!(server.in_force().await["app"]["wide"], Value::Null);
}

#[tokio::test]
async fn a_server_whose_policy_is_refused_ends_before_it_delivers_anything() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let policy = directory.join("policy.toml").display().to_string();
    write(directory, "policy.toml", "");
    write(directory, "plimsoll.toml", &format!("[hooks]\npolicy_file = {policy:?}\n"));
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    let mut server = Server::start(directory).await;
    let mut token = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let token =
        token.env_clear().arg("token").arg("--data").arg(directory.join("data")).output().await.unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let call = async |path, body: Value| server.call(token.trim(), path, &body).await;
    assert_eq!(call("app", json!({"name": "A", "uid": "a"})).await, 201);
    assert_eq!(call("app/a/endpoint", json!({ "url": url })).await, 201);
    assert_eq!(call("app/a/msg", json!({"eventType": "x", "payload": {}})).await, 202);
    // It is under way when the server is killed: the next one makes it again at once.
    let _held = timeout(PATIENCE, receiver.accept()).await.unwrap().unwrap();
    server.process.kill().await.unwrap();
    while timeout(Duration::ZERO, receiver.accept()).await.is_ok() {}

    write(directory, "policy.toml", "[app.a]\nendpoint_concurrency = 65536\n");
    let status = timeout(PATIENCE, serve(directory).spawn().unwrap().wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(timeout(Duration::ZERO, receiver.accept()).await.is_err(), "it delivered");

    write(directory, "policy.toml", "");
    let _server = Server::start(directory).await;
    timeout(PATIENCE, receiver.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_starts_survives_a_hangup() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "plimsoll.toml", "");
    let process = serve(directory.path()).spawn().unwrap();
    // Made after signals are listened to, and before the store is open.
    let token = directory.path().join("data/admin.token");
    let wait = async {
        while !token.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
    hang_up(&process);
    let server = Server::ready(process, directory.path()).await;
    assert_eq!(server.ask("GET", "/ready", "", "").await.status, 200);
}
