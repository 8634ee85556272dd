//! The measuring core: ceiling, one endpoint, fan-out, and latencies at half load.

use std::time::Duration;

use super::args::Hooks;
use super::ceiling::ceiling;
use super::house::{Closed, House, Spot};
use super::load::{Load, Pace, Refused, Sent};
use super::rates::{median, per_second, quantile_ms};
use super::report::{Report, Round};
use super::say;
use crate::receiver::{Summary, machine_micros};
use crate::stage::Usage;
use crate::stage::number::grouped;

/// How many connections send, as in the ceiling.
pub(super) const CONNECTIONS: usize = 64;
/// How many endpoints an event fans out to.
pub(super) const FAN_OUT: usize = 100;
/// How many connections send what fans out.
pub(super) const FAN_OUT_CONNECTIONS: usize = 8;
/// How many connections send more than can be delivered.
pub(super) const OVERLOAD_CONNECTIONS: usize = 128;
/// How many fanned-out events are accepted and not delivered at once: enough to keep the server busy.
const FAN_OUT_AHEAD: u64 = 128;
/// The most events a second that the books have room for.
const EVENTS_PER_SECOND_MAX: usize = 40_000;
/// The tenant with one endpoint.
const ONE: usize = 0;
/// The tenant whose events fan out.
const MANY: usize = 1;

/// The spots of the core: endpoint 0 alone, and those of the fan-out.
pub(super) fn spots() -> Vec<Spot> {
    let many = (1..=FAN_OUT).map(|port| Spot { timed: false, ..Spot::healthy(MANY, port) });
    std::iter::once(Spot::healthy(ONE, 0)).chain(many).collect()
}

/// The core at work.
pub(super) struct Core<'a> {
    pub(super) house: &'a mut House,
    span: Duration,
    warm_up: Duration,
    /// The books of all passes so far.
    pub(super) closed: Closed,
}

/// What one pass has shown.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Pass {
    /// Events accepted a second.
    pub(super) accepted_per_second: f64,
    /// Deliveries a second.
    pub(super) delivered_per_second: f64,
    /// Accepted deliveries that had not arrived when the sending ended.
    pub(super) backlog: u64,
    /// Until an event was accepted: the median, in milliseconds.
    pub(super) accept_p50_ms: f64,
    /// What the server used, by delivery, while it was measured.
    pub(super) cpu_micros: f64,
    /// What the server wrote, by delivery.
    pub(super) written_bytes: f64,
}

/// What more than can be delivered came to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Overload {
    /// What the senders saw.
    pub(super) sent: Sent,
    /// Until an event was accepted, from the moment it was due: the median.
    pub(super) p50_ms: f64,
    /// The 99th percentile.
    pub(super) p99_ms: f64,
    /// Deliveries of accepted events that were not made when the sending ended.
    pub(super) backlog: u64,
}

/// A moment of a pass.
#[derive(Clone, Copy)]
struct Moment {
    at: u64,
    accepted: u64,
    delivered: u64,
    usage: Usage,
}

/// Measures.
///
/// # Errors
/// The server or the fleet failed.
pub(super) async fn measure(house: &mut House, args: &Hooks) -> Result<Report, String> {
    let mut core = Core::begin(house, Duration::from_secs(args.seconds.into())).await?;
    let mut ceilings = vec![core.ceiling().await?];
    let mut rounds = Vec::with_capacity(args.rounds as usize);
    for _ in 0..args.rounds {
        let one = core.one_endpoint().await?;
        ceilings.push(core.ceiling().await?);
        let fan_out = core.fan_out().await?;
        ceilings.push(core.ceiling().await?);
        rounds.push(Round { one, fan_out });
    }
    let one: Vec<f64> = rounds.iter().map(Round::one_per_second).collect();
    let (accept_ms, delivery, half) = core.half_load(median(&one) / 2.0).await?;
    let closed = core.closed;
    Ok(Report {
        seconds: args.seconds,
        ceilings,
        rounds,
        half_load_per_second: half,
        accept_p50_ms: accept_ms.0,
        accept_p99_ms: accept_ms.1,
        delivery_p50_ms: delivery.p50_ms,
        delivery_p99_ms: delivery.p99_ms,
        rss_peak_bytes: house.usage().rss_peak_bytes,
        closed,
    })
}

/// How long a pass warms up before it measures.
pub(super) fn warm_up(span: Duration) -> Duration {
    (span / 4).clamp(Duration::from_millis(250), Duration::from_secs(1))
}

