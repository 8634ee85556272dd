//! The house under measurement: a server and a fleet on a fresh data directory, its tenants and
//! endpoints, and runs of events through it, each compared to the last at its end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll::clock;

use super::load::{Load, Numbers, Order, Pace, Refused};
use super::message::{Address, Message};
use crate::receiver::{Behaviour, EndpointPlan, Plan, Stats, Summary, machine_micros};
use crate::stage::setup::{self, Made, Told, Wanted};
use crate::stage::{Ports, Stage, Usage};

/// Between two looks.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Looks at the process table are as many ticks apart.
const USAGE_EVERY: u32 = 10;
/// After sending: how long nothing may arrive.
const STALL: Duration = Duration::from_secs(25);
/// After sending: how long all that is due may take.
const SETTLE: Duration = Duration::from_secs(180);
/// One delivery in this many has its signature verified.
const VERIFY_EVERY: u32 = 64;
/// Latencies are told apart by slices of this width.
const SLICE_MICROS: u64 = 100_000;
/// The ports are spread over so many loopback addresses at the most.
const ADDRESSES_MAX: usize = 200;

/// One endpoint of the house.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Whose it is.
    pub(super) tenant: usize,
    /// How it behaves.
    pub(super) behaviour: Behaviour,
    /// The number of the port it is on; each port is a destination of its own.
    pub(super) port: usize,
    /// Whether its latencies count.
    pub(super) timed: bool,
    /// Whether the time of each arrival is kept.
    pub(super) traced: bool,
    /// How many deliveries a second it takes.
    pub(super) throttle_rate: Option<u32>,
}

impl Spot {
    /// A healthy endpoint whose latencies count.
    pub(super) fn healthy(tenant: usize, port: usize) -> Self {
        let behaviour = Behaviour::Healthy;
        Self { tenant, behaviour, port, timed: true, traced: false, throttle_rate: None }
    }
}

/// What the server held while it was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Held {
    /// Before anything was sent.
    at_rest: Usage,
    /// The most memory that was in use.
    rss_most: u64,
    /// The most open files and sockets that were seen.
    descriptors_most: u64,
}

impl Held {
    /// How much memory came on top of what it had at rest.
    pub(super) fn memory(self) -> u64 {
        self.rss_most.saturating_sub(self.at_rest.rss_bytes)
    }

    /// How many sockets came on top of what it had at rest.
    pub(super) fn sockets(self) -> u64 {
        self.descriptors_most.saturating_sub(self.at_rest.descriptors)
    }

    fn note(&mut self, usage: Usage) {
        self.rss_most = self.rss_most.max(usage.rss_bytes);
        // The system keeps the peak between two looks, but a peak from before the rest is none.
        if usage.rss_peak_bytes > self.at_rest.rss_peak_bytes {
            self.rss_most = self.rss_most.max(usage.rss_peak_bytes);
        }
        self.descriptors_most = self.descriptors_most.max(usage.descriptors);
    }
}

/// The books of one run, closed.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Closed {
    /// Accepted events.
    pub(super) accepted: u64,
    /// Deliveries that were due to endpoints that take them.
    pub(super) due: u64,
    /// Those that nobody has seen.
    pub(super) lost: u64,
    /// Deliveries that were made more than once.
    pub(super) duplicates: u64,
    /// Other faults: bad signatures, strangers, events accepted twice.
    pub(super) faults: u64,
    /// When the last delivery arrived, in [`machine_micros`].
    pub(super) last_at: u64,
    /// The fleet's counters at the end.
    pub(super) stats: Stats,
}

impl Closed {
    /// Adds another run's.
    pub(super) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.due += other.due;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.faults += other.faults;
    }
}

/// The house.
pub(super) struct House {
    stage: Stage,
    token: String,
    made: Made,
    spots: Vec<Spot>,
    secrets: Vec<String>,
    tenants: usize,
    run: u32,
    events_max: usize,
    held: Held,
    ticks: u32,
}

impl House {
    /// How many ports the spots need.
    pub(super) fn ports(spots: &[Spot]) -> Ports {
        let open = spots.iter().map(|spot| spot.port + 1).max().unwrap_or(1);
        Ports { open, closed: 0, addresses: open.min(ADDRESSES_MAX) }
    }

