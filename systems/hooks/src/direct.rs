//! The client of deliveries by itself, with no server around it: what a benchmark measures the server
//! against.

use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use crate::deliver::{self, AddressPolicy, Client, Prepared};

/// As the setting `hooks.attempt_timeout_ms` ships.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Posts one signed delivery, over and over, as the server would.
pub struct Direct {
    client: Client,
    to: Prepared,
    body: Bytes,
}

impl Direct {
    /// For a delivery to `url` with these headers, the signature among them, on at most `sockets`
    /// connections. Private addresses are those that it may go to: it is for receivers on this machine.
    ///
    /// # Errors
    /// The URL is none that can be delivered to.
    pub fn new<'a>(
        url: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: Bytes,
        sockets: usize,
    ) -> Result<Self, String> {
        let settings = deliver::Settings {
            attempt_timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            response_bytes_max: 1_024,
            idle_longest: TIMEOUT,
            sockets_max: sockets as u64,
        };
        let loopback = vec![IpNet::from(std::net::IpAddr::from([127, 0, 0, 1]))];
        let tls = deliver::connector(None).map_err(|error| error.to_string())?;
        Ok(Self {
            client: Client::new(settings, AddressPolicy::new(loopback), tls)
                .map_err(|error| error.to_string())?,
            to: Prepared::of(url, headers).ok_or_else(|| format!("{url} cannot be delivered to"))?,
            body,
        })
    }

    /// Posts it once; returns the status of the answer.
    ///
    /// # Errors
    /// There was no answer.
    ///
    /// # Cancel safety
    /// Dropped midway, the delivery may or may not have arrived, and its connection is closed.
    pub async fn post(&self) -> Result<u16, String> {
        let answer = self.client.post(&self.to, |_| {}, self.body.clone()).await;
        answer.map(|answer| answer.status).map_err(|failure| failure.to_string())
    }
}
