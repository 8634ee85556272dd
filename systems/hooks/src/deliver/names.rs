//! How names become addresses.

use std::io;
use std::net::SocketAddr;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// Whom to ask; whatever the answer, each address is checked before it is connected to.
pub(crate) enum Names {
    /// The machine's resolver.
    System,
    /// A test that plays one.
    #[cfg(test)]
    Played(Box<Play>),
}

/// Answers for a host and a port, as a resolver would.
#[cfg(test)]
pub(crate) type Play = dyn Fn(&str, u16) -> Vec<SocketAddr> + Send + Sync;

impl Names {
    pub(crate) async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => {
                tokio::net::lookup_host((host, port)).await.map(|found| found.take(ADDRESSES_MAX).collect())
            }
            #[cfg(test)]
            Self::Played(play) => Ok(play(host, port)),
        }
    }
}
