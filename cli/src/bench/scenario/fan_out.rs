//! One event, or five, to 10,000 endpoints.

use super::super::house::{House, Spot};
use super::super::load::{Load, Pace, Refused};
use super::super::rates::{per_second, quantile_ms};
use super::super::site::Site;
use super::outcome::Wanted;
use super::throughput::AT_ONCE;
use super::{Outcome, Scenario};
use crate::receiver::machine_micros;
use crate::stage::number::{grouped, millis};

/// How many endpoints an event goes to.
pub(super) const ENDPOINTS: usize = 10_000;
/// How many destinations they are on: not ten thousand ports, but more than are delivered to at once.
pub(super) const DESTINATIONS: usize = 999;
/// How many events go to one endpoint, to compare with.
const ORDINARY: u64 = 50;
/// How much longer than the slowest of these the large ones may take to be accepted.
const TIMES_THE_ORDINARY: f64 = 3.0;
const ONE: usize = 0;
const MANY: usize = 1;

pub(super) async fn to_10_000(site: &mut Site, scenario: Scenario, events: u64) -> Result<Outcome, String> {
    let many = (0..ENDPOINTS).map(|number| Spot::healthy(MANY, 1 + number % DESTINATIONS));
    let spots = std::iter::once(Spot { timed: false, ..Spot::healthy(ONE, 0) }).chain(many).collect();
    let work = async |house: &mut House| {
        house.open(ORDINARY as usize + 16).await?;
        let mut ordinary = house.send(ONE, 1, Pace::OnCredit, Refused::TriedAgain).await?;
        send(house, &ordinary, ORDINARY).await?;
        let ordinary_ms = quantile_ms(&ordinary.latencies(), 1.0);
        ordinary.stop().await?;
        let from = machine_micros();
        let mut load = house.send(MANY, events as usize, Pace::OnCredit, Refused::TriedAgain).await?;
        send(house, &load, events).await?;
        let accept_ms = quantile_ms(&load.latencies(), 1.0);
        let closed = house.settle(&[&load, &ordinary]).await?;
        load.stop().await?;
        let latency = house.latency_since(from).await?;
        let held = house.held();
        let mut outcome = Outcome::new(scenario);
        outcome.headline(format!(
            "accepted in {}, {} deliveries in {}, {} more sockets, memory +{:.0} MiB",
            millis(accept_ms),
            grouped(closed.due - ORDINARY),
            millis((closed.last_at - from) as f64 / 1_000.0),
            held.sockets(),
            held.memory() as f64 / 1_048_576.0,
        ));
        let longest = (ordinary_ms * TIMES_THE_ORDINARY).max(10.0);
        outcome.mark("accept_ms", accept_ms, Wanted::AtMost(longest));
        outcome.mark("repeated", closed.duplicates as f64, Wanted::AtMost(0.0));
        outcome.mark_books(&closed);
        outcome.mark_held(held, events + AT_ONCE + DESTINATIONS as u64);
        outcome.figure("ordinary_accept_ms", ordinary_ms);
        outcome.figure("deliveries_per_second", per_second(closed.due - ORDINARY, from, closed.last_at));
        outcome.figure("delivery_p50_ms", latency.p50_ms);
        outcome.figure("delivery_p99_ms", latency.p99_ms);
        Ok(outcome)
    };
    site.with_house(spots, &[], work).await
}

/// Sends so many, and waits until all are accepted.
pub(super) async fn send(house: &mut House, load: &Load, events: u64) -> Result<(), String> {
    load.credit(events);
    while load.sent().accepted < events {
        house.tick(&[load]).await?;
    }
    Ok(())
}
