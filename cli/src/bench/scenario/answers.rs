//! Endpoints that answer well and will not stop: what counts is the head.

use std::time::Duration;

use super::super::house::{Closed, House, Spot};
use super::super::load::{Pace, Refused};
use super::super::site::Site;
use super::fan_out::send;
use super::outcome::Wanted;
use super::throughput::AT_ONCE;
use super::{Outcome, Scenario};
use crate::receiver::Behaviour;
use crate::stage::Usage;
use crate::stage::setup::Told;

/// An attempt's deadline and the first retry come soon, so that a retry would be seen.
const SETTINGS: [&str; 3] =
    ["hooks.attempt_timeout_ms=3000", "hooks.connect_timeout_ms=1000", "hooks.retry_schedule_seconds=1,1"];
/// After all has arrived: longer than a deadline, a retry and its deadline.
const QUIET: Duration = Duration::from_secs(8);
/// How many events are sent at once: no more than an endpoint is given at once by default.
const EVENTS: u64 = 8;

/// What such an endpoint came to.
struct Seen {
    closed: Closed,
    told: Told,
    cpu_micros: u64,
}

pub(super) async fn drip(site: &mut Site) -> Result<Outcome, String> {
    let endpoints = 100;
    let work = async |house: &mut House| {
        let seen = play(house).await?;
        let mut outcome = Outcome::new(Scenario::Drip);
        outcome.headline(format!(
            "{} deliveries to 100 endpoints, {} sent again; the server says {} of {EVENTS} were taken by the one",
            seen.closed.due, seen.closed.duplicates, seen.told.success
        ));
        judge(&mut outcome, &seen);
        outcome.mark_held(house.held(), EVENTS + AT_ONCE + endpoints as u64);
        Ok(outcome)
    };
    site.with_house(spots(endpoints, Behaviour::DripsBody { bytes: 600 }), &SETTINGS, work).await
}

pub(super) async fn gigabyte(site: &mut Site) -> Result<Outcome, String> {
    let endpoints = 10;
    let work = async |house: &mut House| {
        let seen = play(house).await?;
        let held = house.held();
        let mut outcome = Outcome::new(Scenario::GigabyteAnswer);
        outcome.headline(format!(
            "{} of {EVENTS} taken by the one, {} sent again, memory +{:.0} MiB, {} ms CPU",
            seen.told.success,
            seen.closed.duplicates,
            held.memory() as f64 / 1_048_576.0,
            seen.cpu_micros / 1_000
        ));
        judge(&mut outcome, &seen);
        outcome.mark_held(held, EVENTS + AT_ONCE + endpoints as u64);
        Ok(outcome)
    };
    site.with_house(spots(endpoints, Behaviour::Floods { bytes: 1 << 30 }), &SETTINGS, work).await
}

/// The first answers like that, the others well.
fn spots(endpoints: usize, behaviour: Behaviour) -> Vec<Spot> {
    let first = Spot { behaviour, timed: false, ..Spot::healthy(0, 0) };
    std::iter::once(first).chain((1..endpoints).map(|port| Spot::healthy(0, port))).collect()
}

async fn play(house: &mut House) -> Result<Seen, String> {
    house.open(64).await?;
    let before = house.usage();
    let mut load = house.send(0, EVENTS as usize, Pace::OnCredit, Refused::TriedAgain).await?;
    send(house, &load, EVENTS).await?;
    house.settle(&[&load]).await?;
    house.watch(QUIET, &[]).await?;
    let closed = house.settle(&[&load]).await?;
    load.stop().await?;
    let told = house.told(0..1).await?.remove(0);
    let Usage { cpu_micros, .. } = house.usage();
    Ok(Seen { closed, told, cpu_micros: cpu_micros - before.cpu_micros })
}

fn judge(outcome: &mut Outcome, seen: &Seen) {
    outcome.mark("repeated", seen.closed.duplicates as f64, Wanted::AtMost(0.0));
    outcome.mark("taken_by_the_one", seen.told.success as f64, Wanted::AtLeast(EVENTS as f64));
    outcome.mark_books(&seen.closed);
    outcome.figure("cpu_ms", seen.cpu_micros as f64 / 1_000.0);
}
