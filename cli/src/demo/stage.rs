//! What the demo sets up and must take down again, however it ends.

use tempfile::TempDir;

use super::fleet::Fleet;
use super::server::Server;

/// The processes and the data directory. Fields are dropped in order: the processes are killed
/// before the directory goes.
pub(super) struct Stage {
    /// The server under demonstration.
    pub(super) server: Server,
    /// The receivers.
    pub(super) fleet: Fleet,
    data: TempDir,
}

impl Stage {
    /// Starts the fleet and the server on a fresh data directory.
    ///
    /// # Errors
    /// One of them does not start.
    pub(super) async fn set_up(ports: (usize, usize)) -> Result<Self, String> {
        let data = tempfile::Builder::new().prefix("plimsoll-demo-").tempdir();
        let data = data.map_err(|error| format!("no temporary directory: {error}"))?;
        let fleet = Fleet::start(ports.0, ports.1).await?;
        let server = Server::start(data.path()).await?;
        Ok(Self { server, fleet, data })
    }

    /// Kills what still runs and removes the data. Dropping does so too, but cannot wait for the
    /// processes, and a server that still writes may leave something behind.
    pub(super) async fn take_down(mut self) {
        self.fleet.kill().await;
        self.server.kill().await;
        let path = self.data.path().to_owned();
        if let Err(error) = self.data.close() {
            eprintln!("plimsoll demo: {} could not be removed: {error}", path.display());
        }
    }
}