impl<'a> Core<'a> {
    /// In a house with the [`spots`]; sends a first message.
    ///
    /// # Errors
    /// It does not arrive.
    pub(super) async fn begin(house: &'a mut House, span: Duration) -> Result<Self, String> {
        let mut core = Self { house, span, warm_up: warm_up(span), closed: Closed::default() };
        core.probe().await?;
        Ok(core)
    }

    /// One message from end to end: the delivery that the ceiling is measured with.
    async fn probe(&mut self) -> Result<(), String> {
        // One more than is sent: the sender takes its next number before it waits.
        self.house.open(2).await?;
        let mut load = self.house.send(ONE, 1, Pace::OnCredit, Refused::TriedAgain).await?;
        load.credit(1);
        while load.sent().accepted == 0 {
            self.house.tick(&[&load]).await?;
        }
        self.close(&mut [&mut load]).await
    }

    /// Posts the first delivery of this run over and over, past the server.
    pub(super) async fn ceiling(&mut self) -> Result<f64, String> {
        let delivery = self.house.first().await?;
        let reached = ceiling(self.house.address(0), &delivery, CONNECTIONS, self.warm_up, self.span).await?;
        say(&format!("ceiling         {:>9}/s", grouped(reached as u64)));
        Ok(reached)
    }

    /// As fast as the senders are answered, to one endpoint.
    pub(super) async fn one_endpoint(&mut self) -> Result<Pass, String> {
        self.open().await?;
        let mut load = self.house.send(ONE, CONNECTIONS, Pace::AsAnswered, Refused::TriedAgain).await?;
        self.house.watch(self.warm_up, &[&load]).await?;
        let from = self.moment(&load).await?;
        self.house.watch(self.span, &[&load]).await?;
        let to = self.moment(&load).await?;
        load.stop().await?;
        let mut pass = pass(from, to);
        pass.accept_p50_ms = quantile_ms(&load.latencies(), 0.5);
        self.close(&mut [&mut load]).await?;
        // Until the last is there: what was accepted in the time and is delivered after it does not
        // count as delivered in it.
        let stats = self.house.stats().await?;
        let until_all = per_second(stats.healthy - from.delivered, from.at, stats.last_at.max(to.at));
        pass.delivered_per_second = until_all;
        say(&format!(
            "one endpoint    {:>9}/s accepted, {}/s delivered, {} left to deliver at the end",
            grouped(pass.accepted_per_second as u64),
            grouped(until_all as u64),
            grouped(pass.backlog),
        ));
        Ok(pass)
    }

    /// As many events to 100 endpoints as keep the server busy.
    pub(super) async fn fan_out(&mut self) -> Result<Pass, String> {
        self.open().await?;
        let mut load =
            self.house.send(MANY, FAN_OUT_CONNECTIONS, Pace::OnCredit, Refused::TriedAgain).await?;
        self.feed(&load, self.warm_up).await?;
        let from = self.moment(&load).await?;
        self.feed(&load, self.span).await?;
        let to = self.moment(&load).await?;
        load.stop().await?;
        let pass = pass(from, to);
        self.close(&mut [&mut load]).await?;
        say(&format!(
            "fan-out         {:>9}/s delivered, {:.1} us of processor time each",
            grouped(pass.delivered_per_second as u64),
            pass.cpu_micros,
        ));
        Ok(pass)
    }

    /// At this rate by a clock: the median and the 99th percentile of acceptance, the latencies of
    /// delivery, and the rate.
    async fn half_load(&mut self, rate: f64) -> Result<((f64, f64), Summary, f64), String> {
        let rate = rate.max(1.0);
        self.open().await?;
        let pace = Pace::PerSecond(rate);
        let mut load = self.house.send(ONE, CONNECTIONS, pace, Refused::TriedAgain).await?;
        self.house.watch(self.warm_up, &[&load]).await?;
        let from = machine_micros();
        load.forget_latencies();
        self.house.watch(self.span, &[&load]).await?;
        load.stop().await?;
        let accept = load.latencies();
        self.close(&mut [&mut load]).await?;
        let delivery = self.house.latency_since(from).await?;
        let accept_ms = (quantile_ms(&accept, 0.5), quantile_ms(&accept, 0.99));
        say(&format!(
            "half load       {:>9}/s: accepted in {:.2} ms, delivered in {:.2} ms (medians)",
            grouped(rate as u64),
            accept_ms.0,
            delivery.p50_ms,
        ));
        Ok((accept_ms, delivery, rate))
    }

