//! A server, and somebody who may use it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, token};
use crate::wire::{Answer, Wire};

/// A server with one application, `acme`, that has no endpoints.
pub(crate) struct Site {
    server: Server,
    directory: TempDir,
    pub(crate) listen: SocketAddr,
    admin: SocketAddr,
    pub(crate) token: String,
}

fn serve(directory: &TempDir, settings: &[&str]) -> Server {
    let settings: Vec<_> = ["log=warn"].iter().chain(settings).copied().collect();
    Server::start(directory.path(), "127.0.0.1:0".parse().unwrap(), &settings)
}

impl Site {
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = serve(&directory, settings);
        let (listen, admin) = server.ready_with_admin().await;
        let token = token(directory.path()).await;
        let site = Self { server, directory, listen, admin, token };
        let app = json!({ "name": "Acme", "uid": "acme" });
        assert_eq!(site.post("/api/v1/app", &app).await.status, 201);
        site
    }

    /// Ends it, and starts it on the same data with other settings.
    pub(crate) async fn restart(&mut self, settings: &[&str]) {
        assert!(self.server.kill().await, "it had ended:\n{}", self.server.log());
        self.server = serve(&self.directory, settings);
        (self.listen, self.admin) = self.server.ready_with_admin().await;
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A request as text, with its token; `headers` end with CR LF each.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let (token, length) = (&self.token, body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    /// The same with a body in chunks, as it is.
    pub(crate) fn chunked(&self, path: &str, chunks: &str) -> String {
        let token = &self.token;
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}"
        )
    }

    /// The answer to these bytes on a connection of their own; `None` where it ends without one.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> Option<Answer> {
        let mut wire = Wire::connect(self.listen).await;
        wire.send(bytes.as_ref()).await;
        wire.answer().await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.say(self.request(method, path, "", body)).await.expect("it answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Opens connections that say this and read nothing, until somebody beside them is refused.
    pub(crate) async fn until_refused(&self, bytes: &[u8], path: &str) -> (Vec<Wire>, Answer) {
        let mut wires = Vec::new();
        loop {
            assert!(wires.len() < 64, "nobody is ever refused");
            let mut wire = Wire::connect(self.listen).await;
            wire.send(bytes).await;
            wires.push(wire);
            let answer = self.get(path).await;
            if answer.status >= 300 {
                return (wires, answer);
            }
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &body.to_string()).await
    }

    /// It runs, no handler panicked, and a message of somebody who behaves is accepted.
    pub(crate) async fn is_well(&mut self) {
        let message = json!({ "eventType": "fine", "payload": { "fine": true } });
        let answer = self.post("/api/v1/app/acme/msg", &message).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let mut wire = Wire::connect(self.admin).await;
        wire.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let page = wire.answer().await.unwrap().text;
        let panics = page.lines().find(|line| line.starts_with("plimsoll_http_panics_total "));
        assert_eq!(panics, Some("plimsoll_http_panics_total 0"), "{}", self.server.log());
        assert!(self.server.runs(), "it ended:\n{}", self.server.log());
    }

    /// Bytes of memory that it has; `None` where the system does not say.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(self.server.id().to_string()).join("status"));
        let status = status.ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
    }
}
