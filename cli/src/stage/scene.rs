//! What is set up and must be taken down again, however it ends.

use tempfile::TempDir;

use super::fleet::{Fleet, Ports};
use super::server::Server;

/// The processes and the data directory. Fields are dropped in order: the processes are killed
/// before the directory goes.
pub(crate) struct Stage {
    /// The server.
    pub(crate) server: Server,
    /// The receivers.
    pub(crate) fleet: Fleet,
    data: TempDir,
}

/// A server and its data directory, for what nobody receives; dropped as a [`Stage`] is.
pub(crate) struct Bare {
    /// The server.
    pub(crate) server: Server,
    data: TempDir,
}

impl Stage {
    /// Starts the fleet, and the server with these settings on a fresh data directory.
    ///
    /// # Errors
    /// One of them does not start.
    pub(crate) async fn set_up(ports: Ports, settings: &[String]) -> Result<Self, String> {
        let fleet = Fleet::start(ports).await?;
        let Bare { server, data } = Bare::set_up(settings).await?;
        Ok(Self { server, fleet, data })
    }

    /// Kills what still runs and removes the data. Dropping does so too, but cannot wait for the
    /// processes, and a server that still writes may leave something behind.
    pub(crate) async fn take_down(mut self) {
        self.fleet.kill().await;
        Bare { server: self.server, data: self.data }.take_down().await;
    }
}

impl Bare {
    /// Starts the server with these settings on a fresh data directory.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn set_up(settings: &[String]) -> Result<Self, String> {
        let data = tempfile::Builder::new().prefix("plimsoll-stage-").tempdir();
        let data = data.map_err(|error| format!("no temporary directory: {error}"))?;
        let server = Server::start(data.path(), settings).await?;
        Ok(Self { server, data })
    }

    /// As of [`Stage`].
    pub(crate) async fn take_down(mut self) {
        self.server.kill().await;
        let path = self.data.path().to_owned();
        if let Err(error) = self.data.close() {
            eprintln!("plimsoll: {} could not be removed: {error}", path.display());
        }
    }
}
