//! The parts of a run as a table for a terminal.

use std::fmt::Write as _;

use super::record::{Record, Times};
use crate::figure::{count, grouped, millis, percent};

/// The parts of a run; empty where there are none.
#[must_use]
pub fn table(record: &Record) -> String {
    let mut text = String::new();
    if record.stages.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:<15}{:>9}{:>10}{:>15}{:>15}{:>15}{:>9}{:>9}{:>9}",
        "part", "due", "due/s", "succeeded", "refused", "lost", "p50", "p99", "slowest"
    );
    for stage in &record.stages {
        let counts = &stage.counts;
        let share = |number: u64| percent(number as f64 / counts.due.max(1) as f64);
        let Times { p50_ms, p99_ms, max_ms, .. } = stage.from_due;
        let _ = writeln!(
            text,
            "{:<15}{:>9}{:>10}{:>15}{:>15}{:>15}{:>9}{:>9}{:>9}",
            stage.name,
            grouped(counts.due),
            count(counts.due as f64 / stage.seconds()),
            share(counts.succeeded),
            share(counts.refused),
            share(counts.lost()),
            millis(p50_ms),
            millis(p99_ms),
            millis(max_ms),
        );
    }
    text.push('\n');
    text
}