    /// Offers that many fanned-out events a second for twice as long as a pass, whatever becomes of
    /// them.
    pub(super) async fn overload(&mut self, per_second: f64) -> Result<Overload, String> {
        self.house
            .open((self.span.as_secs_f64() * per_second * 2.0) as usize + OVERLOAD_CONNECTIONS + 1)
            .await?;
        let pace = Pace::PerSecond(per_second);
        let mut load = self.house.send(MANY, OVERLOAD_CONNECTIONS, pace, Refused::GivenUp).await?;
        self.house.watch(self.span, &[&load]).await?;
        load.stop().await?;
        let (sent, latencies) = (load.sent(), load.latencies());
        let backlog = self.house.alive(MANY) * sent.accepted;
        let backlog = backlog.saturating_sub(self.house.stats().await?.healthy);
        self.close(&mut [&mut load]).await?;
        let (p50_ms, p99_ms) = (quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99));
        Ok(Overload { sent, p50_ms, p99_ms, backlog })
    }

    async fn open(&mut self) -> Result<(), String> {
        let seconds = (self.span + self.warm_up).as_secs() as usize + 1;
        self.house.open(seconds * EVENTS_PER_SECOND_MAX).await
    }

    /// Keeps so much ahead of the deliveries, for that long.
    async fn feed(&mut self, load: &Load, span: Duration) -> Result<(), String> {
        let until = machine_micros() + span.as_micros() as u64;
        while machine_micros() < until {
            let stats = self.house.stats().await?;
            load.credit(stats.healthy / FAN_OUT as u64 + FAN_OUT_AHEAD);
            self.house.tick(&[load]).await?;
        }
        Ok(())
    }

    async fn moment(&mut self, load: &Load) -> Result<Moment, String> {
        let delivered = self.house.stats().await?.healthy;
        let usage = self.house.usage();
        Ok(Moment { at: machine_micros(), accepted: load.sent().accepted, delivered, usage })
    }

    /// Ends the run: all must arrive.
    async fn close(&mut self, loads: &mut [&mut Load]) -> Result<(), String> {
        for load in loads.iter_mut() {
            load.stop().await?;
        }
        let loads: Vec<&Load> = loads.iter().map(|load| &**load).collect();
        let closed = self.house.settle(&loads).await?;
        self.closed.add(&closed);
        if closed.lost > 0 {
            say(&format!("LOST: {} of {} deliveries", grouped(closed.lost), grouped(closed.due)));
        }
        Ok(())
    }
}

/// What happened between two moments of the sending.
fn pass(from: Moment, to: Moment) -> Pass {
    let delivered = to.delivered - from.delivered;
    let each = |amount: u64| if delivered > 0 { amount as f64 / delivered as f64 } else { 0.0 };
    Pass {
        accepted_per_second: per_second(to.accepted - from.accepted, from.at, to.at),
        delivered_per_second: per_second(delivered, from.at, to.at),
        backlog: to.accepted.saturating_sub(to.delivered),
        accept_p50_ms: 0.0,
        cpu_micros: each(to.usage.cpu_micros.saturating_sub(from.usage.cpu_micros)),
        written_bytes: each(to.usage.written_bytes.saturating_sub(from.usage.written_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: u64, accepted: u64, delivered: u64, cpu_micros: u64) -> Moment {
        let usage = Usage { cpu_micros, written_bytes: cpu_micros * 2, ..Usage::default() };
        Moment { at, accepted, delivered, usage }
    }

    #[test]
    fn a_pass_is_what_happened_between_its_moments() {
        let pass = pass(moment(1_000_000, 10, 5, 100), moment(3_000_000, 110, 45, 500));
        assert_eq!((pass.accepted_per_second, pass.delivered_per_second), (50.0, 20.0));
        assert_eq!((pass.cpu_micros, pass.written_bytes, pass.backlog), (10.0, 20.0, 65));
    }

    #[test]
    fn nothing_delivered_cost_nothing_each() {
        let pass = pass(moment(0, 0, 0, 0), moment(1, 0, 0, 500));
        assert_eq!((pass.cpu_micros, pass.delivered_per_second), (0.0, 0.0));
    }

    #[test]
    fn warming_up_is_a_part_of_the_pass_within_bounds() {
        let millis = [1, 3, 60].map(|seconds| warm_up(Duration::from_secs(seconds)).as_millis());
        assert_eq!(millis, [250, 750, 1_000]);
    }
}
