//! A line a second, for pipes, logs and CI.

use std::io::{self, Write};
use std::time::Duration;

use super::super::sample::Sample;
use crate::stage::number::{grouped, mebibytes, millis};

/// At most one line in this time.
const EVERY: Duration = Duration::from_secs(1);

/// Lines on standard output, or on standard error where the output is for a program.
pub(super) struct Plain {
    to_stderr: bool,
    last: Option<Duration>,
}

impl Plain {
    /// Writes there.
    pub(super) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, last: None }
    }

    /// Writes what happened.
    pub(super) fn say(&mut self, line: &str) {
        // Whoever does not read any more does not stop the demo: its exit code still counts.
        let _ = if self.to_stderr {
            writeln!(io::stderr().lock(), "{line}")
        } else {
            writeln!(io::stdout().lock(), "{line}")
        };
    }

    /// Writes how it stands, unless it has within the last second.
    pub(super) fn draw(&mut self, sample: &Sample, rates: (f64, f64)) {
        // A little early is on time: samples come a little after each second.
        if self.last.is_some_and(|last| sample.at < last + EVERY - EVERY / 10) {
            return;
        }
        self.last = Some(sample.at);
        self.say(&line(sample, rates));
    }
}

fn line(sample: &Sample, (accepted, delivered): (f64, f64)) -> String {
    let breakers = sample.server.breakers_open.map_or_else(|| "-".to_owned(), |open| open.to_string());
    format!(
        "{:>5.1} s  {}  accepted {:>7} ({accepted:>5.0}/s)  delivered {:>8} ({delivered:>6.0}/s)  \
         backlog {:>6}  breakers open {breakers:>2}  healthy p50 {:>7} p99 {:>7}  memory {}",
        sample.at.as_secs_f64(),
        if sample.up { "up  " } else { "DOWN" },
        grouped(sample.sent.accepted),
        grouped(sample.fleet.healthy + sample.fleet.slow),
        grouped(sample.backlog),
        millis(sample.recent.p50_ms),
        millis(sample.recent.p99_ms),
        mebibytes(sample.rss_peak),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_stands() {
        let line = line(&Sample { at: Duration::from_millis(1_500), ..Sample::default() }, (250.0, 1_800.4));
        assert!(line.starts_with("  1.5 s  DOWN  accepted       0 (  250/s)"), "{line}");
        assert!(line.contains("(  1800/s)") && line.contains("breakers open  -"), "{line}");
        assert!(!line.contains('\u{1b}'), "no colours in a pipe");
    }
}