    /// Makes the tenants and endpoints in a stage that is set up with [`ports`](Self::ports).
    ///
    /// # Errors
    /// The server or the fleet does not take them.
    pub(super) async fn furnish(stage: Stage, spots: Vec<Spot>) -> Result<Self, (Stage, String)> {
        let tenants = spots.iter().map(|spot| spot.tenant + 1).max().unwrap_or(1);
        let secrets: Vec<String> = spots.iter().map(|_| secret()).collect();
        let made = async {
            let token = stage.server.token().await?;
            let open = &stage.fleet.ready.open;
            let wanted = |(number, spot): (usize, &Spot)| Wanted {
                tenant: spot.tenant,
                url: format!("http://{}/e/{number}", open[spot.port]),
                secret: secrets[number].clone(),
                description: format!("{:?}", spot.behaviour),
                throttle_rate: spot.throttle_rate,
            };
            let wanted: Vec<Wanted> = spots.iter().enumerate().map(wanted).collect();
            let name = format!("bench-{:08x}", fastrand::u32(..));
            let made = setup::make(stage.server.listen, &token, &name, tenants, &wanted).await?;
            Ok((token, made))
        };
        match made.await {
            Err(why) => Err((stage, why)),
            Ok((token, made)) => {
                let mut house = Self {
                    stage,
                    token,
                    made,
                    spots,
                    secrets,
                    tenants,
                    run: 0,
                    events_max: 1,
                    held: Held::default(),
                    ticks: 0,
                };
                house.held.at_rest = house.usage();
                Ok(house)
            }
        }
    }

    /// Ends the processes and removes the data.
    pub(super) async fn take_down(self) {
        self.stage.take_down().await;
    }

    /// Opens new books, for so many events of each tenant at the most.
    ///
    /// # Errors
    /// More than the fleet can keep books of.
    pub(super) async fn open(&mut self, events_max: usize) -> Result<(), String> {
        self.run += 1;
        self.events_max = events_max;
        let endpoint = |(spot, secret): (&Spot, &String)| EndpointPlan {
            tenant: spot.tenant,
            secret: secret.clone(),
            behaviour: spot.behaviour,
            timed: spot.timed,
            traced: spot.traced,
        };
        let plan = Plan {
            run: self.run,
            tenants: self.tenants,
            events: events_max * self.tenants,
            endpoints: self.spots.iter().zip(&self.secrets).map(endpoint).collect(),
            verify_every: VERIFY_EVERY,
            started_at: machine_micros(),
            slice_micros: SLICE_MICROS,
        };
        self.stage.fleet.plan(&plan).await
    }

    /// Starts to send a tenant's events of this run.
    ///
    /// # Errors
    /// The senders cannot be started.
    pub(super) async fn send(
        &self,
        tenant: usize,
        connections: usize,
        pace: Pace,
        refused: Refused,
    ) -> Result<Load, String> {
        let to = self.stage.server.listen;
        let app = &self.made.apps[tenant];
        let message = Message::new(&Address { to, token: &self.token, app, tenant, run: self.run });
        let order = Order {
            to,
            messages: vec![message],
            // As the receiver knows them: event `k` of tenant `t` is number `k * tenants + t`.
            numbers: Numbers { first: tenant as u64, step: self.tenants as u64 },
            events_max: self.events_max,
            connections,
            pace,
            refused,
            told: None,
        };
        Load::start(order).await
    }

    /// Looks at everything once, a tick later.
    ///
    /// # Errors
    /// The server has ended, or the senders.
    pub(super) async fn tick(&mut self, loads: &[&Load]) -> Result<(), String> {
        tokio::time::sleep(TICK).await;
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(USAGE_EVERY) {
            let usage = self.usage();
            self.held.note(usage);
            self.stage.server.check().await?;
        }
        loads.iter().try_for_each(|load| load.check())
    }

    /// Looks on for that long.
    ///
    /// # Errors
    /// As of [`tick`](Self::tick).
    pub(super) async fn watch(&mut self, span: Duration, loads: &[&Load]) -> Result<(), String> {
        let until = clock::now() + span;
        while clock::now() < until {
            self.tick(loads).await?;
        }
        Ok(())
    }

