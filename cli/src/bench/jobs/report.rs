//! What was measured of jobs, for a person and for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::book::Counts;
use super::measure::Pass;
use super::yard::{SUBMITTERS, WORKERS};
use crate::bench::rates::median;
use crate::bench::report::{cores, thousandths};
use crate::stage::number::{grouped, hundredths, mebibytes, millis};

/// How to read the figures.
const EXPLANATION: &str = "\
A job is accepted when its 202 is there, claimed when a worker has it, finished when its ack is answered:
three commits, which many jobs share, so that the more is under way the less each costs. Where fewer are
finished than accepted, the rest waits on disk, and the lower rate is what the server can keep up.
";

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub(in crate::bench) struct Report {
    /// How long each pass measured.
    pub(super) seconds: u32,
    /// The passes at full load.
    pub(super) passes: Vec<Pass>,
    /// The load that the latencies are of.
    pub(super) half_load_per_second: f64,
    /// From when a job was due until it was accepted.
    pub(super) accept: Latency,
    /// From accepted until claimed.
    pub(super) claim: Latency,
    /// The most memory that the server had.
    pub(super) rss_peak_bytes: u64,
    /// Accepted jobs that were never done.
    pub(super) lost: u64,
    /// The book of all passes together.
    pub(super) counts: Counts,
}

/// The middle and the slow end.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Latency {
    /// Half were faster, in milliseconds.
    pub(super) p50_ms: f64,
    /// 99 of 100 were faster.
    pub(super) p99_ms: f64,
}

impl Report {
    /// Whether every accepted job was done, and none was given to a worker twice.
    pub(in crate::bench) fn is_good(&self) -> bool {
        let Counts { accepted, run_twice, .. } = self.counts;
        accepted > 0 && self.lost == 0 && run_twice == 0 && self.faults() == 0
    }

    /// What is wrong besides.
    fn faults(&self) -> u64 {
        self.counts.strangers + self.counts.leases_lost
    }

    fn of_passes(&self, number: impl Fn(&Pass) -> f64) -> f64 {
        median(&self.passes.iter().map(number).collect::<Vec<f64>>())
    }

    /// As one JSON object.
    pub(in crate::bench) fn json(&self) -> Value {
        let each =
            |rate: fn(&Pass) -> f64| self.passes.iter().map(|pass| rate(pass).round()).collect::<Vec<_>>();
        json!({
            "accepted_per_second": self.of_passes(|pass| pass.accepted_per_second).round(),
            "finished_per_second": self.of_passes(|pass| pass.finished_per_second).round(),
            "accept_p50_ms": thousandths(self.accept.p50_ms),
            "accept_p99_ms": thousandths(self.accept.p99_ms),
            "claim_p50_ms": thousandths(self.claim.p50_ms),
            "claim_p99_ms": thousandths(self.claim.p99_ms),
            "cpu_us_per_job": hundredths(self.of_passes(|pass| pass.cpu_micros)),
            "bytes_written_per_job": self.of_passes(|pass| pass.written_bytes).round(),
            "rss_peak_bytes": self.rss_peak_bytes,
            "half_load_per_second": self.half_load_per_second.round(),
            "accepted": self.counts.accepted,
            "finished": self.counts.finished,
            "lost": self.lost,
            "run_twice": self.counts.run_twice,
            "faults": self.faults(),
            "seconds": self.seconds,
            "cores": cores(),
            "accepted_each": each(|pass| pass.accepted_per_second),
            "finished_each": each(|pass| pass.finished_per_second),
        })
    }

    /// As a table, and how to read it.
    pub(in crate::bench) fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |what: &str, value: String| {
            let _ = writeln!(text, "  {what:<34}{value}");
        };
        let rate = |of: fn(&Pass) -> f64| format!("{}/s", grouped(self.of_passes(of).round() as u64));
        row(&format!("accepted, {SUBMITTERS} connections"), rate(|pass| pass.accepted_per_second));
        row(&format!("finished, {WORKERS} workers"), rate(|pass| pass.finished_per_second));
        let both =
            |latency: Latency| format!("p50 {}, p99 {}", millis(latency.p50_ms), millis(latency.p99_ms));
        let half = grouped(self.half_load_per_second as u64);
        row(&format!("until accepted, at {half}/s"), both(self.accept));
        row(&format!("from then to claimed, at {half}/s"), both(self.claim));
        row("processor time a job", format!("{:.1} us", self.of_passes(|pass| pass.cpu_micros)));
        let written = self.of_passes(|pass| pass.written_bytes);
        row("written to disk a job", format!("{} bytes", grouped(written as u64)));
        row("most memory of the server", mebibytes(self.rss_peak_bytes));
        let Counts { accepted, finished, run_twice, .. } = self.counts;
        row("jobs accepted, finished", format!("{}, {}", grouped(accepted), grouped(finished)));
        row("lost, run twice, other faults", format!("{}, {run_twice}, {}", self.lost, self.faults()));
        let _ =
            writeln!(text, "{} cores, {} s a pass; figures are medians of the rounds", cores(), self.seconds);
        text + EXPLANATION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let pass = |accepted_per_second, finished_per_second, cpu_micros| Pass {
            accepted_per_second,
            finished_per_second,
            cpu_micros,
            ..Pass::default()
        };
        Report {
            passes: vec![
                pass(9_000.0, 4_000.0, 90.0),
                pass(7_000.0, 6_000.0, 50.0),
                pass(8_000.0, 5_000.0, 70.0),
            ],
            claim: Latency { p50_ms: 1.5, p99_ms: 12.0 },
            counts: Counts { accepted: 9, finished: 9, ..Counts::default() },
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_medians_and_each_pass_is_told_too() {
        let json = report().json();
        assert_eq!(
            (&json["accepted_per_second"], &json["finished_per_second"]),
            (&8_000.0.into(), &5_000.0.into())
        );
        assert_eq!((&json["cpu_us_per_job"], &json["claim_p99_ms"]), (&70.0.into(), &12.0.into()));
        assert_eq!(json["finished_each"], json!([4_000.0, 6_000.0, 5_000.0]));
        let text = report().text();
        assert!(text.contains("5,000/s") && text.contains("p50 1.50 ms, p99 12 ms"), "{text}");
    }

    #[test]
    fn what_is_lost_or_run_twice_or_refused_is_not_good() {
        assert!(report().is_good());
        assert!(!Report { lost: 1, ..report() }.is_good());
        let with = |counts| Report { counts, ..report() };
        assert!(!with(Counts { accepted: 9, run_twice: 1, ..Counts::default() }).is_good());
        assert!(!with(Counts { accepted: 9, strangers: 1, ..Counts::default() }).is_good());
        assert!(!with(Counts { accepted: 9, leases_lost: 1, ..Counts::default() }).is_good());
        assert!(!with(Counts::default()).is_good(), "nothing was measured");
    }
}
