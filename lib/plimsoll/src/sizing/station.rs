//! Waiting before several servers: Erlang C.

use std::time::Duration;

use super::input::{duration, positive, refuse, seconds};
use crate::Invalid;

const SERVERS_MAX: u32 = 1_000_000;

/// So many servers behind one queue: how long does work wait before it is served?
///
/// The M/M/c queue of A. K. Erlang (1917). It takes arrivals that know nothing of each other and
/// service times that vary as an exponential's do, served in order of arrival, and nobody who gives
/// up. Service times that vary less make for less waiting (half of it, when they do not vary at all);
/// bursts, retries and slow outliers for more. Take it for the order of magnitude.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::sizing::Station;
/// let station = Station { per_second: 90.0, service: Duration::from_millis(10), servers: 1 };
/// let waiting = station.waiting()?;
/// assert!((waiting.utilisation_ratio - 0.9).abs() < 1e-9);
/// // One server that is 90 % busy: nine service times in the queue.
/// assert!((waiting.mean.as_secs_f64() - 0.090).abs() < 1e-6);
/// // A second server, and the queue is all but gone.
/// assert!(Station { servers: 2, ..station }.waiting()?.mean < Duration::from_millis(3));
/// assert_eq!(station.servers_for(Duration::from_millis(3))?, 2);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Station {
    /// How many arrive a second.
    pub per_second: f64,
    /// How long one is served, on average, without waiting.
    pub service: Duration,
    /// How many are served at once: 1 to 1,000,000.
    pub servers: u32,
}

/// How long work waits before a [`Station`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::sizing::Station;
/// let waiting = Station { per_second: 80.0, service: Duration::from_millis(10), servers: 1 }.waiting()?;
/// assert!((waiting.waits_ratio - 0.8).abs() < 1e-9);
/// assert!((waiting.queue - 3.2).abs() < 1e-6);
/// assert!((waiting.mean.as_secs_f64() - 0.040).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// How busy the servers are, 0 to 1.
    pub utilisation_ratio: f64,
    /// Which share of what arrives has to wait at all.
    pub waits_ratio: f64,
    /// How long work waits on average, those included that do not wait.
    pub mean: Duration,
    /// How many wait on average.
    pub queue: f64,
}

impl Station {
    /// How long work waits.
    ///
    /// # Errors
    /// When a field is out of its range, or the servers are not enough for what arrives: the queue
    /// would grow for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::sizing::Station;
    /// let service = Duration::from_millis(10);
    /// assert!(Station { per_second: 199.0, service, servers: 2 }.waiting().unwrap().mean > 10 * service);
    /// assert!(Station { per_second: 200.0, service, servers: 2 }.waiting().is_err());
    /// ```
    pub fn waiting(self) -> Result<Waiting, Invalid> {
        let (per_second, service) = self.rates()?;
        let offered = per_second * service;
        let servers = f64::from(self.servers);
        if offered >= servers {
            return Err(refuse("servers", self.servers, "more than per_second times service"));
        }
        let blocked = (1..=self.servers).fold(1.0, |blocked, server| next_blocked(offered, server, blocked));
        Ok(waiting(offered, servers, blocked, service, per_second))
    }

    /// The smallest number of servers with which work waits `mean` on average, or less; the field
    /// `servers` says nothing here.
    ///
    /// # Errors
    /// When a field is out of its range, or it would take more than 1,000,000 servers.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::sizing::Station;
    /// let queries = Station { per_second: 400.0, service: Duration::from_millis(10), servers: 1 };
    /// let connections = queries.servers_for(Duration::from_millis(1))?;
    /// assert!(Station { servers: connections, ..queries }.waiting()?.mean <= Duration::from_millis(1));
    /// assert!(Station { servers: connections - 1, ..queries }.waiting()?.mean > Duration::from_millis(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn servers_for(self, mean: Duration) -> Result<u32, Invalid> {
        let (per_second, service) = Self { servers: 1, ..self }.rates()?;
        let offered = per_second * service;
        let mut blocked = 1.0;
        for server in 1..=SERVERS_MAX {
            blocked = next_blocked(offered, server, blocked);
            let servers = f64::from(server);
            if offered < servers && waiting(offered, servers, blocked, service, per_second).mean <= mean {
                return Ok(server);
            }
        }
        Err(refuse("per_second", self.per_second, "what 1,000,000 servers can serve"))
    }

    fn rates(self) -> Result<(f64, f64), Invalid> {
        if !(1..=SERVERS_MAX).contains(&self.servers) {
            return Err(refuse("servers", self.servers, "1 to 1,000,000"));
        }
        Ok((positive("per_second", self.per_second)?, seconds("service", self.service)?))
    }
}

/// Erlang B with one server more: the recursion stays between 0 and 1, where the formula's powers and
/// factorials would overflow.
fn next_blocked(offered: f64, server: u32, blocked: f64) -> f64 {
    offered * blocked / (f64::from(server) + offered * blocked)
}

fn waiting(offered: f64, servers: f64, blocked: f64, service: f64, per_second: f64) -> Waiting {
    let utilisation = offered / servers;
    let waits = blocked / (1.0 - utilisation * (1.0 - blocked));
    let mean = waits * service / (servers - offered);
    Waiting {
        utilisation_ratio: utilisation,
        waits_ratio: waits,
        mean: duration(mean),
        queue: per_second * mean,
    }
}

impl Waiting {
    /// How long the share `quantile` (0 to 1) of what arrives waits at most; no end for all of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::sizing::Station;
    /// let waiting = Station { per_second: 50.0, service: Duration::from_millis(10), servers: 1 }.waiting()?;
    /// assert_eq!(waiting.quantile(0.5), Duration::ZERO); // half of them come to a free server
    /// assert!((waiting.quantile(0.99).as_secs_f64() - 0.0782).abs() < 1e-4);
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    #[must_use]
    pub fn quantile(self, quantile: f64) -> Duration {
        let beyond = 1.0 - quantile.clamp(0.0, 1.0);
        if self.waits_ratio <= beyond || self.waits_ratio == 0.0 {
            return Duration::ZERO;
        }
        // Those who wait do so for an exponential time, of which `mean` is spread over everybody.
        duration(self.mean.as_secs_f64() / self.waits_ratio * (self.waits_ratio / beyond).ln())
    }
}
