//! The receivers' side: the fleet's process and its control port.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::child::Running;
use crate::client::Connection;
use crate::receiver::{Bits, Compared, Latency, Plan, Ready, Stats};

/// It is on this machine and does next to nothing for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many ports a fleet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ports {
    /// That take deliveries.
    pub(crate) open: usize,
    /// That refuse connections.
    pub(crate) closed: usize,
    /// Over how many loopback addresses those that take deliveries are spread.
    pub(crate) addresses: usize,
}

/// The running fleet.
pub(crate) struct Fleet {
    running: Running,
    control: Connection,
    /// Where it listens.
    pub(crate) ready: Ready,
}

impl Fleet {
    /// Starts it.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn start(ports: Ports) -> Result<Self, String> {
        let mut arguments = vec!["receiver".to_owned()];
        for (flag, number) in
            [("--ports", ports.open), ("--closed-ports", ports.closed), ("--addresses", ports.addresses)]
        {
            arguments.extend([flag.to_owned(), number.to_string()]);
        }
        let mut running = Running::start("receiver fleet", &arguments).await?;
        let ready: Ready = running.wait_for(|line| serde_json::from_str(line).ok()).await?;
        let control = Connection::new(ready.control, TIMEOUT);
        Ok(Self { running, control, ready })
    }

    /// Tells it what it is to be.
    ///
    /// # Errors
    /// It refuses the plan.
    pub(crate) async fn plan(&mut self, plan: &Plan) -> Result<(), String> {
        let body = serde_json::to_vec(plan).map_err(|error| error.to_string())?;
        let answer = self.control.put("/plan", body.into()).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(format!("the fleet refuses its plan: {}", String::from_utf8_lossy(&answer.body)))
    }

    /// Its counters.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn stats(&mut self) -> Result<Stats, String> {
        self.get("/stats").await
    }

    /// Latencies of healthy endpoints, those of events sent in `from..=to` apart.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn latency(&mut self, from: u64, to: u64) -> Result<Latency, String> {
        self.get(&format!("/latency?from={from}&to={to}")).await
    }

    /// The events that arrived at an endpoint.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn arrived(&mut self, endpoint: usize, events: usize) -> Result<Bits, String> {
        let body = self.bytes(&format!("/arrived?endpoint={endpoint}")).await?;
        Bits::from_bytes(events, &body).ok_or_else(|| "the fleet's books are not readable".to_owned())
    }

    /// When each delivery arrived at an endpoint that is traced.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn trace(&mut self, endpoint: usize) -> Result<Vec<u64>, String> {
        self.get(&format!("/trace?endpoint={endpoint}")).await
    }

    /// The first delivery of this plan as it came, head and body.
    ///
    /// # Errors
    /// It has ended, or nothing came.
    pub(crate) async fn first(&mut self) -> Result<Bytes, String> {
        self.bytes("/first").await
    }

    /// What of these accepted events of a tenant arrived at its endpoints.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn compare(&mut self, tenant: usize, accepted: &Bits) -> Result<Compared, String> {
        let path = format!("/accepted?tenant={tenant}");
        let answer = self.control.put(&path, accepted.to_bytes().into()).await;
        let answer = answer.map_err(|error| format!("the fleet does not answer {path}: {error}"))?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| format!("the fleet's answer: {}", String::from_utf8_lossy(&answer.body)))
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.running.kill().await;
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, String> {
        let body = self.bytes(path).await?;
        serde_json::from_slice(&body).map_err(|error| format!("the fleet's answer to {path}: {error}"))
    }

    async fn bytes(&mut self, path: &str) -> Result<Bytes, String> {
        match self.control.get(path).await {
            Ok(answer) if answer.status.is_success() => Ok(answer.body),
            Ok(answer) => Err(format!("the fleet answers {path} with {}", answer.status)),
            Err(error) => {
                self.running.check().await?;
                Err(format!("the fleet does not answer {path}: {error}"))
            }
        }
    }
}
