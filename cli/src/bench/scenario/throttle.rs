//! An endpoint with a rate of its own, and more than that at once.

use super::super::house::{House, Spot};
use super::super::load::{Pace, Refused};
use super::super::rates::{busiest_second, rate_of};
use super::super::site::Site;
use super::fan_out::send;
use super::outcome::Wanted;
use super::throughput::AT_ONCE;
use super::{Outcome, Scale, Scenario};
use crate::stage::number::grouped;

/// Deliveries a second.
const RATE: u32 = 20;
/// How far off it may be.
const TOLERANCE: f64 = 0.05;
/// How many connections send.
const CONNECTIONS: usize = 8;

pub(super) async fn rate_limit(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    // Twice the span: 200 messages over the usual five seconds.
    let messages = u64::from(RATE) * scale.span.as_secs() * 2;
    let spot = Spot { throttle_rate: Some(RATE), traced: true, ..Spot::healthy(0, 0) };
    let work = async |house: &mut House| {
        house.open(messages as usize + 16).await?;
        let mut load = house.send(0, CONNECTIONS, Pace::OnCredit, Refused::TriedAgain).await?;
        send(house, &load, messages).await?;
        let closed = house.settle(&[&load]).await?;
        load.stop().await?;
        let arrivals = house.trace(0).await?;
        let (rate, busiest) = (rate_of(&arrivals), busiest_second(&arrivals));
        let limit = f64::from(RATE);
        let most = limit * (1.0 + TOLERANCE);
        let mut outcome = Outcome::new(Scenario::RateLimit);
        outcome.headline(format!(
            "rate of {RATE}/s, {} messages: {rate:.1}/s, {busiest} in the busiest second",
            grouped(messages)
        ));
        outcome.mark("deliveries_per_second", rate, Wanted::Within(limit * (1.0 - TOLERANCE), most));
        outcome.mark("in_the_busiest_second", busiest as f64, Wanted::AtMost(most.ceil()));
        outcome.mark_books(&closed);
        outcome.mark_held(house.held(), CONNECTIONS as u64 + AT_ONCE);
        Ok(outcome)
    };
    site.with_house(vec![spot], &[], work).await
}