    /// Waits until all that was accepted has arrived, or no more comes; compares the books.
    ///
    /// # Errors
    /// The server or the fleet has ended.
    pub(super) async fn settle(&mut self, loads: &[&Load]) -> Result<Closed, String> {
        let due: u64 = loads.iter().map(|load| load.sent().accepted * self.alive(tenant_of(load))).sum();
        let began = clock::now();
        let (mut arrived_at, mut arrived) = (began, 0);
        let mut closed = loop {
            let stats = self.stats().await?;
            let now = clock::now();
            if stats.healthy + stats.slow > arrived {
                (arrived_at, arrived) = (now, stats.healthy + stats.slow);
            }
            let late = now - arrived_at > STALL || now - began > SETTLE;
            // The counters are of all tenants: enough of them is no proof for these.
            if arrived >= due || late {
                let closed = self.compare(loads).await?;
                if closed.lost == 0 || late {
                    break closed;
                }
            }
            self.tick(&[]).await?;
        };
        let stats = self.stats().await?;
        closed.duplicates = stats.duplicates;
        closed.faults = stats.bad_signatures + stats.strangers + stats.accepted_twice;
        closed.last_at = stats.last_at;
        closed.stats = stats;
        Ok(closed)
    }

    /// What was accepted beside what has arrived, now.
    async fn compare(&mut self, loads: &[&Load]) -> Result<Closed, String> {
        let mut closed = Closed::default();
        for load in loads {
            let compared = self.stage.fleet.compare(tenant_of(load), &load.accepted()).await?;
            closed.accepted += load.sent().accepted;
            closed.due += compared.due;
            closed.lost += compared.due - compared.delivered;
        }
        Ok(closed)
    }

    /// The fleet's counters.
    ///
    /// # Errors
    /// It has ended.
    pub(super) async fn stats(&mut self) -> Result<Stats, String> {
        self.stage.fleet.stats().await
    }

    /// The latencies of deliveries to the timed endpoints of events sent since then.
    ///
    /// # Errors
    /// The fleet has ended.
    pub(super) async fn latency_since(&mut self, from: u64) -> Result<Summary, String> {
        Ok(self.stage.fleet.latency(from, machine_micros()).await?.inside)
    }

    /// When each delivery arrived at an endpoint that is traced.
    ///
    /// # Errors
    /// The fleet has ended.
    pub(super) async fn trace(&mut self, endpoint: usize) -> Result<Vec<u64>, String> {
        self.stage.fleet.trace(endpoint).await
    }

    /// What the server says of its deliveries to these endpoints.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn told(&self, endpoints: impl Iterator<Item = usize>) -> Result<Vec<Told>, String> {
        setup::told(self.stage.server.listen, &self.token, &self.made, endpoints).await
    }

    /// The first delivery of this run, as the server sent it.
    ///
    /// # Errors
    /// There was none.
    pub(super) async fn first(&mut self) -> Result<bytes::Bytes, String> {
        self.stage.fleet.first().await
    }

    /// Where the fleet takes the deliveries of an endpoint.
    pub(super) fn address(&self, endpoint: usize) -> std::net::SocketAddr {
        self.stage.fleet.ready.open[self.spots[endpoint].port]
    }

    /// What the server has used so far.
    pub(super) fn usage(&self) -> Usage {
        self.stage.server.usage().unwrap_or_default()
    }

    /// What the server held so far.
    pub(super) fn held(&mut self) -> Held {
        let usage = self.usage();
        self.held.note(usage);
        self.held
    }

    /// The numbers of a tenant's endpoints.
    pub(super) fn endpoints_of(&self, tenant: usize) -> Vec<usize> {
        (0..self.spots.len()).filter(|number| self.spots[*number].tenant == tenant).collect()
    }

    /// How many endpoints of a tenant take what they get.
    pub(super) fn alive(&self, tenant: usize) -> u64 {
        let alive = |spot: &&Spot| spot.tenant == tenant && spot.behaviour.is_alive();
        self.spots.iter().filter(alive).count() as u64
    }
}

/// The tenant whose events these are.
fn tenant_of(load: &Load) -> usize {
    load.numbers().first as usize
}

/// A secret that nobody has to keep: it signs for a receiver that ends with the benchmark.
fn secret() -> String {
    let mut bytes = [0; 24];
    fastrand::fill(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_is_counted_from_the_rest() {
        let usage = |rss_bytes, rss_peak_bytes, descriptors| Usage {
            rss_bytes,
            rss_peak_bytes,
            descriptors,
            ..Usage::default()
        };
        let mut held = Held { at_rest: usage(100, 150, 10), ..Held::default() };
        held.note(usage(120, 150, 30));
        held.note(usage(110, 150, 20));
        assert_eq!((held.memory(), held.sockets()), (20, 20), "the peak is from before");
        held.note(usage(90, 180, 5));
        assert_eq!((held.memory(), held.sockets()), (80, 20), "a peak between two looks");
    }
}
