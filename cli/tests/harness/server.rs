//! `plimsoll serve` as a child process.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::client::Connection;

/// A debug build on a busy machine starts slowly.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server; killed when it is dropped.
pub(crate) struct Server {
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Server {
    /// Starts it on the data in `directory`; its log goes to a file beside the data, one for all lives.
    pub(crate) fn start(directory: &Path, listen: SocketAddr, settings: &[&str]) -> Self {
        Self::start_with_fault(directory, listen, settings, "")
    }

    /// Starts it with faults on purpose, as `PLIMSOLL_FAULT` has them.
    pub(crate) fn start_with_fault(
        directory: &Path,
        listen: SocketAddr,
        settings: &[&str],
        fault: &str,
    ) -> Self {
        let log = directory.join("log");
        let file = File::options().create(true).append(true).open(&log).expect("the log can be written");
        let mut command = plimsoll();
        command.arg("serve").arg("--data").arg(directory.join("data"));
        command.args(["--listen", &listen.to_string(), "--admin", "127.0.0.1:0"]);
        command.args(["--allow-private", "127.0.0.0/8"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut process = command
            .env("PLIMSOLL_FAULT", fault)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let stdout = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { process, stdout, log }
    }

    /// Waits until it listens, and returns where.
    pub(crate) async fn ready(&mut self) -> SocketAddr {
        self.ready_with_admin().await.0
    }

    /// Waits until it listens, and returns where the API does and where the operator's listener does.
    pub(crate) async fn ready_with_admin(&mut self) -> (SocketAddr, SocketAddr) {
        let listening = async {
            while let Ok(Some(line)) = self.stdout.next_line().await {
                let json: Value = serde_json::from_str(&line).unwrap_or_default();
                let at = |name: &str| json[name].as_str()?.parse().ok();
                if let (Some(listen), Some(admin)) = (at("listen"), at("admin")) {
                    return Some((listen, admin));
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, listening).await {
            Ok(Some(listening)) => listening,
            _ => panic!("the server does not start; its log:\n{}", self.log()),
        }
    }

    /// What it logged so far, in all of its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`; false where it had ended by itself.
    pub(crate) async fn kill(&mut self) -> bool {
        let lived = self.process.try_wait().is_ok_and(|status| status.is_none());
        // It fails only where there is nothing left to kill.
        let _ = self.process.kill().await;
        lived
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let id = id.expect("it still runs");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is our child");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it still runs")
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended.expect("it ends in time").expect("it is our child")
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_none())
    }
}

/// The binary, without what the environment would set.
fn plimsoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("PLIMSOLL_") {
            command.env_remove(key);
        }
    }
    command
}

/// A token for the API of the server on this data.
pub(crate) async fn token(directory: &Path) -> String {
    let output = plimsoll().arg("token").arg("--data").arg(directory.join("data")).output().await;
    let output = output.expect("the binary can be started");
    assert!(output.status.success(), "plimsoll token: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a token is text");
    text.lines().last().expect("the last line is the token").trim().to_owned()
}

/// Makes something through the API and returns its id.
pub(crate) async fn make(connection: &mut Connection, path: &str, body: &Value) -> String {
    let key = format!("make-{:016x}", fastrand::u64(..));
    let answer = connection.post(path, &key, Bytes::from(body.to_string())).await.expect("the API answers");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(answer.status.is_success(), "{path}: {} {text}", answer.status);
    let json: Value = serde_json::from_str(&text).expect("the API answers with JSON");
    json["id"].as_str().unwrap_or_default().to_owned()
}
