//! What is left to say at the end.

use std::fmt::Write as _;

use serde::Serialize;

use super::play::{ENDPOINTS, MEMORY_BYTES, Played};
use super::sample::Side;
use crate::stage::number::{grouped, hundredths, mebibytes};

/// The two lines to remember.
const REMEMBER: [&str; 2] = [
    "A task for each delivery is a queue without a bound: it works until one customer adds 5,000 endpoints.",
    "Give all work a bound, an owner, an end and a name: what waits is on disk, and memory stays flat.",
];

#[derive(Serialize)]
struct Json {
    endpoints: u64,
    memory_bytes_max: u64,
    naive: JsonSide,
    plimsoll: JsonSide,
    lost: u64,
    waiting: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct JsonSide {
    events_accepted: u64,
    events_refused: u64,
    delivered: u64,
    owed: u64,
    rss_peak_bytes: u64,
    died_after_seconds: Option<f64>,
}

impl Played {
    /// Whether the server kept what it promises: nothing lost, alive, memory below the limit.
    pub(super) fn is_good(&self) -> bool {
        let ours = &self.sample.ours;
        self.lost == 0 && ours.accepted > 0 && ours.rss_peak_bytes < MEMORY_BYTES
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        let side = |side: &Side| JsonSide {
            events_accepted: side.accepted,
            events_refused: side.refused,
            delivered: side.delivered,
            owed: side.owed(ENDPOINTS as u64),
            rss_peak_bytes: side.rss_peak_bytes,
            died_after_seconds: side.died_at.map(|at| hundredths(at.as_secs_f64())),
        };
        let json = Json {
            endpoints: ENDPOINTS as u64,
            memory_bytes_max: MEMORY_BYTES,
            naive: side(&self.sample.naive),
            plimsoll: side(&self.sample.ours),
            lost: self.lost,
            waiting: self.waiting,
            seconds: hundredths(self.sample.at.as_secs_f64()),
        };
        serde_json::to_string(&json).expect("plain numbers are always JSON")
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("\nHow it ended\n");
        let (naive, ours) = (&self.sample.naive, &self.sample.ours);
        let end = naive.died_at.map_or_else(
            || "survived: this machine delivers faster than it was fed".to_owned(),
            |at| format!("died after {:.1} s with all that it owed", at.as_secs_f64()),
        );
        side(&mut text, "without a bound", naive, &end);
        let end = match (self.lost, self.waiting) {
            (0, 0) => "delivered everything it had said yes to".to_owned(),
            (0, waiting) => format!("lost nothing; {} deliveries wait on disk", grouped(waiting)),
            (lost, _) => format!("LOST {} deliveries", grouped(lost)),
        };
        side(&mut text, "plimsoll", ours, &end);
        if let Some(words) = &self.last_words {
            let _ = writeln!(text, "\nIts last words: {words}");
        }
        let _ = writeln!(text, "\nTo remember\n  {}\n  {}", REMEMBER[0], REMEMBER[1]);
        text
    }
}

fn side(text: &mut String, name: &str, side: &Side, end: &str) {
    let _ = writeln!(
        text,
        "  {name:<16} {end}\n  {:16} events accepted {}, refused {}; deliveries made {} of {}; memory at its peak {}",
        "",
        grouped(side.accepted),
        grouped(side.refused),
        grouped(side.delivered),
        grouped(side.accepted * ENDPOINTS as u64),
        mebibytes(side.rss_peak_bytes),
    );
}
