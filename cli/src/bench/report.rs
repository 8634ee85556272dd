//! What the core has measured, for a person and for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::core::Pass;
use super::house::Closed;
use super::rates::{median, ratio};
use crate::stage::number::{grouped, hundredths, mebibytes, millis};

/// What fan-out is to reach of the ceiling.
pub(super) const FAN_OUT_GOAL: f64 = 0.6;
/// What one endpoint is to reach of the ceiling.
pub(super) const ONE_ENDPOINT_GOAL: f64 = 0.35;

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// How long each pass measured.
    pub(super) seconds: u32,
    /// The ceilings, before, between and after the passes.
    pub(super) ceilings: Vec<f64>,
    /// The passes.
    pub(super) rounds: Vec<Round>,
    /// The load that the latencies are of.
    pub(super) half_load_per_second: f64,
    pub(super) accept_p50_ms: f64,
    pub(super) accept_p99_ms: f64,
    pub(super) delivery_p50_ms: f64,
    pub(super) delivery_p99_ms: f64,
    /// The most memory that the server had.
    pub(super) rss_peak_bytes: u64,
    /// The books of all passes together.
    pub(super) closed: Closed,
}

/// A pass of each kind.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Round {
    pub(super) one: Pass,
    pub(super) fan_out: Pass,
}

impl Round {
    /// Messages a second that were both accepted and delivered: the lower rate.
    pub(super) fn one_per_second(&self) -> f64 {
        self.one.accepted_per_second.min(self.one.delivered_per_second)
    }
}

impl Report {
    /// Whether every accepted event is where it belongs, well signed and accepted once.
    pub(super) fn is_good(&self) -> bool {
        self.closed.lost == 0 && self.closed.faults == 0 && self.closed.accepted > 0
    }

    fn ceiling(&self) -> f64 {
        median(&self.ceilings)
    }

    fn of_rounds(&self, number: impl Fn(&Round) -> f64) -> f64 {
        median(&self.rounds.iter().map(number).collect::<Vec<f64>>())
    }

    fn one_endpoint(&self) -> f64 {
        self.of_rounds(Round::one_per_second)
    }

    fn fan_out(&self) -> f64 {
        self.of_rounds(|round| round.fan_out.delivered_per_second)
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> Value {
        json!({
            "ceiling_per_second": self.ceiling().round(),
            "one_endpoint_per_second": self.one_endpoint().round(),
            "one_endpoint_ratio": thousandths(ratio(self.one_endpoint(), self.ceiling())),
            "fanout_per_second": self.fan_out().round(),
            "fanout_ratio": thousandths(ratio(self.fan_out(), self.ceiling())),
            "accept_p50_ms": thousandths(self.accept_p50_ms),
            "accept_p99_ms": thousandths(self.accept_p99_ms),
            "delivery_p50_ms": thousandths(self.delivery_p50_ms),
            "delivery_p99_ms": thousandths(self.delivery_p99_ms),
            "cpu_us_per_delivery": hundredths(self.of_rounds(|round| round.fan_out.cpu_micros)),
            "bytes_written_per_delivery": self.of_rounds(|round| round.fan_out.written_bytes).round(),
            "rss_peak_bytes": self.rss_peak_bytes,
            "half_load_per_second": self.half_load_per_second.round(),
            "accepted": self.closed.accepted,
            "deliveries": self.closed.due,
            "lost": self.closed.lost,
            "duplicates": self.closed.duplicates,
            "faults": self.closed.faults,
            "seconds": self.seconds,
            "cores": cores(),
            "ceilings": self.ceilings.iter().map(|rate| rate.round()).collect::<Vec<_>>(),
            "one_endpoint": self.rounds.iter().map(|round| round.one_per_second().round()).collect::<Vec<_>>(),
            "fanout": self.rounds.iter().map(|round| round.fan_out.delivered_per_second.round()).collect::<Vec<_>>(),
        })
    }

    /// As a table.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |what: &str, value: String| {
            let _ = writeln!(text, "  {what:<34}{value}");
        };
        let rate = |number: f64| format!("{}/s", grouped(number.round() as u64));
        row("ceiling, no server in between", rate(self.ceiling()));
        row(
            "one endpoint, 64 connections",
            with_goal(self.one_endpoint(), self.ceiling(), ONE_ENDPOINT_GOAL),
        );
        row("fan-out, 100 endpoints an event", with_goal(self.fan_out(), self.ceiling(), FAN_OUT_GOAL));
        let both = |p50: f64, p99: f64| format!("p50 {}, p99 {}", millis(p50), millis(p99));
        let half = grouped(self.half_load_per_second as u64);
        row(&format!("accepted, at {half}/s"), both(self.accept_p50_ms, self.accept_p99_ms));
        row(&format!("delivered, at {half}/s"), both(self.delivery_p50_ms, self.delivery_p99_ms));
        let cpu = self.of_rounds(|round| round.fan_out.cpu_micros);
        row("processor time a delivery", format!("{cpu:.1} us, fan-out"));
        let written = self.of_rounds(|round| round.fan_out.written_bytes);
        row("written to disk a delivery", format!("{} bytes, fan-out", grouped(written as u64)));
        row("most memory of the server", mebibytes(self.rss_peak_bytes));
        let Closed { accepted, due, lost, duplicates, faults, .. } = self.closed;
        let (accepted, due) = (grouped(accepted), grouped(due));
        row("events accepted, deliveries due", format!("{accepted}, {due}"));
        row("lost, duplicates, other faults", format!("{lost}, {duplicates}, {faults}"));
        let _ =
            writeln!(text, "{} cores, {} s a pass; figures are medians of the rounds", cores(), self.seconds);
        text
    }
}

