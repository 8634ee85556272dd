//! The server: its process, its lives, its memory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll::clock;

use super::child::Running;
use super::usage::Usage;

/// How long it may drain at the end.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How long `plimsoll token` may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The running server.
pub(crate) struct Server {
    running: Running,
    data: PathBuf,
    settings: Vec<String>,
    /// Where its API listens; the same in each of its lives.
    pub(crate) listen: SocketAddr,
    /// Where its operator's pages are; another port in each life.
    pub(crate) admin: SocketAddr,
    /// The most memory that any of its lives had, in bytes.
    pub(crate) rss_peak: u64,
}

impl Server {
    /// Starts it on a data directory; `settings` are `key=value`, what differs from the defaults.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn start(data: &Path, settings: &[String]) -> Result<Self, String> {
        let (running, listen, admin) = live(data, settings, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        Ok(Self { running, data: data.to_owned(), settings: settings.to_vec(), listen, admin, rss_peak: 0 })
    }

    /// A token for its API.
    ///
    /// # Errors
    /// `plimsoll token` does not print one.
    pub(crate) async fn token(&self) -> Result<String, String> {
        let program = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let mut command = tokio::process::Command::new(program);
        command.arg("token").arg("--data").arg(&self.data).kill_on_drop(true);
        let output = tokio::time::timeout(TOKEN_TIMEOUT, command.output()).await;
        let output = output.map_err(|_| "plimsoll token takes too long".to_owned())?;
        let output = output.map_err(|error| format!("plimsoll token: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().last() {
            Some(token) if output.status.success() => Ok(token.trim().to_owned()),
            _ => Err(format!("plimsoll token: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// The token of its operator's pages; `None` where there is none.
    pub(crate) fn admin_token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.data.join("admin.token")).ok()?;
        Some(text.trim().to_owned())
    }

    /// An error if it has ended by itself.
    ///
    /// # Errors
    /// It has, with its last words.
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        self.running.check().await
    }

    /// Its process id; `None` when it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.running.id()
    }

    /// What it has used so far; `None` where the system does not tell, or it has ended.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.id()?)
    }

    /// Notes how much memory it has had.
    pub(crate) async fn measure(&mut self) {
        if let Some(id) = self.running.id() {
            self.rss_peak = self.rss_peak.max(peak_bytes(id).await.unwrap_or(0));
        }
    }

    /// `kill -9`: nothing is flushed, nothing is said. Returns the process id it had.
    pub(crate) async fn kill(&mut self) -> u32 {
        self.measure().await;
        let id = self.running.id().unwrap_or(0);
        self.running.kill().await;
        id
    }

    /// Starts it again after a [`kill`](Self::kill), on the same data and the same port; returns how
    /// long it took until it listened.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn start_again(&mut self) -> Result<Duration, String> {
        let before = clock::now();
        (self.running, self.listen, self.admin) = live(&self.data, &self.settings, self.listen).await?;
        Ok(clock::now() - before)
    }

    /// Ends it as an operator does, with SIGTERM.
    ///
    /// # Errors
    /// It does not end, or ends badly.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        self.measure().await;
        self.running.stop(STOP_PATIENCE).await
    }
}

/// One life of the server.
async fn live(
    data: &Path,
    settings: &[String],
    listen: SocketAddr,
) -> Result<(Running, SocketAddr, SocketAddr), String> {
    let mut arguments = vec!["serve".to_owned(), "--data".to_owned(), data.display().to_string()];
    arguments.extend(["--listen".to_owned(), listen.to_string()]);
    arguments.extend(["--admin", "127.0.0.1:0", "--allow-private", "127.0.0.0/8"].map(str::to_owned));
    for setting in settings {
        arguments.extend(["--set".to_owned(), setting.clone()]);
    }
    let mut running = Running::start("server", &arguments).await?;
    let (listen, admin) = running.wait_for(addresses).await?;
    Ok((running, listen, admin))
}

/// The addresses in the line that says them.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    #[derive(serde::Deserialize)]
    struct Ready {
        listen: SocketAddr,
        admin: SocketAddr,
    }
    let ready: Ready = serde_json::from_str(line).ok()?;
    Some((ready.listen, ready.admin))
}

/// The most memory the process has had; what it has now where the system does not keep the peak.
async fn peak_bytes(id: u32) -> Option<u64> {
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) {
        return peak_of_status(&status);
    }
    let mut command = tokio::process::Command::new("ps");
    command.args(["-o", "rss=", "-p", &id.to_string()]).kill_on_drop(true);
    let output = command.output().await.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().ok()? * 1_024)
}

fn peak_of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_process_table() {
        let status = "Name:\tplimsoll\nVmPeak:\t  999 kB\nVmHWM:\t   38200 kB\nVmRSS:\t  1 kB\n";
        assert_eq!(peak_of_status(status), Some(38_200 * 1_024));
        assert_eq!(peak_of_status("Name:\tplimsoll\n"), None);
    }
}
