//! The two sides: a process each, and a fleet each.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::client::{Connection, Error};
use crate::naive::{self, Endpoint};
use crate::receiver::{Behaviour, EndpointPlan, Plan, machine_micros};
use crate::stage::setup::{self, Made, Wanted};
use crate::stage::{Fleet, Ports, Running, Stage, limit_memory};

/// The ports of a fleet, over a few addresses.
pub(super) const PORTS: Ports = Ports { open: 64, closed: 0, addresses: 8 };
/// The deadline of handing in one event.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What the receivers share; a secret that is worth something is random.
const SECRET: &str = "whsec_cGxpbXNvbGwtc3RvcnktZW5kcG9pbnQtMDAwMDAx";

/// What became of an event that was handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Handed {
    /// It is promised.
    Accepted,
    /// It is not, and may be handed in again.
    Refused,
    /// Nobody is there.
    Gone,
}

/// Where events of a side are handed in, each at its time, whatever became of the one before: that the
/// dispatcher is busy is no reason for its customer to send less.
pub(super) struct Door {
    connection: Connection,
    path: String,
    // What is written around the payload.
    around: [&'static str; 2],
}

impl Door {
    /// Hands in one event.
    pub(super) async fn hand_in(&mut self, key: &str, payload: &str) -> Handed {
        let [before, after] = self.around;
        let body = Bytes::from([before, payload, after].concat());
        match self.connection.post(&self.path, key, body).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => Handed::Accepted,
            Ok(_) | Err(Error::TimedOut) => Handed::Refused,
            Err(Error::Refused(_) | Error::Unknown(_)) => Handed::Gone,
        }
    }
}

/// The dispatcher without a bound.
pub(super) struct Naive {
    /// Its process.
    pub(super) running: Running,
    /// Its receivers.
    pub(super) fleet: Fleet,
}

impl Naive {
    /// Starts it with so much memory, and tells it its endpoints.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn start(plan: &Plan, memory: u64) -> Result<(Self, Door), String> {
        let mut fleet = Fleet::start(PORTS).await?;
        fleet.plan(plan).await?;
        let mut running = Running::start("dispatcher without a bound", &["naive".to_owned()]).await?;
        let ready: naive::Ready = running.wait_for(|line| serde_json::from_str(line).ok()).await?;
        limit_memory(running.id(), memory)?;
        let mut connection = Connection::new(ready.listen, TIMEOUT);
        let endpoint = |number: usize| Endpoint {
            address: address(&fleet, number),
            path: format!("/e/{number}"),
            secret: SECRET.to_owned(),
        };
        let endpoints: Vec<_> = (0..plan.endpoints.len()).map(endpoint).collect();
        let body = serde_json::to_vec(&endpoints).map_err(|error| error.to_string())?;
        let answer = connection.put("/endpoints", body.into()).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("the dispatcher without a bound refuses its endpoints: {}", answer.status));
        }
        let door = Door { connection, path: "/event".to_owned(), around: [""; 2] };
        Ok((Self { running, fleet }, door))
    }
}

/// What is on the server.
pub(super) struct Ours {
    /// What was made on it.
    pub(super) made: Made,
    /// Its token.
    pub(super) token: String,
}

impl Ours {
    /// Makes the tenant and its endpoints through the API, and gives the server so much memory.
    ///
    /// # Errors
    /// It does not take them.
    pub(super) async fn start(stage: &mut Stage, plan: &Plan, memory: u64) -> Result<(Self, Door), String> {
        stage.fleet.plan(plan).await?;
        limit_memory(stage.server.id(), memory)?;
        let token = stage.server.token().await?;
        let wanted = |number: usize| Wanted {
            tenant: 0,
            url: format!("http://{}/e/{number}", address(&stage.fleet, number)),
            secret: SECRET.to_owned(),
            description: "story".to_owned(),
            throttle_rate: None,
        };
        let wanted: Vec<_> = (0..plan.endpoints.len()).map(wanted).collect();
        let made = setup::make(stage.server.listen, &token, "story", 1, &wanted).await?;
        let path = format!("/api/v1/app/{}/msg", made.apps[0]);
        let connection = Connection::new(stage.server.listen, TIMEOUT).with_token(&token);
        let around = [r#"{"eventType":"demo.event","payload":"#, "}"];
        Ok((Self { made, token }, Door { connection, path, around }))
    }
}

/// The fleet of either side: one customer's endpoints, all of them well.
pub(super) fn plan(endpoints: usize, events: usize) -> Plan {
    let endpoint = EndpointPlan {
        tenant: 0,
        secret: SECRET.to_owned(),
        behaviour: Behaviour::Healthy,
        timed: false,
        traced: false,
    };
    Plan {
        run: 0,
        tenants: 1,
        events,
        endpoints: vec![endpoint; endpoints],
        verify_every: 1,
        started_at: machine_micros(),
        slice_micros: 1_000_000,
    }
}

/// The payload of an event, of so many bytes or a few more.
pub(super) fn payload(event: usize, bytes: usize) -> String {
    let sent_at = machine_micros();
    json!({ "tenant": 0, "event": event, "sent_at": sent_at, "text": "x".repeat(bytes) }).to_string()
}

fn address(fleet: &Fleet, number: usize) -> SocketAddr {
    fleet.ready.open[number % fleet.ready.open.len()]
}