fn with_goal(reached: f64, ceiling: f64, goal: f64) -> String {
    let share = ratio(reached, ceiling);
    let verdict = if share >= goal { "reached" } else { "MISSED" };
    format!(
        "{}/s, {share:.2} of the ceiling; the goal {goal:.2} is {verdict}",
        grouped(reached.round() as u64)
    )
}

/// `number` to three decimals, as a number: what goes into JSON.
pub(super) fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// How many threads of this process can run at once.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let one = |accepted_per_second, delivered_per_second| Pass {
            accepted_per_second,
            delivered_per_second,
            ..Pass::default()
        };
        let round =
            |one, fan_out| Round { one, fan_out: Pass { delivered_per_second: fan_out, ..Pass::default() } };
        Report {
            seconds: 5,
            ceilings: vec![100_000.0, 90_000.0, 110_000.0],
            rounds: vec![round(one(40_000.0, 36_000.0), 50_000.0), round(one(30_000.0, 36_000.0), 70_000.0)],
            closed: Closed { accepted: 9, ..Closed::default() },
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_medians_and_one_endpoint_is_the_lower_of_its_rates() {
        let json = report().json();
        assert_eq!(json["ceiling_per_second"], 100_000.0);
        assert_eq!(
            (&json["one_endpoint_per_second"], &json["one_endpoint_ratio"]),
            (&33_000.0.into(), &0.33.into())
        );
        assert_eq!((&json["fanout_per_second"], &json["fanout_ratio"]), (&60_000.0.into(), &0.6.into()));
    }

    #[test]
    fn a_goal_is_reached_or_missed_in_words() {
        let text = report().text();
        assert!(text.contains("33,000/s, 0.33 of the ceiling; the goal 0.35 is MISSED"), "{text}");
        assert!(text.contains("60,000/s, 0.60 of the ceiling; the goal 0.60 is reached"), "{text}");
    }

    #[test]
    fn what_was_lost_or_forged_is_not_good() {
        assert!(report().is_good());
        let with = |closed| Report { closed, ..report() };
        assert!(!with(Closed { accepted: 9, lost: 1, ..Closed::default() }).is_good());
        assert!(!with(Closed { accepted: 9, faults: 1, ..Closed::default() }).is_good());
        assert!(!with(Closed::default()).is_good(), "nothing was measured");
    }
}
