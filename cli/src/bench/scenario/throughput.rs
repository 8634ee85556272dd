//! As fast as it goes, and twice as much as that.

use super::super::core::{CONNECTIONS, Core, FAN_OUT, FAN_OUT_CONNECTIONS, OVERLOAD_CONNECTIONS, spots};
use super::super::rates::{median, ratio};
use super::super::report::{FAN_OUT_GOAL, ONE_ENDPOINT_GOAL, Round};
use super::super::site::Site;
use super::outcome::Wanted;
use super::{Outcome, Scale, Scenario};
use crate::stage::number::{grouped, millis};

/// Deliveries of one tenant at once, as the server is set by default.
pub(super) const AT_ONCE: u64 = 64;
/// Deliveries to one endpoint at once, as the server is set by default: so many connections to it are kept
/// for a while where so many were in use.
const ENDPOINT_AT_ONCE: usize = 10;
/// What is offered, of what can be delivered.
const OVERLOAD: f64 = 2.0;
/// How long an event may take to be accepted under overload: most clients wait for seconds.
const OVERLOAD_P99_MS: f64 = 500.0;

pub(super) async fn one_endpoint(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    let work = async |house: &mut _| {
        let mut core = Core::begin(house, scale.span).await?;
        let before = core.ceiling().await?;
        let pass = core.one_endpoint().await?;
        let ceiling = median(&[before, core.ceiling().await?]);
        let reached = Round { one: pass, ..Round::default() }.one_per_second();
        let share = ratio(reached, ceiling);
        let mut outcome = Outcome::new(Scenario::OneEndpoint);
        outcome.headline(format!(
            "{} messages/s, {:.1} % of the ceiling, p50 {}",
            grouped(reached as u64),
            share * 100.0,
            millis(pass.accept_p50_ms)
        ));
        outcome.mark("ratio", share, Wanted::AtLeast(ONE_ENDPOINT_GOAL));
        outcome.mark_books(&core.closed);
        outcome.mark_held(core.house.held(), CONNECTIONS as u64 + AT_ONCE);
        outcome.figure("ceiling_per_second", ceiling);
        outcome.figure("per_second", reached);
        outcome.figure("accept_p50_ms", pass.accept_p50_ms);
        outcome.figure("cpu_us_each", pass.cpu_micros);
        Ok(outcome)
    };
    site.with_house(spots(), &[], work).await
}

pub(super) async fn fan_out(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    let work = async |house: &mut _| {
        let mut core = Core::begin(house, scale.span).await?;
        let before = core.ceiling().await?;
        let pass = core.fan_out().await?;
        let ceiling = median(&[before, core.ceiling().await?]);
        let reached = pass.delivered_per_second;
        let share = ratio(reached, ceiling);
        let mut outcome = Outcome::new(Scenario::FanOut100);
        outcome.headline(format!(
            "{} deliveries/s, {:.1} % of the ceiling, {:.3} ms CPU each",
            grouped(reached as u64),
            share * 100.0,
            pass.cpu_micros / 1_000.0
        ));
        outcome.mark("ratio", share, Wanted::AtLeast(FAN_OUT_GOAL));
        outcome.mark_books(&core.closed);
        outcome.mark_held(core.house.held(), (FAN_OUT_CONNECTIONS + FAN_OUT) as u64 + AT_ONCE);
        outcome.figure("ceiling_per_second", ceiling);
        outcome.figure("deliveries_per_second", reached);
        outcome.figure("cpu_us_each", pass.cpu_micros);
        outcome.figure("bytes_written_each", pass.written_bytes);
        Ok(outcome)
    };
    site.with_house(spots(), &[], work).await
}

pub(super) async fn overload(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    let work = async |house: &mut _| {
        let mut core = Core::begin(house, scale.span).await?;
        let capacity = core.fan_out().await?.delivered_per_second;
        let offered = (capacity * OVERLOAD / FAN_OUT as f64).max(1.0);
        let seen = core.overload(offered).await?;
        let refused = seen.sent.too_many + seen.sent.unavailable;
        let held = core.house.held();
        let mut outcome = Outcome::new(Scenario::Overload);
        outcome.headline(format!(
            "{offered:.0} events/s x 100: {} accepted, {} refused; POST p50 {}, p99 {}, memory +{:.0} MiB",
            grouped(seen.sent.accepted),
            grouped(refused),
            millis(seen.p50_ms),
            millis(seen.p99_ms),
            held.memory() as f64 / 1_048_576.0,
        ));
        outcome.mark("accept_p99_ms", seen.p99_ms, Wanted::AtMost(OVERLOAD_P99_MS));
        let silent = seen.sent.without_retry_after as f64;
        outcome.mark("refused_without_retry_after", silent, Wanted::AtMost(0.0));
        outcome.mark("accepted_events", seen.sent.accepted as f64, Wanted::AtLeast(1.0));
        outcome.mark_books(&core.closed);
        outcome.mark_held(held, (OVERLOAD_CONNECTIONS + FAN_OUT * ENDPOINT_AT_ONCE) as u64);
        outcome.figure("offered_events_per_second", offered);
        outcome.figure("refused", refused as f64);
        outcome.figure("unknown", seen.sent.unknown as f64);
        outcome.figure("backlog_at_the_end", seen.backlog as f64);
        outcome.figure("accept_p50_ms", seen.p50_ms);
        Ok(outcome)
    };
    site.with_house(spots(), &[], work).await
}
